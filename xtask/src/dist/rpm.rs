//! Files → an RPM package, of the format 4 that every RPM in use reads.

use anyhow::{Context, Result};
use rpm::{BuildConfig, CompressionType, FileOptions, PackageBuilder};

use super::Release;
use super::deb::{DESCRIPTION, SUMMARY, is_configuration, script};
use super::tree::{Entry, Tree};
use crate::arch::Arch;
use crate::place::Place;

/// Folders that are the package's own; the others belong to the system.
const OWN: [&str; 3] = ["etc/vedette", "etc/vedette/rules.d", "usr/share/doc/vedette"];

/// The package's bytes.
pub(super) fn package(place: &Place, release: &Release, arch: Arch, tree: &Tree) -> Result<Vec<u8>> {
    let epoch = u32::try_from(release.epoch).context("the time of the commit is too late for RPM")?;
    let config = BuildConfig::v4().compression(CompressionType::Gzip).source_date(epoch);
    let mut builder =
        PackageBuilder::new("vedette", release.version, "MIT OR Apache-2.0", arch.rpm(), SUMMARY);
    builder.using_config(config).description(DESCRIPTION).build_host("localhost");
    for (path, entry) in tree.entries() {
        let name = format!("/{path}");
        match entry {
            Entry::Folder if OWN.contains(&path) => {
                builder.with_dir_entry(FileOptions::dir(name).permissions(0o755))?;
            }
            Entry::Folder => {}
            Entry::File(mode, bytes) => {
                let mode = u16::try_from(*mode).context("a mode of more than 16 bits")?;
                let options = FileOptions::new(name).permissions(mode);
                let options = if is_configuration(path) { options.config().noreplace() } else { options };
                builder.with_file_contents(bytes.clone(), options)?;
            }
        }
    }
    builder.post_install_script(script(place, "rpm-post")?);
    builder.pre_uninstall_script(script(place, "rpm-preun")?);
    builder.post_uninstall_script(script(place, "rpm-postun")?);
    let mut bytes = Vec::new();
    builder.build()?.write(&mut bytes)?;
    Ok(bytes)
}
