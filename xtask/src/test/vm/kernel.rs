//! Gets Debian's kernels, and keeps each in the cache under its version.
//!
//! apt checks what it downloads; only the kernel's image is kept of a package, because everything that the
//! tests need is built into Debian's kernels. It must not know what a kernel is started with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::entry::{Entry, NEWEST, Series};
use crate::arch::Arch;
use crate::place::Place;
use crate::setup::debian;

/// The flavour: without the drivers of real machines, so that it is small and starts fast.
const FLAVOUR: &str = "-cloud-";

/// The packages that carry an image, the likeliest last: where Debian splits its packages, `linux-image` is
/// an empty one that needs a `linux-binary`.
const PACKAGES: [&str; 2] = ["linux-image-", "linux-binary-"];

/// A kernel in the cache.
pub(super) struct Kernel {
    /// Such as `6.12.107+deb13`.
    pub(super) version: String,
    pub(super) image: PathBuf,
}

/// The kernel of a row, from the cache, else from Debian.
pub(super) fn ensure(place: &Place, entry: &Entry) -> Result<Kernel> {
    if let Some(kernel) = kept(place, entry) {
        return Ok(kernel);
    }
    let what = || format!("getting the kernel {}", entry.series.name);
    fetch(place, entry.series, entry.arch()).with_context(what)
}

/// The kernel that an earlier run left in the cache.
pub(super) fn kept(place: &Place, entry: &Entry) -> Option<Kernel> {
    let folder = folder(place, entry.arch());
    let version = fs::read_to_string(note(&folder, entry.series)).ok()?.trim().to_owned();
    let image = folder.join(&version).join("vmlinuz");
    image.is_file().then_some(Kernel { version, image })
}

fn folder(place: &Place, arch: Arch) -> PathBuf {
    let kernels = place.cache.join("kernels");
    if arch == Arch::X86_64 { kernels } else { kernels.join(arch.debian()) }
}

/// The file in that folder that says which version a series is: the name of the newest one says nothing of its number.
fn note(folder: &Path, series: Series) -> PathBuf {
    folder.join(format!("{}.version", series.name))
}

fn fetch(place: &Place, series: Series, arch: Arch) -> Result<Kernel> {
    let from = (series.suites, arch);
    let package = debian::download_newest(place, from, "linux-", |name| key(name, series, arch))?;
    let folder = folder(place, arch);
    // The file is `linux-image-VERSION-cloud-amd64_REVISION_amd64.deb`, and apt may have written `+` as %2b.
    let name = package.file_name().unwrap_or_default().to_string_lossy().replace("%2b", "+");
    let name = name.split('_').next().unwrap_or_default();
    let version =
        version(name, arch).with_context(|| format!("{name} is not the name of a kernel"))?.to_owned();
    let to = folder.join(&version);
    let part = folder.join("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
    debian::unpack_named(&package, "vmlinuz*", &part)?;
    let image = find(&part)?.with_context(|| format!("{} has no vmlinuz", package.display()))?;
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    let kept = to.join("vmlinuz");
    fs::rename(&image, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
    let note = note(&folder, series);
    fs::write(&note, &version).with_context(|| format!("cannot write {}", note.display()))?;
    // Neither is needed any more, and neither being there does harm.
    let _ = fs::remove_dir_all(&part);
    let _ = fs::remove_file(&package);
    println!("setup: kernel {version} is in {}", to.display());
    Ok(Kernel { version, image: kept })
}

/// The first file of that name; a symbolic link leads out of what was unpacked.
fn find(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let kind = entry.file_type().with_context(|| format!("cannot read {}", folder.display()))?;
        if kind.is_file() {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir()
            && let Some(found) = find(&entry.path())?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// By what the newest package of a series is found: the numbers of its version, then the rank among
/// packages of the same version. Nothing where the package is none of the series.
fn key(package: &str, series: Series, arch: Arch) -> Option<(Vec<u64>, usize)> {
    let rank = PACKAGES.iter().position(|prefix| package.starts_with(prefix))?;
    let version = version(package, arch)?;
    let fits = series.name == NEWEST
        || version.strip_prefix(series.name).is_some_and(|rest| rest.starts_with(['.', '+', '-']));
    // A version that was backported ends with `+bpo` or `~bpo`, whose numbers are those of the release below.
    fits.then(|| (numbers(version), rank))
}

/// `6.12.107+deb13` of `linux-image-6.12.107+deb13-cloud-amd64`.
fn version(package: &str, arch: Arch) -> Option<&str> {
    let version = PACKAGES.iter().find_map(|prefix| package.strip_prefix(prefix))?;
    let version = version.strip_suffix(arch.debian())?.strip_suffix(FLAVOUR)?;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::entry::SERIES;
    use super::{Arch, key, version};

    #[test]
    fn a_series_has_its_own_kernels_and_the_newest_wins() {
        let [old, _, _, newest] = SERIES;
        let amd64 = Arch::X86_64;
        assert_eq!(version("linux-image-6.12.107+deb13-cloud-amd64", amd64), Some("6.12.107+deb13"));
        assert_eq!(version("linux-image-6.12.107+deb13-cloud-arm64", amd64), None);
        assert_eq!(version("linux-image-6.12.107+deb13-cloud-arm64", Arch::Arm64), Some("6.12.107+deb13"));
        for other in ["linux-image-cloud-amd64", "linux-image-6.12.1-cloud-amd64-dbg", "linux-headers-5.10"] {
            assert_eq!(key(other, newest, amd64), None, "{other}");
        }
        assert_eq!(key("linux-image-5.101.2-cloud-amd64", old, amd64), None);
        let of = |name: &str| key(name, old, amd64).unwrap();
        assert!(of("linux-image-5.10.0-32-cloud-amd64") > of("linux-image-5.10.0-9-cloud-amd64"));
        let of = |name: &str| key(name, newest, amd64).unwrap();
        assert!(of("linux-binary-7.2.12+deb13-cloud-amd64") > of("linux-image-7.2.12+deb13-cloud-amd64"));
        assert!(of("linux-image-7.10.1+deb14-cloud-amd64") > of("linux-binary-7.2.12+deb13-cloud-amd64"));
    }
}
