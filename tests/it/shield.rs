//! The sensor itself: what turns against it is refused where the kernel has BPF among its security modules, and told of.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use sensor_tests::{
    Act,
    alerts::Watcher,
    cgroup::{Group, unified},
    deadline, needs_kernel,
    require::skip,
    test_name,
};
use serde_json::Value;

use crate::verdict::Container;

/// What says that something was refused of which no rule tells.
const REFUSED: &str = "Enforced without a match";
const EPERM: i64 = -(libc::EPERM as i64);

/// Ends the test as skipped where nothing can be refused; else starts a sensor without rules, in a group of its own on the
/// host, or in that of a container.
macro_rules! shielded {
    ($path:expr, $args:expr) => {{
        needs_kernel!();
        if let Err(why) = sensor::probe::can_shield() {
            return skip(test_name!(), &why);
        }
        let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
        Shielded::start(&unified, $path, $args)
    }};
}

// Here, as the macro is known from its place on.
mod group;

struct Shielded {
    watcher: Watcher,
    _group: Group,
    container: Container,
}

impl Shielded {
    fn start(unified: &Path, path: &str, args: &[&str]) -> Self {
        let path = format!("{path}{}", std::process::id());
        let group = Group::new(unified, &path);
        let watcher = Watcher::start(Path::new("/none"), args);
        assert!(watcher.stderr().contains("against the sensor itself"), "{}", watcher.stderr());
        fs::write(unified.join(&path).join("cgroup.procs"), watcher.pid().to_string()).unwrap();
        // From its first accounts on it has said which groups are the host's.
        let _ = watcher.rules("its first accounts", Value::is_object);
        let container = Container::new(unified);
        Self { watcher, _group: group, container }
    }

    /// What comes of a call on the host, by somebody who did not start the sensor.
    fn host(&self, steps: &[&str]) -> i64 {
        Act::new(steps).run().steps.last().unwrap()["result"].as_i64().unwrap()
    }

    /// The same in a container.
    fn inside(&self, steps: &[&str]) -> i64 {
        let output = self.container.command(&sensor_tests::act::program(), steps).output().unwrap();
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        line["result"].as_i64().unwrap()
    }

    /// What comes of a system call there.
    fn calls(&self, call: impl Fn() -> i64 + Send + Sync + 'static) -> i64 {
        let mut child = self.container.command(Path::new("/bin/true"), &[]);
        // SAFETY: a system call.
        unsafe {
            child.pre_exec(move || match call() {
                result if result < 0 => Err(io::Error::from_raw_os_error(-result as i32)),
                _ => Ok(()),
            });
        }
        child.status().err().and_then(|error| error.raw_os_error()).map_or(0, |error| -i64::from(error))
    }

    /// Tries it until it is refused: that a group is the host's, or a container's, is known a moment after it was made.
    fn until_refused(&self, tries: impl Fn() -> i64) {
        let end = Instant::now() + deadline();
        while tries() != EPERM {
            assert!(Instant::now() < end, "never refused; {}", self.watcher.stderr());
        }
    }

    /// The latest alert about something refused, once there are so many.
    fn told(&self, times: usize) -> Value {
        let alert = self.watcher.alert(REFUSED, times);
        assert_eq!(alert["event"]["result"], EPERM, "{alert}");
        alert
    }

    /// Ends it, and says how much was told of as refused.
    fn stop(self) -> usize {
        let (alerts, _) = self.watcher.stop();
        alerts.iter().filter(|alert| alert["rule"] == REFUSED).count()
    }
}

#[test]
fn shield_refuses_signals() {
    let sensor = shielded!("vedette-shield-", &[]);
    let pid = sensor.watcher.pid().to_string();
    let kill = |signal: &'static str| ["kill", &pid, signal].map(str::to_owned);
    let host = |signal| sensor.host(&kill(signal).each_ref().map(String::as_str));
    let inside = |signal| sensor.inside(&kill(signal).each_ref().map(String::as_str));
    for signal in ["9", "19", "20", "11", "10"] {
        assert_eq!(host(signal), EPERM, "{signal}");
    }
    for signal in ["0", "17", "18", "1"] {
        assert_eq!(host(signal), 0, "{signal}");
    }
    assert_eq!(sensor.host(&["tgkill", &pid, &pid, "9"]), EPERM);
    assert_eq!(sensor.host(&["tkill", &pid, "9"]), EPERM);
    for signal in ["9", "15", "2", "1"] {
        assert_eq!(inside(signal), EPERM, "{signal}");
    }
    assert_eq!(inside("0"), 0);
    let last = sensor.told(11);
    assert_eq!(last["event"]["type"], "kill", "{last}");
    assert_eq!(last["container"]["id"], sensor.container.id[..12], "{last}");
    // Whoever started it, and an administrator.
    sensor.watcher.signal(libc::SIGHUP);
    assert_eq!(host("15"), 0);
    sensor.watcher.closed();
}

#[test]
fn shield_lets_the_host_end_a_sensor_in_a_container() {
    // 64 digits, of which the process number is the end.
    let rest = 64 - std::process::id().to_string().len();
    let sensor = shielded!(&format!("docker/{}", "5".repeat(rest)), &[]);
    let pid = sensor.watcher.pid().to_string();
    sensor.until_refused(|| sensor.inside(&["kill", &pid, "15"]));
    assert_eq!(sensor.host(&["kill", &pid, "9"]), 0);
    sensor.watcher.closed();
}

#[test]
fn shield_refuses_debuggers() {
    let sensor = shielded!("vedette-shield-t", &[]);
    let pid = sensor.watcher.pid().to_string();
    let memory = format!("/proc/{pid}/mem");
    let seize = ["ptrace", "16902", &pid, "0", "0"];
    assert_eq!(sensor.host(&seize), EPERM);
    assert!(sensor.host(&["open", &memory, "2", "0"]) < 0, "its memory");
    assert!(
        sensor.host(&["open", &format!("/proc/{pid}/environ"), "0", "0"]) >= 0,
        "what `/proc` shows is let alone"
    );
    let other = std::process::id().to_string();
    assert_ne!(sensor.host(&["ptrace", "16902", &other, "0", "0"]), EPERM, "another process");
    let told = sensor.told(1);
    assert_eq!(told["event"]["type"], "ptrace", "{told}");
    assert!(sensor.stop() >= 2);
}

/// The numbers of a process's objects of this kind.
fn objects(pid: u32, key: &str) -> Vec<u32> {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let number = |info: String| info.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    infos.filter_map(|entry| number(fs::read_to_string(entry.path()).ok()?)).collect()
}

/// `bpf` with a number (or a descriptor) and flags; 0 or more is what it gave.
fn bpf(command: i64, first: u32, flags: u32) -> i64 {
    let mut attr = [0_u32; 32];
    (attr[0], attr[2]) = (first, flags);
    // SAFETY: the kernel reads as many bytes as it is told.
    errno(unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(&attr)) })
}

/// A result, or the negative errno.
fn errno(result: i64) -> i64 {
    if result < 0 { -i64::from(io::Error::last_os_error().raw_os_error().unwrap()) } else { result }
}

const PROG_BY_ID: i64 = 13;
const MAP_BY_ID: i64 = 14;
const LINK_BY_ID: i64 = 30;
const LINK_DETACH: i64 = 34;
const READ_ONLY: u32 = 1 << 3;

#[test]
fn shield_keeps_others_from_its_kernel_objects() {
    let sensor = shielded!("vedette-shield-o", &[]);
    let first = |key| objects(sensor.watcher.pid(), key)[0];
    let (map, program, link) = (first("map_id:"), first("prog_id:"), first("link_id:"));
    // On the host they may be looked at.
    assert_eq!(bpf(MAP_BY_ID, map, 0), EPERM);
    assert!(bpf(MAP_BY_ID, map, READ_ONLY) >= 0);
    assert!(bpf(PROG_BY_ID, program, 0) >= 0);
    let fd = bpf(LINK_BY_ID, link, 0);
    assert!(fd >= 0, "{fd}");
    assert_eq!(bpf(LINK_DETACH, u32::try_from(fd).unwrap(), 0), EPERM);
    assert_eq!(sensor.told(2)["event"]["type"], "bpf");
    // In a container not even that.
    for (command, number, flags) in
        [(MAP_BY_ID, map, READ_ONLY), (PROG_BY_ID, program, 0), (LINK_BY_ID, link, 0)]
    {
        sensor.until_refused(|| sensor.calls(move || bpf(command, number, flags)));
    }
    assert!(sensor.stop() >= 5);
    // All that is left of the sensor is let alone.
    assert_ne!(bpf(MAP_BY_ID, map, 0), EPERM);
}

#[test]
fn shield_keeps_what_is_pinned() {
    const BPFFS: &str = "/sys/fs/bpf";
    needs_kernel!();
    if let Err(why) = sensor::probe::can_shield() {
        return skip(test_name!(), &why);
    }
    let mounted = fs::read_to_string("/proc/self/mounts").unwrap().contains(" /sys/fs/bpf bpf ");
    if !mounted {
        let status = Command::new("mount").args(["-t", "bpf", "bpf", BPFFS]).stdin(Stdio::null()).status();
        assert!(status.unwrap().success());
    }
    let pins = Path::new(BPFFS).join(format!("vedette-shield-{}", std::process::id()));
    let place = format!("respond.pins={}", pins.display());
    let sensor = shielded!("vedette-shield-p", &["--keep-enforcing", "--set", &place]);
    if !pins.exists() {
        // Nothing is pinned before something is isolated, but the folder is looked after from its first moment on.
        fs::create_dir(&pins).unwrap();
    }
    let (pin, elsewhere) = (pins.join("pin"), Path::new(BPFFS).join(format!("else{}", std::process::id())));
    let end = Instant::now() + deadline();
    loop {
        let _ = fs::create_dir(&pin);
        match fs::remove_dir(&pin).map_err(|error| error.raw_os_error()) {
            Err(Some(libc::EPERM)) => break,
            result => assert!(Instant::now() < end, "{result:?}"),
        }
    }
    assert_eq!(sensor.told(1)["event"]["type"], "rmdir");
    let refused = |result: io::Result<()>| assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
    refused(fs::rename(&pin, &elsewhere));
    refused(fs::rename(&pins, &elsewhere));
    assert_eq!(sensor.told(3)["event"]["type"], "rename");
    fs::create_dir(&elsewhere).unwrap();
    fs::remove_dir(&elsewhere).unwrap();
    assert_eq!(sensor.stop(), 3);
    let _ = fs::remove_dir(&pin);
    let _ = fs::remove_dir(&pins);
}

#[test]
fn shield_can_be_switched_off() {
    needs_kernel!();
    if let Err(why) = sensor::probe::can_shield() {
        return skip(test_name!(), &why);
    }
    let watcher = Watcher::start(Path::new("/none"), &["--set", "respond.protect.sensor=false"]);
    let pid = watcher.pid().to_string();
    let killed = Act::new(["kill", &pid, "9"]).run().steps.last().unwrap()["result"].clone();
    assert_eq!(killed, 0);
    watcher.closed();
}
