//! Programs on the packets of all control groups: they hang at the root of the unified hierarchy. It knows no packet.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
};

use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, Program};

use super::mount::Detached;

/// Where the unified hierarchy is mounted: alone, or beside those of version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Inode number of the root of a hierarchy; what a control group namespace shows as its root has another.
const ROOT: u64 = 1;

/// Way of the packets that a program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On their way out.
    Out,
    /// On their way in.
    In,
}

impl Way {
    /// The kernel's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out => "egress",
            Self::In => "ingress",
        }
    }
}

/// Loads and attaches a program, and tells the instructions that the verifier walked through.
pub(super) fn attach(
    program: &mut Program,
    way: Way,
    chain: fn(&dyn std::error::Error) -> String,
) -> Result<Option<u32>, String> {
    let root = root()?;
    let program: &mut CgroupSkb =
        program.try_into().map_err(|error: aya::programs::ProgramError| chain(&error))?;
    program.load().map_err(|error| chain(&error))?;
    let way = match way {
        Way::Out => CgroupSkbAttachType::Egress,
        Way::In => CgroupSkbAttachType::Ingress,
    };
    // A link always leaves room for others; the kernel refuses the flag that would say so.
    program.attach(root, way, CgroupAttachMode::Single).map_err(|error| chain(&error))?;
    Ok(program.info().ok().and_then(|info| info.verified_instruction_count()))
}

/// The root of the unified hierarchy, also where it is mounted nowhere: every kernel has one, and each socket is in it. From
/// then on each process shows it in `/proc/PID/cgroup`, as on hosts that have both versions.
pub(super) fn root_or_mount() -> Result<OwnedFd, String> {
    let why = match root() {
        Ok(root) => return Ok(root.into()),
        Err(why) => why,
    };
    let mounted = Detached::mount("cgroup2").map(Detached::root);
    let root = mounted.map_err(|error| format!("{why}; mounting it is refused: {error}"))?;
    // Of a namespace of control groups only its own part can be mounted.
    match rustix::fs::fstat(&root) {
        Ok(stat) if stat.st_ino == ROOT => Ok(root),
        _ => Err(why),
    }
}

/// The root of the unified hierarchy.
pub(super) fn root() -> Result<File, String> {
    let mut namespaced = false;
    for mount in MOUNTS {
        match unified(Path::new(mount)) {
            Ok(Some((root, ROOT))) => return Ok(root),
            Ok(Some(_)) => namespaced = true,
            Ok(None) => {}
            Err(error) => return Err(format!("{mount}: {error}")),
        }
    }
    let mounts = MOUNTS.join(" and ");
    Err(if namespaced {
        format!(
            "{mounts} show a control group namespace only: give the sensor the host's (`--cgroupns=host`)"
        )
    } else {
        format!("neither of {mounts} is a cgroup2 filesystem: this machine has version 1 alone")
    })
}

/// The directory and its inode number, if it is one of cgroup2.
fn unified(mount: &Path) -> io::Result<Option<(File, u64)>> {
    /// `CGROUP2_SUPER_MAGIC`.
    const MAGIC: i64 = 0x6367_7270;
    let root = match File::open(mount) {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if rustix::fs::fstatfs(&root)?.f_type != MAGIC {
        return Ok(None);
    }
    let number = root.metadata()?.ino();
    Ok(Some((root, number)))
}
