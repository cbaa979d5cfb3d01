//! The program table: every hook of the sensor, and the ways to attach it, best first.
//!
//! A hook is one thing to see; its variants see the same thing with the same record, so nothing downstream knows which one
//! is at work.

use std::fmt;

use sensor_common::{Kind, syscalls, uring};

use super::cgroup::Way;

/// What kind of programs a variant needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Programs at the ends of functions (fexit): what nobody watches costs nothing. Some kernels refuse them.
    Full,
    /// Tracepoints with BTF: any kernel since 5.5.
    Tracepoint,
    /// Control groups of version 2, also beside those of version 1.
    Cgroup,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Tracepoint => "tracepoint",
            Self::Cgroup => "cgroup",
        })
    }
}

/// Which of the records of its kind a hook writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All that no other hook writes.
    Whole,
    /// What was tried and failed.
    Failures,
    /// What came back.
    Answers,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// To a tracepoint, and where the kernel leaves programs out there, the program `stand_in` behind it.
    Tracepoint {
        /// Its name.
        name: &'static str,
        /// Name of the program in the object.
        stand_in: &'static str,
    },
    /// To the end of the functions of these system calls; numbers of `x86_64`.
    Functions(&'static [u32]),
    /// To the end of all system calls, through the dispatch table, for these.
    Syscalls(&'static [u32]),
    /// To the completion of operations through `io_uring`, by a table of their own, and with the program `submitted` to their
    /// submission.
    Operations {
        /// Numbers of `enum io_uring_op`.
        numbers: &'static [u32],
        /// Name of the program in the object.
        submitted: Option<&'static str>,
    },
    /// To the packets of every socket, at the root of the unified hierarchy of control groups.
    Packets(Way),
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint { name, .. } => write!(f, "tp_btf/{name}"),
            Self::Functions(numbers) => write!(f, "fexit, {} calls", numbers.len()),
            Self::Syscalls(numbers) => write!(f, "tp_btf/{DISPATCHER}, {} calls", numbers.len()),
            Self::Operations { numbers, .. } => {
                write!(f, "tp_btf/{COMPLETION}, {} operations", numbers.len())
            }
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
    /// Which of them.
    pub share: Share,
    /// Whether the sensor is useless without it: where it cannot be attached, it does not start.
    pub essential: bool,
    /// Ways to attach it, best first.
    pub variants: &'static [Variant],
}

impl Hook {
    /// The system calls behind it, by their numbers of `x86_64`.
    #[must_use]
    pub fn calls(&self) -> &'static [u32] {
        let calls = self.variants.iter().find_map(|variant| match variant.via {
            Via::Functions(numbers) | Via::Syscalls(numbers) => Some(numbers),
            Via::Tracepoint { .. } | Via::Operations { .. } | Via::Packets(_) => None,
        });
        calls.unwrap_or_default()
    }
}

/// A tracepoint by the programs `NAME` and `NAME_2`.
macro_rules! tracepoint {
    ($program:literal, $name:literal) => {
        Variant {
            program: $program,
            mode: Mode::Tracepoint,
            via: Via::Tracepoint { name: $name, stand_in: concat!($program, "_2") },
        }
    };
}

/// Both ways to see the end of system calls, by the programs `fx_NAME` and `sx_NAME`.
macro_rules! calls {
    ($name:literal: $($number:ident),+ $(,)?) => {{
        const NUMBERS: &[u32] = &[$(syscalls::$number),+];
        &[
            Variant { program: concat!("fx_", $name), mode: Mode::Full, via: Via::Functions(NUMBERS) },
            Variant { program: concat!("sx_", $name), mode: Mode::Tracepoint, via: Via::Syscalls(NUMBERS) },
        ]
    }};
}

/// The completion of operations by the program `ur_NAME`, and where there is one their submission by `us_NAME`.
macro_rules! operations {
    ($name:literal: $($number:ident),+) => {
        operations!(@ $name, Some(concat!("us_", $name)), [$($number),+])
    };
    ($name:literal completed: $($number:ident),+) => {
        operations!(@ $name, None, [$($number),+])
    };
    (@ $name:literal, $submitted:expr, [$($number:ident),+]) => {
        &[Variant {
            program: concat!("ur_", $name),
            mode: Mode::Tracepoint,
            via: Via::Operations { numbers: &[$(uring::$number),+], submitted: $submitted },
        }]
    };
}

const fn packets(program: &'static str, way: Way) -> Variant {
    Variant { program, mode: Mode::Cgroup, via: Via::Packets(way) }
}

const fn hook(stem: &'static str, kind: Kind, essential: bool, variants: &'static [Variant]) -> Hook {
    Hook { stem, kind, share: Share::Whole, essential, variants }
}

/// Name of the program that dispatches system calls behind the tracepoint, and of the tracepoint.
pub(super) const DISPATCHER: &str = "sys_exit";
/// Where an operation through `io_uring` is completed.
pub(super) const COMPLETION: &str = "io_uring_complete";
/// Where it is submitted: a tracepoint that had another name up to 6.2.
pub(super) const SUBMISSION: [&str; 2] = ["io_uring_submit_req", "io_uring_submit_sqe"];
/// Names of the programs that dispatch them behind functions, one for each prototype that these have, and of their tables.
pub(super) const DISPATCHERS: [(&str, &str); 2] =
    [("sys_return", "FUNCTIONS"), ("sys_return_2", "FUNCTIONS_2")];

/// Every hook, in the order in which they are attached: what makes and ends processes first, so that the scan of running
/// ones leaves no hole.
pub const HOOKS: &[Hook] = &[
    hook("proc_fork", Kind::ProcFork, true, &[tracepoint!("proc_fork", "sched_process_fork")]),
    hook("proc_exec", Kind::ProcExec, true, &[tracepoint!("proc_exec", "sched_process_exec")]),
    hook("proc_exit", Kind::ProcExit, true, &[tracepoint!("proc_exit", "sched_process_exit")]),
    hook("cgroup_mkdir", Kind::CgroupMkdir, false, &[tracepoint!("cgroup_mkdir", "cgroup_mkdir")]),
    hook("cgroup_rmdir", Kind::CgroupRmdir, false, &[tracepoint!("cgroup_rmdir", "cgroup_rmdir")]),
    Hook {
        share: Share::Failures,
        ..hook("proc_exec_failed", Kind::ProcExec, false, calls!("proc_exec": EXECVE, EXECVEAT))
    },
    hook(
        "file_open",
        Kind::FileOpen,
        false,
        calls!("file_open": OPEN, OPENAT, OPENAT2, CREAT, OPEN_BY_HANDLE_AT),
    ),
    hook("file_remove", Kind::FileRemove, false, calls!("file_remove": UNLINK, UNLINKAT, RMDIR)),
    hook("file_rename", Kind::FileRename, false, calls!("file_rename": RENAME, RENAMEAT, RENAMEAT2)),
    hook("file_link", Kind::FileLink, false, calls!("file_link": LINK, LINKAT, SYMLINK, SYMLINKAT)),
    hook("file_make", Kind::FileMake, false, calls!("file_make": MKDIR, MKDIRAT, MKNOD, MKNODAT)),
    hook("file_mode", Kind::FileMode, false, calls!("file_mode": CHMOD, FCHMOD, FCHMODAT, FCHMODAT2)),
    hook("file_owner", Kind::FileOwner, false, calls!("file_owner": CHOWN, LCHOWN, FCHOWN, FCHOWNAT)),
    hook("mount_attach", Kind::MountAttach, false, calls!("mount_attach": MOUNT, MOVE_MOUNT)),
    hook("mount_detach", Kind::MountDetach, false, calls!("mount_detach": UMOUNT, UMOUNT2)),
    hook("mount_root", Kind::MountRoot, false, calls!("mount_root": PIVOT_ROOT, CHROOT)),
    hook("fd_dup", Kind::FdDup, false, calls!("fd_dup": DUP, DUP2, DUP3, FCNTL)),
    hook("net_connect", Kind::NetConnect, false, calls!("net_connect": CONNECT)),
    hook("net_accept", Kind::NetAccept, false, calls!("net_accept": ACCEPT, ACCEPT4)),
    hook("net_bind", Kind::NetBind, false, calls!("net_bind": BIND)),
    hook("net_listen", Kind::NetListen, false, calls!("net_listen": LISTEN)),
    hook("net_send", Kind::NetSend, false, calls!("net_send": SENDTO, SENDMSG, SENDMMSG)),
    hook("net_socket", Kind::NetSocket, false, calls!("net_socket": SOCKET)),
    hook("net_receive", Kind::NetReceive, false, calls!("net_receive": RECVFROM, RECVMSG, RECVMMSG)),
    hook(
        "cred_change",
        Kind::CredChange,
        false,
        calls!("cred_change": SETUID, SETGID, SETREUID, SETREGID, SETRESUID, SETRESGID, SETFSUID, SETFSGID),
    ),
    hook("cred_caps", Kind::CredCaps, false, calls!("cred_caps": CAPSET)),
    hook("ns_change", Kind::NsChange, false, calls!("ns_change": SETNS, UNSHARE)),
    hook(
        "proc_trace",
        Kind::ProcTrace,
        false,
        calls!("proc_trace": PTRACE, PROCESS_VM_READV, PROCESS_VM_WRITEV, PIDFD_GETFD),
    ),
    hook(
        "proc_signal",
        Kind::ProcSignal,
        false,
        calls!("proc_signal": KILL, TKILL, TGKILL, PIDFD_SEND_SIGNAL),
    ),
    hook("proc_control", Kind::ProcControl, false, calls!("proc_control": PRCTL)),
    hook(
        "kernel_mod",
        Kind::KernelMod,
        false,
        calls!("kernel_mod": INIT_MODULE, FINIT_MODULE, DELETE_MODULE),
    ),
    hook("kernel_bpf", Kind::KernelBpf, false, calls!("kernel_bpf": BPF)),
    hook("kernel_perf", Kind::KernelPerf, false, calls!("kernel_perf": PERF_EVENT_OPEN)),
    hook("kernel_keys", Kind::KernelKeys, false, calls!("kernel_keys": KEYCTL)),
    hook("kernel_uring", Kind::KernelUring, false, calls!("kernel_uring": IO_URING_SETUP)),
    hook("mem_create", Kind::MemCreate, false, calls!("mem_create": MEMFD_CREATE)),
    hook("mem_fault", Kind::MemFault, false, calls!("mem_fault": USERFAULTFD)),
    hook("mem_protect", Kind::MemProtect, false, calls!("mem_protect": MPROTECT)),
    hook("net_dns_query", Kind::NetDns, false, &[packets("net_dns_query", Way::Out)]),
    Hook {
        share: Share::Answers,
        ..hook("net_dns_answer", Kind::NetDns, false, &[packets("net_dns_answer", Way::In)])
    },
    hook("uring_file_open", Kind::FileOpen, false, operations!("file_open": OPENAT, OPENAT2)),
    hook("uring_file_remove", Kind::FileRemove, false, operations!("file_remove": UNLINKAT)),
    hook("uring_file_rename", Kind::FileRename, false, operations!("file_rename": RENAMEAT)),
    hook("uring_file_link", Kind::FileLink, false, operations!("file_link": LINKAT, SYMLINKAT)),
    hook("uring_file_make", Kind::FileMake, false, operations!("file_make": MKDIRAT)),
    hook("uring_net_socket", Kind::NetSocket, false, operations!("net_socket" completed: SOCKET)),
    hook("uring_net_connect", Kind::NetConnect, false, operations!("net_connect": CONNECT)),
    hook("uring_net_accept", Kind::NetAccept, false, operations!("net_accept" completed: ACCEPT)),
    hook("uring_net_bind", Kind::NetBind, false, operations!("net_bind" completed: BIND)),
    hook("uring_net_listen", Kind::NetListen, false, operations!("net_listen" completed: LISTEN)),
    hook("uring_net_send", Kind::NetSend, false, operations!("net_send": SENDMSG, SENDMSG_ZC)),
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
