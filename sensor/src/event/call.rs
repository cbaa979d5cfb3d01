//! The types of events, by the names that rules use.

use std::fmt;

use sensor_common::Kind;
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
    ($($(#[$doc:meta])* $variant:ident $name:literal $category:ident $seen:literal;)*) => {
        /// What happened. Every type that the rule language knows; [`EventType::is_seen`] tells which the sensor produces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum EventType { $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)* }

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

            /// Whether this sensor produces it at all.
            #[must_use]
            pub const fn is_seen(self) -> bool {
                match self { $(Self::$variant => $seen,)* }
            }
        }
    };
}

event_types! {
    Execve "execve" Process true;
    Execveat "execveat" Process true;
    Fork "fork" Process true;
    Vfork "vfork" Process true;
    Clone "clone" Process true;
    Clone3 "clone3" Process true;
    Procexit "procexit" Process true;
    Open "open" File true;
    Openat "openat" File true;
    Openat2 "openat2" File true;
    Creat "creat" File true;
    OpenByHandleAt "open_by_handle_at" File true;
    Connect "connect" Network true;
    Accept "accept" Network true;
    Accept4 "accept4" Network true;
    Bind "bind" Network true;
    Listen "listen" Network true;
    Sendto "sendto" Network true;
    Sendmsg "sendmsg" Network true;
    Sendmmsg "sendmmsg" Network true;
    Dns "dns" Network true;
    Socket "socket" Network false;
    Recvfrom "recvfrom" Network false;
    Recvmsg "recvmsg" Network false;
    Unlink "unlink" File true;
    Unlinkat "unlinkat" File true;
    Rmdir "rmdir" File true;
    Rename "rename" File true;
    Renameat "renameat" File true;
    Renameat2 "renameat2" File true;
    Mkdir "mkdir" File true;
    Mkdirat "mkdirat" File true;
    Link "link" File true;
    Linkat "linkat" File true;
    Symlink "symlink" File true;
    Symlinkat "symlinkat" File true;
    Chmod "chmod" File true;
    Fchmod "fchmod" File true;
    Fchmodat "fchmodat" File true;
    Fchmodat2 "fchmodat2" File true;
    Chown "chown" File true;
    Lchown "lchown" File true;
    Fchown "fchown" File true;
    Fchownat "fchownat" File true;
    Mknod "mknod" File true;
    Mknodat "mknodat" File true;
    Dup "dup" File false;
    Dup2 "dup2" File false;
    Dup3 "dup3" File false;
    Ptrace "ptrace" Privilege false;
    ProcessVmReadv "process_vm_readv" Privilege false;
    ProcessVmWritev "process_vm_writev" Privilege false;
    InitModule "init_module" Privilege false;
    FinitModule "finit_module" Privilege false;
    DeleteModule "delete_module" Privilege false;
    Setns "setns" Privilege false;
    Unshare "unshare" Privilege false;
    Setuid "setuid" Privilege false;
    Setgid "setgid" Privilege false;
    Setreuid "setreuid" Privilege false;
    Setresuid "setresuid" Privilege false;
    Capset "capset" Privilege false;
    Mount "mount" File false;
    Umount "umount" File false;
    Umount2 "umount2" File false;
    PivotRoot "pivot_root" File false;
    Chroot "chroot" File false;
    Bpf "bpf" Privilege false;
    Userfaultfd "userfaultfd" Privilege false;
    MemfdCreate "memfd_create" File false;
    IoUringSetup "io_uring_setup" Privilege false;
    Prctl "prctl" Process false;
    Kill "kill" Process false;
    PidfdGetfd "pidfd_getfd" Process false;
    Mprotect "mprotect" Process false;
    Loss "loss" Sensor true;
}

impl EventType {
    /// The kind of record that these events come from; `None` for types that the sensor does not see, or makes itself.
    #[must_use]
    pub const fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::Execve | Self::Execveat => Kind::ProcExec,
            Self::Fork | Self::Vfork | Self::Clone | Self::Clone3 => Kind::ProcFork,
            Self::Procexit => Kind::ProcExit,
            Self::Open | Self::Openat | Self::Openat2 | Self::Creat | Self::OpenByHandleAt => Kind::FileOpen,
            Self::Unlink | Self::Unlinkat | Self::Rmdir => Kind::FileRemove,
            Self::Rename | Self::Renameat | Self::Renameat2 => Kind::FileRename,
            Self::Link | Self::Linkat | Self::Symlink | Self::Symlinkat => Kind::FileLink,
            Self::Mkdir | Self::Mkdirat | Self::Mknod | Self::Mknodat => Kind::FileMake,
            Self::Chmod | Self::Fchmod | Self::Fchmodat | Self::Fchmodat2 => Kind::FileMode,
            Self::Chown | Self::Lchown | Self::Fchown | Self::Fchownat => Kind::FileOwner,
            Self::Connect => Kind::NetConnect,
            Self::Accept | Self::Accept4 => Kind::NetAccept,
            Self::Bind => Kind::NetBind,
            Self::Listen => Kind::NetListen,
            Self::Sendto | Self::Sendmsg | Self::Sendmmsg => Kind::NetSend,
            Self::Dns => Kind::NetDns,
            _ => return None,
        })
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
        for event_type in EventType::ALL.iter().filter(|event_type| **event_type != EventType::Loss) {
            assert_eq!(event_type.is_seen(), event_type.kind().is_some(), "{event_type}");
        }
    }
}
