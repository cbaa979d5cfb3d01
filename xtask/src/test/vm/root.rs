//! Makes the root file system of the test machines: one archive that the kernel unpacks into memory.
//!
//! No disk, no network, no module: what the machine is for, the daemon, the libraries that they are linked with, and
//! busybox. It is the same for every kernel of a processor.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;
use crate::arch::Arch;
use crate::child;
use crate::place::Place;
use crate::setup::debian;

/// The first process.
const INIT: &str = include_str!("init.sh");

/// Where the shell and all its commands come from; the package `busybox-static`.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// Where it comes from for another processor: Debian's suite, and the package.
const OTHER_BUSYBOX: (&[&str], &str) = (&["trixie"], "busybox-static");

/// The users that tests become.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// The programs that go into the machine.
pub(super) struct Programs {
    pub(super) arch: Arch,
    /// Each with its path there.
    pub(super) files: Vec<(&'static str, PathBuf)>,
}

/// The archive, with `script` as what the machine is for.
pub(super) fn archive(place: &Place, programs: &Programs, script: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    for folder in ["dev", "proc", "sys", "tmp", "run", "root", "mnt", "usr/bin", "var/tmp"] {
        archive.folder(folder);
    }
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("vm/tests", 0o644, script.as_bytes());
    archive.file("etc/passwd", 0o644, PASSWD.as_bytes());
    archive.file("etc/group", 0o644, GROUP.as_bytes());
    archive.file("etc/shadow", 0o600, b"root:*:19000:0:99999:7:::\n");
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost vm\n::1 localhost\n");
    archive.file("etc/hostname", 0o644, b"vm\n");
    archive.file("bin/busybox", 0o755, &read(&busybox(place, programs.arch)?)?);
    let mut libraries = Vec::new();
    for (name, program) in &programs.files {
        archive.file(name, 0o755, &stripped(place, programs.arch, program)?);
        // Those of another machine are linked statically.
        if programs.arch == Arch::HERE {
            libraries.extend(needed(place, program)?);
        }
    }
    libraries.sort();
    libraries.dedup();
    for library in libraries {
        archive.file(&library, 0o755, &read(Path::new(&library))?);
    }
    Ok(archive.finish())
}

/// This machine's, or that of another processor from the cache, else from Debian.
fn busybox(place: &Place, arch: Arch) -> Result<PathBuf> {
    if arch == Arch::HERE {
        let found = BUSYBOX.iter().map(Path::new).find(|path| path.is_file());
        return found.map(Path::to_owned).context("no busybox here: install the package busybox-static");
    }
    let kept = place.cache.join("busybox").join(arch.debian());
    if kept.is_file() {
        return Ok(kept);
    }
    let (suites, name) = OTHER_BUSYBOX;
    let package =
        debian::download_newest(place, (suites, arch), name, |found| (found == name).then_some(()))?;
    let part = tempfile::tempdir().context("cannot make a temporary folder")?;
    debian::unpack_named(&package, "bin/busybox", part.path())?;
    let found = BUSYBOX.iter().map(|path| part.path().join(path.trim_start_matches('/')));
    let found = found.into_iter().find(|path| path.is_file());
    let bytes = read(&found.with_context(|| format!("{} has no busybox", package.display()))?)?;
    let folder = kept.parent().context("the cache has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(&kept, bytes).with_context(|| format!("cannot write {}", kept.display()))?;
    let _ = fs::remove_file(&package);
    Ok(kept)
}

/// The libraries that a program is started with, by the paths that it looks for them.
fn needed(place: &Place, program: &Path) -> Result<Vec<String>> {
    let list = child::output(child::command("ldd", &place.top).arg(program), "asking for the libraries")?;
    ensure!(!list.contains("not found"), "a library of {} is missing:\n{list}", program.display());
    let paths = list.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(str::to_owned).collect())
}

/// The program without what only a debugger reads: four fifths of it, which would all have to be unpacked.
fn stripped(place: &Place, arch: Arch, program: &Path) -> Result<Vec<u8>> {
    let copy = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let prefix = if arch == Arch::HERE { "" } else { arch.prefix() };
    let mut strip = child::command(format!("{prefix}strip"), &place.top);
    strip.arg("--strip-debug").arg("-o").arg(copy.path()).arg(program);
    // Whoever links programs has it; where it is missing the machine is slower to start, and that is all.
    if child::succeeds(&mut strip) { read(copy.path()) } else { read(program) }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
