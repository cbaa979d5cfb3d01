//! Control groups of a test's own, in the unified hierarchy or in the one that stands in for it on hybrid hosts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{Act, deadline};

/// A directory of a cgroup filesystem and those above it that were made for it. Removed when it is dropped.
pub struct Group {
    dir: PathBuf,
    made: Vec<PathBuf>,
}

/// Where the unified hierarchy is mounted.
#[must_use]
pub fn unified() -> Option<PathBuf> {
    mount_point(|kind, _| kind == "cgroup2")
}

/// Where the v1 hierarchy is mounted that the sensor reads on this host, if it reads one.
#[must_use]
pub fn legacy() -> Option<PathBuf> {
    controller(&sensor::probe::legacy_controller()?)
}

/// Where the v1 hierarchy of a controller is mounted.
#[must_use]
pub fn controller(name: &str) -> Option<PathBuf> {
    mount_point(|kind, options| kind == "cgroup" && options.split(',').any(|option| option == name))
}

fn mount_point(wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        wanted(fields[2], fields[3]).then(|| PathBuf::from(fields[1]))
    })
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

impl Group {
    /// Makes the group `path` below a hierarchy's mount point.
    ///
    /// # Panics
    /// Where the kernel refuses.
    #[must_use]
    pub fn new(hierarchy: &Path, path: &str) -> Self {
        let dir = hierarchy.join(path.trim_start_matches('/'));
        loop {
            let missing: Vec<PathBuf> =
                dir.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
            match missing.iter().rev().try_for_each(|dir| make(dir)) {
                Ok(()) => return Self { dir, made: missing },
                // Another test took away a group above, which it had made and nothing was in.
                Err(error) if error.kind() == io::ErrorKind::NotFound && hierarchy.exists() => {}
                Err(error) => panic!("{}: {error}", dir.display()),
            }
        }
    }

    /// A helper that joins the group before it starts.
    #[must_use]
    pub fn join(&self, act: Act) -> Act {
        let procs = self.dir.join("cgroup.procs");
        act.before(move || fs::write(&procs, "0"))
    }

    /// Moves a process into the group.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn add(&self, pid: u32) {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string()).expect("the process can be moved");
    }

    /// The key under which the kernel programs know it, without the bit of the hierarchy.
    #[must_use]
    pub fn id(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(&self.dir).map_or(0, |metadata| metadata.ino())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let end = Instant::now() + deadline();
        for dir in &self.made {
            // A process that just ended may still count as a member; a parent may have other tests' groups in it.
            while let Err(error) = fs::remove_dir(dir) {
                let busy = error.kind() == io::ErrorKind::ResourceBusy && dir == &self.dir;
                if !busy || Instant::now() > end {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
}
