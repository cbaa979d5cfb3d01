//! What this machine's programs call, where steps name a call or a flag of `x86_64`.

/// What a call is replaced by: a number and arguments.
pub(crate) type Newer = (i64, [i64; 5]);

/// Numbers of calls that generic tables do not have.
#[cfg(target_arch = "x86_64")]
pub(crate) mod old {
    pub(crate) use libc::{
        SYS_chmod, SYS_chown, SYS_creat, SYS_dup2, SYS_fork, SYS_lchown, SYS_link, SYS_mkdir, SYS_mknod,
        SYS_open, SYS_rename, SYS_rmdir, SYS_symlink, SYS_unlink,
    };
}

/// The same, made up: nothing but a key of [`newer`].
#[cfg(not(target_arch = "x86_64"))]
#[allow(non_upper_case_globals, reason = "the names that libc has for them elsewhere")]
pub(crate) mod old {
    pub(crate) const SYS_chmod: i64 = -2;
    pub(crate) const SYS_chown: i64 = -3;
    pub(crate) const SYS_creat: i64 = -4;
    pub(crate) const SYS_dup2: i64 = -5;
    pub(crate) const SYS_fork: i64 = -6;
    pub(crate) const SYS_lchown: i64 = -7;
    pub(crate) const SYS_link: i64 = -8;
    pub(crate) const SYS_mkdir: i64 = -9;
    pub(crate) const SYS_mknod: i64 = -10;
    pub(crate) const SYS_open: i64 = -11;
    pub(crate) const SYS_rename: i64 = -12;
    pub(crate) const SYS_rmdir: i64 = -13;
    pub(crate) const SYS_symlink: i64 = -14;
    pub(crate) const SYS_unlink: i64 = -15;
}

/// The newer call that means the same, as a libc makes it; none where this machine has the call itself.
#[cfg(target_arch = "x86_64")]
pub(crate) const fn newer(_: i64, _: [i64; 5]) -> Option<Newer> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn newer(number: i64, [a, b, c, ..]: [i64; 5]) -> Option<Newer> {
    const DIR: i64 = libc::AT_FDCWD as i64;
    let creat = i64::from(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC);
    Some(match number {
        old::SYS_open => (libc::SYS_openat, [DIR, a, b, c, 0]),
        old::SYS_creat => (libc::SYS_openat, [DIR, a, creat, b, 0]),
        old::SYS_unlink => (libc::SYS_unlinkat, [DIR, a, 0, 0, 0]),
        old::SYS_rmdir => (libc::SYS_unlinkat, [DIR, a, libc::AT_REMOVEDIR.into(), 0, 0]),
        old::SYS_rename => (libc::SYS_renameat, [DIR, a, DIR, b, 0]),
        old::SYS_link => (libc::SYS_linkat, [DIR, a, DIR, b, 0]),
        old::SYS_symlink => (libc::SYS_symlinkat, [a, DIR, b, 0, 0]),
        old::SYS_mkdir => (libc::SYS_mkdirat, [DIR, a, b, 0, 0]),
        old::SYS_mknod => (libc::SYS_mknodat, [DIR, a, b, c, 0]),
        old::SYS_chmod => (libc::SYS_fchmodat, [DIR, a, b, 0, 0]),
        old::SYS_chown => (libc::SYS_fchownat, [DIR, a, b, c, 0]),
        old::SYS_lchown => (libc::SYS_fchownat, [DIR, a, b, c, libc::AT_SYMLINK_NOFOLLOW.into()]),
        old::SYS_dup2 => (libc::SYS_dup3, [a, b, 0, 0, 0]),
        old::SYS_fork => (libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0]),
        _ => return None,
    })
}

/// A system call, or the newer one that means the same.
///
/// # Safety
/// That of the call.
pub(crate) unsafe fn call(number: i64, args: [i64; 5]) -> i64 {
    let (number, [a, b, c, d, e]) = newer(number, args).unwrap_or((number, args));
    // SAFETY: the caller's.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

/// `open`'s flags, which steps give with the bits of `x86_64`, as this machine has them.
pub(crate) const fn open_flags(flags: i64) -> i64 {
    if cfg!(target_arch = "aarch64") {
        // `O_DIRECT` and `O_LARGEFILE` are where the other machine has `O_DIRECTORY` and `O_NOFOLLOW`.
        return (flags & !0o740_000) | (flags & 0o140_000) << 2 | (flags & 0o600_000) >> 2;
    }
    flags
}
