//! Tasks: who they are, what they may do, where they belong.

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf, bpf_task_pt_regs};
use sensor_common::{Header, offsets::MISSING};

use super::{
    Ptr, call_at, call_index, knob, offset,
    reads::{CASTS, PROBES, cast},
};

/// Bytes of a task's kernel stack, at whose end its registers lie (`x86_64`, and `arm64` with small pages, without KASAN).
const STACK: u64 = 16 << 10;

/// `struct task_struct`, and its address as a plain number where that is known: 0 elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) Ptr, u64);

impl Task {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        if PROBES || CASTS {
            // SAFETY: no arguments.
            let address = unsafe { bpf_get_current_task() };
            return Self(Self::at(address as *const u8).0, address);
        }
        // SAFETY: no arguments.
        Self(Ptr(unsafe { bpf_get_current_task_btf() }.cast()), 0)
    }

    /// The current task in a function that the verifier looks at by itself, which is given its [`Task::address`]: to ask for it
    /// again takes a helper call.
    #[inline(always)]
    pub(crate) fn current_at(address: u64) -> Self {
        if CASTS && address != 0 { Self::at(address as *const u8) } else { Self::current() }
    }

    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        if CASTS { self.1 } else { 0 }
    }

    /// One that a program is called with.
    #[inline(always)]
    pub(crate) fn at(task: *const u8) -> Self {
        Self(Ptr(if CASTS { cast(task, knob!(type_task)) } else { task }), 0)
    }

    #[inline(always)]
    pub(crate) fn tgid(self) -> Option<u32> {
        self.0.load(offset!(task_tgid))
    }

    #[inline(always)]
    pub(crate) fn tid(self) -> Option<u32> {
        self.0.load(offset!(task_pid))
    }

    /// Threads of the process.
    #[inline(always)]
    pub(crate) fn threads(self) -> Option<u32> {
        self.0.follow(offset!(task_signal))?.load(offset!(signal_threads))
    }

    #[inline(always)]
    pub(crate) fn leader(self) -> Option<Self> {
        self.0.follow(offset!(task_leader)).map(|leader| Self(leader, 0))
    }

    #[inline(always)]
    pub(crate) fn parent(self) -> Option<Self> {
        self.0.follow(offset!(task_parent)).map(|parent| Self(parent, 0))
    }

    /// When the process (not the thread) started.
    #[inline(always)]
    pub(crate) fn start(self) -> Option<u64> {
        self.leader()?.0.load(offset!(task_start))
    }

    #[inline(always)]
    pub(crate) fn field(self, offset: u32) -> Option<Ptr> {
        self.0.follow(offset)
    }

    #[inline(always)]
    pub(crate) fn field_value<T: Copy>(self, offset: u32) -> Option<T> {
        self.0.load(offset)
    }

    /// Whether the task is inside a 32-bit system call (`TS_COMPAT`), or makes no others (`TIF_32BIT` of `arm64`).
    #[inline(always)]
    pub(crate) fn is_compat(self) -> bool {
        self.0.load::<u32>(offset!(task_ti_compat)).unwrap_or(0) & knob!(compat_bit) != 0
    }

    /// The key of the task's control group.
    #[inline(always)]
    pub(crate) fn cgroup(self) -> Option<u64> {
        let css_set = self.0.follow(offset!(task_cgroups))?;
        let unified = css_set.follow(offset!(css_set_dfl))?;
        let id: u64 = unified.follow(offset!(cgroup_kn))?.load(offset!(kn_id))?;
        let slot = knob!(cgroup1_css);
        if slot == MISSING || unified.load::<u32>(offset!(cgroup_level))? != 0 {
            return Some(id);
        }
        // In the root of the unified hierarchy: a hybrid or v1 host, where a controller's hierarchy has the group.
        let group = css_set.follow(slot)?.follow(offset!(css_cgroup))?;
        let level: u32 = group.load(offset!(cgroup_level))?;
        if level == 0 {
            return Some(id);
        }
        let v1: u64 = group.follow(offset!(cgroup_kn))?.load(offset!(kn_id))?;
        Some(v1 | Header::CGROUP_V1)
    }

    /// What the current task had in its registers when it called the kernel, as a plain address: before 5.15 by where they lie.
    #[inline(always)]
    pub(crate) fn regs(self) -> Option<Ptr> {
        if !PROBES && knob!(task_pt_regs) != 0 {
            // The helper follows the task without a look at it, so it gets the pointer that is the kernel's word.
            // SAFETY: the verifier only lets a BTF task pointer in, and removes the call on kernels before 5.15.
            let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
            return Some(Ptr::from_u64(regs as u64));
        }
        let stack: u64 = self.0.probe(offset!(task_stack))?;
        Some(Ptr::from_u64(stack + STACK - u64::from(offset!(regs_size))))
    }

    /// Number of the system call that the task is in, in the table of `x86_64`.
    #[inline(always)]
    pub(crate) fn syscall(self) -> Option<u32> {
        let number: u32 = self.regs()?.probe(offset!(regs_syscall))?;
        Some(call_at(call_index(number, self.is_compat())?))
    }

    /// The controlling terminal as `/proc/PID/stat` encodes it; 0: none.
    #[inline(always)]
    pub(crate) fn tty(self) -> Option<u32> {
        if offset!(signal_tty) == MISSING || offset!(tty_driver) == MISSING {
            return None;
        }
        let Some(tty) = self.0.probe_ptr(offset!(task_signal))?.probe_ptr(offset!(signal_tty)) else {
            return Some(0);
        };
        let driver = tty.probe_ptr(offset!(tty_driver))?;
        let major: u32 = driver.probe(offset!(tty_driver_major))?;
        let minor = driver.probe::<u32>(offset!(tty_driver_minor))? + tty.probe::<u32>(offset!(tty_index))?;
        Some((minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12)
    }

    /// Inode number of a namespace of the task's `nsproxy`.
    #[inline(always)]
    pub(crate) fn namespace(self, member: u32, inum: u32) -> Option<u32> {
        self.0.follow(offset!(task_nsproxy))?.follow(member)?.load(inum)
    }
}

/// The key of a `struct cgroup`, if it belongs to a hierarchy that identifies tasks (the unified one has number 0).
#[inline(always)]
pub(crate) fn cgroup_key(cgroup: Ptr) -> Option<u64> {
    let hierarchy: u32 = cgroup.probe_ptr(offset!(cgroup_root))?.probe(offset!(cgroup_hierarchy))?;
    let id: u64 = cgroup.probe_ptr(offset!(cgroup_kn))?.probe(offset!(kn_id))?;
    match hierarchy {
        0 => Some(id),
        _ if hierarchy == knob!(cgroup1_hierarchy) => Some(id | Header::CGROUP_V1),
        _ => None,
    }
}
