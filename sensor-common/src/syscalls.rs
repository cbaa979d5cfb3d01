//! System call numbers of `x86_64`, and how the 32-bit tables map to them.

/// Slots of the dispatch table: native numbers, then 32-bit ones, then the calls inside `socketcall`.
pub const INDEXES: u32 = FIRST_SOCKETCALL + 32;
/// First slot of the 32-bit numbers.
pub const FIRST_COMPAT: u32 = 512;
/// First slot of the calls inside `socketcall`.
pub const FIRST_SOCKETCALL: u32 = 1024;
/// 32-bit `socketcall`.
pub const SOCKETCALL: u32 = 102;
/// The last call of Linux 5.10, `process_madvise`. Later ones may be missing.
pub const LAST_OF_5_10: u32 = 440;
/// Words of a set of numbers as callers have them in their register, whatever their width: one bit each.
pub const RAW_WORDS: u32 = FIRST_COMPAT / 64;
/// Marks the numbers of x32 callers.
pub const X32: u32 = 1 << 30;
/// Calls that 32-bit callers alone have are known by their 32-bit number behind this one.
const COMPAT_ONLY: u32 = 4096;

macro_rules! syscalls {
    ($($name:ident $number:literal compat $compat:tt socketcall $socketcall:tt;)*) => {
        $(#[doc = concat!("Number of `", stringify!($name), "`.")] pub const $name: u32 = $number;)*

        /// (number, 32-bit number, number inside `socketcall`) of every call that a program exists for.
        pub const TABLE: &[(u32, Option<u32>, Option<u32>)] = &[$(($number, option!($compat), option!($socketcall)),)*];

        /// (number, name in capital letters) of the same.
        pub const NAMES: &[(u32, &str)] = &[$(($number, stringify!($name)),)*];
    };
}

macro_rules! option {
    (none) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

syscalls! {
    OPEN 2 compat 5 socketcall none;
    MPROTECT 10 compat 125 socketcall none;
    DUP 32 compat 41 socketcall none;
    DUP2 33 compat 63 socketcall none;
    SOCKET 41 compat 359 socketcall 1;
    CONNECT 42 compat 362 socketcall 3;
    ACCEPT 43 compat none socketcall 5;
    SENDTO 44 compat 369 socketcall 11;
    RECVFROM 45 compat 371 socketcall 12;
    SENDMSG 46 compat 370 socketcall 16;
    RECVMSG 47 compat 372 socketcall 17;
    BIND 49 compat 361 socketcall 2;
    LISTEN 50 compat 363 socketcall 4;
    CLONE 56 compat 120 socketcall none;
    FORK 57 compat 2 socketcall none;
    VFORK 58 compat 190 socketcall none;
    EXECVE 59 compat 11 socketcall none;
    KILL 62 compat 37 socketcall none;
    FCNTL 72 compat 55 socketcall none;
    RENAME 82 compat 38 socketcall none;
    MKDIR 83 compat 39 socketcall none;
    RMDIR 84 compat 40 socketcall none;
    CREAT 85 compat 8 socketcall none;
    LINK 86 compat 9 socketcall none;
    UNLINK 87 compat 10 socketcall none;
    SYMLINK 88 compat 83 socketcall none;
    CHMOD 90 compat 15 socketcall none;
    FCHMOD 91 compat 94 socketcall none;
    CHOWN 92 compat 212 socketcall none;
    FCHOWN 93 compat 207 socketcall none;
    LCHOWN 94 compat 198 socketcall none;
    PTRACE 101 compat 26 socketcall none;
    SETUID 105 compat 213 socketcall none;
    SETGID 106 compat 214 socketcall none;
    SETREUID 113 compat 203 socketcall none;
    SETREGID 114 compat 204 socketcall none;
    SETRESUID 117 compat 208 socketcall none;
    SETRESGID 119 compat 210 socketcall none;
    SETFSUID 122 compat 215 socketcall none;
    SETFSGID 123 compat 216 socketcall none;
    CAPSET 126 compat 185 socketcall none;
    MKNOD 133 compat 14 socketcall none;
    PIVOT_ROOT 155 compat 217 socketcall none;
    PRCTL 157 compat 172 socketcall none;
    CHROOT 161 compat 61 socketcall none;
    MOUNT 165 compat 21 socketcall none;
    UMOUNT2 166 compat 52 socketcall none;
    INIT_MODULE 175 compat 128 socketcall none;
    DELETE_MODULE 176 compat 129 socketcall none;
    TKILL 200 compat 238 socketcall none;
    TGKILL 234 compat 270 socketcall none;
    KEYCTL 250 compat 288 socketcall none;
    OPENAT 257 compat 295 socketcall none;
    MKDIRAT 258 compat 296 socketcall none;
    MKNODAT 259 compat 297 socketcall none;
    FCHOWNAT 260 compat 298 socketcall none;
    UNLINKAT 263 compat 301 socketcall none;
    RENAMEAT 264 compat 302 socketcall none;
    LINKAT 265 compat 303 socketcall none;
    SYMLINKAT 266 compat 304 socketcall none;
    FCHMODAT 268 compat 306 socketcall none;
    UNSHARE 272 compat 310 socketcall none;
    ACCEPT4 288 compat 364 socketcall 18;
    DUP3 292 compat 330 socketcall none;
    PERF_EVENT_OPEN 298 compat 336 socketcall none;
    RECVMMSG 299 compat 337 socketcall 19;
    OPEN_BY_HANDLE_AT 304 compat 342 socketcall none;
    SENDMMSG 307 compat 345 socketcall 20;
    SETNS 308 compat 346 socketcall none;
    PROCESS_VM_READV 310 compat 347 socketcall none;
    PROCESS_VM_WRITEV 311 compat 348 socketcall none;
    FINIT_MODULE 313 compat 350 socketcall none;
    RENAMEAT2 316 compat 353 socketcall none;
    MEMFD_CREATE 319 compat 356 socketcall none;
    BPF 321 compat 357 socketcall none;
    EXECVEAT 322 compat 358 socketcall none;
    USERFAULTFD 323 compat 374 socketcall none;
    IO_URING_SETUP 425 compat 425 socketcall none;
    MOVE_MOUNT 429 compat 429 socketcall none;
    CLONE3 435 compat 435 socketcall none;
    OPENAT2 437 compat 437 socketcall none;
    PIDFD_GETFD 438 compat 438 socketcall none;
    FCHMODAT2 452 compat 452 socketcall none;
    UMOUNT 4118 compat 22 socketcall none;
}

/// (number, 32-bit number) of calls that 32-bit callers have twice: these are the old ones, with ids of 16 bits.
pub const SHORT_IDS: &[(u32, u32)] = &[
    (CHOWN, 182),
    (LCHOWN, 16),
    (FCHOWN, 95),
    (SETUID, 23),
    (SETGID, 46),
    (SETREUID, 70),
    (SETREGID, 71),
    (SETRESUID, 164),
    (SETRESGID, 170),
    (SETFSUID, 138),
    (SETFSGID, 139),
];

/// (number, 32-bit number) of other calls that 32-bit callers have twice (`fcntl64`, `recvmmsg_time64`): the second one.
pub const SECOND: &[(u32, u32)] = &[(FCNTL, 221), (RECVMMSG, 417)];

/// Whether a 32-bit call is one of [`SHORT_IDS`].
#[must_use]
pub const fn has_short_ids(number: u32) -> bool {
    matches!(number, 16 | 23 | 46 | 70 | 71 | 95 | 138 | 139 | 164 | 170 | 182)
}

/// The native number of a 32-bit call that a program exists for; 0 for any other.
#[must_use]
pub const fn from_compat(number: u32) -> u32 {
    match number {
        2 => FORK,
        5 => OPEN,
        8 => CREAT,
        9 => LINK,
        10 => UNLINK,
        11 => EXECVE,
        14 => MKNOD,
        15 => CHMOD,
        16 | 198 => LCHOWN,
        21 => MOUNT,
        22 => UMOUNT,
        23 | 213 => SETUID,
        26 => PTRACE,
        37 => KILL,
        38 => RENAME,
        39 => MKDIR,
        40 => RMDIR,
        41 => DUP,
        46 | 214 => SETGID,
        52 => UMOUNT2,
        55 | 221 => FCNTL,
        61 => CHROOT,
        63 => DUP2,
        70 | 203 => SETREUID,
        71 | 204 => SETREGID,
        83 => SYMLINK,
        94 => FCHMOD,
        95 | 207 => FCHOWN,
        120 => CLONE,
        125 => MPROTECT,
        128 => INIT_MODULE,
        129 => DELETE_MODULE,
        138 | 215 => SETFSUID,
        139 | 216 => SETFSGID,
        164 | 208 => SETRESUID,
        170 | 210 => SETRESGID,
        172 => PRCTL,
        182 | 212 => CHOWN,
        185 => CAPSET,
        190 => VFORK,
        217 => PIVOT_ROOT,
        238 => TKILL,
        270 => TGKILL,
        288 => KEYCTL,
        295 => OPENAT,
        296 => MKDIRAT,
        297 => MKNODAT,
        298 => FCHOWNAT,
        301 => UNLINKAT,
        302 => RENAMEAT,
        303 => LINKAT,
        304 => SYMLINKAT,
        306 => FCHMODAT,
        310 => UNSHARE,
        330 => DUP3,
        336 => PERF_EVENT_OPEN,
        337 | 417 => RECVMMSG,
        342 => OPEN_BY_HANDLE_AT,
        345 => SENDMMSG,
        346 => SETNS,
        347 => PROCESS_VM_READV,
        348 => PROCESS_VM_WRITEV,
        350 => FINIT_MODULE,
        353 => RENAMEAT2,
        356 => MEMFD_CREATE,
        357 => BPF,
        358 => EXECVEAT,
        359 => SOCKET,
        361 => BIND,
        362 => CONNECT,
        363 => LISTEN,
        364 => ACCEPT4,
        369 => SENDTO,
        370 => SENDMSG,
        371 => RECVFROM,
        372 => RECVMSG,
        374 => USERFAULTFD,
        425 => IO_URING_SETUP,
        429 => MOVE_MOUNT,
        435 => CLONE3,
        437 => OPENAT2,
        438 => PIDFD_GETFD,
        452 => FCHMODAT2,
        _ => 0,
    }
}

/// The native number of a call inside `socketcall`; 0 for one that no program exists for.
#[must_use]
pub const fn from_socketcall(call: u32) -> u32 {
    match call {
        1 => SOCKET,
        2 => BIND,
        3 => CONNECT,
        4 => LISTEN,
        5 => ACCEPT,
        11 => SENDTO,
        12 => RECVFROM,
        16 => SENDMSG,
        17 => RECVMSG,
        18 => ACCEPT4,
        19 => RECVMMSG,
        20 => SENDMMSG,
        _ => 0,
    }
}

/// The slots of a call in the dispatch table: native, 32-bit ones, and inside `socketcall`.
pub fn indexes(number: u32) -> impl Iterator<Item = u32> {
    let row = TABLE.iter().find(|(native, ..)| *native == number);
    let native = (number < COMPAT_ONLY).then_some(number);
    let compat = row.and_then(|(_, compat, _)| *compat).map(|number| FIRST_COMPAT + number);
    let inside = row.and_then(|(.., call)| *call).map(|call| FIRST_SOCKETCALL + call);
    let twice = SHORT_IDS.iter().chain(SECOND).filter(move |(native, _)| *native == number);
    let twice = twice.map(|(_, compat)| FIRST_COMPAT + compat);
    [native, compat, inside].into_iter().flatten().chain(twice)
}

/// The number that a caller has in its register whose call is dispatched by this slot.
#[must_use]
pub const fn raw(index: u32) -> u32 {
    if index >= FIRST_SOCKETCALL { SOCKETCALL } else { index % FIRST_COMPAT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_kernel_side_matches_agree() {
        for (native, compat, socketcall) in TABLE {
            assert!(compat.is_none_or(|number| from_compat(number) == *native), "{native}");
            assert!(socketcall.is_none_or(|call| from_socketcall(call) == *native), "{native}");
        }
        for (native, compat) in SHORT_IDS {
            assert_eq!(from_compat(*compat), *native);
            assert!(has_short_ids(*compat));
        }
        for (native, compat) in SECOND {
            assert_eq!(from_compat(*compat), *native);
        }
        for (native, compat, _) in TABLE.iter().filter(|(native, ..)| *native >= FIRST_COMPAT) {
            assert_eq!(Some(native - COMPAT_ONLY), *compat);
        }
        assert_eq!((0..512).filter(|number| has_short_ids(*number)).count(), SHORT_IDS.len());
    }
}
