//! What turns against the sensor itself is refused by the kernel half: attaches the programs of `shield`, and tells them which
//! objects and folders are ours. The kernel's own list of descriptors says which: whoever in this process made them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
    programs::Lsm,
};
use sensor_common::shield::{FOLDER, LINK, MAP, PROGRAM, Shielded};

use super::{Probe, ProbeError, Types, chain, filter::take, links::Links, namespace, pod::pod, verdict};

pod! {
    PodShielded(Shielded);
}

/// What is refused, and the programs that do it, each with its hook.
const PARTS: [(&str, &[(&str, &str)]); 5] = [
    ("signals", &[("shield_signal", "task_kill")]),
    ("debuggers", &[("shield_trace", "ptrace_access_check")]),
    ("access to its kernel objects", &[("shield_map", "bpf_map"), ("shield_bpf", "bpf")]),
    (
        "changes of what it pinned",
        &[
            ("shield_unlink", "inode_unlink"),
            ("shield_rmdir", "inode_rmdir"),
            ("shield_rename", "inode_rename"),
        ],
    ),
    (GROUPS, &[("shield_group", "file_open")]),
];

/// In place of the address of a task: there is none, and none is to be found any more.
const NOWHERE: u64 = 1;

const GROUPS: &str = "changes of its control groups by containers";

/// Kernel fields without which it cannot be told whose control group a file is of.
const GROUP_FIELDS: [&str; 12] = [
    "kernfs_node.parent|kernfs_node.__parent",
    "kernfs_node.name",
    "kernfs_node.priv",
    "inode.i_private",
    "super_block.s_magic",
    "task_struct.cgroups",
    "css_set.dfl_cgrp",
    "cgroup_subsys_state.cgroup",
    "cgroup_subsys_state.parent",
    "cgroup.self",
    "cgroup.root",
    "cgroup.level",
];

/// What became of a part of the shield.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ShieldPart {
    /// What is refused.
    pub what: &'static str,
    /// Why not; `None`: it is.
    pub missing: Option<String>,
}

/// Whether the kernel can refuse what turns against the sensor.
///
/// # Errors
/// Why not.
pub fn can_shield() -> Result<(), String> {
    verdict::has_lsm()?;
    if namespace::has_host_pids() {
        return Ok(());
    }
    // By a number of another namespace it would shield somebody else.
    Err("the sensor does not share the host's processes (`hostPID`)".to_owned())
}

impl Probe {
    /// Has what turns against the sensor refused from now on, as far as this kernel can, and says what came of it.
    /// `folder`: in which it pins.
    pub fn shield(&mut self, folder: &Path) -> Vec<ShieldPart> {
        let parts = self.shield.attach(&mut self.ebpf, &self.report.missing_fields, folder);
        self.shield.refresh();
        parts
    }

    /// Shields what this process made since the last time.
    pub fn refresh_shield(&mut self) {
        self.shield.refresh();
    }
}

/// The table of what is ours.
pub(super) struct Shield {
    map: HashMap<MapData, PodShielded, u32>,
    /// Where the kernel has this process's first thread, once its programs know.
    task: Array<MapData, u64>,
    known: BTreeSet<Shielded>,
    /// Descriptors of this process when they were last looked at: when there are as many, they are the same.
    descriptors: usize,
    folder: PathBuf,
    attached: bool,
    links: Links,
}

impl Shield {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            map: take(ebpf, "SHIELDED")?,
            task: take(ebpf, "SHIELD_TASK")?,
            known: BTreeSet::new(),
            descriptors: 0,
            folder: PathBuf::new(),
            attached: false,
            links: Links::new(),
        })
    }

    /// Attaches what this kernel takes, and says what came of each part. `missing`: fields that this kernel does not have.
    /// `folder`: in which the sensor pins.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf, missing: &[&str], folder: &Path) -> Vec<ShieldPart> {
        folder.clone_into(&mut self.folder);
        let able = can_shield().and_then(|()| Types::of_kernel().map_err(|error| chain(&error)));
        let (links, task) = (&mut self.links, &self.task);
        let mut attach = |programs: &[(&str, &str)]| {
            let types = able.as_ref().map_err(Clone::clone)?;
            programs.iter().try_for_each(|(name, hook)| {
                let program = ebpf.program_mut(name).ok_or("not in the kernel object")?;
                let program: &mut Lsm =
                    program.try_into().map_err(|error: aya::programs::ProgramError| chain(&error))?;
                program.load(hook, &types.aya).map_err(|error| chain(&error))?;
                let instructions = program.info().ok().and_then(|info| info.verified_instruction_count());
                tracing::debug!(program = name, instructions, "verified");
                let link = program.attach().and_then(|id| program.take_link(id));
                links.keep(name, link.map_err(|error| chain(&error))?.into())
            })
        };
        let lacks = GROUP_FIELDS.into_iter().find(|field| missing.contains(field));
        let parts = PARTS.map(|(what, programs)| {
            let known = match lacks {
                Some(field) if what == GROUPS => Err(format!("this kernel has no field {field}")),
                _ => Ok(()),
            };
            let attached = known.and_then(|()| attach(programs));
            let shown = attached.and_then(|()| if what == GROUPS { show_task(task) } else { Ok(()) });
            ShieldPart { what, missing: shown.err() }
        });
        self.attached = parts.iter().any(|part| part.missing.is_none());
        parts.to_vec()
    }

    /// Shields nothing from here on.
    pub(super) fn detach(&mut self) {
        self.attached = false;
        self.links.end_all();
        if let Err(error) = self.task.set(0, NOWHERE, 0) {
            tracing::debug!(%error, "the control groups are shielded until the kernel half is gone");
        }
        for known in std::mem::take(&mut self.known) {
            if let Err(error) = self.map.remove(&PodShielded(known)) {
                tracing::debug!(%error, "an object is shielded until the kernel half is gone");
            }
        }
    }

    /// Writes down what came and went since the last time.
    pub(super) fn refresh(&mut self) {
        if !self.attached {
            return;
        }
        if let Err(error) = self.look() {
            tracing::warn!(%error, "not all of the sensor's own objects are known to the kernel half: what is new is not shielded");
        }
    }

    fn look(&mut self) -> Result<(), String> {
        let words = |error: io::Error| format!("/proc/self/fdinfo: {error}");
        let descriptors = fs::read_dir("/proc/self/fdinfo").map_err(words)?.count();
        let mut found = folders(&self.folder);
        if descriptors == self.descriptors {
            found.extend(self.known.iter().filter(|known| known.kind != FOLDER));
        } else {
            found.extend(objects().map_err(words)?);
        }
        let changed = |error: MapError| error.to_string();
        for gone in self.known.difference(&found) {
            self.map.remove(&PodShielded(*gone)).map_err(changed)?;
        }
        for new in found.difference(&self.known) {
            self.map.insert(PodShielded(*new), 1, 0).map_err(changed)?;
        }
        (self.known, self.descriptors) = (found, descriptors);
        Ok(())
    }
}

/// Opens something to write, by which the kernel half comes to know where this process is.
fn show_task(task: &Array<MapData, u64>) -> Result<(), String> {
    let words = |error: io::Error| format!("/dev/null: {error}");
    File::options().write(true).open("/dev/null").map_err(words)?;
    match task.get(&0, 0) {
        Ok(0) => Err("the kernel half was not asked about an open of the sensor's own".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The objects of which this process has descriptors.
fn objects() -> io::Result<BTreeSet<Shielded>> {
    let infos = fs::read_dir("/proc/self/fdinfo")?.flatten();
    // One that was closed meanwhile says nothing.
    let infos = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    Ok(infos.flat_map(|info| numbers(&info)).collect())
}

/// What a descriptor is of.
fn numbers(info: &str) -> Vec<Shielded> {
    let kinds = [("link_id:", LINK), ("map_id:", MAP), ("prog_id:", PROGRAM)];
    let number = |(key, kind): (&str, u32)| {
        let id = info.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()?;
        Some(Shielded { kind, dev: 0, id })
    };
    kinds.into_iter().filter_map(number).collect()
}

/// The folder in which the sensor pins, and those in it.
fn folders(folder: &Path) -> BTreeSet<Shielded> {
    let below = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = [folder.to_owned()].into_iter().chain(below);
    let number = |path: PathBuf| {
        let metadata = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir)?;
        let dev = metadata.dev();
        // As the kernel has it in one word, the minor number in the lower 20 bits.
        let dev = rustix::fs::major(dev) << 20 | rustix::fs::minor(dev);
        Some(Shielded { kind: FOLDER, dev, id: metadata.ino() })
    };
    folders.filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_say_what_they_are_of() {
        let of = |kind, id| Shielded { kind, dev: 0, id };
        let link =
            "pos:\t0\nflags:\t02000000\nlink_type:\ttracing\nlink_id:\t7\nprog_tag:\tab\nprog_id:\t42\n";
        assert_eq!(numbers(link), [of(LINK, 7), of(PROGRAM, 42)]);
        assert_eq!(numbers("pos:\t0\nmap_type:\t1\nmap_id:\t3\nfrozen:\t0\n"), [of(MAP, 3)]);
        assert_eq!(numbers("pos:\t0\neventfd-count: 1\n"), []);
    }

    #[test]
    fn a_folder_is_known_with_those_in_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let found = folders(dir.path());
        let inode = fs::metadata(dir.path()).unwrap().ino();
        assert!(found.len() == 2 && found.iter().any(|found| found.id == inode), "{found:?}");
        assert!(folders(&dir.path().join("none")).is_empty());
    }
}
