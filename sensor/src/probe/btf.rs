//! The running kernel's type information (BTF) → field offsets, tracepoints, functions of system calls, enumerators.
//!
//! aya keeps its own reader to itself; this one knows only what the offset paths of `sensor_common::offsets` need. The
//! format is `include/uapi/linux/btf.h`.

use std::collections::HashMap;

use thiserror::Error;

/// Where the kernel shows its own BTF.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;

/// What is in the name of the function of every system call.
const SYSCALL: &[u8] = b"_sys_";
/// What the functions are called by which security modules are asked, ahead of the hook's name.
const SECURITY_HOOK: &str = "bpf_lsm_";

/// The function that makes a typed pointer out of an address.
const CAST: &[u8] = b"bpf_rdonly_cast";

/// Why BTF could not be read.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The kernel has none, or it cannot be opened.
    #[error("cannot read {KERNEL_BTF}: {0}")]
    Read(#[from] std::io::Error),
    /// It is not what the format says.
    #[error("malformed BTF at byte {0}")]
    Malformed(usize),
}

/// An index over the raw BTF.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Byte position of each type, by id - 1.
    types: Vec<u32>,
    /// Structs and unions with a name.
    composites: HashMap<Box<[u8]>, u32>,
    typedefs: HashMap<Box<[u8]>, u32>,
    enumerators: HashMap<Box<[u8]>, u32>,
    /// Functions that may be system calls, with the id of their prototype.
    functions: HashMap<Box<[u8]>, u32>,
    cast: Option<u32>,
}

impl Btf {
    /// The running kernel's.
    ///
    /// # Errors
    /// Where the kernel has no BTF, or one that this reader does not understand.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::parse(std::fs::read(KERNEL_BTF)?)
    }

    /// From the bytes of a `vmlinux` BTF file.
    ///
    /// # Errors
    /// [`BtfError::Malformed`] with the position where it stops making sense.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let mut btf = Self {
            bytes,
            strings: 0,
            types: Vec::new(),
            composites: HashMap::new(),
            typedefs: HashMap::new(),
            enumerators: HashMap::new(),
            functions: HashMap::new(),
            cast: None,
        };
        if btf.u32(0)? & 0xffff != 0xeb9f {
            return Err(BtfError::Malformed(0));
        }
        let header = btf.u32(4)? as usize;
        let first = header + btf.u32(8)? as usize;
        let end = first + btf.u32(12)? as usize;
        btf.strings = header + btf.u32(16)? as usize;
        let mut at = first;
        while at < end {
            at = btf.index_type(at)?;
        }
        Ok(btf)
    }

    /// What it was parsed from.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes one type into the index and returns where the next begins.
    fn index_type(&mut self, at: usize) -> Result<usize, BtfError> {
        let (name, info) = (self.u32(at)?, self.u32(at + 4)?);
        let (kind, vlen) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        self.types.push(u32::try_from(at).map_err(|_| BtfError::Malformed(at))?);
        let id = self.types.len() as u32;
        let extra = match kind {
            1 | 14 | 17 => 4,
            KIND_ARRAY => 12,
            KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * vlen,
            KIND_ENUM | 13 => 8 * vlen,
            2 | KIND_TYPEDEF..=12 | 16 | 18 | 7 => 0,
            _ => return Err(BtfError::Malformed(at)),
        };
        match kind {
            KIND_STRUCT | KIND_UNION if name != 0 => {
                let name = self.string(name)?.into();
                self.composites.insert(name, id);
            }
            KIND_TYPEDEF => {
                let name = self.string(name)?.into();
                self.typedefs.insert(name, id);
            }
            KIND_FUNC => {
                let name = self.string(name)?;
                let cast = name == CAST;
                let is_call = name.starts_with(b"__") && memchr::memmem::find(name, SYSCALL).is_some();
                if is_call || name.starts_with(SECURITY_HOOK.as_bytes()) {
                    let (name, prototype) = (name.into(), self.u32(at + 8)?);
                    // Some kernels declare a function twice. aya attaches to the first.
                    self.functions.entry(name).or_insert(prototype);
                }
                if cast {
                    self.cast = Some(id);
                }
            }
            KIND_ENUM => {
                for member in 0..vlen {
                    let entry = at + 12 + member * 8;
                    let (name, value) = (self.string(self.u32(entry)?)?.into(), self.u32(entry + 4)?);
                    self.enumerators.insert(name, value);
                }
            }
            _ => {}
        }
        Ok(at + 12 + extra)
    }

    /// Whether the kernel has a tracepoint that BTF programs can attach to.
    #[must_use]
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.typedefs.contains_key(format!("btf_trace_{name}").as_bytes())
    }

    /// The id of the prototype of a system call's function, if there is one that programs can attach to.
    #[must_use]
    pub fn syscall(&self, function: &str) -> Option<u32> {
        self.functions.get(function.as_bytes()).copied()
    }

    /// Whether programs can attach to this hook for security modules.
    #[must_use]
    pub fn has_security_hook(&self, hook: &str) -> bool {
        self.functions.contains_key(format!("{SECURITY_HOOK}{hook}").as_bytes())
    }

    /// The id of `bpf_rdonly_cast`, which programs can call.
    #[must_use]
    pub fn cast(&self) -> Option<u32> {
        self.cast
    }

    /// The id of a struct or union.
    #[must_use]
    pub fn composite_id(&self, name: &str) -> Option<u32> {
        self.composites.get(name.as_bytes()).copied()
    }

    /// The value of an enumerator, whatever its enum.
    #[must_use]
    pub fn enumerator(&self, name: &str) -> Option<u32> {
        self.enumerators.get(name.as_bytes()).copied()
    }

    /// Resolves an offset path; the notation is that of [`sensor_common::offsets`]. `None`: this kernel has no such field.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<u32> {
        if let Some(name) = path.strip_prefix("sizeof ") {
            let id = self.composites.get(name.as_bytes())?;
            return self.u32(self.position(*id)? + 8).ok();
        }
        path.split('|').find_map(|path| self.resolve_member(path))
    }

    fn resolve_member(&self, path: &str) -> Option<u32> {
        let mut names = path.split('.');
        let mut id = *self.composites.get(names.next()?.as_bytes())?;
        let mut bits = 0;
        for name in names {
            let (name, element) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
                Some((name, index)) => (name, index.parse().ok().or_else(|| self.enumerator(index))?),
                None => (name, 0),
            };
            let (offset, member) = self.member(self.composite(id)?, name.as_bytes(), 0)?;
            // Arrays are indexed only where they hold words of 64 bits.
            bits += offset + element * 64;
            id = member;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// Follows typedefs and qualifiers to a struct or union.
    fn composite(&self, mut id: u32) -> Option<u32> {
        for _ in 0..16 {
            let at = self.position(id)?;
            match (self.u32(at + 4).ok()? >> 24) & 0x1f {
                KIND_STRUCT | KIND_UNION => return Some(id),
                KIND_TYPEDEF..=11 | 18 => id = self.u32(at + 8).ok()?,
                _ => return None,
            }
        }
        None
    }

    /// Bit offset and type of a member, also of one inside anonymous members.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let at = self.position(id)?;
        let info = self.u32(at + 4).ok()?;
        let bitfields = info >> 31 != 0;
        for index in 0..(info & 0xffff) as usize {
            let entry = at + 12 + index * 12;
            let (member, offset) = (self.u32(entry + 4).ok()?, self.u32(entry + 8).ok()?);
            let offset = if bitfields { offset & 0xff_ffff } else { offset };
            let found = self.string(self.u32(entry).ok()?).ok()?;
            if found == name {
                return Some((offset, member));
            }
            if found.is_empty()
                && depth < 8
                && let Some(inner) = self.composite(member)
                && let Some((more, member)) = self.member(inner, name, depth + 1)
            {
                return Some((offset + more, member));
            }
        }
        None
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.types.get((id as usize).checked_sub(1)?).map(|at| *at as usize)
    }

    fn u32(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or(BtfError::Malformed(at))
    }

    fn string(&self, offset: u32) -> Result<&[u8], BtfError> {
        let at = self.strings + offset as usize;
        let tail = self.bytes.get(at..).ok_or(BtfError::Malformed(at))?;
        tail.split(|byte| *byte == 0).next().ok_or(BtfError::Malformed(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_an_error_not_a_panic() {
        assert!(matches!(Btf::parse(vec![]), Err(BtfError::Malformed(0))));
        assert!(matches!(Btf::parse(vec![0; 64]), Err(BtfError::Malformed(0))));
        let mut cut = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0];
        cut.extend([1, 0, 0, 0, 0, 0, 0, 4]);
        assert!(matches!(Btf::parse(cut), Err(BtfError::Malformed(_))));
    }

    #[test]
    fn fields_of_this_kernel_are_found() {
        let Ok(btf) = Btf::of_kernel() else {
            eprintln!("skipped: fields_of_this_kernel_are_found: no {KERNEL_BTF}");
            return;
        };
        assert_eq!(btf.resolve("path.dentry"), Some(8));
        assert_eq!(btf.resolve("path.no_such_member|path.mnt"), Some(0));
        assert_eq!(btf.resolve("path.no_such_member"), None);
        assert!(btf.resolve("sizeof inode").is_some_and(|size| size > 100));
        let pids = btf.resolve("signal_struct.pids").unwrap();
        assert_eq!(btf.resolve("signal_struct.pids[PIDTYPE_SID]"), Some(pids + 24));
        assert_eq!(btf.resolve("signal_struct.pids[2]"), Some(pids + 16));
        assert!(btf.has_tracepoint("sys_exit"));
        assert!(!btf.has_tracepoint("no_such_tracepoint"));
    }
}
