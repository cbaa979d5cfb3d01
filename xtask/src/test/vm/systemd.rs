//! `cargo xtask test --systemd`: what an administrator does with the Debian package, in a machine whose first process is systemd.
//!
//! The machine's root is a small Debian that mmdebstrap makes once, with the package and the script of the checks on top. A
//! container would not do: systemd is then no first process, and a sensor in another process namespace sees other numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use super::cpio::Archive;
use super::machine::{End, Machine};
use super::{entry, kernel};
use crate::arch::Arch;
use crate::child;
use crate::place::Place;
use crate::setup::{debian, packages};
use crate::test::output::Reader;
use crate::test::table::Row;

/// What the row is called.
const NAME: &str = "systemd";

/// Debian's release in the machine, and its kernel as the matrix names it.
const SUITE: &str = "trixie";
const KERNEL: &str = "6.12";

/// What is installed in the machine besides what every Debian has.
const INSTALLED: &str = "--include=systemd,systemd-sysv,dbus,init-system-helpers";

/// Where the packages are, if not where xtask leaves them.
const PACKAGES: &str = "VEDETTE_TEST_PACKAGES";

/// What the machine does.
const SCRIPT: &str = include_str!("systemd.sh");

/// The service that does it.
const SERVICE: &str = "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nStandardOutput=tty\nStandardError=tty\n\
                       TTYPath=/dev/ttyS0\nExecStart=/bin/sh /vm/try\n";

/// The kernel takes no links along as the first process of its first root, but a script that becomes one.
const INIT: &str = "#!/bin/sh\nexec /usr/lib/systemd/systemd\n";

/// The machine has no modules, and nobody at its serial ports.
const OPTIONS: &str = "systemd.wants=try.service systemd.show_status=false systemd.mask=systemd-modules-load.service \
                       systemd.mask=serial-getty@ttyS1.service";

/// How long the machine may take: twice what it took with an unoptimised daemon beside two builds.
const LIMIT: Duration = Duration::from_secs(1200);

/// Runs the checks; skipped where there is no package, or nothing to run it in.
pub(in crate::test) fn suite(place: &Place) -> Result<Row> {
    println!("\n== {NAME}");
    let Some(package) = package(place) else {
        return Ok(Row::skipped(NAME, "there is no package: `cargo xtask dist` makes one"));
    };
    packages::ensure_machines(place, Arch::HERE)?;
    packages::ensure_debian(place)?;
    if let Some(why) = super::no_qemu(Arch::HERE) {
        return Ok(Row::skipped(NAME, why));
    }
    for program in ["mmdebstrap", "cpio"] {
        if !packages::in_path(program) {
            return Ok(Row::skipped(NAME, format!("{program} is not installed")));
        }
    }
    println!("package: {}", package.display());
    let start = Instant::now();
    let entry = entry::parse(KERNEL)?.pop().context("no such kernel")?;
    let kernel = kernel::ensure(place, &entry)?;
    let root = NamedTempFile::new().context("cannot make a temporary file")?;
    // The kernel unpacks one archive after the other.
    let mut bytes = read(&debian(place)?)?;
    bytes.extend(above(&package)?);
    fs::write(root.path(), bytes).context("cannot write the root file system")?;
    let machine = Machine {
        kernel: &kernel,
        root: root.path(),
        arch: Arch::HERE,
        cpus: 2,
        options: OPTIONS,
        limit: LIMIT,
    };
    let mut once_more = true;
    let (mut reader, end) = loop {
        let mut reader = Reader::libtest();
        let end = machine.run(|line| {
            if reader.line(line) {
                println!("{NAME}: {line}");
            }
        })?;
        match &end {
            // As with the other machines: the emulator corrupts a kernel now and then.
            End::Died { why, log } if once_more => {
                println!("{log}\n{NAME}: {why}; once more");
                once_more = false;
            }
            _ => break (reader, end),
        }
    };
    let mut row = reader.finish(NAME);
    row.seconds = start.elapsed().as_secs_f64();
    let broken = match end {
        End::Died { why, .. } => Some(why),
        End::Said(_) if !reader.counted() => Some("the machine said no result".to_owned()),
        End::Said(_) => None,
    };
    row.failed += u64::from(broken.is_some());
    row.failures.extend(broken);
    Ok(row)
}

/// The newest Debian package for this machine.
fn package(place: &Place) -> Option<PathBuf> {
    let folder = std::env::var_os(PACKAGES).map_or_else(|| place.packages(), PathBuf::from);
    let end = format!("_{}.deb", Arch::HERE.debian());
    let files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files.filter(|path| path.to_string_lossy().ends_with(&end)).max()
}

/// A small Debian as an archive, from the cache, else made.
fn debian(place: &Place) -> Result<PathBuf> {
    let folder = place.cache.join("machines");
    let kept = folder.join(format!("{SUITE}-systemd.cpio"));
    if kept.is_file() {
        return Ok(kept);
    }
    ensure!(rustix::process::geteuid().is_root(), "making a Debian with systemd needs root, once");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    println!("setup: making a Debian {SUITE} with systemd (a minute)");
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let root = work.path().join("root");
    let mut make = child::command("mmdebstrap", work.path());
    make.args(["--quiet", "--variant=essential", "--format=directory", INSTALLED, SUITE]).arg(&root);
    child::run(make.arg(debian::source(place, SUITE)?), "making a Debian")?;
    // Beside its place first: half an archive would be taken for one.
    let part = kept.with_extension("part");
    let mut pack = child::command("sh", &root);
    pack.args(["-c", "find . -xdev | cpio --quiet -o -H newc"]);
    let file = fs::File::create(&part).with_context(|| format!("cannot create {}", part.display()))?;
    child::run(pack.stdout(file), "packing the Debian")?;
    fs::rename(&part, &kept).with_context(|| format!("cannot keep {}", kept.display()))?;
    Ok(kept)
}

/// What goes on top of it.
fn above(package: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("vm/try", 0o644, SCRIPT.as_bytes());
    archive.file("vm/vedette.deb", 0o644, &read(package)?);
    archive.file("etc/systemd/system/try.service", 0o644, SERVICE.as_bytes());
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
