//! Steps that change names and files: each call by its own number, with the arguments in the kernel's order. A step with
//! `32` behind its name goes through the 32-bit door.

use std::ffi::CString;

use crate::{Args, Outcome, compat};

/// What an argument is: a string, or a number.
#[derive(Clone, Copy)]
enum Kind {
    Path,
    Number,
}

use Kind::{Number as N, Path as P};

/// (name, 64-bit number, 32-bit number, arguments).
const CALLS: &[(&str, i64, u32, &[Kind])] = &[
    ("unlink", libc::SYS_unlink, 10, &[P]),
    ("unlinkat", libc::SYS_unlinkat, 301, &[N, P, N]),
    ("rmdir", libc::SYS_rmdir, 40, &[P]),
    ("rename", libc::SYS_rename, 38, &[P, P]),
    ("renameat", libc::SYS_renameat, 302, &[N, P, N, P]),
    ("renameat2", libc::SYS_renameat2, 353, &[N, P, N, P, N]),
    ("link", libc::SYS_link, 9, &[P, P]),
    ("linkat", libc::SYS_linkat, 303, &[N, P, N, P, N]),
    ("symlink", libc::SYS_symlink, 83, &[P, P]),
    ("symlinkat", libc::SYS_symlinkat, 304, &[P, N, P]),
    ("mkdir", libc::SYS_mkdir, 39, &[P, N]),
    ("mkdirat", libc::SYS_mkdirat, 296, &[N, P, N]),
    ("mknod", libc::SYS_mknod, 14, &[P, N, N]),
    ("mknodat", libc::SYS_mknodat, 297, &[N, P, N, N]),
    ("chmod", libc::SYS_chmod, 15, &[P, N]),
    ("fchmod", libc::SYS_fchmod, 94, &[N, N]),
    ("fchmodat", libc::SYS_fchmodat, 306, &[N, P, N]),
    ("fchmodat2", 452, 452, &[N, P, N, N]),
    ("chown", libc::SYS_chown, 212, &[P, N, N]),
    ("lchown", libc::SYS_lchown, 198, &[P, N, N]),
    ("fchown", libc::SYS_fchown, 207, &[N, N, N]),
    ("fchownat", libc::SYS_fchownat, 298, &[N, P, N, N, N]),
    // Known to 32-bit callers only: ids of 16 bits.
    ("chown16-", libc::SYS_chown, 182, &[P, N, N]),
    ("lchown16-", libc::SYS_lchown, 16, &[P, N, N]),
    ("fchown16-", libc::SYS_fchown, 95, &[N, N, N]),
];

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    let (name, compat) = match name.strip_suffix("32") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (_, native, number, kinds) = CALLS.iter().find(|(call, ..)| *call == name)?;
    let mut texts: Vec<CString> = Vec::new();
    let mut low = compat.then(compat::Low::new);
    let mut values = [0_i64; 5];
    for (value, kind) in values.iter_mut().zip(*kinds) {
        *value = match (kind, &mut low) {
            (Kind::Number, _) => args.number(),
            (Kind::Path, Some(low)) => low.put(args.c().as_bytes_with_nul()).into(),
            (Kind::Path, None) => {
                texts.push(args.c());
                texts.last().map_or(0, |text| text.as_ptr() as i64)
            }
        };
    }
    let [a, b, c, d, e] = values;
    if compat {
        return Some(compat::call(*number, [a as u32, b as u32, c as u32, d as u32]));
    }
    // SAFETY: strings that live until here, and numbers.
    Some(unsafe { libc::syscall(*native, a, b, c, d, e) }.into())
}
