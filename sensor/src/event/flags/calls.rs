//! Flag words of calls that mount, map and make things, under the names by which rules know them: those of `mount` and `umount2`
//! without the prefix of the kernel's headers.

use super::{Flag, bit, value};

/// Flags of `mount`.
pub const MOUNT: &[Flag] = &[
    bit("RDONLY", 1 << 0),
    bit("NOSUID", 1 << 1),
    bit("NODEV", 1 << 2),
    bit("NOEXEC", 1 << 3),
    bit("SYNCHRONOUS", 1 << 4),
    bit("REMOUNT", 1 << 5),
    bit("MANDLOCK", 1 << 6),
    bit("DIRSYNC", 1 << 7),
    bit("NOSYMFOLLOW", 1 << 8),
    bit("NOATIME", 1 << 10),
    bit("NODIRATIME", 1 << 11),
    bit("BIND", 1 << 12),
    bit("MOVE", 1 << 13),
    bit("REC", 1 << 14),
    bit("SILENT", 1 << 15),
    bit("POSIXACL", 1 << 16),
    bit("UNBINDABLE", 1 << 17),
    bit("PRIVATE", 1 << 18),
    bit("SLAVE", 1 << 19),
    bit("SHARED", 1 << 20),
    bit("RELATIME", 1 << 21),
    bit("KERNMOUNT", 1 << 22),
    bit("I_VERSION", 1 << 23),
    bit("STRICTATIME", 1 << 24),
    bit("LAZYTIME", 1 << 25),
];

/// Flags of `umount2`.
pub const UMOUNT: &[Flag] =
    &[bit("FORCE", 1 << 0), bit("DETACH", 1 << 1), bit("EXPIRE", 1 << 2), bit("NOFOLLOW", 1 << 3)];

/// Flags of `move_mount`.
pub const MOVE_MOUNT: &[Flag] = &[
    bit("MOVE_MOUNT_F_SYMLINKS", 1),
    bit("MOVE_MOUNT_F_AUTOMOUNTS", 2),
    bit("MOVE_MOUNT_F_EMPTY_PATH", 4),
    bit("MOVE_MOUNT_T_SYMLINKS", 0x10),
    bit("MOVE_MOUNT_T_AUTOMOUNTS", 0x20),
    bit("MOVE_MOUNT_T_EMPTY_PATH", 0x40),
    bit("MOVE_MOUNT_SET_GROUP", 0x100),
    bit("MOVE_MOUNT_BENEATH", 0x200),
];

/// What stands above the type of `socket`.
pub const SOCK: &[Flag] = &[bit("SOCK_NONBLOCK", 0o4000), bit("SOCK_CLOEXEC", 0o2_000_000)];

/// Protection of memory.
pub const PROT: &[Flag] = &[
    value("PROT_NONE", 0xf, 0),
    bit("PROT_READ", 1),
    bit("PROT_WRITE", 2),
    bit("PROT_EXEC", 4),
    bit("PROT_SEM", 8),
    bit("PROT_GROWSDOWN", 1 << 24),
    bit("PROT_GROWSUP", 1 << 25),
];

/// Flags of `memfd_create`.
pub const MEMFD: &[Flag] = &[
    bit("MFD_CLOEXEC", 1),
    bit("MFD_ALLOW_SEALING", 2),
    bit("MFD_HUGETLB", 4),
    bit("MFD_NOEXEC_SEAL", 8),
    bit("MFD_EXEC", 16),
];

/// Flags of `finit_module`.
pub const MODULE_INIT: &[Flag] = &[
    bit("MODULE_INIT_IGNORE_MODVERSIONS", 1),
    bit("MODULE_INIT_IGNORE_VERMAGIC", 2),
    bit("MODULE_INIT_COMPRESSED_FILE", 4),
];

/// Flags of a new descriptor (`dup3`, `userfaultfd`), and of `delete_module`.
pub const FD_FLAGS: &[Flag] = &[
    bit("O_TRUNC", 0o1000),
    bit("O_NONBLOCK", 0o4000),
    bit("O_CLOEXEC", 0o2_000_000),
    bit("UFFD_USER_MODE_ONLY", 1),
];

/// Flags of `io_uring_setup`.
pub const URING: &[Flag] = &[
    bit("IORING_SETUP_IOPOLL", 1 << 0),
    bit("IORING_SETUP_SQPOLL", 1 << 1),
    bit("IORING_SETUP_SQ_AFF", 1 << 2),
    bit("IORING_SETUP_CQSIZE", 1 << 3),
    bit("IORING_SETUP_CLAMP", 1 << 4),
    bit("IORING_SETUP_ATTACH_WQ", 1 << 5),
    bit("IORING_SETUP_R_DISABLED", 1 << 6),
    bit("IORING_SETUP_SUBMIT_ALL", 1 << 7),
    bit("IORING_SETUP_COOP_TASKRUN", 1 << 8),
    bit("IORING_SETUP_TASKRUN_FLAG", 1 << 9),
    bit("IORING_SETUP_SQE128", 1 << 10),
    bit("IORING_SETUP_CQE32", 1 << 11),
    bit("IORING_SETUP_SINGLE_ISSUER", 1 << 12),
    bit("IORING_SETUP_DEFER_TASKRUN", 1 << 13),
];

/// What the kernel says of itself to `io_uring_setup`.
pub const URING_FEATURES: &[Flag] = &[
    bit("IORING_FEAT_SINGLE_MMAP", 1 << 0),
    bit("IORING_FEAT_NODROP", 1 << 1),
    bit("IORING_FEAT_SUBMIT_STABLE", 1 << 2),
    bit("IORING_FEAT_RW_CUR_POS", 1 << 3),
    bit("IORING_FEAT_CUR_PERSONALITY", 1 << 4),
    bit("IORING_FEAT_FAST_POLL", 1 << 5),
    bit("IORING_FEAT_POLL_32BITS", 1 << 6),
    bit("IORING_FEAT_SQPOLL_NONFIXED", 1 << 7),
    bit("IORING_FEAT_ENTER_EXT_ARG", 1 << 8),
    bit("IORING_FEAT_NATIVE_WORKERS", 1 << 9),
    bit("IORING_FEAT_RSRC_TAGS", 1 << 10),
];
