//! Control groups of a task: the one by which it is known, and those above it; and the files in their folders. Not for paths
//! where time counts: every step up is three reads.

use sensor_common::{Header, offsets::MISSING};

use super::{Ptr, Task, knob, offset};

/// Controllers that a kernel can have: it keeps a bit of 16 for each.
const CONTROLLERS: u32 = 16;
/// Steps up that are made at most: of a task in a group that lies deeper the topmost ones are not found.
const DEPTH: u32 = 32;

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

/// A file in the folder of a control group, of whatever hierarchy.
#[derive(Clone, Copy)]
pub(crate) struct GroupFile {
    node: Ptr,
    group: Ptr,
}

impl GroupFile {
    /// By its inode. Not by the names above it: who opens by a handle (`open_by_handle_at`) has a file without any.
    #[inline(always)]
    pub(crate) fn of(inode: Ptr) -> Option<Self> {
        let node = inode.probe_ptr(offset!(inode_private))?;
        let group = node.probe_ptr(offset!(kn_parent))?.probe_ptr(offset!(kn_private))?;
        Some(Self { node, group })
    }

    /// The first eight bytes of its name.
    #[inline(always)]
    pub(crate) fn name(self) -> Option<u64> {
        self.node.probe_ptr(offset!(kn_name))?.probe(0)
    }

    /// Whether the task is in its group, or in one below. That everything is in the group at the root does not count.
    /// `task`: any address of one.
    #[inline(always)]
    pub(crate) fn is_of(self, task: Ptr) -> bool {
        let (own, parent) = (offset!(cgroup_self), offset!(css_parent));
        if own == MISSING || parent == MISSING || self.group.probe::<u32>(offset!(cgroup_level)) == Some(0) {
            return false;
        }
        let Some(mut at) =
            self.group.probe_ptr(offset!(cgroup_root)).and_then(|root| in_hierarchy(task, root))
        else {
            return false;
        };
        for _ in 0..DEPTH {
            if at == self.group {
                return true;
            }
            let above = at.probe_ptr(own + parent).and_then(|css| css.probe_ptr(offset!(css_cgroup)));
            let Some(above) = above else { return false };
            at = above;
        }
        false
    }
}

/// The task's group in the hierarchy with this root: the unified one, else that of a controller. One that has a name alone
/// stops and limits nobody.
#[inline(always)]
fn in_hierarchy(task: Ptr, root: Ptr) -> Option<Ptr> {
    let css_set = task.probe_ptr(offset!(task_cgroups))?;
    let unified = css_set.probe_ptr(offset!(css_set_dfl))?;
    if unified.probe_ptr(offset!(cgroup_root))? == root {
        return Some(unified);
    }
    let controllers = offset!(css_set_subsys);
    if controllers == MISSING {
        return None;
    }
    for number in 0..CONTROLLERS {
        let css = css_set.probe_ptr(controllers + number * 8);
        let Some(group) = css.and_then(|css| css.probe_ptr(offset!(css_cgroup))) else { continue };
        if group.probe_ptr(offset!(cgroup_root)) == Some(root) {
            return Some(group);
        }
    }
    None
}
