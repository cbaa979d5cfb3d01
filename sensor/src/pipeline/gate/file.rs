//! What is in a file, and where it lies: by the descriptor that the kernel hands over, and by the mounts of who asks.

use std::{
    fs,
    os::{
        fd::BorrowedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use object::{
    Endianness,
    elf::{DF_1_PIE, DT_FLAGS_1, ET_DYN, FileHeader32, FileHeader64, PT_DYNAMIC, PT_INTERP},
    read::elf::{Dyn, FileHeader, ProgramHeader},
};
use procfs::process::Process;
use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::event::Layer;

/// The beginning of a file, in which linkers put its program headers.
const HEAD: usize = 4096;
/// Longest table of a linker's that is looked through.
const DYNAMIC: usize = 16 << 10;

/// Whether another program reads it. `None` where it cannot be read.
pub(super) fn is_script(file: BorrowedFd<'_>) -> Option<bool> {
    Some(read(file, 0, 2)? == b"#!")
}

/// Whether it is what loads other programs: the kernel opens it on behalf of each of them, in the same words. A program of its
/// own that is position-independent and static says so.
pub(super) fn is_loader(file: BorrowedFd<'_>) -> Option<bool> {
    let head = read(file, 0, HEAD)?;
    let wide = loader::<FileHeader64<Endianness>>(file, &head);
    Some(wide.or_else(|| loader::<FileHeader32<Endianness>>(file, &head)).unwrap_or(false))
}

fn loader<Elf: FileHeader<Endian = Endianness>>(file: BorrowedFd<'_>, head: &[u8]) -> Option<bool> {
    let elf = Elf::parse(head).ok()?;
    let endian = elf.endian().ok()?;
    if elf.e_type(endian) != ET_DYN {
        return Some(false);
    }
    let segments = elf.program_headers(endian, head).ok()?;
    if segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP) {
        return Some(false);
    }
    let Some(dynamic) = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC) else {
        return Some(false);
    };
    let (at, len): (u64, u64) = (dynamic.p_offset(endian).into(), dynamic.p_filesz(endian).into());
    let bytes = read(file, at, usize::try_from(len).ok()?.min(DYNAMIC))?;
    let size = size_of::<Elf::Dyn>();
    let entries = bytes.chunks_exact(size).filter_map(|entry| object::from_bytes::<Elf::Dyn>(entry).ok());
    let pie = entries.into_iter().any(|(entry, _)| {
        let (tag, value): (u64, u64) = (entry.d_tag(endian).into(), entry.d_val(endian).into());
        tag == u64::from(DT_FLAGS_1) && value & u64::from(DF_1_PIE) != 0
    });
    Some(!pie)
}

fn read(file: BorrowedFd<'_>, at: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = rustix::io::pread(file, &mut bytes, at).ok()?;
    bytes.truncate(read);
    Some(bytes)
}

/// In which layer of an overlay a file lies. `None` where that is not sure: the upper one has its path, or a lower one has its
/// path and it is that file.
pub(super) fn layer(tid: u32, file: BorrowedFd<'_>, path: &[u8]) -> Option<Layer> {
    let mount = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | StatxFlags::INO).ok()?;
    let mounts = Process::new(tid.cast_signed()).ok()?.mountinfo().ok()?;
    let found = mounts.into_iter().find(|found| u64::try_from(found.mnt_id) == Ok(mount.stx_mnt_id))?;
    if found.fs_type != "overlay" {
        return Some(Layer::Other);
    }
    let below = Path::new(std::ffi::OsStr::from_bytes(path)).strip_prefix(&found.mount_point).ok()?;
    let inside = Path::new(found.root.trim_start_matches('/')).join(below);
    // The names are those of who mounted it, which is not where we may be.
    let of = |dir: &str| -> Option<PathBuf> {
        let dir = dir.strip_prefix('/')?;
        // The first process hides its root from some, whose own stands for it then.
        let root = ["/proc/1/root/", "/"].into_iter().find(|root| fs::metadata(root).is_ok())?;
        Some(Path::new(root).join(dir).join(&inside))
    };
    let option = |name: &str| found.super_options.get(name).cloned().flatten();
    let upper = fs::symlink_metadata(of(&option("upperdir")?)?);
    if upper.is_ok_and(|metadata| metadata.is_file()) {
        return Some(Layer::Upper);
    }
    let lower = option("lowerdir")?;
    let is_it = |dir: &str| {
        let found = of(dir).and_then(|path| fs::symlink_metadata(path).ok());
        found.is_some_and(|metadata| metadata.is_file() && metadata.ino() == mount.stx_ino)
    };
    lower.split(':').any(is_it).then_some(Layer::Lower)
}
