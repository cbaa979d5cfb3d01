//! A server program as a child, on ports of its own: there once it answers, gone with the test.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::deadline;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Its folder.
    pub dir: TempDir,
}

/// A port that nobody listens on.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port()
}

impl Server {
    /// Starts `program` in `dir` and waits until it listens on `port`.
    ///
    /// # Panics
    /// Where it cannot be run, ends, or does not listen in time; with what it said.
    #[must_use]
    pub fn start(program: &Path, args: &[&str], dir: TempDir, port: u16) -> Self {
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let child = Command::new(program)
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        let mut server = Self { child: child.expect("the server can be run"), dir };
        let end = Instant::now() + deadline();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().expect("a child").is_some();
            assert!(!ended && Instant::now() < end, "{program:?}: {}", server.said());
            std::thread::yield_now();
        }
        server
    }

    /// What it printed.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once and gives its folder back, for another one that goes on there.
    #[must_use]
    pub fn kill(mut self) -> TempDir {
        self.end();
        let other = tempfile::tempdir().expect("a directory");
        std::mem::replace(&mut self.dir, other)
    }

    /// Waits until a file of its folder has as many lines.
    ///
    /// # Panics
    /// Where it does not in time.
    #[must_use]
    pub fn lines(&self, file: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + deadline();
        loop {
            let text = fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            let found = text.lines().count();
            assert!(Instant::now() < end, "{found} lines of {count} in {file}: {}", self.said());
            std::thread::yield_now();
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
