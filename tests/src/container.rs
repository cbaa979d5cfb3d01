//! A containerd of the tests' own, with private root, state and socket, and an image made of the machine's busybox.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{Sensor, deadline, require::has_program};

/// What it takes.
const PROGRAMS: [&str; 6] = ["containerd", "ctr", "runc", "umoci", "skopeo", "busybox"];
/// The image's name.
pub const IMAGE: &str = "docker.io/library/vedette-test:1";
/// The image of pods' sandboxes: the same programs.
const PAUSE: &str = "localhost/pause:1";
/// What the image calls its root, so that it cannot be taken for the host's.
pub const ROOT: &str = "boss";
/// Namespaces that have the image.
const NAMESPACES: [&str; 2] = ["default", "k8s.io"];

/// A containerd at work.
pub struct Containerd {
    dir: TempDir,
    daemon: Child,
}

/// What is missing on this machine, if anything.
#[must_use]
pub fn missing() -> Option<String> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|name| !has_program(name)).collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

impl Containerd {
    /// Starts it and gives it the image.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\n[grpc]\naddress = \"{}\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{PAUSE}\"\nrestrict_oom_score_adj = true\n\
             disable_tcp_service = true\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n\
             conf_dir = \"{}\"\n",
            at("root"),
            at("state"),
            at("socket"),
            at("cni"),
        );
        fs::write(at("config.toml"), config).expect("the configuration is written");
        let daemon = launch(&at("config.toml"), &at("log"));
        let containerd = Self { dir, daemon };
        containerd.wait();
        let archive = image(&containerd.at("image"), IMAGE);
        for namespace in NAMESPACES {
            containerd.import(namespace, &archive);
        }
        containerd
    }

    /// Gives a namespace an image.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn import(&self, namespace: &str, archive: &str) {
        let imported = self.ctr(&["-n", namespace, "image", "import", archive]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    }

    /// Gives the namespace of pods the image that their sandboxes run.
    pub fn import_pause(&self) {
        self.import("k8s.io", &image(&self.at("pause"), PAUSE));
    }

    /// Ends it and waits until it is gone. Its containers live on.
    pub fn stop(&mut self) {
        // SAFETY: a child that is not waited for yet.
        unsafe { libc::kill(self.daemon.id().cast_signed(), libc::SIGTERM) };
        let _ = self.daemon.wait();
    }

    /// Starts it again, and waits until its socket is there.
    pub fn start_again(&mut self) {
        let at = |name: &str| self.at(name).display().to_string();
        self.daemon = launch(&at("config.toml"), &at("log"));
        self.wait();
    }

    /// A sensor that knows this containerd and no other runtime, once it is connected.
    #[must_use]
    pub fn sensor(&self, args: &[&str]) -> Sensor {
        let sets = self.sets();
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
        let sensor = Sensor::start(&[&sets, args].concat());
        sensor.says("connected");
        sensor.follow(self.pid());
        sensor
    }

    /// Its process id: containers' processes descend from it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Where a sensor finds it.
    #[must_use]
    pub fn sets(&self) -> Vec<String> {
        let bundles = self.at("state/io.containerd.runtime.v2.task/*/{id}");
        vec![
            format!("containerd.socket={}", self.socket().display()),
            format!("identity.bundles=[\"{}\"]", bundles.display()),
        ]
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.at("socket")
    }

    /// Runs a shell script in a new container of this name, to its end.
    #[must_use]
    pub fn run(&self, name: &str, script: &str) -> Output {
        self.run_with("default", &[], name, &["/bin/sh", "-c", script])
    }

    /// Runs a program in a new container of this name, to its end.
    #[must_use]
    pub fn run_with(&self, namespace: &str, flags: &[&str], name: &str, program: &[&str]) -> Output {
        self.ctr(&[&["-n", namespace, "run", "--rm"], flags, &[IMAGE, name], program].concat())
    }

    /// A path of its own.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs its command line client.
    ///
    /// # Panics
    /// Where that cannot be run.
    #[must_use]
    pub fn ctr(&self, args: &[&str]) -> Output {
        Command::new("ctr")
            .args(["-a", &self.socket().display().to_string()])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("ctr can be run")
    }

    fn wait(&self) {
        let end = Instant::now() + deadline();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < end, "{}", fs::read_to_string(self.at("log")).unwrap_or_default());
            std::thread::yield_now();
        }
        while !self.ctr(&["version"]).status.success() {
            assert!(Instant::now() < end, "{}", fs::read_to_string(self.at("log")).unwrap_or_default());
        }
    }
}

fn launch(config: &str, log: &str) -> Child {
    let log = fs::File::options().create(true).append(true).open(log).expect("a log");
    Command::new("containerd")
        .args(["-c", config])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("containerd starts")
}

/// An archive of an image whose only program is busybox, by all its names, made below a directory of its own. The sandbox's
/// waits for ever.
///
/// # Panics
/// Where the tools for it fail.
#[must_use]
pub fn image(dir: &std::path::Path, name: &str) -> String {
    let content = dir.join("content");
    let bin = content.join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    fs::create_dir_all(content.join("etc")).expect("a directory");
    fs::write(content.join("etc/passwd"), format!("{ROOT}:x:0:0::/:/bin/sh\nworker:x:1000:1000::/:\n"))
        .expect("a file");
    fs::write(content.join("etc/group"), format!("{ROOT}s:x:0:\nworkers:x:1000:\n")).expect("a file");
    fs::write(content.join("etc/shadow"), format!("{ROOT}:*:19000:0:99999:7:::\n")).expect("a file");
    let busybox = fs::canonicalize("/bin/busybox").expect("busybox is there");
    crate::act::copy_program(busybox, bin.join("busybox"));
    for name in ["sh", "cat", "cp", "true", "touch", "sleep"] {
        symlink("busybox", bin.join(name)).expect("a symlink");
    }
    let layout = dir.join("oci").display().to_string();
    let tag = format!("{layout}:busybox");
    let archive = dir.join("image.tar").display().to_string();
    tool("umoci", &["init", "--layout", &layout]);
    tool("umoci", &["new", "--image", &tag]);
    tool("umoci", &["insert", "--image", &tag, &content.display().to_string(), "/"]);
    tool("umoci", &["config", "--image", &tag, "--config.cmd", "/bin/sleep", "--config.cmd", "86400"]);
    tool("skopeo", &["copy", &format!("oci:{tag}"), &format!("docker-archive:{archive}:{name}")]);
    archive
}

fn tool(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("it is installed");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.stop();
    }
}
