//! Names as callers give them → absolute paths. By their letters alone: it asks no filesystem.

use crate::{decode::RawText, event::Text};

/// A name made absolute with the directory at which it starts. `.` and `..` and double slashes are resolved by their
/// letters; symlinks are not, since the kernel did not, or did and is not asked again: a `..` behind a symlink then names
/// another directory than the one that the kernel went to. Without its directory a relative name stays relative.
pub(super) fn absolute(name: &RawText<'_>, dir: &RawText<'_>) -> Text {
    let mut parts: Vec<&[u8]> = Vec::new();
    if !name.bytes.starts_with(b"/") {
        if dir.bytes.is_empty() {
            return name.to_text();
        }
        parts.extend(dir.bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty()));
    }
    for part in name.bytes.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut path = Vec::with_capacity(dir.bytes.len() + name.bytes.len() + 2);
    for part in &parts {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Text::new(path).with_truncated(name.is_truncated() || dir.is_truncated()).with_untrusted(true)
}

/// The same for calls to which an empty name, or one that cannot be read, names nothing.
pub(super) fn absolute_name(name: &RawText<'_>, dir: &RawText<'_>) -> Text {
    if name.bytes.is_empty() { name.to_text() } else { absolute(name, dir) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn raw(bytes: &[u8]) -> RawText<'_> {
        RawText { bytes, flags: 0 }
    }

    #[test]
    fn names_become_absolute_by_their_letters() {
        let path = |dir: &'static [u8], name: &'static [u8]| absolute(&raw(name), &raw(dir)).to_string();
        assert_eq!(path(b"/etc", b"./x//../shadow"), "/etc/shadow");
        assert_eq!(path(b"/etc", b"/a/./b/../../.."), "/");
        assert_eq!(path(b"", b"etc/x"), "etc/x");
        assert_eq!(path(b"/", b"x"), "/x");
        assert_eq!(path(b"/etc", b""), "/etc");
    }

    #[test]
    fn a_name_that_is_not_there_names_nothing() {
        assert!(absolute_name(&raw(b""), &raw(b"/etc")).is_empty());
        assert_eq!(absolute_name(&raw(b"x/"), &raw(b"/etc")).to_string(), "/etc/x");
    }
}
