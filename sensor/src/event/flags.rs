//! Flag words and the names of their bits, as rules compare them: `O_CREAT|O_WRONLY`, `CLONE_NEWNS`, `CAP_SYS_ADMIN`.

mod calls;
mod choice;

pub use self::{
    calls::{FD_FLAGS, MEMFD, MODULE_INIT, MOUNT, MOVE_MOUNT, PROT, SOCK, UMOUNT, URING, URING_FEATURES},
    choice::{BPF, DOMAIN, FCNTL, KEYCTL, PRCTL, PTRACE, SIGNAL},
};

/// One named bit (or value under a mask).
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Name.
    pub name: &'static str,
    /// The bits that decide.
    pub mask: u64,
    /// Their value when the flag is set.
    pub value: u64,
}

const fn bit(name: &'static str, value: u64) -> Flag {
    Flag { name, mask: value, value }
}

const fn value(name: &'static str, mask: u64, value: u64) -> Flag {
    Flag { name, mask, value }
}

/// `open`'s flags (`x86_64`), in the order in which they are written.
pub const OPEN: &[Flag] = &[
    value("O_RDONLY", 0o3, 0),
    value("O_WRONLY", 0o3, 1),
    value("O_RDWR", 0o3, 2),
    bit("O_CREAT", 0o100),
    bit("O_EXCL", 0o200),
    bit("O_NOCTTY", 0o400),
    bit("O_TRUNC", 0o1000),
    bit("O_APPEND", 0o2000),
    bit("O_NONBLOCK", 0o4000),
    value("O_DSYNC", 0o4_010_000, 0o10000),
    bit("O_ASYNC", 0o20000),
    bit("O_DIRECT", 0o40000),
    bit("O_LARGEFILE", 0o100_000),
    bit("O_DIRECTORY", 0o200_000),
    bit("O_NOFOLLOW", 0o400_000),
    bit("O_NOATIME", 0o1_000_000),
    bit("O_CLOEXEC", 0o2_000_000),
    value("O_SYNC", 0o4_010_000, 0o4_010_000),
    bit("O_PATH", 0o10_000_000),
    value("O_TMPFILE", 0o20_200_000, 0o20_200_000),
];

/// `clone`'s flags.
pub const CLONE: &[Flag] = &[
    bit("CLONE_VM", 0x100),
    bit("CLONE_FS", 0x200),
    bit("CLONE_FILES", 0x400),
    bit("CLONE_SIGHAND", 0x800),
    bit("CLONE_PTRACE", 0x2000),
    bit("CLONE_VFORK", 0x4000),
    bit("CLONE_PARENT", 0x8000),
    bit("CLONE_THREAD", 0x10000),
    bit("CLONE_NEWNS", 0x0002_0000),
    bit("CLONE_NEWCGROUP", 0x0200_0000),
    bit("CLONE_NEWUTS", 0x0400_0000),
    bit("CLONE_NEWIPC", 0x0800_0000),
    bit("CLONE_NEWUSER", 0x1000_0000),
    bit("CLONE_NEWPID", 0x2000_0000),
    bit("CLONE_NEWNET", 0x4000_0000),
    bit("CLONE_NEWTIME", 0x80),
];

/// The permission bits, and more flags behind them.
macro_rules! permissions {
    ($($more:expr,)*) => {
        &[
            bit("S_IXOTH", 0o1),
            bit("S_IWOTH", 0o2),
            bit("S_IROTH", 0o4),
            bit("S_IXGRP", 0o10),
            bit("S_IWGRP", 0o20),
            bit("S_IRGRP", 0o40),
            bit("S_IXUSR", 0o100),
            bit("S_IWUSR", 0o200),
            bit("S_IRUSR", 0o400),
            bit("S_ISVTX", 0o1000),
            bit("S_ISGID", 0o2000),
            bit("S_ISUID", 0o4000),
            $($more,)*
        ]
    };
}

/// Permission bits.
pub const MODE: &[Flag] = permissions![];

/// What `mknod` is asked to make: the permission bits, then the type of file (none is a plain one).
pub const NODE: &[Flag] = permissions![
    value("S_IFIFO", 0o170_000, 0o010_000),
    value("S_IFCHR", 0o170_000, 0o020_000),
    value("S_IFBLK", 0o170_000, 0o060_000),
    value("S_IFREG", 0o170_000, 0o100_000),
    value("S_IFSOCK", 0o170_000, 0o140_000),
];

/// Flags of the `at` calls. `AT_REMOVEDIR` shares its bit with `AT_EACCESS`, which none of those here has.
pub const AT: &[Flag] = &[
    bit("AT_SYMLINK_NOFOLLOW", 0x100),
    bit("AT_REMOVEDIR", 0x200),
    bit("AT_SYMLINK_FOLLOW", 0x400),
    bit("AT_EMPTY_PATH", 0x1000),
];

/// Flags of `renameat2`.
pub const RENAME: &[Flag] =
    &[bit("RENAME_NOREPLACE", 1), bit("RENAME_EXCHANGE", 1 << 1), bit("RENAME_WHITEOUT", 1 << 2)];

/// Capabilities (`linux/capability.h`).
pub const CAPABILITIES: &[Flag] = &[
    bit("CAP_CHOWN", 1 << 0),
    bit("CAP_DAC_OVERRIDE", 1 << 1),
    bit("CAP_DAC_READ_SEARCH", 1 << 2),
    bit("CAP_FOWNER", 1 << 3),
    bit("CAP_FSETID", 1 << 4),
    bit("CAP_KILL", 1 << 5),
    bit("CAP_SETGID", 1 << 6),
    bit("CAP_SETUID", 1 << 7),
    bit("CAP_SETPCAP", 1 << 8),
    bit("CAP_LINUX_IMMUTABLE", 1 << 9),
    bit("CAP_NET_BIND_SERVICE", 1 << 10),
    bit("CAP_NET_BROADCAST", 1 << 11),
    bit("CAP_NET_ADMIN", 1 << 12),
    bit("CAP_NET_RAW", 1 << 13),
    bit("CAP_IPC_LOCK", 1 << 14),
    bit("CAP_IPC_OWNER", 1 << 15),
    bit("CAP_SYS_MODULE", 1 << 16),
    bit("CAP_SYS_RAWIO", 1 << 17),
    bit("CAP_SYS_CHROOT", 1 << 18),
    bit("CAP_SYS_PTRACE", 1 << 19),
    bit("CAP_SYS_PACCT", 1 << 20),
    bit("CAP_SYS_ADMIN", 1 << 21),
    bit("CAP_SYS_BOOT", 1 << 22),
    bit("CAP_SYS_NICE", 1 << 23),
    bit("CAP_SYS_RESOURCE", 1 << 24),
    bit("CAP_SYS_TIME", 1 << 25),
    bit("CAP_SYS_TTY_CONFIG", 1 << 26),
    bit("CAP_MKNOD", 1 << 27),
    bit("CAP_LEASE", 1 << 28),
    bit("CAP_AUDIT_WRITE", 1 << 29),
    bit("CAP_AUDIT_CONTROL", 1 << 30),
    bit("CAP_SETFCAP", 1 << 31),
    bit("CAP_MAC_OVERRIDE", 1 << 32),
    bit("CAP_MAC_ADMIN", 1 << 33),
    bit("CAP_SYSLOG", 1 << 34),
    bit("CAP_WAKE_ALARM", 1 << 35),
    bit("CAP_BLOCK_SUSPEND", 1 << 36),
    bit("CAP_AUDIT_READ", 1 << 37),
    bit("CAP_PERFMON", 1 << 38),
    bit("CAP_BPF", 1 << 39),
    bit("CAP_CHECKPOINT_RESTORE", 1 << 40),
];

/// Every table that a field may show.
pub const TABLES: [&[Flag]; 24] = [
    OPEN,
    CLONE,
    MODE,
    NODE,
    AT,
    RENAME,
    CAPABILITIES,
    MOUNT,
    UMOUNT,
    MOVE_MOUNT,
    SOCK,
    PROT,
    MEMFD,
    MODULE_INIT,
    FD_FLAGS,
    URING,
    URING_FEATURES,
    DOMAIN,
    PTRACE,
    SIGNAL,
    PRCTL,
    BPF,
    KEYCTL,
    FCNTL,
];

/// The names of the flags that `word` holds, in the table's order.
pub fn names(table: &'static [Flag], word: u64) -> impl Iterator<Item = &'static str> {
    table.iter().filter(move |flag| word & flag.mask == flag.value).map(|flag| flag.name)
}

/// The names joined by `separator`; `0` where there is none.
#[must_use]
pub fn render(table: &'static [Flag], word: u64, separator: &str) -> String {
    let text = names(table, word).collect::<Vec<_>>().join(separator);
    if text.is_empty() { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_as_rules_compare_them() {
        assert_eq!(render(OPEN, 0o1101, "|"), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(render(OPEN, 0o4_010_002, "|"), "O_RDWR|O_SYNC");
        assert_eq!(render(CAPABILITIES, 1 << 21 | 1, " "), "CAP_CHOWN CAP_SYS_ADMIN");
        assert_eq!(render(CLONE, 0, "|"), "0");
    }
}
