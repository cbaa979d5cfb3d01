//! Record kinds: the number in the header, the stem under which a kind is known in every layer, and its class.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $number:literal $stem:literal;)*) => {
        /// What a record says. Numbers are part of the wire and of recordings: they are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// Every kind, in the order of its number.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$name),*];

            /// The kind with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// `family_action`, the stem that names this kind in programs, metrics and tests.
            #[must_use]
            pub const fn stem(self) -> &'static str {
                match self {
                    $(Self::$name => $stem,)*
                }
            }
        }
    };
}

kinds! {
    /// A process image was replaced (`result == 0`), or an attempt to do so failed (`result < 0`).
    ProcExec 1 "proc_exec";
    /// A process was created.
    ProcFork 2 "proc_fork";
    /// The last thread of a process exited.
    ProcExit 3 "proc_exit";
    /// A piece of the arguments or the environment of the [`Kind::ProcExec`] record that follows it.
    ProcArgs 4 "proc_args";
    /// A control group was created.
    CgroupMkdir 5 "cgroup_mkdir";
    /// A control group was removed.
    CgroupRmdir 6 "cgroup_rmdir";
    /// The `open` family.
    FileOpen 16 "file_open";
    /// `unlink`, `unlinkat` and `rmdir`.
    FileRemove 17 "file_remove";
    /// The `rename` family.
    FileRename 18 "file_rename";
    /// Hard and symbolic links.
    FileLink 19 "file_link";
    /// `mkdir` and `mknod`, and their `at` forms.
    FileMake 20 "file_make";
    /// The `chmod` family.
    FileMode 21 "file_mode";
    /// The `chown` family.
    FileOwner 22 "file_owner";
    /// `mount` and `move_mount`.
    MountAttach 23 "mount_attach";
    /// `umount` and `umount2`.
    MountDetach 24 "mount_detach";
    /// `pivot_root` and `chroot`.
    MountRoot 25 "mount_root";
    /// `dup`, `dup2`, `dup3` and `fcntl` where they make standard input, output or error something else.
    FdDup 26 "fd_dup";
    /// `connect`.
    NetConnect 32 "net_connect";
    /// `accept` and `accept4`.
    NetAccept 33 "net_accept";
    /// `bind`.
    NetBind 34 "net_bind";
    /// `listen`.
    NetListen 35 "net_listen";
    /// `sendto`, `sendmsg` and `sendmmsg` with a destination of their own (an unconnected socket).
    NetSend 36 "net_send";
    /// `socket`.
    NetSocket 37 "net_socket";
    /// `recvfrom`, `recvmsg` and `recvmmsg` that say where the data came from.
    NetReceive 38 "net_receive";
    /// The `setuid` and `setgid` families.
    CredChange 40 "cred_change";
    /// `capset`.
    CredCaps 41 "cred_caps";
    /// `setns` and `unshare`.
    NsChange 42 "ns_change";
    /// `ptrace`, `process_vm_readv`, `process_vm_writev` and `pidfd_getfd`: what reaches into another process.
    ProcTrace 43 "proc_trace";
    /// `kill`, `tkill`, `tgkill` and `pidfd_send_signal`.
    ProcSignal 44 "proc_signal";
    /// `prctl`.
    ProcControl 45 "proc_control";
    /// `init_module`, `finit_module` and `delete_module`.
    KernelMod 46 "kernel_mod";
    /// `bpf`.
    KernelBpf 47 "kernel_bpf";
    /// `perf_event_open`.
    KernelPerf 48 "kernel_perf";
    /// `keyctl`.
    KernelKeys 49 "kernel_keys";
    /// `io_uring_setup`.
    KernelUring 50 "kernel_uring";
    /// `memfd_create`.
    MemCreate 51 "mem_create";
    /// `userfaultfd`.
    MemFault 52 "mem_fault";
    /// `mprotect`.
    MemProtect 53 "mem_protect";
    /// A DNS query that left, or an answer that came.
    NetDns 60 "net_dns";
}

/// The kinds of [`Kind::is_lifecycle`], one bit each.
const LIFECYCLE: u64 = {
    let mut set = 0;
    let mut rest: &[Kind] = &Kind::ALL;
    while let [kind, behind @ ..] = rest {
        if kind.is_lifecycle() {
            set |= 1 << kind.number();
        }
        rest = behind;
    }
    set
};

// One bit for each kind: a number that outgrows the word must not compile.
const _: () = assert!(KINDS <= 64);

impl Kind {
    /// The number on the wire, also the kind's slot in the counters.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Whether it says which control groups there are.
    #[must_use]
    pub const fn is_cgroup(self) -> bool {
        matches!(self, Self::CgroupMkdir | Self::CgroupRmdir)
    }

    /// Whether it is so frequent that only those get it who ask for it by name: memory is protected whenever a heap grows, that
    /// of whoever reads these events included.
    #[must_use]
    pub const fn is_noise(self) -> bool {
        matches!(self, Self::MemProtect)
    }

    /// What a process is and may do: images, credentials, namespaces. These records own the last quarter of the ring, all
    /// others are refused there: they are few, and what is lost of them makes everything after them wrong.
    #[must_use]
    pub const fn is_lifecycle(self) -> bool {
        matches!(
            self,
            Self::ProcExec
                | Self::ProcFork
                | Self::ProcExit
                | Self::ProcArgs
                | Self::CgroupMkdir
                | Self::CgroupRmdir
                | Self::CredChange
                | Self::CredCaps
                | Self::NsChange
        )
    }

    /// [`Kind::is_lifecycle`] of the kind with this number, as the kernel programs ask it: without a branch for each kind.
    #[must_use]
    pub const fn number_is_lifecycle(number: u32) -> bool {
        LIFECYCLE >> (number & 63) & 1 != 0
    }
}

/// Slots in the counter map: one more than the highest kind number that may ever be given.
pub const KINDS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_lead_back_to_their_kinds_and_have_a_slot() {
        assert!(Kind::ALL.is_sorted_by_key(|kind| kind.number()));
        for kind in Kind::ALL {
            let number = kind.number();
            assert!(Kind::from_number(number) == Some(kind) && u32::from(number) < KINDS, "{number}");
            assert_eq!(Kind::number_is_lifecycle(number.into()), kind.is_lifecycle(), "{}", kind.stem());
        }
    }
}
