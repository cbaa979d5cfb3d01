//! Files → a Debian package. The format is that of `deb(5)`: an `ar` archive of a version, the control files, and the files.

use anyhow::{Context, Result};

use super::tree::{Entry, Tree, gzip};
use super::{Release, read};
use crate::arch::Arch;
use crate::place::Place;

/// The folder of the maintainer's scripts, which are the same files for RPM.
pub(super) const SCRIPTS: &str = "deploy/package";

/// What the package is for.
pub(super) const SUMMARY: &str = "Runtime security sensor for container hosts";

/// The same, at length.
pub(super) const DESCRIPTION: &str = "Kernel programs (eBPF) see what every process runs, opens, changes and connects to; a \
     daemon knows which container that is, matches behavioural rules, and alerts, kills or isolates.";

/// The package's bytes.
pub(super) fn package(place: &Place, release: &Release, arch: Arch, tree: &Tree) -> Result<Vec<u8>> {
    let mut control = Tree::default();
    control.file("control", 0o644, paragraph(release, arch, tree));
    control.file("conffiles", 0o644, conffiles(tree));
    for script in ["postinst", "prerm", "postrm"] {
        control.file(script, 0o755, read(&place.top.join(SCRIPTS).join(script))?);
    }
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&control.tar("", release.epoch)?)?),
        ("data.tar.gz", gzip(&tree.tar("", release.epoch)?)?),
    ];
    let mut package = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        // Name, time, user, group, mode and size, each of a width of its own; members begin at even places.
        let header =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", release.epoch, 0, 0, "100644", bytes.len());
        package.extend(header.as_bytes());
        package.extend(&bytes);
        if bytes.len() % 2 == 1 {
            package.push(b'\n');
        }
    }
    Ok(package)
}

/// What dpkg asks before it replaces: everything below `/etc`.
pub(super) fn is_configuration(path: &str) -> bool {
    path.starts_with("etc/")
}

fn paragraph(release: &Release, arch: Arch, tree: &Tree) -> String {
    format!(
        "Package: vedette\nVersion: {}\nArchitecture: {}\nMaintainer: The Vedette developers <vedette@localhost>\n\
         Installed-Size: {}\nRecommends: ca-certificates\nSection: admin\nPriority: optional\n\
         Description: {SUMMARY}\n {DESCRIPTION}\n",
        release.version,
        arch.debian(),
        tree.bytes().div_ceil(1024),
    )
}

fn conffiles(tree: &Tree) -> String {
    let files =
        tree.entries().filter(|(path, entry)| matches!(entry, Entry::File(..)) && is_configuration(path));
    files.map(|(path, _)| format!("/{path}\n")).collect()
}

/// A maintainer's script as text.
pub(super) fn script(place: &Place, name: &str) -> Result<String> {
    String::from_utf8(read(&place.top.join(SCRIPTS).join(name))?)
        .with_context(|| format!("{name} is no text"))
}
