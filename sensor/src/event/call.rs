//! The types of events, by the names that rules use.

use std::fmt;

use sensor_common::{Kind, syscalls};
use serde::{Serialize, Serializer};

/// Family of an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Processes.
    Process,
    /// Files.
    File,
    /// Sockets.
    Network,
    /// Credentials, namespaces, the kernel itself.
    Privilege,
    /// The sensor's own.
    Sensor,
}

macro_rules! event_types {
    ($($variant:ident $name:literal $category:ident $kind:ident $call:ident;)*) => {
        /// What happened. Every type that the rule language knows; [`EventType::is_seen`] tells which the sensor produces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum EventType { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        impl EventType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that rules use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its family.
            #[must_use]
            pub const fn category(self) -> Category {
                match self { $(Self::$variant => Category::$category,)* }
            }

            /// The kind of record that these events come from; `None` for types that the sensor does not see, or makes itself.
            #[must_use]
            pub const fn kind(self) -> Option<Kind> {
                match self { $(Self::$variant => maybe!(Kind $kind),)* }
            }

            /// The call that makes them, by its number in the table of `x86_64`.
            const fn call(self) -> Option<u32> {
                match self { $(Self::$variant => maybe!(syscalls $call),)* }
            }
        }
    };
}

macro_rules! maybe {
    ($place:ident none) => {
        None
    };
    ($place:ident $name:ident) => {
        Some($place::$name)
    };
}

// Name, family, kind of record, system call.
event_types! {
    Execve "execve" Process ProcExec EXECVE;
    Execveat "execveat" Process ProcExec EXECVEAT;
    Fork "fork" Process ProcFork FORK;
    Vfork "vfork" Process ProcFork VFORK;
    Clone "clone" Process ProcFork CLONE;
    Clone3 "clone3" Process ProcFork CLONE3;
    Procexit "procexit" Process ProcExit none;
    Open "open" File FileOpen OPEN;
    Openat "openat" File FileOpen OPENAT;
    Openat2 "openat2" File FileOpen OPENAT2;
    Creat "creat" File FileOpen CREAT;
    OpenByHandleAt "open_by_handle_at" File FileOpen OPEN_BY_HANDLE_AT;
    Connect "connect" Network NetConnect CONNECT;
    Accept "accept" Network NetAccept ACCEPT;
    Accept4 "accept4" Network NetAccept ACCEPT4;
    Bind "bind" Network NetBind BIND;
    Listen "listen" Network NetListen LISTEN;
    Sendto "sendto" Network NetSend SENDTO;
    Sendmsg "sendmsg" Network NetSend SENDMSG;
    Sendmmsg "sendmmsg" Network NetSend SENDMMSG;
    Dns "dns" Network NetDns none;
    Socket "socket" Network NetSocket SOCKET;
    Recvfrom "recvfrom" Network NetReceive RECVFROM;
    Recvmsg "recvmsg" Network NetReceive RECVMSG;
    Recvmmsg "recvmmsg" Network NetReceive RECVMMSG;
    Unlink "unlink" File FileRemove UNLINK;
    Unlinkat "unlinkat" File FileRemove UNLINKAT;
    Rmdir "rmdir" File FileRemove RMDIR;
    Rename "rename" File FileRename RENAME;
    Renameat "renameat" File FileRename RENAMEAT;
    Renameat2 "renameat2" File FileRename RENAMEAT2;
    Mkdir "mkdir" File FileMake MKDIR;
    Mkdirat "mkdirat" File FileMake MKDIRAT;
    Link "link" File FileLink LINK;
    Linkat "linkat" File FileLink LINKAT;
    Symlink "symlink" File FileLink SYMLINK;
    Symlinkat "symlinkat" File FileLink SYMLINKAT;
    Chmod "chmod" File FileMode CHMOD;
    Fchmod "fchmod" File FileMode FCHMOD;
    Fchmodat "fchmodat" File FileMode FCHMODAT;
    Fchmodat2 "fchmodat2" File FileMode FCHMODAT2;
    Chown "chown" File FileOwner CHOWN;
    Lchown "lchown" File FileOwner LCHOWN;
    Fchown "fchown" File FileOwner FCHOWN;
    Fchownat "fchownat" File FileOwner FCHOWNAT;
    Mknod "mknod" File FileMake MKNOD;
    Mknodat "mknodat" File FileMake MKNODAT;
    Dup "dup" File FdDup DUP;
    Dup2 "dup2" File FdDup DUP2;
    Dup3 "dup3" File FdDup DUP3;
    Fcntl "fcntl" File FdDup FCNTL;
    Ptrace "ptrace" Privilege ProcTrace PTRACE;
    ProcessVmReadv "process_vm_readv" Privilege ProcTrace PROCESS_VM_READV;
    ProcessVmWritev "process_vm_writev" Privilege ProcTrace PROCESS_VM_WRITEV;
    PidfdGetfd "pidfd_getfd" Process ProcTrace PIDFD_GETFD;
    InitModule "init_module" Privilege KernelMod INIT_MODULE;
    FinitModule "finit_module" Privilege KernelMod FINIT_MODULE;
    DeleteModule "delete_module" Privilege KernelMod DELETE_MODULE;
    Setns "setns" Privilege NsChange SETNS;
    Unshare "unshare" Privilege NsChange UNSHARE;
    Setuid "setuid" Privilege CredChange SETUID;
    Setgid "setgid" Privilege CredChange SETGID;
    Setreuid "setreuid" Privilege CredChange SETREUID;
    Setregid "setregid" Privilege CredChange SETREGID;
    Setresuid "setresuid" Privilege CredChange SETRESUID;
    Setresgid "setresgid" Privilege CredChange SETRESGID;
    Setfsuid "setfsuid" Privilege CredChange SETFSUID;
    Setfsgid "setfsgid" Privilege CredChange SETFSGID;
    Capset "capset" Privilege CredCaps CAPSET;
    Mount "mount" File MountAttach MOUNT;
    MoveMount "move_mount" File MountAttach MOVE_MOUNT;
    Umount "umount" File MountDetach UMOUNT;
    Umount2 "umount2" File MountDetach UMOUNT2;
    PivotRoot "pivot_root" File MountRoot PIVOT_ROOT;
    Chroot "chroot" File MountRoot CHROOT;
    Bpf "bpf" Privilege KernelBpf BPF;
    PerfEventOpen "perf_event_open" Privilege KernelPerf PERF_EVENT_OPEN;
    Keyctl "keyctl" Privilege KernelKeys KEYCTL;
    Userfaultfd "userfaultfd" Privilege MemFault USERFAULTFD;
    MemfdCreate "memfd_create" File MemCreate MEMFD_CREATE;
    IoUringSetup "io_uring_setup" Privilege KernelUring IO_URING_SETUP;
    Prctl "prctl" Process ProcControl PRCTL;
    Kill "kill" Process ProcSignal KILL;
    Tkill "tkill" Process ProcSignal TKILL;
    Tgkill "tgkill" Process ProcSignal TGKILL;
    PidfdSendSignal "pidfd_send_signal" Process ProcSignal PIDFD_SEND_SIGNAL;
    Mprotect "mprotect" Process MemProtect MPROTECT;
    Read "read" File none none;
    Write "write" File none none;
    Loss "loss" Sensor none none;
}

/// Calls of which a table by number knows the type of event: all that `x86_64` has.
const CALLS: usize = syscalls::FIRST_COMPAT as usize;

static BY_CALL: [Option<EventType>; CALLS] = {
    let mut table = [None; CALLS];
    let mut rest = EventType::ALL;
    while let [event_type, behind @ ..] = rest {
        if let Some(call) = event_type.call()
            && let Some((_, slots)) = table.split_at_mut_checked(call as usize)
            && let [slot, ..] = slots
        {
            *slot = Some(*event_type);
        }
        rest = behind;
    }
    table
};

impl EventType {
    /// Whether this sensor produces it at all.
    #[must_use]
    pub const fn is_seen(self) -> bool {
        self.kind().is_some() || matches!(self, Self::Loss)
    }

    /// The type of the events of a record: its kind says the family, the system call which of its members. A call that is
    /// not known (or not of that kind) leaves the family's plainest.
    #[must_use]
    pub fn of(kind: Kind, syscall: u16) -> Self {
        let called = BY_CALL.get(usize::from(syscall)).copied().flatten();
        match called.filter(|event_type| event_type.kind() == Some(kind)) {
            Some(event_type) => event_type,
            None if kind == Kind::ProcFork => Self::Clone,
            None if kind == Kind::FileOpen => Self::Openat,
            // Kinds that make no events have no type.
            None => {
                let first = Self::ALL.iter().copied().find(|event_type| event_type.kind() == Some(kind));
                first.unwrap_or(Self::Execve)
            }
        }
    }

    /// The type of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event_type| event_type.name() == name)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_types() {
        for event_type in EventType::ALL {
            assert_eq!(EventType::from_name(event_type.name()), Some(*event_type));
        }
        assert_eq!(EventType::from_name("clone4"), None);
    }

    #[test]
    fn every_type_comes_back_from_its_kind_and_its_call() {
        for event_type in EventType::ALL {
            let Some(kind) = event_type.kind() else { continue };
            let call = event_type.call().unwrap_or(u32::from(sensor_common::Header::NO_SYSCALL));
            assert_eq!(EventType::of(kind, call as u16), *event_type);
        }
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::ProcArgs && !kind.is_cgroup()) {
            assert_eq!(EventType::of(kind, u16::MAX).kind(), Some(kind), "{}", kind.stem());
        }
        assert_eq!(EventType::of(Kind::ProcFork, 0), EventType::Clone);
        assert_eq!(EventType::of(Kind::FileOpen, 59), EventType::Openat);
    }
}
