//! Mounts of a container as fields show them: found by number or by a shell pattern, written as Falco's rules expect.

use super::Arg;
use crate::{
    event::{Event, Mount},
    rule::value::Out,
};

/// What rules compare with where there is no such mount.
const NONE: &[u8] = b"N/A";

/// Shows something of the first mount that the argument means. `by`: what of a mount the argument's pattern is compared
/// with. On the host there is no value.
pub(super) fn show(
    event: &Event,
    arg: &Arg,
    out: &mut Out<'_>,
    by: fn(&Mount) -> &str,
    write: fn(&Mount, &mut Vec<u8>),
) -> bool {
    let (Some(container), Arg::Key(key)) = (&event.container, arg) else { return false };
    let mounts = &container.facts.mounts;
    let found = match key.parse::<usize>() {
        Ok(number) => mounts.get(number),
        Err(_) => mounts.iter().find(|mount| matches(key.as_bytes(), by(mount).as_bytes())),
    };
    match found {
        Some(mount) => out.rendered(|to| write(mount, to)),
        None => out.text(NONE),
    }
}

/// `source:destination:mode:writable:propagation`.
pub(super) fn write(mount: &Mount, to: &mut Vec<u8>) {
    let writable = if mount.writable { "true" } else { "false" };
    let parts = [&*mount.source, &*mount.destination, &*mount.mode, writable, &*mount.propagation];
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            to.push(b':');
        }
        to.extend_from_slice(part.as_bytes());
    }
}

/// All of them, joined by commas.
pub(super) fn write_all(mounts: &[Mount], to: &mut Vec<u8>) {
    for (at, mount) in mounts.iter().enumerate() {
        if at > 0 {
            to.push(b',');
        }
        write(mount, to);
    }
}

/// Whether a shell pattern of `*` and `?` matches all of the text. After a mismatch only the last star is tried again, so
/// that the time is at most the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, begin)) = star else { return false };
                star = Some((at, begin + 1));
                p = at + 1;
                t = begin + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text, expected) in [
            ("/proc*", "/proc", true),
            ("/proc*", "/proc/sys", true),
            ("/proc*", "proc", false),
            ("/var/run/docker.sock", "/var/run/docker.sock", true),
            ("/var/run/docker.sock", "/var/run/docker.socket", false),
            ("/", "/", true),
            ("/*/log/?", "/var/log/a", true),
            ("/*/log/?", "/var/log/", false),
            ("*a*b*c", "aXbXc", true),
            ("*a*b*c", "aXcXb", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        let stars = "*a".repeat(50) + "b";
        assert!(!matches(stars.as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
