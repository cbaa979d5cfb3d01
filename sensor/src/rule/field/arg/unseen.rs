//! Arguments of event types that the sensor does not see yet: rules may name them, and are blind, not wrong.

use crate::event::EventType;

/// The arguments of the event types that the sensor does not see yet: rules may name them, and are blind.
pub(super) const fn unseen(event_type: EventType) -> &'static [&'static str] {
    match event_type {
        EventType::Socket => &["fd", "domain", "type", "proto", "flags"],
        EventType::Recvfrom => &["res", "data", "tuple", "fd", "size"],
        EventType::Recvmsg => &["res", "size", "data", "tuple", "msgcontrol", "fd"],
        EventType::Chroot => &["res", "path"],
        EventType::Dup => &["res", "oldfd"],
        EventType::Dup2 => &["res", "oldfd", "newfd"],
        EventType::Dup3 => &["res", "oldfd", "newfd", "flags"],
        EventType::Ptrace => &["res", "addr", "data", "request", "pid"],
        EventType::ProcessVmReadv | EventType::ProcessVmWritev => &["res", "pid", "data"],
        EventType::InitModule => &["res", "img", "length", "uargs"],
        EventType::FinitModule => &["res", "fd", "uargs", "flags"],
        EventType::DeleteModule => &["res", "name", "flags"],
        EventType::Setns => &["res", "fd", "nstype"],
        EventType::Unshare | EventType::Userfaultfd => &["res", "flags"],
        EventType::Setuid => &["res", "uid"],
        EventType::Setgid => &["res", "gid"],
        EventType::Setresuid => &["res", "ruid", "euid", "suid"],
        EventType::Setreuid => &["res", "ruid", "euid"],
        EventType::Capset => &["res", "cap_inheritable", "cap_permitted", "cap_effective"],
        EventType::Mount => &["res", "dev", "dir", "type", "flags"],
        EventType::Umount => &["res", "name"],
        EventType::Umount2 => &["res", "name", "flags"],
        EventType::Bpf => &["fd", "cmd"],
        EventType::MemfdCreate => &["fd", "name", "flags"],
        EventType::IoUringSetup => &["res", "entries", "sq_entries", "cq_entries", "flags"],
        EventType::Prctl => &["res", "option", "arg2_str", "arg2_int"],
        EventType::Kill => &["res", "pid", "sig"],
        EventType::PidfdGetfd => &["fd", "pid_fd", "target_fd", "flags"],
        EventType::Mprotect => &["res", "addr", "length", "prot"],
        _ => &[],
    }
}
