//! The workloads: small loops over one kind of system call, in a process of their own, and one JSON line on how long they
//! took. They know nothing of the sensor.

mod net;

use std::{
    ffi::CString,
    fs::File,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    ptr,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    fs::{CWD, Mode, OFlags, openat, unlinkat},
    io::{pread, read, write},
};
use serde::{Deserialize, Serialize};

use crate::machine;

/// A workload. `WL_THREADS=k` runs k copies at once, each doing N; `WL_CPU=c` pins copy i to CPU c + i; `WL_RATE=r` makes each
/// do r in a second instead of as many as it can.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which one
    #[arg(value_parser = ["null", "exec", "vexec", "fork", "open", "openonly", "create", "conn", "unix", "udp", "rw"])]
    name: String,
    /// How often
    count: u64,
    /// The program to execute, the file to open, the folder to create files in
    arg: Option<PathBuf>,
}

/// Into how many pieces a second is cut by `WL_RATE`.
const SLICES: u64 = 50;

/// What a run took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Name of the workload.
    pub(crate) w: String,
    /// Operations of all copies.
    pub(crate) n: u64,
    pub(crate) copies: u64,
    pub(crate) wall_ns: u64,
    pub(crate) user_ns: u64,
    pub(crate) sys_ns: u64,
    pub(crate) ns_per_op: f64,
    pub(crate) cpu_ns_per_op: f64,
    pub(crate) ok: bool,
}

impl Measured {
    /// A run of which only the sum of CPU time is known.
    pub(crate) fn new(name: &str, n: u64, copies: u64, wall_ns: u64, cpu_ns: u64) -> Self {
        Self {
            w: name.to_owned(),
            n,
            copies,
            wall_ns,
            user_ns: cpu_ns,
            sys_ns: 0,
            ns_per_op: wall_ns as f64 / n as f64,
            cpu_ns_per_op: cpu_ns as f64 / n as f64,
            ok: true,
        }
    }
}

/// Runs the copies and prints the line.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<usize>().ok());
    let copies = number("WL_THREADS").unwrap_or(1).clamp(1, 256);
    let (first_cpu, rate) = (number("WL_CPU"), number("WL_RATE"));
    let start = machine::now();
    let children: Vec<i32> = (0..copies)
        .map(|copy| {
            fork(|| {
                if let Some(cpu) = first_cpu {
                    let mut set = rustix::thread::CpuSet::new();
                    set.set((cpu + copy) % machine::cpus());
                    rustix::thread::sched_setaffinity(None, &set)?;
                }
                match rate {
                    None => work(args, args.count),
                    Some(rate) => paced(args, rate as u64),
                }
            })
        })
        .collect::<Result<_>>()?;
    let ok = children.into_iter().map(wait).collect::<Result<Vec<i32>>>()?.iter().all(|status| *status == 0);
    let wall_ns = machine::now() - start;
    let (user_ns, sys_ns) = usage();
    let n = args.count * copies as u64;
    let ns_per_op = wall_ns as f64 / n as f64;
    let cpu_ns_per_op = (user_ns + sys_ns) as f64 / n as f64;
    let copies = copies as u64;
    let measured =
        Measured { w: args.name.clone(), n, copies, wall_ns, user_ns, sys_ns, ns_per_op, cpu_ns_per_op, ok };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// So many in a second, in slices.
fn paced(args: &Args, rate: u64) -> Result<()> {
    let (start, slice) = (machine::now(), (rate / SLICES).max(1));
    for done in (0..args.count).step_by(slice as usize) {
        work(args, slice.min(args.count - done))?;
        let due = start + (done + slice) * 1_000_000_000 / rate.max(1);
        std::thread::sleep(std::time::Duration::from_nanos(due.saturating_sub(machine::now())));
    }
    Ok(())
}

fn work(args: &Args, count: u64) -> Result<()> {
    let path = |default: &str| args.arg.clone().unwrap_or_else(|| default.into());
    match args.name.as_str() {
        "null" => (0..count).for_each(|_| _ = std::hint::black_box(rustix::process::getppid())),
        "exec" => exec(count, &path("/bin/true"))?,
        "vexec" => spawn(count, &path("/bin/true"))?,
        "fork" => (0..count).try_for_each(|_| wait(fork(|| Ok(()))?).map(drop))?,
        "open" => open(count, &path("/etc/hostname"), true)?,
        "openonly" => open(count, &path("/etc/hostname"), false)?,
        "create" => create(count, &path("/tmp"))?,
        "conn" => net::connections(count, net::Family::Inet)?,
        "unix" => net::connections(count, net::Family::Unix)?,
        "udp" => net::datagrams(count)?,
        "rw" => {
            let (file, mut buffer) = (File::open("/etc/passwd")?, [0; 64]);
            (0..count).try_for_each(|_| pread(&file, &mut buffer, 0).map(drop))?;
        }
        other => bail!("no workload {other}"),
    }
    Ok(())
}

/// fork + execve + waitpid.
fn exec(count: u64, path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    let argv = [name.as_ptr(), ptr::null()];
    for _ in 0..count {
        let child = fork(|| {
            unsafe extern "C" {
                static environ: *const *const libc::c_char;
            }
            // SAFETY: name and list end as execve wants it, and no thread changes the environment.
            unsafe { libc::execve(name.as_ptr(), argv.as_ptr(), environ) };
            bail!("cannot execute {}", path.display())
        })?;
        ensure!(wait(child)? == 0, "{} failed", path.display());
    }
    Ok(())
}

/// The same without a copy of the address space, as most programs start others.
fn spawn(count: u64, path: &Path) -> Result<()> {
    for _ in 0..count {
        let status = Command::new(path).stdin(Stdio::inherit()).status()?;
        ensure!(status.success(), "{} failed", path.display());
    }
    Ok(())
}

fn open(count: u64, path: &Path, reads: bool) -> Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let mut buffer = [0; 64];
    for _ in 0..count {
        let file = openat(CWD, path.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        if reads {
            read(&file, &mut buffer)?;
        }
    }
    Ok(())
}

fn create(count: u64, dir: &Path) -> Result<()> {
    let path = dir.join(format!("wl-{}", std::process::id()));
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    for _ in 0..count {
        let file = openat(CWD, path.as_c_str(), flags, Mode::from_raw_mode(0o600))?;
        ensure!(write(&file, b"x")? == 1, "short write");
        drop(file);
        unlinkat(CWD, path.as_c_str(), rustix::fs::AtFlags::empty())?;
    }
    Ok(())
}

/// Opens `path` for every line on standard input, and prints the time before.
pub(crate) fn touch(path: &Path) -> Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        line?;
        let before = machine::now();
        let file = openat(CWD, path.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        drop(file);
        writeln!(output, "{before}")?;
        output.flush()?;
    }
    Ok(())
}

/// Runs `work` in a copy of this process, which has one thread only.
fn fork(work: impl FnOnce() -> Result<()>) -> Result<i32> {
    // SAFETY: no other thread is there whose locks the copy could find taken.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()).context("cannot fork"),
        0 => {
            let code = match work() {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("wl: {error:#}");
                    2
                }
            };
            // SAFETY: ends the copy at once, without the parent's clean-up.
            unsafe { libc::_exit(code) }
        }
        child => Ok(child),
    }
}

/// The status of a child that ended.
fn wait(child: i32) -> Result<i32> {
    let mut status = 0;
    // SAFETY: writes to the local only.
    let found = unsafe { libc::waitpid(child, &raw mut status, 0) };
    ensure!(found == child, "cannot wait for a child");
    Ok(status)
}

/// User and system time of children that ended, in nanoseconds.
fn usage() -> (u64, u64) {
    // SAFETY: all zero is a value of this struct, and the call only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let nanos = |time: libc::timeval| (time.tv_sec * 1_000_000_000 + time.tv_usec * 1000).cast_unsigned();
    (nanos(usage.ru_utime), nanos(usage.ru_stime))
}

/// CPU time of children that ended, in nanoseconds.
pub(crate) fn cpu_of_children() -> u64 {
    let (user, system) = usage();
    user + system
}
