//! Control groups of a task: the one by which it is known, and those above it. Not for paths where time counts: every step
//! up is three reads.

use sensor_common::{Header, offsets::MISSING};

use super::{Ptr, Task, knob, offset};

/// `struct cgroup`, in the hierarchy that names the task.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    at: Ptr,
    /// What its key has besides its id.
    mark: u64,
}

impl Task {
    /// The group whose key [`Task::cgroup`] tells.
    #[inline(always)]
    pub(crate) fn group(self) -> Option<Group> {
        let css_set = self.0.probe_ptr(offset!(task_cgroups))?;
        let unified = Group { at: css_set.probe_ptr(offset!(css_set_dfl))?, mark: 0 };
        let slot = knob!(cgroup1_css);
        if slot == MISSING || !unified.is_root()? {
            return Some(unified);
        }
        let at = css_set.probe_ptr(slot)?.probe_ptr(offset!(css_cgroup))?;
        Some(Group { at, mark: Header::CGROUP_V1 })
    }
}

impl Group {
    #[inline(always)]
    pub(crate) fn is_root(self) -> Option<bool> {
        Some(self.at.probe::<u32>(offset!(cgroup_level))? == 0)
    }

    /// Whether it is one of a v1 hierarchy.
    #[inline(always)]
    pub(crate) fn is_legacy(self) -> bool {
        self.mark != 0
    }

    #[inline(always)]
    pub(crate) fn key(self) -> Option<u64> {
        Some(self.at.probe_ptr(offset!(cgroup_kn))?.probe::<u64>(offset!(kn_id))? | self.mark)
    }

    /// The group above it.
    #[inline(always)]
    pub(crate) fn parent(self) -> Option<Self> {
        let own = offset!(cgroup_self);
        if own == MISSING || offset!(css_parent) == MISSING {
            return None;
        }
        let at = self.at.probe_ptr(own + offset!(css_parent))?.probe_ptr(offset!(css_cgroup))?;
        Some(Self { at, mark: self.mark })
    }
}
