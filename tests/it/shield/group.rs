//! What a container may do with the control groups of the sensor, in the unified hierarchy and in those of version 1.

use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::DirEntryExt},
    },
    path::Path,
};

use super::{EPERM, Shielded, errno};
use sensor_tests::{
    cgroup::{Group, unified},
    needs_kernel,
    require::skip,
    test_name,
};

#[test]
fn shield_keeps_containers_from_its_control_groups() {
    let rules = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let open = "evt.type = open and fd.typechar = f and evt.res = EPERM";
    let condition = format!("{open} and fd.name endswith /vedette-shield-g/cgroup.freeze");
    let rule = format!("- {{rule: frozen, desc: d, condition: '{condition}', output: o, priority: INFO}}\n");
    fs::write(rules.path(), rule).unwrap();
    let sensor = shielded!("vedette-shield-g/", &["--rules", rules.path().to_str().unwrap()]);
    let unified = unified().unwrap();
    let above = unified.join("vedette-shield-g");
    let own = above.join(std::process::id().to_string());
    let mut refused = Vec::new();
    for (group, file) in [
        (&own, "cgroup.freeze"),
        (&own, "cgroup.procs"),
        (&own, "cgroup.max.depth"),
        (&above, "cgroup.freeze"),
    ] {
        refused.push(group.join(file));
    }
    // Since 5.14.
    refused
        .extend([own.join("cgroup.kill"), own.join("memory.max")].into_iter().filter(|file| file.exists()));
    for file in &refused {
        let file = file.to_str().unwrap();
        for flags in ["1", "2"] {
            assert_eq!(sensor.inside(&["open", file, flags, "0"]), EPERM, "{file} {flags}");
        }
        assert!(sensor.inside(&["open", file, "0", "0"]) >= 0, "{file} is only read");
        assert!(sensor.host(&["open", file, "1", "0"]) >= 0, "{file} on the host");
    }
    // A handle leads to a file past all folders. Nobody asked for this one by its name: the kernel knows no way to it.
    let entries = fs::read_dir(&own).unwrap().flatten();
    let number =
        entries.filter(|entry| entry.file_name() == "cgroup.max.descendants").map(|entry| entry.ino());
    assert_eq!(by_number(&sensor, &unified, number.last().unwrap()), EPERM);
    // Those of one file are the rule's.
    let told = 2 * (refused.len() - 1) + 1;
    let alert = sensor.told(told);
    assert_eq!(alert["event"]["type"], "open_by_handle_at", "{alert}");
    assert_eq!(alert["container"]["id"], sensor.container.id[..12], "{alert}");
    // Its group and another one, the group of everything, and what harms nobody.
    let (cousin, container) = (above.join("other"), unified.join("docker").join(&sensor.container.id));
    fs::create_dir(&cousin).unwrap();
    for file in [
        cousin.join("cgroup.freeze"),
        container.join("cgroup.freeze"),
        unified.join("cgroup.procs"),
        above.join("cgroup.subtree_control"),
    ] {
        let file = file.to_str().unwrap();
        assert!(sensor.inside(&["open", file, "1", "0"]) >= 0, "{file} is let alone");
    }
    fs::remove_dir(&cousin).unwrap();
    assert_eq!(sensor.watcher.alert("frozen", 2)["event"]["result"], EPERM);
    assert_eq!(sensor.stop(), told);
}

/// Opens a file of the hierarchy to write by the number of its inode, in the container.
fn by_number(sensor: &Shielded, unified: &Path, number: u64) -> i64 {
    /// `FILEID_KERNFS`, and the bytes of a number.
    const OF_NUMBER: u32 = 0xfe;
    const BYTES: u32 = 8;
    let hierarchy = File::open(unified).unwrap();
    let handle = [BYTES, OF_NUMBER, number as u32, (number >> 32) as u32];
    sensor.calls(move || {
        let (mount, handle) = (hierarchy.as_raw_fd(), handle.as_ptr());
        // SAFETY: a handle that says how long it is.
        errno(unsafe { libc::syscall(libc::SYS_open_by_handle_at, mount, handle, libc::O_WRONLY) })
    })
}

/// A filesystem that is mounted for a test.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(kind: &CStr, options: &CStr) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = CString::new(dir.path().as_os_str().as_bytes())?;
        // SAFETY: C strings.
        let result =
            unsafe { libc::mount(kind.as_ptr(), path.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        if result == 0 { Ok(Self(dir)) } else { Err(io::Error::last_os_error()) }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = CString::new(self.path().as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn shield_keeps_containers_from_its_groups_of_version_1() {
    let sensor = shielded!("vedette-shield-v", &[]);
    let freezer = match Mounted::new(c"cgroup", c"freezer") {
        Ok(freezer) => freezer,
        Err(error) => {
            sensor.stop();
            return skip(test_name!(), &format!("the freezer of version 1 cannot be mounted: {error}"));
        }
    };
    let (own, other) = (Group::new(freezer.path(), "own"), Group::new(freezer.path(), "other"));
    // It has to go first whatever comes: a group that somebody is in is waited for.
    let sensor = sensor;
    own.add(sensor.watcher.pid());
    let state = |group: &str| freezer.path().join(group).join("freezer.state").display().to_string();
    assert_eq!(sensor.inside(&["open", &state("own"), "1", "0"]), EPERM);
    assert!(sensor.inside(&["open", &state("other"), "1", "0"]) >= 0, "nobody of ours is there");
    assert!(sensor.host(&["open", &state("own"), "1", "0"]) >= 0, "on the host");
    assert_eq!(sensor.stop(), 1);
    drop((own, other));
}
