//! Steps that are one call each, by its own number, with the arguments in the kernel's order. A step with `32` behind its name
//! goes through the 32-bit door.

use std::ffi::CString;

use crate::{
    Args, Outcome, compat,
    machine::{call, old},
};

/// What an argument is: a string, a number, or words of 32 bits (separated by commas) in memory.
#[derive(Clone, Copy)]
enum Kind {
    Path,
    Number,
    Words,
}

use Kind::{Number as N, Path as P, Words as W};

/// Words that are always there behind those that a step names: `struct perf_event_attr` and `io_uring_params` are longer.
const WORDS: usize = 40;

/// (name, 64-bit number, 32-bit number, arguments).
const CALLS: &[(&str, i64, u32, &[Kind])] = &[
    ("unlink", old::SYS_unlink, 10, &[P]),
    ("unlinkat", libc::SYS_unlinkat, 301, &[N, P, N]),
    ("rmdir", old::SYS_rmdir, 40, &[P]),
    ("rename", old::SYS_rename, 38, &[P, P]),
    ("renameat", libc::SYS_renameat, 302, &[N, P, N, P]),
    ("renameat2", libc::SYS_renameat2, 353, &[N, P, N, P, N]),
    ("link", old::SYS_link, 9, &[P, P]),
    ("linkat", libc::SYS_linkat, 303, &[N, P, N, P, N]),
    ("symlink", old::SYS_symlink, 83, &[P, P]),
    ("symlinkat", libc::SYS_symlinkat, 304, &[P, N, P]),
    ("mkdir", old::SYS_mkdir, 39, &[P, N]),
    ("mkdirat", libc::SYS_mkdirat, 296, &[N, P, N]),
    ("mknod", old::SYS_mknod, 14, &[P, N, N]),
    ("mknodat", libc::SYS_mknodat, 297, &[N, P, N, N]),
    ("chmod", old::SYS_chmod, 15, &[P, N]),
    ("fchmod", libc::SYS_fchmod, 94, &[N, N]),
    ("fchmodat", libc::SYS_fchmodat, 306, &[N, P, N]),
    ("fchmodat2", 452, 452, &[N, P, N, N]),
    ("chown", old::SYS_chown, 212, &[P, N, N]),
    ("lchown", old::SYS_lchown, 198, &[P, N, N]),
    ("fchown", libc::SYS_fchown, 207, &[N, N, N]),
    ("fchownat", libc::SYS_fchownat, 298, &[N, P, N, N, N]),
    ("mount", libc::SYS_mount, 21, &[P, P, P, N, N]),
    ("move_mount", 429, 429, &[N, P, N, P, N]),
    ("open_tree", 428, 428, &[N, P, N]),
    ("umount2", libc::SYS_umount2, 52, &[P, N]),
    ("pivot_root", libc::SYS_pivot_root, 217, &[P, P]),
    ("root", libc::SYS_chroot, 61, &[P]),
    ("dup", libc::SYS_dup, 41, &[N]),
    ("dup2", old::SYS_dup2, 63, &[N, N]),
    ("dup3", libc::SYS_dup3, 330, &[N, N, N]),
    ("fcntl", libc::SYS_fcntl, 55, &[N, N, N]),
    ("close", libc::SYS_close, 6, &[N]),
    ("setuid", libc::SYS_setuid, 213, &[N]),
    ("setgid", libc::SYS_setgid, 214, &[N]),
    ("setreuid", libc::SYS_setreuid, 203, &[N, N]),
    ("setregid", libc::SYS_setregid, 204, &[N, N]),
    ("setresuid", libc::SYS_setresuid, 208, &[N, N, N]),
    ("setresgid", libc::SYS_setresgid, 210, &[N, N, N]),
    ("setfsuid", libc::SYS_setfsuid, 215, &[N]),
    ("setfsgid", libc::SYS_setfsgid, 216, &[N]),
    ("capset", libc::SYS_capset, 185, &[W, W]),
    ("setns", libc::SYS_setns, 346, &[N, N]),
    ("ptrace", libc::SYS_ptrace, 26, &[N, N, N, N]),
    ("process_vm_readv", libc::SYS_process_vm_readv, 347, &[N, N, N, N, N]),
    ("process_vm_writev", libc::SYS_process_vm_writev, 348, &[N, N, N, N, N]),
    ("pidfd_open", libc::SYS_pidfd_open, 434, &[N, N]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, 438, &[N, N, N]),
    ("kill", libc::SYS_kill, 37, &[N, N]),
    ("tkill", libc::SYS_tkill, 238, &[N, N]),
    ("tgkill", libc::SYS_tgkill, 270, &[N, N, N]),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, 424, &[N, N, N, N]),
    ("prctl", libc::SYS_prctl, 172, &[N, N, N, N, N]),
    ("set-name", libc::SYS_prctl, 172, &[N, P]),
    ("init_module", libc::SYS_init_module, 128, &[N, N, P]),
    ("finit_module", libc::SYS_finit_module, 350, &[N, P, N]),
    ("delete_module", libc::SYS_delete_module, 129, &[P, N]),
    ("bpf", libc::SYS_bpf, 357, &[N, N, N]),
    ("perf_event_open", libc::SYS_perf_event_open, 336, &[W, N, N, N, N]),
    ("keyctl", libc::SYS_keyctl, 288, &[N, N, N, N, N]),
    ("userfaultfd", libc::SYS_userfaultfd, 374, &[N]),
    ("memfd_create", libc::SYS_memfd_create, 356, &[P, N]),
    ("io_uring_setup", libc::SYS_io_uring_setup, 425, &[N, W]),
    ("mprotect", libc::SYS_mprotect, 125, &[N, N, N]),
    // Known to 32-bit callers only.
    ("umount-", libc::SYS_umount2, 22, &[P]),
    ("setuid16-", libc::SYS_setuid, 23, &[N]),
    ("setreuid16-", libc::SYS_setreuid, 70, &[N, N]),
    ("fcntl64-", libc::SYS_fcntl, 221, &[N, N, N]),
    // The same, with ids of 16 bits.
    ("chown16-", old::SYS_chown, 182, &[P, N, N]),
    ("lchown16-", old::SYS_lchown, 16, &[P, N, N]),
    ("fchown16-", libc::SYS_fchown, 95, &[N, N, N]),
];

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    let (name, compat) = match name.strip_suffix("32") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (_, native, number, kinds) = CALLS.iter().find(|(call, ..)| *call == name)?;
    let mut texts: Vec<CString> = Vec::new();
    let mut words: Vec<Vec<u32>> = Vec::new();
    let mut low = compat.then(compat::Low::new);
    let mut values = [0_i64; 5];
    for (value, kind) in values.iter_mut().zip(*kinds) {
        *value = match (kind, &mut low) {
            (Kind::Number, _) => args.number(),
            (Kind::Path, Some(low)) => low.put(args.c().as_bytes_with_nul()).into(),
            (Kind::Words, low) => {
                let mut list: Vec<u32> =
                    args.text().split(',').map(|word| word.parse().expect("a number")).collect();
                list.resize(WORDS, 0);
                match low {
                    Some(low) => low.put_words(&list).into(),
                    None => {
                        words.push(list);
                        words.last_mut().map_or(0, |list| list.as_mut_ptr() as i64)
                    }
                }
            }
            (Kind::Path, None) => {
                texts.push(args.c());
                texts.last().map_or(0, |text| text.as_ptr() as i64)
            }
        };
    }
    if compat {
        let [a, b, c, d, _] = values;
        return Some(compat::call(*number, [a as u32, b as u32, c as u32, d as u32]));
    }
    // SAFETY: strings that live until here, and numbers.
    Some(unsafe { call(*native, values) }.into())
}
