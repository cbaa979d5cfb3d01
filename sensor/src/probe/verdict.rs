//! What the kernel half decides by itself: its tables, the control groups that they hold for, and the programs that refuse.
//! What the tables mean is said in [`sensor_common::verdict`]; who makes them is not known here.

mod kept;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError},
    programs::{CgroupAttachMode, CgroupSockAddr, Lsm, Program, ProgramError, ProgramType, links::FdLink},
    sys::is_program_supported,
};
use sensor_common::verdict::{
    BIND, CLASSES, CONNECT, EXEC, Group, GroupKey, LINK, MOVE, OPEN, REMOVE, SEND, Verdict, slot,
};

use self::kept::{Kept, tell};
pub use self::kept::{end_kept_refusals, kept_refusals};
use super::{
    Probe, ProbeError, Types, cgroup, chain,
    filter::{Row, take},
    links::Links,
    load::take_map,
    pod::pod,
    usage::{Fills, NEW, OLD, stands_already},
};

/// The tables of one class of acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActTables {
    /// One of [`sensor_common::verdict`]'s.
    pub class: u32,
    /// What they are asked; there are no terms by call, and none by the host.
    pub row: Row,
    /// What to do.
    pub verdict: Verdict,
}

pod! {
    PodVerdict(Verdict);
    PodGroupKey(GroupKey);
    PodGroup(Group);
}

/// The maps.
pub(super) struct Verdicts {
    verdicts: Array<MapData, PodVerdict>,
    groups: HashMap<MapData, PodGroupKey, PodGroup>,
    /// The acts whose refusing programs are attached.
    attached: [bool; CLASSES as usize],
    /// What attaches them, by program; `None`: it is among `slow`.
    links: Vec<(&'static str, Option<FdLink>)>,
    /// Links to LSM hooks that are not pinned.
    slow: Links,
    counts: Map,
    /// Where they are pinned, once they are.
    kept: Option<Kept>,
}

impl Verdicts {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            verdicts: take(ebpf, "VERDICTS")?,
            groups: take(ebpf, "VERDICT_GROUPS")?,
            attached: [false; CLASSES as usize],
            links: Vec::new(),
            slow: Links::new(),
            counts: take_map(ebpf, "REFUSED")?,
            kept: None,
        })
    }

    /// Takes everything out of a set of tables.
    pub(super) fn clear(&mut self, bank: u32) -> Result<(), MapError> {
        for class in 0..CLASSES {
            self.verdicts.set(slot(bank, class), PodVerdict(Verdict::default()), 0)?;
        }
        for key in self.groups.keys().collect::<Result<Vec<_>, _>>()? {
            if key.0.bank == u64::from(bank) {
                self.groups.remove(&key)?;
            }
        }
        Ok(())
    }

    /// Writes what [`super::filter::Filters`] does not.
    pub(super) fn write(&mut self, bank: u32, tables: &ActTables) -> Result<(), MapError> {
        self.verdicts.set(slot(bank, tables.class), PodVerdict(tables.verdict), 0)
    }

    /// Says what holds in a control group, or that it is no more.
    pub(super) fn group(
        &mut self,
        bank: u32,
        group: u64,
        holds: Option<Group>,
        fills: &mut Fills,
    ) -> Result<(), MapError> {
        const MAP: &str = "VERDICT_GROUPS";
        let key = PodGroupKey(GroupKey { bank: bank.into(), group });
        let Some(holds) = holds else {
            let removed = self.groups.remove(&key);
            fills.removed(MAP, &removed);
            return match removed {
                // It was never told.
                Err(MapError::KeyNotFound) => Ok(()),
                done => done,
            };
        };
        let inserted = self.groups.insert(key, PodGroup(holds), NEW);
        fills.inserted(MAP, &inserted);
        match inserted {
            Err(error) if stands_already(&error) => self.groups.insert(key, PodGroup(holds), OLD),
            done => done,
        }
    }

    /// Entries of the map that is written with a set of tables.
    pub(super) fn entries(&self) -> (&'static str, usize) {
        ("VERDICT_GROUPS", self.groups.keys().count())
    }

    /// Attaches the programs that refuse acts of a class, once.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf, class: u32, btf: &aya::Btf) -> Result<(), String> {
        let Some(attached) = self.attached.get_mut(class as usize) else {
            return Err(format!("there is no act {class}"));
        };
        if *attached {
            return Ok(());
        }
        can_refuse(class)?;
        for name in programs(class) {
            let program = ebpf.program_mut(name).ok_or("not in the kernel object")?;
            let link = attach(program, name, btf)?;
            let link = match &self.kept {
                Some(kept) => Some(kept.pin(name, link)?),
                None if matches!(program, Program::Lsm(_)) => {
                    self.slow.keep(name, link)?;
                    None
                }
                None => Some(link),
            };
            self.links.push((name, link));
        }
        *attached = true;
        Ok(())
    }

    /// Pins what refuses, from now on also what is attached later, and ends what an earlier daemon pinned. Tells what that one's
    /// programs refused since it ended.
    pub(super) fn keep(&mut self, pins: &Path) -> Result<u64, String> {
        let kept = Kept::open(pins)?;
        for (name, link) in &mut self.links {
            let slow = &mut self.slow;
            let open = link.take().map_or_else(|| slow.take(name), Ok)?;
            *link = Some(kept.pin(name, open)?);
        }
        let ours: Vec<_> = self.links.iter().map(|(name, _)| *name).collect();
        kept.end_others(&ours)?;
        let untold = kept.replace_counts(&self.counts)?;
        self.kept = Some(kept);
        Ok(untold)
    }

    /// What was refused until now is told of.
    pub(super) fn told(&mut self) {
        if self.kept.is_some()
            && let Err(error) = tell(&mut self.counts)
        {
            tracing::warn!(%error, "the next start will tell of refusals once more");
        }
    }

    /// Takes off what refuses, unless it is pinned.
    pub(super) fn detach(&mut self) {
        self.links.clear();
        self.slow.end_all();
    }
}

impl Probe {
    /// Where it is noted which calls somebody else than the kernel half refuses.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }
}

/// Threads whose call is refused, so that its end is not told of as a failure once more.
#[derive(Clone)]
pub struct Refusals(Arc<Mutex<HashMap<MapData, u64, u32>>>);

impl Refusals {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self(Arc::new(Mutex::new(take(ebpf, "REFUSALS")?))))
    }

    fn map(&self) -> MutexGuard<'_, HashMap<MapData, u64, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call of this thread (its process, itself) is about to be refused.
    pub fn note(&self, thread: (u32, u32)) {
        if let Err(error) = self.map().insert(key(thread), 1, 0) {
            tracing::debug!(?thread, %error, "a refused call will be told of twice");
        }
    }

    /// It was not, after all.
    pub fn forget(&self, thread: (u32, u32)) {
        // One that ended meanwhile is not there any more.
        let _ = self.map().remove(&key(thread));
    }
}

/// As `bpf_get_current_pid_tgid` has it.
fn key((tgid, tid): (u32, u32)) -> u64 {
    u64::from(tgid) << 32 | u64::from(tid)
}

/// The programs that refuse.
const fn programs(class: u32) -> &'static [&'static str] {
    match class {
        EXEC => &["lsm_proc_exec"],
        OPEN => &["lsm_file_open"],
        BIND => &["cg_bind4", "cg_bind6"],
        SEND => &["cg_send4", "cg_send6"],
        REMOVE => &["lsm_path_unlink", "lsm_path_rmdir"],
        MOVE => &["lsm_path_rename"],
        LINK => &["lsm_path_link"],
        _ => &["cg_connect4", "cg_connect6"],
    }
}

fn attach(program: &mut Program, name: &str, btf: &aya::Btf) -> Result<FdLink, String> {
    let attached = match program {
        Program::Lsm(program) => {
            let hook = match name {
                "lsm_proc_exec" => "bprm_check_security",
                "lsm_path_unlink" => "path_unlink",
                "lsm_path_rmdir" => "path_rmdir",
                "lsm_path_rename" => "path_rename",
                "lsm_path_link" => "path_link",
                _ => "file_open",
            };
            program.load(hook, btf).map_err(|error| chain(&error))?;
            program.attach().and_then(|id| program.take_link(id)).map(FdLink::from)
        }
        Program::CgroupSockAddr(program) => {
            let program: &mut CgroupSockAddr = program;
            program.load().map_err(|error| chain(&error))?;
            // A link always leaves room for others; the kernel refuses the flag that would say so.
            let attached = program.attach(cgroup::root()?, CgroupAttachMode::Single);
            // Kernels before 5.7 have no such links, and no sensor.
            attached.and_then(|id| {
                program.take_link(id)?.try_into().map_err(|_| ProgramError::UnexpectedProgramType)
            })
        }
        _ => return Err("of another kind in the kernel object".to_owned()),
    };
    attached.map_err(|error| chain(&error))
}

/// Takes off a program that refuses, if it is one.
pub(super) fn detach(program: &mut Program) -> Option<Result<(), ProgramError>> {
    match program {
        Program::Lsm(program) => Some(Lsm::unload(program)),
        Program::CgroupSockAddr(program) => Some(program.unload()),
        _ => None,
    }
}

/// Whether this kernel can refuse acts of a class before they happen.
///
/// # Errors
/// Why not.
pub fn can_refuse(class: u32) -> Result<(), String> {
    match class {
        CONNECT | BIND | SEND => cgroup::root().map(drop),
        REMOVE | MOVE | LINK => has_lsm().and_then(|()| goes_by_paths()),
        _ => has_lsm(),
    }
}

/// Whether this kernel asks its security modules by paths.
fn goes_by_paths() -> Result<(), String> {
    let types = Types::of_kernel().map_err(|error| chain(&error))?;
    if ["path_unlink", "path_rmdir", "path_rename", "path_link"]
        .iter()
        .all(|hook| types.own.has_security_hook(hook))
    {
        return Ok(());
    }
    Err("this kernel was built without `CONFIG_SECURITY_PATH`".to_owned())
}

/// Whether this kernel lets programs be security modules.
pub(super) fn has_lsm() -> Result<(), String> {
    /// The security modules at work. On some kernels programs are taken that then never run.
    const MODULES: &str = "/sys/kernel/security/lsm";
    let modules = std::fs::read_to_string(MODULES)
        .map_err(|error| format!("{MODULES} cannot be read ({error}): is securityfs mounted?"))?;
    if !modules.trim().split(',').any(|module| module == "bpf") {
        return Err(format!("BPF is not among the security modules ({}): see `lsm=`", modules.trim()));
    }
    /// Found out by attaching one, which the kernel takes a while to undo.
    static TRIED: OnceLock<Result<(), String>> = OnceLock::new();
    let try_it = || match is_program_supported(ProgramType::Lsm(aya::programs::LsmAttachType::Mac)) {
        Ok(true) => Ok(()),
        Ok(false) => Err("this kernel has no LSM programs".to_owned()),
        Err(error) => Err(chain(&error)),
    };
    TRIED.get_or_init(try_it).clone()
}
