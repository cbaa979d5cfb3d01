//! The only place that reads kernel structs: pointers whose offsets come from the running kernel's BTF.
//!
//! A direct load (1–2 ns) needs a BTF pointer and a constant offset; where no address can be made one ([`reads`]), everything
//! else goes through `bpf_probe_read_kernel` (about 34 ns). Both read zero from a bad pointer.

mod file;
mod group;
mod name;
mod number;
mod path;
mod pid;
mod reads;
mod socket;
mod task;
mod worker;

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use sensor_common::offsets::MISSING;

pub(crate) use self::{
    file::{File, fd_file, new_file, ring_file},
    group::GroupFile,
    name::{WORDS, copy_name, file_name, path_comm},
    number::{call_at, call_index},
    path::{Path, append_cwd, append_path, append_relative_dir},
    reads::{CASTS, PROBES, forgotten, opaque},
    socket::{AF_INET, AF_INET6, AF_UNIX, Sock, fd_sock, user_ip, user_unix},
    task::{Task, cgroup_key},
};

/// What the loader knows of this kernel: a constant for the verifier, which drops what hangs on it.
macro_rules! constant {
    ($index:expr) => {{
        const INDEX: usize = $index;
        let value: u64;
        // SAFETY: sets a register, to what the loader puts into the instruction: 32 bits, and never `MISSING` where it says
        // that this one is certain.
        unsafe {
            core::arch::asm!(
                "{value} = {mark} ll",
                value = out(reg) value,
                mark = const sensor_common::constants::mark(INDEX),
                options(nomem, nostack, preserves_flags),
            );
            core::hint::assert_unchecked(value <= 0xffff_ffff);
            if sensor_common::constants::is_certain(INDEX) {
                core::hint::assert_unchecked(value != sensor_common::offsets::MISSING as u64);
            }
        }
        value as u32
    }};
}

/// The offset of a field on this kernel.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::constant!(core::mem::offset_of!(sensor_common::Offsets, $field) / 4)
    };
}

/// A knob's value on this kernel.
macro_rules! knob {
    ($field:ident) => {
        $crate::kernel::constant!(
            sensor_common::constants::OFFSETS + core::mem::offset_of!(sensor_common::Knobs, $field) / 4
        )
    };
}

/// A field of a program's context: read once and as wide as it is declared, which is all that the verifier allows.
macro_rules! field {
    ($context:expr, $($field:tt)+) => {{
        // SAFETY: the verifier knows the context and checks the field.
        unsafe { (&raw const (*$context).$($field)+).read_volatile() }
    }};
}

pub(crate) use {constant, field, knob, offset};

/// A pointer into the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ptr(pub(crate) *const u8);

impl Ptr {
    /// From an integer that the verifier knows nothing of.
    #[inline(always)]
    pub(crate) fn from_u64(address: u64) -> Self {
        Self(address as *const u8)
    }

    /// Reads a field by a direct load where the kernel allows it.
    #[inline(always)]
    pub(crate) fn load<T: Copy>(self, offset: u32) -> Option<T> {
        if offset == MISSING {
            return None;
        }
        if PROBES {
            return self.probe(offset);
        }
        // SAFETY: the verifier only accepts this on a BTF pointer; a fault reads zero.
        Some(unsafe { self.0.add(offset as usize).cast::<T>().read_volatile() })
    }

    /// Follows a pointer field by a direct load, which keeps it a BTF pointer.
    #[inline(always)]
    pub(crate) fn follow(self, offset: u32) -> Option<Self> {
        self.load::<*const u8>(offset).map(Self)
    }

    /// Reads a field of any address.
    #[inline(always)]
    pub(crate) fn probe<T: Copy>(self, offset: u32) -> Option<T> {
        if offset == MISSING {
            return None;
        }
        let from = self.0.wrapping_add(offset as usize);
        if CASTS {
            return Some(reads::read(from));
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the destination is as large as the value; the helper checks the source.
        let failed =
            unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, from.cast()) };
        if failed != 0 {
            return None;
        }
        // SAFETY: the helper filled it.
        Some(unsafe { value.assume_init() })
    }

    /// Follows a pointer field of any address; a null pointer is none.
    #[inline(always)]
    pub(crate) fn probe_ptr(self, offset: u32) -> Option<Self> {
        self.probe::<u64>(offset).filter(|address| *address != 0).map(Self::from_u64)
    }
}

/// The head of a kernel struct, fetched by one helper call where each field would take one: those that the sensor wants of a
/// file or an inode lie in its first cache lines on every kernel so far. One that does not is fetched by itself.
pub(crate) struct Head<const WORDS: usize> {
    words: MaybeUninit<[u64; WORDS]>,
    of: Ptr,
}

impl<const WORDS: usize> Head<WORDS> {
    #[inline(always)]
    pub(crate) fn new(of: Ptr) -> Self {
        Self { words: MaybeUninit::uninit(), of }
    }

    /// Fetches it. Apart from `new`, so that nothing is moved: a move would be a loop over bytes.
    #[inline(always)]
    pub(crate) fn fetch(&mut self) -> Option<()> {
        if CASTS {
            return if self.of.0.is_null() { None } else { Some(()) };
        }
        let to = self.words.as_mut_ptr().cast();
        // SAFETY: the destination is as large as the length; the helper checks the source.
        let failed = unsafe { bpf_probe_read_kernel(to, WORDS as u32 * 8, self.of.0.cast()) };
        if failed == 0 { Some(()) } else { None }
    }

    /// A field, once it is fetched.
    #[inline(always)]
    pub(crate) fn get<T: Copy>(&self, offset: u32) -> Option<T> {
        if CASTS || offset as usize + size_of::<T>() > WORDS * 8 {
            return self.of.probe(offset);
        }
        // SAFETY: the field lies inside the words, which `fetch` filled.
        Some(unsafe { self.words.as_ptr().cast::<u8>().add(offset as usize).cast::<T>().read_volatile() })
    }
}

/// Reads a value from the current task's user memory.
#[inline(always)]
pub(crate) fn read_user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is as large as the value; the helper checks the source.
    let failed =
        unsafe { bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _) };
    if failed != 0 {
        return None;
    }
    // SAFETY: the helper filled it.
    Some(unsafe { value.assume_init() })
}
