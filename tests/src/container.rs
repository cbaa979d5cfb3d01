//! A containerd of the tests' own, with private root, state and socket, and an image made of the machine's busybox.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{DEADLINE, require::has_program};

/// What it takes.
const PROGRAMS: [&str; 6] = ["containerd", "ctr", "runc", "umoci", "skopeo", "busybox"];
/// The image's name.
const IMAGE: &str = "docker.io/library/vedette-test:1";

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
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n",
            at("root"),
            at("state"),
            at("socket"),
        );
        fs::write(at("config.toml"), config).expect("the configuration is written");
        let log = fs::File::create(at("log")).expect("a log");
        let daemon = Command::new("containerd")
            .args(["-c", &at("config.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd starts");
        let containerd = Self { dir, daemon };
        let end = Instant::now() + DEADLINE;
        while UnixStream::connect(containerd.at("socket")).is_err() {
            assert!(Instant::now() < end, "{}", fs::read_to_string(containerd.at("log")).unwrap_or_default());
            std::thread::yield_now();
        }
        containerd.image();
        containerd
    }

    /// Runs a shell script in a new container of this name, to its end.
    #[must_use]
    pub fn run(&self, name: &str, script: &str) -> Output {
        self.ctr(&["run", "--rm", IMAGE, name, "/bin/sh", "-c", script])
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ctr(&self, args: &[&str]) -> Output {
        Command::new("ctr")
            .args(["-a", &self.at("socket").display().to_string()])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("ctr can be run")
    }

    /// An image whose only program is busybox, by all its names.
    fn image(&self) {
        let bin = self.at("image/bin");
        fs::create_dir_all(&bin).expect("a directory");
        let busybox = fs::canonicalize("/bin/busybox").expect("busybox is there");
        fs::copy(busybox, bin.join("busybox")).expect("busybox can be copied");
        for name in ["sh", "cat", "cp", "true", "touch", "sleep"] {
            symlink("busybox", bin.join(name)).expect("a symlink");
        }
        let layout = self.at("oci").display().to_string();
        let tag = format!("{layout}:busybox");
        let archive = self.at("image.tar").display().to_string();
        let content = self.at("image").display().to_string();
        tool("umoci", &["init", "--layout", &layout]);
        tool("umoci", &["new", "--image", &tag]);
        tool("umoci", &["insert", "--image", &tag, &content, "/"]);
        tool("skopeo", &["copy", &format!("oci:{tag}"), &format!("docker-archive:{archive}:{IMAGE}")]);
        let imported = self.ctr(&["image", "import", &archive]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    }
}

fn tool(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("it is installed");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // SAFETY: a child that is not waited for yet.
        unsafe { libc::kill(self.daemon.id().cast_signed(), libc::SIGTERM) };
        let _ = self.daemon.wait();
    }
}
