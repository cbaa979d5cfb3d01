//! Gets one package of a chosen version or name out of Debian's archive, without root and without touching
//! the machine's own package lists.
//!
//! apt checks the signatures and the checksums as always: the only difference is that it works in folders of
//! its own and asks suites that the machine does not follow. What is in a package is the caller's matter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::arch::Arch;
use crate::child;
use crate::place::Place;

/// The suites to ask, the smallest lists and the likeliest first. A suite moves on to newer versions with
/// time; what has left all of them has to come from elsewhere.
const SUITES: [&str; 5] = ["trixie-backports", "forky", "sid", "trixie", "forky-backports"];

/// The keys of Debian's archive, in the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where downloaded packages are kept.
pub(super) fn folder(place: &Place) -> PathBuf {
    place.cache.join("debian/packages")
}

/// Downloads the newest version that starts with `version` and returns where the package is.
pub(super) fn download(place: &Place, package: &str, version: &str) -> Result<PathBuf> {
    let mut read = Vec::new();
    for suite in SUITES {
        let Some(apt) = Apt::read(place, suite, Arch::HERE)? else { continue };
        read.push(suite);
        let table = child::output(&mut apt.command("apt-cache", &["madison", package]), "apt-cache madison")?;
        if let Some(exact) = first_version(&table, version) {
            return apt.fetch(place, package, Some(exact));
        }
    }
    ensure!(!read.is_empty(), "no package list of Debian could be read");
    bail!("none of {} has {package} {version}*", read.join(", "))
}

/// Downloads the package of another machine, or of this one, whose name has the greatest key, out of all suites that can be
/// read. Where `key` is nothing, the package is not meant.
pub(crate) fn download_newest<K: Ord>(
    place: &Place,
    (suites, arch): (&[&str], Arch),
    prefix: &str,
    key: impl Fn(&str) -> Option<K>,
) -> Result<PathBuf> {
    let mut best: Option<(K, String, Apt)> = None;
    let mut read = Vec::new();
    for suite in suites {
        let Some(apt) = Apt::read(place, suite, arch)? else { continue };
        read.push(*suite);
        let names =
            child::output(&mut apt.command("apt-cache", &["pkgnames", prefix]), "apt-cache pkgnames")?;
        let newest = names.lines().filter_map(|name| Some((key(name)?, name))).max();
        if let Some((key, name)) = newest
            && best.as_ref().is_none_or(|(known, ..)| key > *known)
        {
            best = Some((key, name.to_owned(), apt));
        }
    }
    ensure!(!read.is_empty(), "no package list of Debian {} could be read", suites.join(", "));
    let (_, name, apt) = best.with_context(|| format!("Debian {} has no such package", read.join(", ")))?;
    apt.fetch(place, &name, None)
}

/// A line for a list of sources: a suite on the mirror of this machine, and the keys that it is checked with.
pub(crate) fn source(place: &Place, suite: &str) -> Result<String> {
    line("deb", &mirror(place)?, suite)
}

fn line(kind: &str, mirror: &str, suite: &str) -> Result<String> {
    ensure!(Path::new(KEYRING).is_file(), "{KEYRING} is not there, this is not a Debian system");
    Ok(format!("{kind} [signed-by={KEYRING}] {mirror} {suite} main"))
}

/// Downloads the source of a package as it was before Debian's changes, and returns where its archive is.
pub(crate) fn download_source(place: &Place, suite: &str, package: &str, to: &Path) -> Result<PathBuf> {
    let apt = Apt::read_kind(place, "deb-src", suite, Arch::HERE)?;
    let apt = apt.with_context(|| format!("the list of sources of Debian {suite} could not be read"))?;
    println!("setup: downloading the source of {package}");
    let mut source = apt.command("apt-get", &["source", "--quiet", "--download-only", package]);
    child::run(source.current_dir(to).stdout(Stdio::null()), "downloading the source")?;
    let files = fs::read_dir(to).with_context(|| format!("cannot read {}", to.display()))?;
    let mut files = files.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".orig.tar.")))
        .with_context(|| format!("the source of {package} has no archive"))
}

/// Unpacks the folder `inside` of a package into `to`, leaving out the first `depth` parts of each name.
pub(super) fn unpack(package: &Path, inside: &str, depth: usize, to: &Path) -> Result<()> {
    tar(package, &[&format!("--strip-components={depth}"), inside], to)
}

/// Unpacks the files whose last part of the name fits a pattern.
pub(crate) fn unpack_named(package: &Path, pattern: &str, to: &Path) -> Result<()> {
    tar(package, &["--wildcards", "--no-anchored", pattern], to)
}

fn tar(package: &Path, what: &[&str], to: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let pipe = archive.stdout.take().context("dpkg-deb has no output")?;
    let tar = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--directory"])
        .arg(to)
        .args(what)
        .stdin(pipe)
        .status()
        .context("cannot start tar")?;
    let archive = archive.wait().context("cannot wait for dpkg-deb")?;
    ensure!(
        tar.success() && archive.success(),
        "cannot unpack {} out of {}",
        what.last().unwrap_or(&""),
        package.display()
    );
    Ok(())
}

/// The mirror that this machine uses for Debian itself: near, and reachable where others may not be.
fn mirror(place: &Place) -> Result<String> {
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let mut apt = child::command("apt-get", &place.top);
    apt.args(["indextargets", "--format", format, "Created-By: Packages"]);
    let targets = child::output(&mut apt, "asking apt for its mirrors")?;
    // The security archive has the same origin but another label, and other suites. A machine whose lists
    // were never read reports no origin at all; then the mirror's name is all there is.
    let rows = || targets.lines().filter_map(|line| line.rsplit_once('|'));
    let known = rows().find(|(source, _)| *source == "Debian|Debian");
    let unread =
        || rows().find(|(source, uri)| *source == "|" && uri.trim_end_matches('/').ends_with("/debian"));
    let (_, mirror) = known.or_else(unread).context("apt has no mirror of Debian")?;
    Ok(mirror.to_owned())
}

/// The first version in the table of `apt-cache madison` (newest first) that starts with `version`.
fn first_version<'a>(table: &'a str, version: &str) -> Option<&'a str> {
    let rows = table.lines().filter_map(|line| line.split('|').nth(1));
    rows.map(str::trim).find(|candidate| candidate.starts_with(version))
}

/// An apt that knows one suite of one machine and keeps everything in one folder of the cache.
struct Apt {
    folder: PathBuf,
    arch: Arch,
}

impl Apt {
    /// With the suite's list read anew; nothing where it cannot be read: a suite may not exist yet, or not any
    /// more.
    fn read(place: &Place, suite: &str, arch: Arch) -> Result<Option<Apt>> {
        Apt::read_kind(place, "deb", suite, arch)
    }

    /// The same for a kind of list: `deb` or `deb-src`.
    fn read_kind(place: &Place, kind: &str, suite: &str, arch: Arch) -> Result<Option<Apt>> {
        let apt = Apt::new(place, kind, &mirror(place)?, (suite, arch))?;
        println!("setup: reading the package list of Debian {suite} ({})", arch.debian());
        let read = child::succeeds(&mut apt.command("apt-get", &["update", "--quiet"]));
        Ok(read.then_some(apt))
    }

    fn new(place: &Place, kind: &str, mirror: &str, (suite, arch): (&str, Arch)) -> Result<Apt> {
        let debian = place.cache.join("debian");
        let debian = if kind == "deb" { debian } else { debian.join(kind) };
        let folder = if arch == Arch::HERE { debian } else { debian.join(arch.debian()) }.join(suite);
        let create = |dir: PathBuf| {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))
        };
        create(folder.join("lists/partial"))?;
        create(folder.join("cache/archives/partial"))?;
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        write("sources.list", &(line(kind, mirror, suite)? + "\n"))?;
        // With an empty status nothing is installed, so nothing of this machine gets into the answers.
        write("status", "")?;
        Ok(Apt { folder, arch })
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = child::command(program, &self.folder);
        let mut set = |key: &str, value: &std::ffi::OsStr| {
            let mut option = std::ffi::OsString::from(format!("-o{key}="));
            option.push(value);
            command.arg(option);
        };
        set("Dir::Etc::SourceList", self.folder.join("sources.list").as_os_str());
        set("Dir::Etc::SourceParts", "/dev/null".as_ref());
        set("Dir::Etc::Preferences", "/dev/null".as_ref());
        set("Dir::Etc::PreferencesParts", "/dev/null".as_ref());
        set("Dir::State", self.folder.as_os_str());
        set("Dir::State::Lists", self.folder.join("lists").as_os_str());
        set("Dir::State::Status", self.folder.join("status").as_os_str());
        set("Dir::Cache", self.folder.join("cache").as_os_str());
        // The machine's own hooks after an update look at its own lists, and may need root.
        set("APT::Update::Post-Invoke-Success", "".as_ref());
        // Root's apt would download as the user `_apt`, who may not enter a cache in root's home.
        set("APT::Sandbox::User", "".as_ref());
        set("APT::Architecture", self.arch.debian().as_ref());
        set("APT::Architectures", self.arch.debian().as_ref());
        set("Acquire::Languages", "none".as_ref());
        set("Acquire::http::Timeout", "20".as_ref());
        set("Acquire::Retries", "1".as_ref());
        // A list that could not be read is a warning otherwise, and the old one would be taken for new.
        set("APT::Update::Error-Mode", "any".as_ref());
        command.args(args);
        command
    }

    /// `apt-get download` writes into the folder it runs in; the package moves on only when it is whole.
    fn fetch(&self, place: &Place, package: &str, version: Option<&str>) -> Result<PathBuf> {
        let wanted = version.map_or_else(|| package.to_owned(), |version| format!("{package}={version}"));
        println!("setup: downloading {wanted}");
        let download = self.folder.join("download");
        let _ = fs::remove_dir_all(&download);
        fs::create_dir_all(&download).with_context(|| format!("cannot create {}", download.display()))?;
        let mut apt = self.command("apt-get", &["download", "--quiet", &wanted]);
        child::run(apt.current_dir(&download).stdout(Stdio::null()), "downloading the package")?;
        let entry = fs::read_dir(&download)
            .with_context(|| format!("cannot read {}", download.display()))?
            .next()
            .context("apt-get download left no file")?
            .with_context(|| format!("cannot read {}", download.display()))?;
        let kept = folder(place);
        fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
        let file = kept.join(entry.file_name());
        fs::rename(entry.path(), &file).with_context(|| format!("cannot move to {}", file.display()))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::first_version;

    #[test]
    fn first_version_takes_the_release_and_not_a_longer_number() {
        let table = " rust-src | 1.95.01+dfsg1-1 | mirror sid/main amd64 Packages\n \
                     rust-src | 1.95.0+dfsg1-2~bpo13+1 | mirror sid/main amd64 Packages\n";
        assert_eq!(first_version(table, "1.95.0+"), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(first_version(table, "1.96.0+"), None);
    }
}
