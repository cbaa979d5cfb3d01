//! `cargo xtask dist`: the static daemon as a tarball, a Debian and an RPM package, with a bill of materials and checksums.
//!
//! What comes out depends on the commit alone: no clock, no order of a file system, no folder of this machine goes into it.
//! `--verify` builds a copy of the checkout somewhere else and compares.

pub(crate) mod crates;
mod deb;
mod rpm;
mod sbom;
pub(crate) mod tree;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use self::tree::{Tree, gzip};
use crate::arch::Arch;
use crate::child::{self, Exit};
use crate::place::Place;
use crate::{build, chart};

/// The most that the daemon may have, in bytes: it is copied to every node, and a library that doubles it is worth a look.
const DAEMON_BYTES: usize = 20 << 20;

/// The list of checksums of all that is in the folder.
const SUMS: &str = "SHA256SUMS";

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build for these machines
    #[arg(long, value_enum, default_values_t = [Arch::HERE], value_delimiter = ',', value_name = "TARGET")]
    target: Vec<Arch>,
    /// Build a second time from a copy in another folder, and compare
    #[arg(long)]
    verify: bool,
}

/// What is released.
pub(crate) struct Release {
    pub(crate) version: &'static str,
    pub(crate) commit: String,
    /// The time of everything in it, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that of the commit.
    pub(crate) epoch: u64,
}

/// What goes into every package for one machine.
pub(crate) struct Content {
    pub(crate) arch: Arch,
    pub(crate) daemon: Vec<u8>,
    pub(crate) crates: Vec<crates::Crate>,
    pub(crate) licences: String,
}

/// Builds, packs and prints sizes.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    let release = Release::of(place)?;
    let mut made = vec![chart::pack(place, &release)?];
    for arch in &args.target {
        made.extend(pack(place, &release, &Content::build(place, *arch)?)?);
    }
    finish(&place.packages(), &made)?;
    if args.verify { verify(place, args) } else { Ok(()) }
}

/// Writes the files and the checksums of everything that is in the folder, and prints sizes.
pub(crate) fn finish(folder: &Path, made: &[(String, Vec<u8>)]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, bytes) in made {
        let file = folder.join(name);
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{:>7.2} MiB  {}", mebibytes(bytes.len()), file.display());
    }
    let sums = sums(folder)?;
    fs::write(folder.join(SUMS), sums).with_context(|| format!("cannot write {SUMS}"))
}

/// As people read sizes.
pub(crate) fn mebibytes(bytes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

/// The SHA-256 of something, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Release {
    /// Asks git.
    pub(crate) fn of(place: &Place) -> Result<Release> {
        let git = |args: &[&str]| -> Result<String> {
            let text = child::output(child::command("git", &place.top).args(args), "asking git")?;
            Ok(text.trim().to_owned())
        };
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => git(&["log", "-1", "--format=%ct"])?,
        };
        let epoch = epoch.parse().with_context(|| format!("`{epoch}` is no time in seconds"))?;
        Ok(Release { version: env!("CARGO_PKG_VERSION"), commit: git(&["rev-parse", "HEAD"])?, epoch })
    }

    /// Its time as RFC 3339 has it.
    pub(crate) fn time(&self) -> Result<String> {
        let seconds = i64::try_from(self.epoch).context("the time of the commit is too late")?;
        let time = jiff::Timestamp::from_second(seconds).context("the time of the commit is no time")?;
        Ok(time.to_string())
    }
}

impl Content {
    /// Builds the daemon and collects what goes with it.
    pub(crate) fn build(place: &Place, arch: Arch) -> Result<Content> {
        let daemon = build::shipped(place, arch)?;
        let daemon = fs::read(&daemon).with_context(|| format!("cannot read {}", daemon.display()))?;
        let size = mebibytes(daemon.len());
        println!("{size:>7.2} MiB  vedette for {}", arch.triple());
        if daemon.len() > DAEMON_BYTES {
            bail!("the daemon has {size:.2} MiB, at most {:.0}", mebibytes(DAEMON_BYTES));
        }
        let crates = crates::of(place, arch)?;
        let licences = crates::licences(&crates)?;
        Ok(Content { arch, daemon, crates, licences })
    }
}

/// All that is made for one machine, by name.
fn pack(place: &Place, release: &Release, content: &Content) -> Result<Vec<(String, Vec<u8>)>> {
    let installed = installed(place, content)?;
    let name = format!("vedette-{}-{}", release.version, content.arch.triple());
    let bill = sbom::bill(release, &content.crates, &libc(place)?)?;
    Ok(vec![
        (format!("{name}.tar.gz"), gzip(&tarball(place, content)?.tar(&format!("{name}/"), release.epoch)?)?),
        (
            format!("vedette_{}_{}.deb", release.version, content.arch.debian()),
            deb::package(place, release, content.arch, &installed)?,
        ),
        (
            format!("vedette-{}-1.{}.rpm", release.version, content.arch.rpm()),
            rpm::package(place, release, content.arch, &installed)?,
        ),
        (format!("{name}.cdx.json"), bill.into_bytes()),
    ])
}

/// What the tarball has: the daemon, and beside it what one may want to put somewhere.
fn tarball(place: &Place, content: &Content) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.file("vedette", 0o755, content.daemon.clone());
    tree.file("THIRD-PARTY-LICENCES.txt", 0o644, content.licences.clone());
    for (name, source) in [
        ("LICENSE-APACHE", "LICENSE-APACHE"),
        ("LICENSE-MIT", "LICENSE-MIT"),
        ("README.md", "README.md"),
        ("vedette.yaml", "deploy/vedette.yaml"),
        ("vedette.service", "deploy/systemd/vedette.service"),
    ] {
        tree.file(name, 0o644, read(&place.top.join(source))?);
    }
    Ok(tree)
}

/// What packages of distributions put on a machine, by its path from the root.
fn installed(place: &Place, content: &Content) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.file("usr/bin/vedette", 0o755, content.daemon.clone());
    tree.file("usr/share/doc/vedette/THIRD-PARTY-LICENCES.txt", 0o644, content.licences.clone());
    for (name, source) in [
        ("etc/vedette/vedette.yaml", "deploy/package/vedette.yaml"),
        ("usr/lib/systemd/system/vedette.service", "deploy/systemd/vedette.service"),
        ("usr/share/doc/vedette/LICENSE-APACHE", "LICENSE-APACHE"),
        ("usr/share/doc/vedette/LICENSE-MIT", "LICENSE-MIT"),
        ("usr/share/doc/vedette/copyright", "deploy/package/copyright"),
        ("usr/share/doc/vedette/vedette.yaml", "deploy/vedette.yaml"),
    ] {
        tree.file(name, 0o644, read(&place.top.join(source))?);
    }
    tree.folder("etc/vedette/rules.d");
    Ok(tree)
}

/// The version of the C library that programs are linked with here.
fn libc(place: &Place) -> Result<String> {
    let mut getconf = child::command("getconf", &place.top);
    let text = child::output(getconf.arg("GNU_LIBC_VERSION"), "asking for the version of the C library")?;
    text.split_whitespace().last().map(str::to_owned).context("the C library has no version")
}

/// Builds a copy somewhere else, and fails with the names of what differs.
fn verify(place: &Place, args: &Args) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let copy = folder.path().join("another place");
    let mut clone = child::command("git", &place.top);
    child::run(clone.args(["clone", "--quiet", "."]).arg(&copy), "copying the checkout")?;
    let mut dist = child::cargo(&copy);
    dist.args(["xtask", "dist", "--target"]);
    let targets: Vec<&str> = args.target.iter().map(|arch| arch.triple()).collect();
    dist.arg(targets.join(",")).env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
    child::run(&mut dist, "building the copy")?;
    let other = copy.join("target/package");
    let mut different = Vec::new();
    for line in read_text(&other.join(SUMS))?.lines() {
        let name = line.split_whitespace().last().context("a line of checksums without a name")?;
        if fs::read(place.packages().join(name)).ok() != Some(read(&other.join(name))?) {
            different.push(name.to_owned());
        }
    }
    if different.is_empty() {
        println!("built again in another folder: the same, bit for bit");
        return Ok(());
    }
    Err(Exit::new(1, format!("built again in another folder, these differ: {}", different.join(", "))).into())
}

/// The list of checksums of a folder, as `sha256sum --check` reads it.
fn sums(folder: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        files.push(entry.with_context(|| format!("cannot read {}", folder.display()))?.path());
    }
    files.sort();
    let mut text = String::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != SUMS {
            writeln!(text, "{}  {name}", sha256(&read(&file)?))?;
        }
    }
    ensure!(!text.is_empty(), "nothing was packed");
    Ok(text)
}

/// A file's bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
