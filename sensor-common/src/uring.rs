//! Operations of `io_uring`, by the numbers of the kernel's `enum io_uring_op`, which never change.

/// Slots of a dispatch table: more than any kernel has operations (63 in 6.18).
pub const OPERATIONS: u32 = 128;

/// `IORING_OP_SENDMSG`.
pub const SENDMSG: u32 = 9;
/// `IORING_OP_ACCEPT`.
pub const ACCEPT: u32 = 13;
/// `IORING_OP_CONNECT`.
pub const CONNECT: u32 = 16;
/// `IORING_OP_OPENAT`.
pub const OPENAT: u32 = 18;
/// `IORING_OP_OPENAT2`.
pub const OPENAT2: u32 = 28;
/// `IORING_OP_RENAMEAT`.
pub const RENAMEAT: u32 = 35;
/// `IORING_OP_UNLINKAT`.
pub const UNLINKAT: u32 = 36;
/// `IORING_OP_MKDIRAT`.
pub const MKDIRAT: u32 = 37;
/// `IORING_OP_SYMLINKAT`.
pub const SYMLINKAT: u32 = 38;
/// `IORING_OP_LINKAT`.
pub const LINKAT: u32 = 39;
/// `IORING_OP_SOCKET`.
pub const SOCKET: u32 = 45;
/// `IORING_OP_SENDMSG_ZC`.
pub const SENDMSG_ZC: u32 = 48;
/// `IORING_OP_BIND`.
pub const BIND: u32 = 56;
/// `IORING_OP_LISTEN`.
pub const LISTEN: u32 = 57;
