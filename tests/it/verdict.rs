//! What the kernel half does by itself: refused or killed before any user code runs on, in containers and nowhere else.

use std::{
    fs, io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use sensor_tests::{
    act,
    alerts::{Watcher, flags},
    cgroup::{Group, unified},
    deadline, needs_kernel,
    require::skip,
    test_name, vedette,
};

/// How often something forbidden is tried; `VEDETTE_TEST_TRIES` says otherwise.
fn tries() -> usize {
    std::env::var("VEDETTE_TEST_TRIES").map_or(100, |tries| tries.parse().expect("a number"))
}

const EXEC: u32 = 0;
const OPEN: u32 = 1;
const REMOVE: u32 = 5;
const MOVE: u32 = 6;
const LINK: u32 = 7;

/// A control group that looks like a container's, and a folder for its files.
pub(crate) struct Container {
    pub(crate) id: String,
    group: Group,
    procs: PathBuf,
    dir: tempfile::TempDir,
}

impl Container {
    pub(crate) fn new(unified: &Path) -> Self {
        /// Tests run side by side: two with one number would have one group.
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:08x}{number:04x}{}", std::process::id(), "7".repeat(52));
        let path = format!("docker/{id}");
        let procs = unified.join(&path).join("cgroup.procs");
        Self { id, group: Group::new(unified, &path), procs, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy of the helper under another name.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        act::copy_program(act::program(), self.path(name));
        self.path(name)
    }

    /// A command that runs in the container: in its group, and in a mount namespace of its own.
    pub(crate) fn command(&self, program: &Path, steps: &[&str]) -> Command {
        let procs = self.procs.clone();
        let mut command = Command::new(program);
        command.args(steps).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // SAFETY: system calls only.
        unsafe {
            command.pre_exec(move || {
                if libc::unshare(libc::CLONE_NEWNS) != 0 {
                    return Err(io::Error::last_os_error());
                }
                fs::write(&procs, "0")
            });
        }
        command
    }

    /// Starts a sensor with these rules.
    fn watched(&self, rules: &str) -> Watcher {
        let file = self.path("rules.yaml");
        fs::write(&file, rules).unwrap();
        Watcher::start(&file, &[])
    }

    /// Tries what is forbidden until it no longer goes well, and says how often it was tried: each time is an alert.
    fn until_forbidden(&self, watcher: &Watcher, allowed: impl Fn() -> bool) -> usize {
        let end = Instant::now() + deadline();
        let mut tries = 1;
        while allowed() {
            tries += 1;
            assert!(Instant::now() < end, "never forbidden; {}", watcher.stderr());
        }
        tries
    }
}

/// Ends it, and says how often its rule `refused` was told of: other sensors of this machine are refused things, too, and a fuse
/// may open.
fn told(watcher: Watcher) -> usize {
    let (alerts, _) = watcher.stop();
    alerts.iter().filter(|alert| alert["rule"] == "refused").count()
}

fn rule(name: &str, response: &str, condition: &str) -> String {
    format!(
        "- {{rule: {name}, desc: d, condition: '{condition}', output: o, priority: INFO, response: {response}}}\n"
    )
}

/// Whether this kernel can refuse; what it cannot is a reason to skip.
fn can_refuse(test: &str, class: u32) -> bool {
    sensor::probe::can_refuse(class).inspect_err(|why| skip(test, why)).is_ok()
}

macro_rules! container {
    () => {{
        needs_kernel!();
        let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
        Container::new(&unified)
    }};
}

mod kept;
mod moved;
mod net;
mod remove;

/// The exit code, the signal below zero, or a thousand and the error of the exec.
fn creates(command: &mut Command) -> Option<i32> {
    match command.status() {
        Ok(status) => status.code().or_else(|| status.signal().map(|signal| -signal)),
        Err(error) => error.raw_os_error().map(|error| 1000 + error),
    }
}

#[test]
fn verdict_kills_an_exec_before_its_first_instruction() {
    let container = container!();
    let forbidden = container.program("forbidden");
    let mark = container.path("mark");
    let steps = ["creat", mark.to_str().unwrap(), "420"];
    let runs = || creates(&mut container.command(&forbidden, &steps));
    let condition =
        format!("evt.type = execve and container.id != host and proc.exepath = {}", forbidden.display());
    let watcher = container.watched(&rule("killed", "kill", &condition));
    let before = container.until_forbidden(&watcher, || runs() == Some(0));
    let _ = fs::remove_file(&mark);
    for _ in 0..tries() {
        assert_eq!(runs(), Some(-libc::SIGKILL));
        assert!(!mark.exists(), "its first instructions ran");
    }
    let _ = watcher.alert("killed", before + tries());
    // On the host the daemon decides, and another program in the container is let alone.
    let allowed = container.program("allowed");
    assert_eq!(creates(&mut container.command(&allowed, &steps)), Some(0));
    fs::remove_file(&mark).unwrap();
    // Whoever is in a group and still where it was made is the runtime. The daemon, which would kill it, sleeps meanwhile.
    let container = Container::new(&unified().unwrap());
    let killed = |_| creates(&mut container.command(&forbidden, &steps)) == Some(-libc::SIGKILL);
    assert!((0..20).filter(|number| killed(*number)).count() > 0, "the kernel half knows the group");
    watcher.signal(libc::SIGSTOP);
    let procs = container.procs.clone();
    let mut runtime = Command::new(&forbidden);
    runtime.args(steps).stdout(Stdio::null());
    // SAFETY: system calls only.
    unsafe { runtime.pre_exec(move || fs::write(&procs, "0")) };
    assert_eq!(creates(&mut runtime), Some(0));
    watcher.signal(libc::SIGCONT);
    drop(container.group);
}

#[test]
fn verdict_kills_what_opens_a_file() {
    let container = container!();
    let (program, secret) = (container.program("reader"), container.path("secret"));
    fs::write(&secret, "x").unwrap();
    let link = container.path("link");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let mark = container.path("mark");
    let reads = |path: &Path, flags: &str| {
        let steps =
            ["open", path.to_str().unwrap(), flags, "0", "--", "creat", mark.to_str().unwrap(), "420"];
        creates(&mut container.command(&program, &steps))
    };
    let condition = format!(
        "evt.type in (open, openat, openat2) and evt.is_open_read = true and container.id != host and fd.name = {}",
        secret.display()
    );
    let watcher = container.watched(&rule("killed", "kill", &condition));
    let _ = container.until_forbidden(&watcher, || reads(&secret, "0") == Some(0));
    let _ = fs::remove_file(&mark);
    for path in [&secret, &link] {
        assert_eq!(reads(path, "0"), Some(-libc::SIGKILL));
        assert!(!mark.exists(), "it went on");
    }
    assert_eq!(reads(&secret, "1"), Some(0), "opened for writing alone");
    assert_eq!(reads(&program, "0"), Some(0), "another file");
}

#[test]
fn verdict_refuses_connections() {
    let container = container!();
    let program = container.program("client");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, free) = (listener.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    let connect = |family: &str, address: String| -> i64 {
        let steps = ["socket", family, "1", "0", "--", "connect", "3", &address];
        let output = container.command(&program, &steps).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        last["result"].as_i64().unwrap()
    };
    let condition = format!(
        "evt.type = connect and container.id != host and fd.snet = \"127.0.0.0/8\" and fd.sport = {port} and fd.l4proto = tcp"
    );
    let rules = rule("refused", "block", &condition);
    let watcher = container.watched(&rules);
    let before = container.until_forbidden(&watcher, || connect("2", format!("127.0.0.1:{port}")) == 0);
    assert_eq!(connect("2", format!("127.0.0.1:{port}")), i64::from(-libc::EPERM));
    assert_eq!(connect("10", format!("[::ffff:127.0.0.1]:{port}")), i64::from(-libc::EPERM));
    assert_eq!(connect("2", format!("127.0.0.1:{free}")), 0, "another port");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "the host is let alone");
    let alert = watcher.alert("refused", before + 2);
    assert_eq!(alert["event"]["type"], "connect");
    let (alerts, _) = watcher.stop();
    assert_eq!(alerts.len(), before + 2, "each refusal is one alert: {alerts:#?}");
}

#[test]
fn verdict_refuses_an_exec() {
    let container = container!();
    if !can_refuse(test_name!(), EXEC) {
        return;
    }
    // By its name alone: no other test may have one of that name.
    let forbidden = container.program("unwanted");
    let mark = container.path("mark");
    let steps = ["creat", mark.to_str().unwrap(), "420"];
    let runs = || creates(&mut container.command(&forbidden, &steps));
    let condition = "evt.type = execve and container.id != host and proc.name = unwanted";
    let watcher = container.watched(&rule("refused", "block", condition));
    let before = container.until_forbidden(&watcher, || runs() == Some(0));
    let _ = fs::remove_file(&mark);
    for _ in 0..tries() {
        assert_eq!(runs(), Some(1000 + libc::EPERM));
    }
    assert!(!mark.exists(), "its first instructions ran");
    let _ = watcher.alert("refused", before + tries());
    // A script is what its interpreter is, by the name of the script.
    let script = container.path("script");
    fs::write(&script, format!("#!{}\n", forbidden.display())).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_ne!(creates(&mut container.command(&script, &[])), Some(1000 + libc::EPERM));
    assert_eq!(told(watcher), before + tries(), "each refusal is one alert");
}

#[test]
fn verdict_refuses_opens() {
    let container = container!();
    if !can_refuse(test_name!(), OPEN) {
        return;
    }
    let (program, secret) = (container.program("reader"), container.path("secret"));
    fs::write(&secret, "x").unwrap();
    let reads = |path: &Path, flags: &str| {
        let steps = ["open", path.to_str().unwrap(), flags, "0"];
        let output = container.command(&program, &steps).output().unwrap();
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        line["result"].as_i64().unwrap()
    };
    let condition = format!(
        "evt.type in (open, openat, openat2) and evt.is_open_write = true and container.id != host and fd.name = {}",
        secret.display()
    );
    let watcher = container.watched(&rule("refused", "block", &condition));
    let before = container.until_forbidden(&watcher, || reads(&secret, "1") >= 0);
    assert_eq!(reads(&secret, "1"), i64::from(-libc::EPERM));
    assert_eq!(reads(&secret, "2"), i64::from(-libc::EPERM));
    assert!(reads(&secret, "0") >= 0, "opened for reading alone");
    assert!(fs::write(&secret, "y").is_ok(), "the host is let alone");
    let _ = watcher.alert("refused", before + 2);
    assert_eq!(told(watcher), before + 2, "each refusal is one alert");
}

#[test]
fn verdict_that_this_kernel_cannot_give_ends_the_start() {
    needs_kernel!();
    let Err(why) = sensor::probe::can_refuse(EXEC) else {
        return skip(test_name!(), "this kernel can refuse execs");
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    let condition = "evt.type = execve and proc.exepath = /none";
    let start = |response: &str| {
        fs::write(&file, rule("r", response, condition)).unwrap();
        let flags = flags(dir.path(), file.to_str().unwrap());
        Command::new(vedette()).arg("run").args(flags).output().unwrap()
    };
    let output = start("block");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("rule `r` cannot block an exec") && words.contains(&why), "{words}");
    assert!(words.contains("{block: {or: kill}}"), "{words}");
}
