//! podman and dockerd of the tests' own, with private state, and the same image as containerd's.

use std::{
    cell::RefCell,
    fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{Sensor, container::image, deadline, require::has_program};

/// A command line that runs containers.
pub struct Engine {
    dir: TempDir,
    program: &'static str,
    /// Its flags in front of the command, and behind `run`.
    flags: Vec<String>,
    run: Vec<String>,
    daemon: Option<Child>,
    /// Containers that are taken away at the end.
    started: RefCell<Vec<String>>,
}

/// What is missing on this machine for a program that makes images and another that runs them.
#[must_use]
pub fn missing(programs: &[&str]) -> Option<String> {
    let all = programs.iter().chain(&["umoci", "skopeo", "busybox", "runc"]);
    let missing: Vec<_> = all.filter(|name| !has_program(name)).copied().collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Engine {
    /// podman with runc and groups of its own making, as it works without systemd and without the right to raise limits.
    ///
    /// # Errors
    /// What it says where it cannot take the image in.
    pub fn podman() -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (root, runroot, tmp) = (at("root"), at("runroot"), at("tmp"));
        let flags = strings(&[
            "--root",
            &root,
            "--runroot",
            &runroot,
            "--tmpdir",
            &tmp,
            "--cgroup-manager",
            "cgroupfs",
            "--runtime",
            "runc",
        ]);
        let run = strings(&["--network=none", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]);
        let started = RefCell::default();
        Self { dir, program: "podman", flags, run, daemon: None, started }.with_image()
    }

    /// dockerd, with a containerd that it starts for itself.
    ///
    /// # Errors
    /// What it says where it does not start or cannot take the image in.
    pub fn docker() -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (socket, log) = (at("socket"), fs::File::create(at("log")).expect("a log"));
        let daemon = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "-p", &at("pid")])
            .args(["-H", &format!("unix://{socket}"), "--iptables=false", "--bridge=none"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let flags = vec!["-H".to_owned(), format!("unix://{socket}")];
        let (run, started) = (strings(&["--net=none"]), RefCell::default());
        let mut engine = Self { dir, program: "docker", flags, run, daemon: Some(daemon), started };
        let end = Instant::now() + deadline();
        while UnixStream::connect(&socket).is_err() {
            let ended = engine.daemon.as_mut().is_some_and(|daemon| matches!(daemon.try_wait(), Ok(Some(_))));
            if ended || Instant::now() > end {
                return Err(fs::read_to_string(engine.at("log")).unwrap_or_default());
            }
            std::thread::yield_now();
        }
        engine.with_image()
    }

    fn with_image(self) -> Result<Self, String> {
        let archive = image(&self.at("image"), crate::container::IMAGE);
        let loaded = self.command(&["load", "-i", &archive]);
        if loaded.status.success() {
            Ok(self)
        } else {
            Err(String::from_utf8_lossy(&loaded.stderr).into_owned())
        }
    }

    /// Runs a command of it.
    ///
    /// # Panics
    /// Where it cannot be run.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Output {
        Command::new(self.program)
            .args(&self.flags)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("it can be run")
    }

    /// Runs a program in a new container of this name, to its end.
    #[must_use]
    pub fn run(&self, name: &str, program: &[&str]) -> Output {
        let run: Vec<&str> = self.run.iter().map(String::as_str).collect();
        self.command(
            &[&["run", "--rm", "--name", name], &run[..], &[crate::container::IMAGE], program].concat(),
        )
    }

    /// Starts a shell script in a new container of this name, and goes on. `flags`: further ones of `run`.
    ///
    /// # Errors
    /// What it says where the container does not start.
    pub fn start(&self, name: &str, flags: &[&str], script: &str) -> Result<(), String> {
        let run: Vec<&str> = self.run.iter().map(String::as_str).collect();
        self.started.borrow_mut().push(name.to_owned());
        let program = [crate::container::IMAGE, "/bin/sh", "-c", script];
        let output = self.command(&[&["run", "-d", "--name", name], &run[..], flags, &program].concat());
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// What it says of a container, by a template of its `inspect`.
    ///
    /// # Panics
    /// Where it does not know the container.
    #[must_use]
    pub fn inspect(&self, name: &str, template: &str) -> String {
        let output = self.command(&["container", "inspect", "--format", template, name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Sends its daemon a signal, where it has one.
    pub fn signal(&self, signal: i32) {
        if let Some(daemon) = &self.daemon {
            // SAFETY: a child that is not waited for yet.
            unsafe { libc::kill(daemon.id().cast_signed(), signal) };
        }
    }

    /// A path of its own.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a sensor finds its state and its socket, and nobody else's.
    #[must_use]
    pub fn sets(&self) -> [String; 4] {
        let at = |name: &str| self.at(name).display().to_string();
        let bundles = format!(
            "identity.bundles=[\"{0}/overlay-containers/{{id}}/userdata\", \"{0}/vfs-containers/{{id}}/userdata\", \
             \"{1}/containerd/daemon/io.containerd.runtime.v2.task/*/{{id}}\"]",
            at("root"),
            at("exec"),
        );
        let storage = format!("identity.storage=[\"{}\", \"{}\"]", at("root"), at("runroot"));
        [
            bundles,
            storage,
            format!("containerd.socket={}/none", at("")),
            format!("docker.socket={}", at("socket")),
        ]
    }

    /// A sensor that knows where it keeps its state.
    #[must_use]
    pub fn sensor(&self) -> Sensor {
        let sets = self.sets();
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let sensor = Sensor::start(&sets);
        if let Some(daemon) = &self.daemon {
            sensor.follow(daemon.id());
            children(daemon.id()).into_iter().for_each(|pid| sensor.follow(pid));
        }
        sensor
    }
}

/// The processes that a process made and that are still its children.
fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    found
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A test that failed may have stopped it.
        self.signal(libc::SIGCONT);
        for name in self.started.take() {
            let _ = self.command(&["rm", "-f", &name]);
        }
        let Some(daemon) = &mut self.daemon else { return };
        // SAFETY: a child that is not waited for yet.
        unsafe { libc::kill(daemon.id().cast_signed(), libc::SIGTERM) };
        let _ = daemon.wait();
    }
}
