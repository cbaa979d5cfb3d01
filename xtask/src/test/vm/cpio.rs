//! Writes the archive that the kernel unpacks as its first root: the format `newc` of cpio.
//!
//! The whole format is a header of hexadecimal numbers, a name and the content, each padded to four bytes
//! (`Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel). It knows no content.

use std::collections::BTreeSet;

/// The kinds of entry, as `stat` numbers them.
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// The name that ends an archive.
const END: &str = "TRAILER!!!";

/// An archive that grows.
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    pub(super) fn new() -> Archive {
        Archive { bytes: Vec::new(), entries: 0, folders: BTreeSet::new() }
    }

    /// An empty folder, and those above it.
    pub(super) fn folder(&mut self, name: &str) {
        let name = name.trim_matches('/');
        let ends = name.match_indices('/').map(|(end, _)| end).chain([name.len()]);
        for part in ends.filter_map(|end| name.get(..end)) {
            if !part.is_empty() && self.folders.insert(part.to_owned()) {
                self.entry(part, FOLDER | 0o755, &[]);
            }
        }
    }

    /// A file that everybody may read, and run where `mode` says so.
    pub(super) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.above(name);
        self.entry(name.trim_matches('/'), FILE | mode, content);
    }

    /// The archive with its end.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(END, 0, &[]);
        self.bytes
    }

    fn above(&mut self, name: &str) {
        if let Some((folder, _)) = name.trim_matches('/').rsplit_once('/') {
            self.folder(folder);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // Owner and group are root, the device is none, and the time is the epoch: the same input always
        // gives the same archive. A file of 4 GiB does not fit the format and is none of ours.
        let size = content.len();
        let fields = [self.entries as usize, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::Archive;

    #[test]
    fn folders_come_before_what_is_in_them_and_once() {
        let mut archive = Archive::new();
        archive.file("/a/b/c", 0o644, b"12345");
        archive.file("/a/b/d", 0o644, b"");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(&format!("{name}\0")).unwrap();
        assert!(at("a") < at("a/b") && at("a/b") < at("a/b/c") && at("a/b/c") < at("a/b/d"));
        assert_eq!(text.matches("070701").count(), 5);
    }

    /// cpio itself reads it, where it is installed.
    #[test]
    fn cpio_lists_it() {
        let mut archive = Archive::new();
        archive.file("/x/y", 0o755, b"abc");
        let cpio = Command::new("cpio").arg("-t").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut cpio) = cpio else { return };
        cpio.stdin.take().unwrap().write_all(&archive.finish()).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x\nx/y\n");
    }
}
