//! Record kinds: the number in the header, the stem under which a kind is known in every layer, and its class.

/// What a record says. Numbers are part of the wire and of recordings: they are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Kind {
    /// A process image was replaced (`result == 0`), or an attempt to do so failed (`result < 0`).
    ProcExec = 1,
    /// A process was created.
    ProcFork = 2,
    /// The last thread of a process exited.
    ProcExit = 3,
    /// A piece of the arguments or the environment of the [`Kind::ProcExec`] record that follows it.
    ProcArgs = 4,
    /// A control group was created.
    CgroupMkdir = 5,
    /// A control group was removed.
    CgroupRmdir = 6,
    /// The `open` family.
    FileOpen = 16,
    /// `unlink`, `unlinkat` and `rmdir`.
    FileRemove = 17,
    /// The `rename` family.
    FileRename = 18,
    /// Hard and symbolic links.
    FileLink = 19,
    /// `mkdir` and `mknod`, and their `at` forms.
    FileMake = 20,
    /// The `chmod` family.
    FileMode = 21,
    /// The `chown` family.
    FileOwner = 22,
    /// `connect`.
    NetConnect = 32,
    /// `accept` and `accept4`.
    NetAccept = 33,
    /// `bind`.
    NetBind = 34,
    /// `listen`.
    NetListen = 35,
    /// `sendto`, `sendmsg` and `sendmmsg` with a destination of their own (an unconnected socket).
    NetSend = 36,
    /// A DNS query that left, or an answer that came.
    NetDns = 60,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 19] = [
        Self::ProcExec,
        Self::ProcFork,
        Self::ProcExit,
        Self::ProcArgs,
        Self::CgroupMkdir,
        Self::CgroupRmdir,
        Self::FileOpen,
        Self::FileRemove,
        Self::FileRename,
        Self::FileLink,
        Self::FileMake,
        Self::FileMode,
        Self::FileOwner,
        Self::NetConnect,
        Self::NetAccept,
        Self::NetBind,
        Self::NetListen,
        Self::NetSend,
        Self::NetDns,
    ];

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::ProcExec,
            2 => Self::ProcFork,
            3 => Self::ProcExit,
            4 => Self::ProcArgs,
            5 => Self::CgroupMkdir,
            6 => Self::CgroupRmdir,
            16 => Self::FileOpen,
            17 => Self::FileRemove,
            18 => Self::FileRename,
            19 => Self::FileLink,
            20 => Self::FileMake,
            21 => Self::FileMode,
            22 => Self::FileOwner,
            32 => Self::NetConnect,
            33 => Self::NetAccept,
            34 => Self::NetBind,
            35 => Self::NetListen,
            36 => Self::NetSend,
            60 => Self::NetDns,
            _ => return None,
        })
    }

    /// The number on the wire, also the kind's slot in the counters.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// `family_action`, the stem that names this kind in programs, metrics and tests.
    #[must_use]
    pub const fn stem(self) -> &'static str {
        match self {
            Self::ProcExec => "proc_exec",
            Self::ProcFork => "proc_fork",
            Self::ProcExit => "proc_exit",
            Self::ProcArgs => "proc_args",
            Self::CgroupMkdir => "cgroup_mkdir",
            Self::CgroupRmdir => "cgroup_rmdir",
            Self::FileOpen => "file_open",
            Self::FileRemove => "file_remove",
            Self::FileRename => "file_rename",
            Self::FileLink => "file_link",
            Self::FileMake => "file_make",
            Self::FileMode => "file_mode",
            Self::FileOwner => "file_owner",
            Self::NetConnect => "net_connect",
            Self::NetAccept => "net_accept",
            Self::NetBind => "net_bind",
            Self::NetListen => "net_listen",
            Self::NetSend => "net_send",
            Self::NetDns => "net_dns",
        }
    }

    /// Whether it says which control groups there are.
    #[must_use]
    pub const fn is_cgroup(self) -> bool {
        matches!(self, Self::CgroupMkdir | Self::CgroupRmdir)
    }

    /// Lifecycle records own the last quarter of the ring: file and network records are refused there.
    #[must_use]
    pub const fn is_lifecycle(self) -> bool {
        (self as u16) < Self::FileOpen as u16
    }
}

/// Slots in the counter map: one more than the highest kind number that may ever be given.
pub const KINDS: u32 = 64;
