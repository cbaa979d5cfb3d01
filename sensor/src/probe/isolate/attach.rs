//! The programs of isolation: loaded together, attached together at the root of the unified hierarchy, and pinned together.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError, links::FdLink},
};

use super::{
    super::{ProbeError, Report, Types, cgroup, chain, load as loading},
    IsolationError, MAPS, pins,
};

/// By name. Those on packets come first: they are what isolates, the others tell callers at once.
const PROGRAMS: [&str; 7] = [
    "isolate_out",
    "isolate_in",
    "isolate_socket",
    "isolate_conn4",
    "isolate_conn6",
    "isolate_send4",
    "isolate_send6",
];

/// Kernel fields without which a task's group cannot be told.
const FIELDS: [&str; 3] = ["cgroup_subsys_state.parent", "cgroup.self", "task_struct.cgroups"];

/// Bytes of the ring for records, of which these programs write none.
const NO_RING: u32 = 1 << 16;

/// Loads the object and of its programs those of isolation. With `pins`, maps that are pinned there are used again.
pub(super) fn load(pins: Option<&Path>) -> Result<Ebpf, IsolationError> {
    let types = Types::of_kernel()?;
    let mut report = Report::default();
    let pins: Vec<_> = pins.iter().flat_map(|pins| MAPS.map(|map| (map, pins.join(map)))).collect();
    let mut ebpf = loading::object(&types, NO_RING, &pins, &mut report)?;
    if let Some(field) = FIELDS.into_iter().find(|field| report.missing_fields.contains(field)) {
        return Err(ProbeError::Field(field).into());
    }
    for name in PROGRAMS {
        let refused = |why| IsolationError::Program { program: name, why };
        let program = ebpf.program_mut(name).ok_or_else(|| refused("not in the kernel object".to_owned()))?;
        let loaded = match program {
            Program::CgroupSkb(program) => program.load(),
            Program::CgroupSock(program) => program.load(),
            Program::CgroupSockAddr(program) => program.load(),
            _ => Err(ProgramError::UnexpectedProgramType),
        };
        loaded.map_err(|error| refused(chain(&error)))?;
    }
    Ok(ebpf)
}

/// The programs while they are attached. Dropping it detaches those that are not pinned.
pub(super) struct Attached {
    links: Vec<FdLink>,
    /// Where they are pinned.
    pinned: Vec<PathBuf>,
}

impl Attached {
    /// Attaches all. With `pins`, each takes the place of the one that is pinned there, once it is at work itself. Where that
    /// fails half-way, those that are pinned stay: what a sensor left isolated is to be isolated by as many as can be.
    pub(super) fn new(ebpf: &mut Ebpf, pins: Option<&Path>) -> Result<Self, IsolationError> {
        let root = cgroup::root_or_mount().map_err(IsolationError::Root)?;
        let mut attached = Self { links: Vec::new(), pinned: Vec::new() };
        for name in PROGRAMS {
            let refused = |why| IsolationError::Program { program: name, why };
            let program =
                ebpf.program_mut(name).ok_or_else(|| refused("not in the kernel object".to_owned()))?;
            attached.links.push(attach(program, name, &root).map_err(|error| refused(chain(&error)))?);
        }
        let Some(pins) = pins else { return Ok(attached) };
        let links = std::mem::take(&mut attached.links);
        for (name, link) in PROGRAMS.into_iter().zip(links) {
            let (path, new) = (pins::link(pins, name), pins::link(pins, &format!("{name}_new")));
            // One that a sensor left which ended right here.
            let _ = fs::remove_file(&new);
            let pinned = link
                .pin(&new)
                .map_err(|error| IsolationError::Pin { path: new.clone(), why: chain(&error) })?;
            attached.links.push(pinned.into());
            fs::rename(&new, &path).map_err(|error| IsolationError::Pins { path: path.clone(), error })?;
            attached.pinned.push(path);
        }
        Ok(attached)
    }

    /// Detaches all, pinned ones included.
    pub(super) fn detach(self) -> Result<(), IsolationError> {
        for path in self.pinned {
            fs::remove_file(&path).map_err(|error| IsolationError::Pins { path, error })?;
        }
        Ok(())
    }
}

fn attach(program: &mut Program, name: &str, root: &impl std::os::fd::AsFd) -> Result<FdLink, ProgramError> {
    // A link always leaves room for others; the kernel refuses the flag that would say so.
    let mode = CgroupAttachMode::Single;
    let link = match program {
        Program::CgroupSkb(program) => {
            let way =
                if name == "isolate_in" { CgroupSkbAttachType::Ingress } else { CgroupSkbAttachType::Egress };
            let id = program.attach(root, way, mode)?;
            program.take_link(id)?.try_into()
        }
        Program::CgroupSock(program) => {
            let id = program.attach(root, mode)?;
            program.take_link(id)?.try_into()
        }
        Program::CgroupSockAddr(program) => {
            let id = program.attach(root, mode)?;
            program.take_link(id)?.try_into()
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    };
    // Kernels before 5.7 have no such links, and no sensor.
    link.map_err(|_| ProgramError::UnexpectedProgramType)
}
