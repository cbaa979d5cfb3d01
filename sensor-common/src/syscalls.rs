//! System call numbers of `x86_64`, and how the 32-bit tables map to them.

/// Slots of the dispatch table: native numbers, then 32-bit ones, then the calls inside `socketcall`.
pub const INDEXES: u32 = FIRST_SOCKETCALL + 32;
/// First slot of the 32-bit numbers.
pub const FIRST_COMPAT: u32 = 512;
/// First slot of the calls inside `socketcall`.
pub const FIRST_SOCKETCALL: u32 = 1024;
/// 32-bit `socketcall`.
pub const SOCKETCALL: u32 = 102;
/// Marks the numbers of x32 callers.
pub const X32: u32 = 1 << 30;

macro_rules! syscalls {
    ($($name:ident $number:literal compat $compat:tt socketcall $socketcall:tt;)*) => {
        $(#[doc = concat!("Number of `", stringify!($name), "`.")] pub const $name: u32 = $number;)*

        /// (number, 32-bit number, number inside `socketcall`) of every call that a program exists for.
        pub const TABLE: &[(u32, Option<u32>, Option<u32>)] = &[$(($number, option!($compat), option!($socketcall)),)*];
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
    CONNECT 42 compat 362 socketcall 3;
    ACCEPT 43 compat none socketcall 5;
    SENDTO 44 compat 369 socketcall 11;
    SENDMSG 46 compat 370 socketcall 16;
    BIND 49 compat 361 socketcall 2;
    LISTEN 50 compat 363 socketcall 4;
    CLONE 56 compat 120 socketcall none;
    FORK 57 compat 2 socketcall none;
    VFORK 58 compat 190 socketcall none;
    EXECVE 59 compat 11 socketcall none;
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
    MKNOD 133 compat 14 socketcall none;
    OPENAT 257 compat 295 socketcall none;
    MKDIRAT 258 compat 296 socketcall none;
    MKNODAT 259 compat 297 socketcall none;
    FCHOWNAT 260 compat 298 socketcall none;
    UNLINKAT 263 compat 301 socketcall none;
    RENAMEAT 264 compat 302 socketcall none;
    LINKAT 265 compat 303 socketcall none;
    SYMLINKAT 266 compat 304 socketcall none;
    FCHMODAT 268 compat 306 socketcall none;
    ACCEPT4 288 compat 364 socketcall 18;
    OPEN_BY_HANDLE_AT 304 compat 342 socketcall none;
    SENDMMSG 307 compat 345 socketcall 20;
    RENAMEAT2 316 compat 353 socketcall none;
    EXECVEAT 322 compat 358 socketcall none;
    CLONE3 435 compat 435 socketcall none;
    OPENAT2 437 compat 437 socketcall none;
    FCHMODAT2 452 compat 452 socketcall none;
}

/// (number, 32-bit number) of calls that 32-bit callers have twice: these are the old ones, with ids of 16 bits.
pub const SHORT_IDS: &[(u32, u32)] = &[(CHOWN, 182), (LCHOWN, 16), (FCHOWN, 95)];

/// Whether a 32-bit call is one of [`SHORT_IDS`].
#[must_use]
pub const fn has_short_ids(number: u32) -> bool {
    matches!(number, 16 | 95 | 182)
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
        38 => RENAME,
        39 => MKDIR,
        40 => RMDIR,
        83 => SYMLINK,
        94 => FCHMOD,
        95 | 207 => FCHOWN,
        120 => CLONE,
        182 | 212 => CHOWN,
        190 => VFORK,
        295 => OPENAT,
        296 => MKDIRAT,
        297 => MKNODAT,
        298 => FCHOWNAT,
        301 => UNLINKAT,
        302 => RENAMEAT,
        303 => LINKAT,
        304 => SYMLINKAT,
        306 => FCHMODAT,
        342 => OPEN_BY_HANDLE_AT,
        345 => SENDMMSG,
        353 => RENAMEAT2,
        358 => EXECVEAT,
        361 => BIND,
        362 => CONNECT,
        363 => LISTEN,
        364 => ACCEPT4,
        369 => SENDTO,
        370 => SENDMSG,
        435 => CLONE3,
        437 => OPENAT2,
        452 => FCHMODAT2,
        _ => 0,
    }
}

/// The native number of a call inside `socketcall`; 0 for one that no program exists for.
#[must_use]
pub const fn from_socketcall(call: u32) -> u32 {
    match call {
        2 => BIND,
        3 => CONNECT,
        4 => LISTEN,
        5 => ACCEPT,
        11 => SENDTO,
        16 => SENDMSG,
        18 => ACCEPT4,
        20 => SENDMMSG,
        _ => 0,
    }
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
        assert_eq!((0..512).filter(|number| has_short_ids(*number)).count(), SHORT_IDS.len());
    }
}
