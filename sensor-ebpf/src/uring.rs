//! Operations through `io_uring`: a hook where they are submitted and one where they are completed, and for each a table
//! from the operation's number to the program that looks closer.
//!
//! A completion knows the result and has the kernel objects, but the names are gone by then: submission, when the kernel has
//! copied them, remembers them until the completion asks. What nobody watches has empty slots. Most of it
//! runs in the caller's threads, the rest in threads that the kernel adds to the process: who did it is always the current
//! task.
//!
//! Missed: what a multishot accept brings (its completions do not say of which request they are), and what a request
//! that asked for no completion returned (see [`Operation::is_silent`]).

use aya_ebpf::{
    helpers::generated::bpf_probe_read_kernel_str,
    macros::{btf_tracepoint, map},
    maps::{Array, LruHashMap, ProgramArray},
    programs::BtfTracePointContext,
};
use sensor_common::{flags, uring};

use crate::{
    kernel::{File, Ptr, Sock, Task, fd_file, offset, ring_file},
    record::{Ending, Str},
};

/// Bytes of a name that are remembered, with the NUL: a longer one is cut, and its text says so.
const NAME: usize = 256;
/// `IOSQE_CQE_SKIP_SUCCESS`, which the kernel takes over into the request's flags as it is.
const SKIP_SUCCESS: u32 = 1 << 6;
/// `IORING_FILE_INDEX_ALLOC`.
const ANY_SLOT: u32 = u32::MAX;

/// From an operation to the program that looks at its submission. The daemon fills it.
#[map]
static SUBMITTED: ProgramArray = ProgramArray::with_max_entries(uring::OPERATIONS, 0);
/// From an operation to the program that looks at its completion.
#[map]
static COMPLETED: ProgramArray = ProgramArray::with_max_entries(uring::OPERATIONS, 0);
/// Address of a request under way → what it names. Past 4096 of them (2 MiB) the oldest lose their names, not their records.
#[map]
static NAMES: LruHashMap<u64, Names> = LruHashMap::with_max_entries(4096, 0);
/// What a new entry is copied from: two names are too much for the stack.
#[map]
static NO_NAMES: Array<Names> = Array::with_max_entries(1, 0);

#[repr(C)]
struct Names {
    bytes: [[u8; NAME]; 2],
    /// Where this entry lies. Read from here it is a number: the verifier does not let a pointer to a map's value into a
    /// function of its own ("R3 is not a scalar").
    at: u64,
}

/// Since 5.19 by this name, as `io_uring_submit_sqe` up to 6.2: a request is prepared, and about to be done.
#[btf_tracepoint(function = "io_uring_submit_req")]
fn uring_submit(ctx: BtfTracePointContext) -> i32 {
    let request = Ptr(ctx.arg::<*const u8>(0));
    if let Some(number) = request.load::<u8>(offset!(request_opcode)) {
        // SAFETY: the map holds programs of this type only; a missing entry returns.
        unsafe { SUBMITTED.tail_call(&ctx, u32::from(number)) };
    }
    0
}

/// Since 6.0 with the request, as an untyped pointer: a result is about to be handed to the caller.
#[btf_tracepoint(function = "io_uring_complete")]
fn uring_complete(ctx: BtfTracePointContext) -> i32 {
    let request = Ptr::from_u64(ctx.arg(1));
    if let Some(number) = request.probe::<u8>(offset!(request_opcode)) {
        // SAFETY: as above.
        unsafe { COMPLETED.tail_call(&ctx, u32::from(number)) };
    }
    0
}

/// An operation: one that is completed, or one of which there will be no completion.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) ending: Ending,
    request: Ptr,
    completed: bool,
}

impl Operation {
    /// The one that is submitted now, as if it went well. `syscall` gives the number of the call that means the same.
    #[inline(always)]
    pub(crate) fn submitted(ctx: &BtfTracePointContext, syscall: impl FnOnce(u32) -> u32) -> Option<Self> {
        Self::new(Ptr::from_u64(ctx.arg(0)), false, syscall)
    }

    /// The one that is completed now.
    #[inline(always)]
    pub(crate) fn completed(ctx: &BtfTracePointContext, syscall: impl FnOnce(u32) -> u32) -> Option<Self> {
        Self::new(Ptr::from_u64(ctx.arg(1)), true, syscall)
    }

    /// None where a thread of the kernel cancels what a process left behind.
    #[inline(always)]
    fn new(request: Ptr, completed: bool, syscall: impl FnOnce(u32) -> u32) -> Option<Self> {
        let task = Task::current();
        if task.is_kernel() {
            return None;
        }
        let number = syscall(u32::from(request.probe::<u8>(offset!(request_opcode))?));
        let result = if completed { i64::from(request.probe::<i32>(offset!(request_result))?) } else { 0 };
        Some(Self {
            ending: Ending { task, number, result, flags: flags::IO_URING, alone: false },
            request,
            completed,
        })
    }

    /// Whether a completion will only come if it fails (`IOSQE_CQE_SKIP_SUCCESS`): such an operation is told of when it is
    /// submitted, as done, and told of again if it fails.
    #[inline(always)]
    pub(crate) fn is_silent(self) -> bool {
        self.request.probe::<u32>(offset!(request_flags)).unwrap_or(0) & SKIP_SUCCESS != 0
    }

    /// A member of the request, which begins with the struct of its operation; zero where this kernel has none.
    #[inline(always)]
    pub(crate) fn get<T: Copy + Default>(self, offset: u32) -> T {
        self.request.probe(offset).unwrap_or_default()
    }

    /// The socket that it works on.
    #[inline(always)]
    pub(crate) fn sock(self) -> Option<Sock> {
        File::read(self.request.probe_ptr(offset!(request_file))?)?.sock()
    }

    /// The file that it opened, by what was asked for: a descriptor (0), any slot of the ring's own table, or one by its
    /// number plus one.
    #[inline(always)]
    pub(crate) fn opened(self, slot: u32) -> Option<File> {
        if slot == 0 {
            return fd_file(self.ending.task, self.ending.result as i32);
        }
        let slot = if slot == ANY_SLOT { self.ending.result as u32 } else { slot - 1 };
        ring_file(self.request.probe_ptr(offset!(request_ring))?, slot)
    }

    /// The name whose `struct filename` is at `offset`, the first or the second of those that were remembered.
    #[inline(always)]
    pub(crate) fn name(self, offset: u32, second: bool) -> Str {
        if !self.completed {
            return self.filename(offset).map_or(Str::NONE, |name| Str::kernel(name.0 as u64));
        }
        let Some(names) = NAMES.get_ptr(self.request.0 as u64) else { return Str::NONE };
        // SAFETY: the map's value.
        let at = unsafe { (&raw const (*names).at).read_volatile() };
        Str::kernel(at + if second { NAME as u64 } else { 0 })
    }

    #[inline(always)]
    fn filename(self, offset: u32) -> Option<Ptr> {
        self.request.probe_ptr(offset)?.probe_ptr(offset!(filename_name))
    }

    /// Remembers the names at one or two offsets until the completion.
    #[inline(always)]
    pub(crate) fn remember(self, first: u32, second: Option<u32>) -> Option<()> {
        let key = self.request.0 as u64;
        // Nothing is better than the names of an earlier request at this address.
        self.forget();
        NAMES.insert(key, NO_NAMES.get(0)?, 0).ok()?;
        let entry = NAMES.get_ptr_mut(key)?;
        // SAFETY: the map's value.
        unsafe { (&raw mut (*entry).at).write_volatile(entry as u64) };
        let names = entry.cast::<u8>();
        copy(names, self.filename(first)?);
        if let Some(second) = second {
            // SAFETY: the second half of the map's value.
            copy(unsafe { names.add(NAME) }, self.filename(second)?);
        }
        Some(())
    }

    /// Forgets them.
    #[inline(always)]
    pub(crate) fn forget(self) {
        let _ = NAMES.remove(self.request.0 as u64);
    }
}

#[inline(always)]
fn copy(to: *mut u8, name: Ptr) {
    // SAFETY: the destination has the length; the helper checks the source.
    unsafe { bpf_probe_read_kernel_str(to.cast(), NAME as u32, name.0.cast()) };
}
