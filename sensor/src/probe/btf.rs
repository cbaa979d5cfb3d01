//! The running kernel's type information (BTF) → field offsets, tracepoints, functions of system calls, enumerators.
//!
//! aya keeps its own reader to itself; this one knows only what the offset paths of `sensor_common::offsets` need. The
//! format is `include/uapi/linux/btf.h`.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};
use thiserror::Error;

/// Where the kernel shows its own BTF.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FORWARD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;

/// What is in the name of the function of every system call.
const SYSCALL: &[u8] = b"_sys_";
/// What the typedef of every tracepoint is called, ahead of its name.
const TRACEPOINT: &str = "btf_trace_";
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
    raw: Raw,
    /// Byte position of each type, by id - 1.
    types: Vec<u32>,
    /// Structs and unions with a name.
    composites: Names,
    typedefs: Names,
    enumerators: Names,
    /// Functions that may be system calls or are hooks for security modules, with the id of their prototype.
    functions: Names,
    /// Ids of those, and of the typedefs of tracepoints.
    attachable: Vec<u32>,
    cast: Option<u32>,
}

/// The bytes of the file.
#[derive(Debug)]
struct Raw {
    bytes: Vec<u8>,
    /// Where the names begin.
    strings: usize,
}

/// Names → numbers. A name is known by where it lies: the kernel has so many that copies of them take longer than all else.
#[derive(Debug, Default)]
struct Names {
    table: HashTable<Named>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Named {
    hash: u64,
    /// Offset of the name.
    name: u32,
    number: u32,
}

impl Names {
    fn entry<'n>(&'n mut self, raw: &Raw, name: u32) -> Result<(Entry<'n, Named>, u64), BtfError> {
        let text = raw.string(name)?;
        let hash = self.hasher.hash_one(text);
        let same =
            |known: &Named| known.hash == hash && raw.string(known.name).is_ok_and(|known| known == text);
        Ok((self.table.entry(hash, same, |known| known.hash), hash))
    }

    /// Whichever comes last has the name.
    fn insert(&mut self, raw: &Raw, name: u32, number: u32) -> Result<(), BtfError> {
        let (entry, hash) = self.entry(raw, name)?;
        entry.insert(Named { hash, name, number });
        Ok(())
    }

    /// Whichever comes first has the name.
    fn insert_first(&mut self, raw: &Raw, name: u32, number: u32) -> Result<(), BtfError> {
        let (entry, hash) = self.entry(raw, name)?;
        entry.or_insert(Named { hash, name, number });
        Ok(())
    }

    fn get(&self, raw: &Raw, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        let same =
            |known: &Named| known.hash == hash && raw.string(known.name).is_ok_and(|known| known == name);
        self.table.find(hash, same).map(|known| known.number)
    }
}

impl Raw {
    fn u32(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or(BtfError::Malformed(at))
    }

    fn string(&self, offset: u32) -> Result<&[u8], BtfError> {
        let at = self.strings + offset as usize;
        let tail = self.bytes.get(at..).ok_or(BtfError::Malformed(at))?;
        tail.get(..memchr::memchr(0, tail).unwrap_or(tail.len())).ok_or(BtfError::Malformed(at))
    }
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
        let mut raw = Raw { bytes, strings: 0 };
        if raw.u32(0)? & 0xffff != 0xeb9f {
            return Err(BtfError::Malformed(0));
        }
        let header = raw.u32(4)? as usize;
        let first = header + raw.u32(8)? as usize;
        let end = first + raw.u32(12)? as usize;
        raw.strings = header + raw.u32(16)? as usize;
        let mut btf = Self {
            raw,
            types: Vec::new(),
            composites: Names::default(),
            typedefs: Names::default(),
            enumerators: Names::default(),
            functions: Names::default(),
            attachable: Vec::new(),
            cast: None,
        };
        let mut at = first;
        while at < end {
            at = btf.index_type(at)?;
        }
        Ok(btf)
    }

    /// The same with nothing but what programs attach to: what is in between is there and says nothing, so each has its id.
    pub(super) fn attachable(&self) -> Result<Vec<u8>, BtfError> {
        const TYPE: usize = 12;
        let count = self.attachable.last().map_or(0, |id| *id as usize);
        let mut types = [0, KIND_FORWARD << 24, 0].map(u32::to_ne_bytes).as_flattened().repeat(count);
        let mut strings = vec![0];
        for id in &self.attachable {
            let at = self.position(*id).ok_or(BtfError::Malformed(0))?;
            let name = u32::try_from(strings.len()).map_err(|_| BtfError::Malformed(at))?;
            strings.extend_from_slice(self.raw.string(self.raw.u32(at)?)?);
            strings.push(0);
            let words = [name, self.raw.u32(at + 4)?, self.raw.u32(at + 8)?].map(u32::to_ne_bytes);
            let to = (*id as usize - 1) * TYPE;
            if let Some(place) = types.get_mut(to..to + TYPE) {
                place.copy_from_slice(words.as_flattened());
            }
        }
        let len = |part: &[u8]| u32::try_from(part.len()).map_err(|_| BtfError::Malformed(0));
        // Magic number, version and flags; length of this header; where types and names begin, and how long they are.
        let header = [0x1_eb9f, 24, 0, len(&types)?, len(&types)?, len(&strings)?].map(u32::to_ne_bytes);
        Ok([header.as_flattened(), &types, &strings].concat())
    }

    /// Takes one type into the index and returns where the next begins.
    fn index_type(&mut self, at: usize) -> Result<usize, BtfError> {
        let raw = &self.raw;
        let (name, info) = (raw.u32(at)?, raw.u32(at + 4)?);
        let (kind, vlen) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        self.types.push(u32::try_from(at).map_err(|_| BtfError::Malformed(at))?);
        let id = self.types.len() as u32;
        let extra = match kind {
            1 | 14 | 17 => 4,
            KIND_ARRAY => 12,
            KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * vlen,
            KIND_ENUM | 13 => 8 * vlen,
            2 | KIND_FORWARD..=12 | 16 | 18 => 0,
            _ => return Err(BtfError::Malformed(at)),
        };
        match kind {
            KIND_STRUCT | KIND_UNION if name != 0 => self.composites.insert(raw, name, id)?,
            KIND_TYPEDEF => {
                if raw.string(name)?.starts_with(TRACEPOINT.as_bytes()) {
                    self.attachable.push(id);
                }
                self.typedefs.insert(raw, name, id)?;
            }
            KIND_FUNC => {
                let text = raw.string(name)?;
                let is_call = text.starts_with(b"__") && memchr::memmem::find(text, SYSCALL).is_some();
                if is_call || text.starts_with(SECURITY_HOOK.as_bytes()) {
                    self.attachable.push(id);
                    // Some kernels declare a function twice. aya attaches to the first.
                    self.functions.insert_first(raw, name, raw.u32(at + 8)?)?;
                }
                if text == CAST {
                    self.cast = Some(id);
                }
            }
            KIND_ENUM => {
                for member in 0..vlen {
                    let entry = at + 12 + member * 8;
                    self.enumerators.insert(raw, raw.u32(entry)?, raw.u32(entry + 4)?)?;
                }
            }
            _ => {}
        }
        Ok(at + 12 + extra)
    }

    /// Whether the kernel has a tracepoint that BTF programs can attach to.
    #[must_use]
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.typedefs.get(&self.raw, format!("{TRACEPOINT}{name}").as_bytes()).is_some()
    }

    /// The id of the prototype of a system call's function, if there is one that programs can attach to.
    #[must_use]
    pub fn syscall(&self, function: &str) -> Option<u32> {
        self.functions.get(&self.raw, function.as_bytes())
    }

    /// Whether programs can attach to this hook for security modules.
    #[must_use]
    pub fn has_security_hook(&self, hook: &str) -> bool {
        self.functions.get(&self.raw, format!("{SECURITY_HOOK}{hook}").as_bytes()).is_some()
    }

    /// The id of `bpf_rdonly_cast`, which programs can call.
    #[must_use]
    pub fn cast(&self) -> Option<u32> {
        self.cast
    }

    /// The id of a struct or union.
    #[must_use]
    pub fn composite_id(&self, name: &str) -> Option<u32> {
        self.composites.get(&self.raw, name.as_bytes())
    }

    /// The value of an enumerator, whatever its enum.
    #[must_use]
    pub fn enumerator(&self, name: &str) -> Option<u32> {
        self.enumerators.get(&self.raw, name.as_bytes())
    }

    /// Resolves an offset path; the notation is that of [`sensor_common::offsets`]. `None`: this kernel has no such field.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<u32> {
        if let Some(name) = path.strip_prefix("sizeof ") {
            let id = self.composite_id(name)?;
            return self.raw.u32(self.position(id)? + 8).ok();
        }
        path.split('|').find_map(|path| self.resolve_member(path))
    }

    fn resolve_member(&self, path: &str) -> Option<u32> {
        let mut names = path.split('.');
        let mut id = self.composite_id(names.next()?)?;
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
            match (self.raw.u32(at + 4).ok()? >> 24) & 0x1f {
                KIND_STRUCT | KIND_UNION => return Some(id),
                KIND_TYPEDEF..=11 | 18 => id = self.raw.u32(at + 8).ok()?,
                _ => return None,
            }
        }
        None
    }

    /// Bit offset and type of a member, also of one inside anonymous members.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let at = self.position(id)?;
        let info = self.raw.u32(at + 4).ok()?;
        let bitfields = info >> 31 != 0;
        for index in 0..(info & 0xffff) as usize {
            let entry = at + 12 + index * 12;
            let (member, offset) = (self.raw.u32(entry + 4).ok()?, self.raw.u32(entry + 8).ok()?);
            let offset = if bitfields { offset & 0xff_ffff } else { offset };
            let found = self.raw.string(self.raw.u32(entry).ok()?).ok()?;
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
        let attachable = Btf::parse(btf.attachable().unwrap()).unwrap();
        assert_eq!(attachable.attachable, btf.attachable, "each has its id");
        let call = ["__x64_sys_close", "__arm64_sys_close"].map(|function| btf.syscall(function));
        assert!(call[0].or(call[1]).is_some());
        for function in ["__x64_sys_close", "__arm64_sys_close", "bpf_lsm_file_open"] {
            assert_eq!(attachable.syscall(function), btf.syscall(function));
        }
        assert!(attachable.has_tracepoint("sys_exit") && !attachable.has_tracepoint("no_such_tracepoint"));
        assert_eq!(attachable.composite_id("path"), None);
    }
}
