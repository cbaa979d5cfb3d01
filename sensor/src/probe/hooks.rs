//! The program table: every hook of the sensor, and the ways to attach it, best first.
//!
//! A hook is one thing to see; its variants see the same thing with the same record, so nothing downstream knows which one
//! is at work.

use std::fmt;

use sensor_common::{Kind, syscalls};

use super::cgroup::Way;

/// What kind of programs a variant needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Tracepoints with BTF: any kernel since 5.5, also where LSM and fentry are refused.
    Tracepoint,
    /// Control groups of version 2, also beside those of version 1.
    Cgroup,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// To a tracepoint.
    Tracepoint(&'static str),
    /// To the end of system calls, through the dispatch table; numbers of `x86_64`.
    Syscalls(&'static [u32]),
    /// To the packets of every socket, at the root of the unified hierarchy of control groups.
    Packets(Way),
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint(name) => write!(f, "tp_btf/{name}"),
            Self::Syscalls(numbers) => write!(f, "tp_btf/{DISPATCHER}, {} calls", numbers.len()),
            Self::Packets(way) => write!(f, "cgroup_skb/{}", way.name()),
        }
    }
}

/// One way to see what a hook is there for.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Name of the program in the object.
    pub program: &'static str,
    /// What it needs.
    pub mode: Mode,
    /// Where it goes.
    pub via: Via,
}

/// One thing to see.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// `family_action`.
    pub stem: &'static str,
    /// The records it writes.
    pub kind: Kind,
    /// Whether it only sees attempts that failed: another hook sees the others.
    pub failures: bool,
    /// Whether the sensor is useless without it.
    pub essential: bool,
    /// Ways to attach it, best first.
    pub variants: &'static [Variant],
}

impl Hook {
    /// The system calls behind it, by their numbers of `x86_64`.
    #[must_use]
    pub fn calls(&self) -> &'static [u32] {
        let calls = self.variants.iter().find_map(|variant| match variant.via {
            Via::Syscalls(numbers) => Some(numbers),
            Via::Tracepoint(_) | Via::Packets(_) => None,
        });
        calls.unwrap_or_default()
    }
}

const fn tracepoint(program: &'static str, tracepoint: &'static str) -> Variant {
    Variant { program, mode: Mode::Tracepoint, via: Via::Tracepoint(tracepoint) }
}

const fn calls(program: &'static str, numbers: &'static [u32]) -> Variant {
    Variant { program, mode: Mode::Tracepoint, via: Via::Syscalls(numbers) }
}

const fn packets(program: &'static str, way: Way) -> Variant {
    Variant { program, mode: Mode::Cgroup, via: Via::Packets(way) }
}

const fn hook(stem: &'static str, kind: Kind, essential: bool, variants: &'static [Variant]) -> Hook {
    Hook { stem, kind, failures: false, essential, variants }
}

/// Name of the program that dispatches system calls.
pub(super) const DISPATCHER: &str = "sys_exit";

/// Every hook, in the order in which they are attached: what makes and ends processes first, so that the scan of running
/// ones leaves no hole.
pub const HOOKS: &[Hook] = &[
    hook("proc_fork", Kind::ProcFork, true, &[tracepoint("proc_fork", "sched_process_fork")]),
    hook("proc_exec", Kind::ProcExec, true, &[tracepoint("proc_exec", "sched_process_exec")]),
    hook("proc_exit", Kind::ProcExit, true, &[tracepoint("proc_exit", "sched_process_exit")]),
    hook("cgroup_mkdir", Kind::CgroupMkdir, false, &[tracepoint("cgroup_mkdir", "cgroup_mkdir")]),
    hook("cgroup_rmdir", Kind::CgroupRmdir, false, &[tracepoint("cgroup_rmdir", "cgroup_rmdir")]),
    Hook {
        failures: true,
        ..hook(
            "proc_exec_failed",
            Kind::ProcExec,
            false,
            &[calls("sx_proc_exec", &[syscalls::EXECVE, syscalls::EXECVEAT])],
        )
    },
    hook(
        "file_open",
        Kind::FileOpen,
        false,
        &[calls(
            "sx_file_open",
            &[
                syscalls::OPEN,
                syscalls::OPENAT,
                syscalls::OPENAT2,
                syscalls::CREAT,
                syscalls::OPEN_BY_HANDLE_AT,
            ],
        )],
    ),
    hook(
        "file_remove",
        Kind::FileRemove,
        false,
        &[calls("sx_file_remove", &[syscalls::UNLINK, syscalls::UNLINKAT, syscalls::RMDIR])],
    ),
    hook(
        "file_rename",
        Kind::FileRename,
        false,
        &[calls("sx_file_rename", &[syscalls::RENAME, syscalls::RENAMEAT, syscalls::RENAMEAT2])],
    ),
    hook(
        "file_link",
        Kind::FileLink,
        false,
        &[calls("sx_file_link", &[syscalls::LINK, syscalls::LINKAT, syscalls::SYMLINK, syscalls::SYMLINKAT])],
    ),
    hook(
        "file_make",
        Kind::FileMake,
        false,
        &[calls("sx_file_make", &[syscalls::MKDIR, syscalls::MKDIRAT, syscalls::MKNOD, syscalls::MKNODAT])],
    ),
    hook(
        "file_mode",
        Kind::FileMode,
        false,
        &[calls(
            "sx_file_mode",
            &[syscalls::CHMOD, syscalls::FCHMOD, syscalls::FCHMODAT, syscalls::FCHMODAT2],
        )],
    ),
    hook(
        "file_owner",
        Kind::FileOwner,
        false,
        &[calls("sx_file_owner", &[syscalls::CHOWN, syscalls::LCHOWN, syscalls::FCHOWN, syscalls::FCHOWNAT])],
    ),
    hook(
        "mount_attach",
        Kind::MountAttach,
        false,
        &[calls("sx_mount_attach", &[syscalls::MOUNT, syscalls::MOVE_MOUNT])],
    ),
    hook(
        "mount_detach",
        Kind::MountDetach,
        false,
        &[calls("sx_mount_detach", &[syscalls::UMOUNT, syscalls::UMOUNT2])],
    ),
    hook(
        "mount_root",
        Kind::MountRoot,
        false,
        &[calls("sx_mount_root", &[syscalls::PIVOT_ROOT, syscalls::CHROOT])],
    ),
    hook(
        "fd_dup",
        Kind::FdDup,
        false,
        &[calls("sx_fd_dup", &[syscalls::DUP, syscalls::DUP2, syscalls::DUP3, syscalls::FCNTL])],
    ),
    hook("net_connect", Kind::NetConnect, false, &[calls("sx_net_connect", &[syscalls::CONNECT])]),
    hook(
        "net_accept",
        Kind::NetAccept,
        false,
        &[calls("sx_net_accept", &[syscalls::ACCEPT, syscalls::ACCEPT4])],
    ),
    hook("net_bind", Kind::NetBind, false, &[calls("sx_net_bind", &[syscalls::BIND])]),
    hook("net_listen", Kind::NetListen, false, &[calls("sx_net_listen", &[syscalls::LISTEN])]),
    hook(
        "net_send",
        Kind::NetSend,
        false,
        &[calls("sx_net_send", &[syscalls::SENDTO, syscalls::SENDMSG, syscalls::SENDMMSG])],
    ),
    hook("net_socket", Kind::NetSocket, false, &[calls("sx_net_socket", &[syscalls::SOCKET])]),
    hook(
        "net_receive",
        Kind::NetReceive,
        false,
        &[calls("sx_net_receive", &[syscalls::RECVFROM, syscalls::RECVMSG, syscalls::RECVMMSG])],
    ),
    hook(
        "cred_change",
        Kind::CredChange,
        false,
        &[calls(
            "sx_cred_change",
            &[
                syscalls::SETUID,
                syscalls::SETGID,
                syscalls::SETREUID,
                syscalls::SETREGID,
                syscalls::SETRESUID,
                syscalls::SETRESGID,
                syscalls::SETFSUID,
                syscalls::SETFSGID,
            ],
        )],
    ),
    hook("cred_caps", Kind::CredCaps, false, &[calls("sx_cred_caps", &[syscalls::CAPSET])]),
    hook("ns_change", Kind::NsChange, false, &[calls("sx_ns_change", &[syscalls::SETNS, syscalls::UNSHARE])]),
    hook(
        "proc_trace",
        Kind::ProcTrace,
        false,
        &[calls(
            "sx_proc_trace",
            &[
                syscalls::PTRACE,
                syscalls::PROCESS_VM_READV,
                syscalls::PROCESS_VM_WRITEV,
                syscalls::PIDFD_GETFD,
            ],
        )],
    ),
    hook(
        "proc_signal",
        Kind::ProcSignal,
        false,
        &[calls("sx_proc_signal", &[syscalls::KILL, syscalls::TKILL, syscalls::TGKILL])],
    ),
    hook("proc_control", Kind::ProcControl, false, &[calls("sx_proc_control", &[syscalls::PRCTL])]),
    hook(
        "kernel_mod",
        Kind::KernelMod,
        false,
        &[calls("sx_kernel_mod", &[syscalls::INIT_MODULE, syscalls::FINIT_MODULE, syscalls::DELETE_MODULE])],
    ),
    hook("kernel_bpf", Kind::KernelBpf, false, &[calls("sx_kernel_bpf", &[syscalls::BPF])]),
    hook("kernel_perf", Kind::KernelPerf, false, &[calls("sx_kernel_perf", &[syscalls::PERF_EVENT_OPEN])]),
    hook("kernel_keys", Kind::KernelKeys, false, &[calls("sx_kernel_keys", &[syscalls::KEYCTL])]),
    hook("kernel_uring", Kind::KernelUring, false, &[calls("sx_kernel_uring", &[syscalls::IO_URING_SETUP])]),
    hook("mem_create", Kind::MemCreate, false, &[calls("sx_mem_create", &[syscalls::MEMFD_CREATE])]),
    hook("mem_fault", Kind::MemFault, false, &[calls("sx_mem_fault", &[syscalls::USERFAULTFD])]),
    hook("mem_protect", Kind::MemProtect, false, &[calls("sx_mem_protect", &[syscalls::MPROTECT])]),
    hook("net_dns_query", Kind::NetDns, false, &[packets("net_dns_query", Way::Out)]),
    hook("net_dns_answer", Kind::NetDns, false, &[packets("net_dns_answer", Way::In)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_hook_and_program_names_survive_the_kernel() {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::ProcArgs) {
            assert!(HOOKS.iter().any(|hook| hook.kind == kind), "{}", kind.stem());
        }
        let calls = HOOKS.iter().flat_map(Hook::calls);
        let places: Vec<u32> = calls.map(|number| sensor_common::filter::call_index(0, *number, 0)).collect();
        for (at, place) in places.iter().enumerate() {
            assert!(
                !places[..at].contains(place),
                "two calls have the place {place} in the tables of filters"
            );
        }
        for variant in HOOKS.iter().flat_map(|hook| hook.variants) {
            assert!(variant.program.len() <= 15, "{}", variant.program);
        }
    }
}
