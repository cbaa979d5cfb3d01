//! The kernel fields that the programs read, each with its place in the running kernel's BTF.
//!
//! A path is `type.member.member`; `a|b` tries one after the other (a member was renamed), `sizeof type` is a size, and
//! `member[Enumerator]` or `member[2]` the element of an array of words. The loader patches [`Offsets`] into the instructions; what
//! this kernel does not have becomes [`MISSING`], and the program reads zero and clears the field's bit in `Header::valid`.
//!
//! The registers are those of `x86_64` or of `arm64`, whose first one holds the result when the call has ended: what it held
//! before is `orig_x0`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// In place of an offset: this kernel has no such field.
pub const MISSING: u32 = 0xffff;

macro_rules! offsets {
    ($($name:ident: $path:literal $need:ident;)*) => {
        /// Byte offsets, in the order of [`FIELDS`].
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct Offsets {
            $(#[doc = concat!("`", $path, "`")] pub $name: u32,)*
        }

        /// Every field: the member of [`Offsets`], its path, and whether the sensor can do without.
        pub const FIELDS: &[Field] = &[
            $(Field { name: stringify!($name), path: $path, need: Need::$need },)*
        ];
    };
}

/// One kernel field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Member of [`Offsets`].
    pub name: &'static str,
    /// Where it is.
    pub path: &'static str,
    /// What its absence means.
    pub need: Need,
}

/// What the absence of a field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it no record makes sense: the sensor cannot run on this kernel.
    Always,
    /// Its value is not known on this kernel.
    Optional,
}

offsets! {
    task_pid: "task_struct.pid" Always;
    task_tgid: "task_struct.tgid" Always;
    task_flags: "task_struct.flags" Always;
    task_parent: "task_struct.real_parent" Always;
    task_leader: "task_struct.group_leader" Always;
    task_start: "task_struct.start_boottime|task_struct.real_start_time" Always;
    task_comm: "task_struct.comm" Always;
    task_cred: "task_struct.cred" Always;
    task_mm: "task_struct.mm" Always;
    task_fs: "task_struct.fs" Always;
    task_files: "task_struct.files" Always;
    task_nsproxy: "task_struct.nsproxy" Optional;
    task_thread_pid: "task_struct.thread_pid" Optional;
    task_signal: "task_struct.signal" Always;
    task_exit_code: "task_struct.exit_code" Always;
    task_loginuid: "task_struct.loginuid" Optional;
    task_cgroups: "task_struct.cgroups" Optional;
    task_stack: "task_struct.stack" Optional;
    task_ti_compat: "task_struct.thread_info.status|task_struct.thread_info.flags" Always;
    cred_uid: "cred.uid" Always;
    cred_gid: "cred.gid" Always;
    cred_euid: "cred.euid" Always;
    cred_egid: "cred.egid" Always;
    cred_cap_inheritable: "cred.cap_inheritable" Optional;
    cred_cap_permitted: "cred.cap_permitted" Optional;
    cred_cap_effective: "cred.cap_effective" Optional;
    cred_user_ns: "cred.user_ns" Optional;
    mm_arg_start: "mm_struct.arg_start" Always;
    mm_arg_end: "mm_struct.arg_end" Always;
    mm_env_start: "mm_struct.env_start" Always;
    mm_env_end: "mm_struct.env_end" Always;
    fs_root: "fs_struct.root" Always;
    fs_pwd: "fs_struct.pwd" Always;
    files_fdt: "files_struct.fdt" Always;
    fdt_fd: "fdtable.fd" Always;
    fdt_max_fds: "fdtable.max_fds" Always;
    nsproxy_mnt: "nsproxy.mnt_ns" Optional;
    nsproxy_net: "nsproxy.net_ns" Optional;
    mnt_ns_inum: "mnt_namespace.ns.inum" Optional;
    net_ns_inum: "net.ns.inum" Optional;
    user_ns_inum: "user_namespace.ns.inum" Optional;
    pid_ns_inum: "pid_namespace.ns.inum" Optional;
    pid_level: "pid.level" Optional;
    pid_numbers: "pid.numbers" Optional;
    upid_size: "sizeof upid" Optional;
    upid_nr: "upid.nr" Optional;
    upid_ns: "upid.ns" Optional;
    signal_pgid: "signal_struct.pids[PIDTYPE_PGID]" Optional;
    signal_sid: "signal_struct.pids[PIDTYPE_SID]" Optional;
    signal_tgid: "signal_struct.pids[PIDTYPE_TGID]" Optional;
    signal_tty: "signal_struct.tty" Optional;
    signal_live: "signal_struct.live" Always;
    signal_threads: "signal_struct.nr_threads" Optional;
    signal_exit_code: "signal_struct.group_exit_code" Always;
    tty_driver: "tty_struct.driver" Optional;
    tty_index: "tty_struct.index" Optional;
    tty_driver_major: "tty_driver.major" Optional;
    tty_driver_minor: "tty_driver.minor_start" Optional;
    css_set_dfl: "css_set.dfl_cgrp" Optional;
    css_set_subsys: "css_set.subsys" Optional;
    css_cgroup: "cgroup_subsys_state.cgroup" Optional;
    cgroup_kn: "cgroup.kn" Optional;
    css_parent: "cgroup_subsys_state.parent" Optional;
    cgroup_self: "cgroup.self" Optional;
    cgroup_level: "cgroup.level" Optional;
    cgroup_root: "cgroup.root" Optional;
    cgroup_hierarchy: "cgroup_root.hierarchy_id" Optional;
    kn_id: "kernfs_node.id" Optional;
    kn_parent: "kernfs_node.parent|kernfs_node.__parent" Optional;
    kn_name: "kernfs_node.name" Optional;
    kn_private: "kernfs_node.priv" Optional;
    bprm_file: "linux_binprm.file" Always;
    bprm_filename: "linux_binprm.filename" Always;
    bprm_interp: "linux_binprm.interp" Optional;
    bprm_fdpath: "linux_binprm.fdpath" Optional;
    bprm_buf: "linux_binprm.buf" Optional;
    file_path: "file.f_path|file.__f_path" Always;
    file_inode: "file.f_inode" Always;
    file_flags: "file.f_flags" Optional;
    file_mode: "file.f_mode" Always;
    file_private: "file.private_data" Always;
    vfsmount_root: "vfsmount.mnt_root" Always;
    mount_mnt: "mount.mnt" Always;
    mount_parent: "mount.mnt_parent" Always;
    mount_point: "mount.mnt_mountpoint" Always;
    dentry_parent: "dentry.d_parent" Always;
    dentry_name: "dentry.d_name|dentry.__d_name" Always;
    dentry_inode: "dentry.d_inode" Optional;
    inode_ino: "inode.i_ino" Always;
    inode_mode: "inode.i_mode" Always;
    inode_nlink: "inode.i_nlink|inode.__i_nlink" Always;
    inode_uid: "inode.i_uid" Always;
    inode_gid: "inode.i_gid" Always;
    inode_sb: "inode.i_sb" Always;
    inode_size: "sizeof inode" Optional;
    inode_ctime: "inode.i_ctime_sec|inode.__i_ctime.tv_sec|inode.i_ctime.tv_sec" Optional;
    inode_ctime_nsec: "inode.i_ctime_nsec|inode.__i_ctime.tv_nsec|inode.i_ctime.tv_nsec" Optional;
    inode_mtime: "inode.i_mtime_sec|inode.__i_mtime.tv_sec|inode.i_mtime.tv_sec" Optional;
    inode_mtime_nsec: "inode.i_mtime_nsec|inode.__i_mtime.tv_nsec|inode.i_mtime.tv_nsec" Optional;
    sb_dev: "super_block.s_dev" Always;
    sb_magic: "super_block.s_magic" Optional;
    socket_sk: "socket.sk" Always;
    socket_type: "socket.type" Always;
    sk_family: "sock.__sk_common.skc_family" Always;
    sk_state: "sock.__sk_common.skc_state" Always;
    sk_protocol: "sock.sk_protocol" Always;
    sk_num: "sock.__sk_common.skc_num" Always;
    sk_dport: "sock.__sk_common.skc_dport" Always;
    sk_daddr: "sock.__sk_common.skc_daddr" Always;
    sk_rcv_saddr: "sock.__sk_common.skc_rcv_saddr" Always;
    sk_v6_daddr: "sock.__sk_common.skc_v6_daddr" Optional;
    sk_v6_rcv_saddr: "sock.__sk_common.skc_v6_rcv_saddr" Optional;
    unix_addr: "unix_sock.addr" Optional;
    unix_peer: "unix_sock.peer" Optional;
    unix_path: "unix_sock.path" Optional;
    unix_address_len: "unix_address.len" Optional;
    unix_address_name: "unix_address.name" Optional;
    inode_private: "inode.i_private" Optional;
    bpf_map_id: "bpf_map.id" Optional;
    bpf_link_id: "bpf_link.id" Optional;
    regs_syscall: "pt_regs.orig_ax|pt_regs.syscallno" Always;
    regs_size: "sizeof pt_regs" Optional;
    regs_0: "pt_regs.di|pt_regs.orig_x0" Always;
    regs_1: "pt_regs.si|pt_regs.regs[1]" Always;
    regs_2: "pt_regs.dx|pt_regs.regs[2]" Always;
    regs_3: "pt_regs.r10|pt_regs.regs[3]" Always;
    regs_4: "pt_regs.r8|pt_regs.regs[4]" Always;
    regs_5: "pt_regs.r9|pt_regs.regs[5]" Always;
    regs_compat_0: "pt_regs.bx|pt_regs.orig_x0" Always;
    regs_compat_1: "pt_regs.cx|pt_regs.regs[1]" Always;
    regs_compat_2: "pt_regs.dx|pt_regs.regs[2]" Always;
    regs_compat_3: "pt_regs.si|pt_regs.regs[3]" Always;
    regs_compat_4: "pt_regs.di|pt_regs.regs[4]" Always;
    regs_compat_5: "pt_regs.bp|pt_regs.regs[5]" Always;
    filename_name: "filename.name" Optional;
    request_file: "io_kiocb.file" Optional;
    request_opcode: "io_kiocb.opcode" Optional;
    request_flags: "io_kiocb.flags" Optional;
    request_result: "io_kiocb.cqe.res" Optional;
    request_ring: "io_kiocb.ctx" Optional;
    ring_files: "io_ring_ctx.file_table.data.nodes|io_ring_ctx.file_table.files" Optional;
    node_file: "io_rsrc_node.file_ptr" Optional;
    open_dirfd: "io_open.dfd" Optional;
    open_slot: "io_open.file_slot" Optional;
    open_name: "io_open.filename" Optional;
    open_how: "io_open.how" Optional;
    rename_old_dirfd: "io_rename.old_dfd" Optional;
    rename_new_dirfd: "io_rename.new_dfd" Optional;
    rename_old: "io_rename.oldpath" Optional;
    rename_new: "io_rename.newpath" Optional;
    rename_flags: "io_rename.flags" Optional;
    unlink_dirfd: "io_unlink.dfd" Optional;
    unlink_name: "io_unlink.filename" Optional;
    unlink_flags: "io_unlink.flags" Optional;
    mkdir_dirfd: "io_mkdir.dfd" Optional;
    mkdir_name: "io_mkdir.filename" Optional;
    mkdir_mode: "io_mkdir.mode" Optional;
    link_old_dirfd: "io_link.old_dfd" Optional;
    link_new_dirfd: "io_link.new_dfd" Optional;
    link_old: "io_link.oldpath" Optional;
    link_new: "io_link.newpath" Optional;
    link_flags: "io_link.flags" Optional;
    socket_domain: "io_socket.domain" Optional;
    socket_asked_type: "io_socket.type" Optional;
    socket_protocol: "io_socket.protocol" Optional;
    socket_slot: "io_socket.file_slot" Optional;
    connect_addr: "io_connect.addr" Optional;
    connect_len: "io_connect.addr_len" Optional;
    accept_slot: "io_accept.file_slot" Optional;
    accept_flags: "io_accept.flags" Optional;
    listen_backlog: "io_listen.backlog" Optional;
    send_message: "io_sr_msg.umsg" Optional;
}
