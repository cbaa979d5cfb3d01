//! Workloads as the rows use them: sized so that a run lasts long enough, run alone or against the sensor in turns.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    Bench,
    daemon::{Rules, Sensor},
    machine,
    wl::Measured,
};

/// Longer than the sensor sleeps between two looks.
const CATCH_UP: Duration = Duration::from_millis(50);

/// A workload with its size.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    /// One of [`crate::wl`].
    Own {
        /// Its name.
        name: &'static str,
        /// How often, in each copy.
        count: u64,
        /// Copies at once.
        copies: usize,
    },
    /// `make -j2` of so many C files.
    Build(usize),
}

impl Load {
    /// A workload of our own that lasts about `time`.
    pub(crate) fn sized(bench: &Bench, name: &'static str, copies: usize, time: Duration) -> Result<Self> {
        let mut count = 200;
        loop {
            let wall = Self::Own { name, count, copies }.run(bench)?.wall_ns;
            if wall > 50_000_000 {
                let times = time.as_nanos() as f64 / wall as f64;
                return Ok(Self::Own { name, count: (count as f64 * times).max(1.0) as u64, copies });
            }
            count *= 4;
        }
    }

    /// Runs it once without being measured, and lets the sensor catch up. As long as that: where nothing ran for as long as a
    /// sensor takes to start, a virtual CPU is up to a fifth slower for half a second.
    fn warm_up(&self, bench: &Bench) -> Result<()> {
        if let Self::Own { .. } = self {
            self.run(bench)?;
        }
        thread::sleep(CATCH_UP);
        Ok(())
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, bench: &Bench) -> Result<Measured> {
        match self {
            Self::Own { .. } => finish(self.start(bench)?),
            Self::Build(files) => build(bench, *files),
        }
    }

    /// Starts it, for those who do something else meanwhile.
    pub(crate) fn start(&self, bench: &Bench) -> Result<std::process::Child> {
        let Self::Own { name, count, copies } = self else {
            bail!("only our own workloads run beside others")
        };
        let mut command = own(bench, name, *count);
        command.env("WL_THREADS", copies.to_string());
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start the workload {name}"))
    }
}

/// A workload of our own, so many times in all and in each second.
pub(crate) fn paced(bench: &Bench, name: &str, (count, rate): (u64, u64)) -> Result<std::process::Child> {
    let mut command = own(bench, name, count);
    command.env("WL_RATE", rate.to_string()).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("cannot start the workload {name}"))
}

fn own(bench: &Bench, name: &str, count: u64) -> Command {
    let mut command = Command::new(&bench.own);
    command.args(["wl", name, &count.to_string()]);
    // Cargo sets it, and each exec would then look for its libraries in several more places.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Waits for a workload that was started.
pub(crate) fn finish(child: std::process::Child) -> Result<Measured> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the workload failed: {}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Why the build cannot be measured here, if so.
pub(crate) fn no_build() -> Option<String> {
    let missing = ["gcc", "make"].into_iter().find(|tool| {
        let silent = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        !silent.is_ok_and(|status| status.success())
    });
    missing.map(|tool| format!("there is no {tool} here"))
}

fn build(bench: &Bench, files: usize) -> Result<Measured> {
    let dir = bench.file("project");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir)?;
    let headers = ["stdio.h", "stdlib.h", "string.h", "unistd.h", "sys/socket.h"];
    let includes: String = headers.iter().map(|header| format!("#include <{header}>\n")).collect();
    for file in 0..files {
        let functions: String = (0..8)
            .map(|f| format!(
                "int f{file}_{f}(int x){{char b[64];snprintf(b,sizeof b,\"%d-{f}\",x);return (int)strlen(b)*{};}}\n",
                f + 1
            ))
            .collect();
        fs::write(dir.join(format!("f{file}.c")), format!("{includes}{functions}"))?;
    }
    let declared: String = (0..files).map(|file| format!("int f{file}_0(int);\n")).collect();
    let calls: String = (0..files).map(|file| format!("s+=f{file}_0({file});")).collect();
    fs::write(dir.join("main.c"), format!("{declared}int main(){{int s=0;{calls}return s==0;}}\n"))?;
    let objects: String = (0..files).map(|file| format!(" f{file}.o")).collect();
    fs::write(dir.join("Makefile"), format!("CFLAGS=-O1\nprog: main.o{objects}\n\tgcc -o $@ $^\n"))?;
    let (start, before) = (machine::now(), children_cpu());
    let status = Command::new("make")
        .args(["-s", "-j2", "-C"])
        .arg(&dir)
        .env_remove("LD_LIBRARY_PATH")
        .stdout(Stdio::null())
        .status()?;
    let wall_ns = machine::now() - start;
    if !status.success() {
        bail!("make failed: {status}");
    }
    Ok(Measured::new("build", files as u64, 1, wall_ns, children_cpu() - before))
}

/// CPU time of the children that ended, in nanoseconds.
fn children_cpu() -> u64 {
    crate::wl::cpu_of_children()
}

/// One run with the sensor, and what it was without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    /// Wall time with the sensor over that without.
    pub(crate) ratio: f64,
    /// The workload's own CPU time with the sensor over that without: less exact in principle, since what the sensor does on
    /// another CPU is not in it, but hardly moved by others at work on this machine.
    pub(crate) cpu_ratio: f64,
    /// Nanoseconds more per operation.
    pub(crate) more: f64,
    /// Nanoseconds of the sensor's own CPU time per operation.
    pub(crate) sensor: f64,
    /// Events lost.
    pub(crate) lost: u64,
}

/// Runs without and with the sensor in turns: A B A B … A. Each B is held against the mean of its two neighbours.
///
/// Each measured run, of either kind, follows a short one: what a sensor does for the first time after its start is not what it
/// costs while it runs. An emulated processor translates all of it then, a twentieth of a run of a second.
pub(crate) fn compare(bench: &Bench, load: &Load, rules: Rules) -> Result<Vec<Pair>> {
    // Caches and the CPU's clock warm up.
    load.run(bench)?;
    let mut before = alone(bench, load)?;
    let mut pairs = Vec::with_capacity(bench.rounds);
    for _ in 0..bench.rounds {
        let sensor = Sensor::start(bench, rules)?;
        load.warm_up(bench)?;
        let (busy, cpu) = (machine::busy(), sensor.cpu()?);
        let with = load.run(bench)?;
        let used = sensor.cpu()? - cpu;
        note_others(bench, &with, busy, used);
        let lost = sensor.stop()?.lost();
        let after = alone(bench, load)?;
        let without = f64::midpoint(before.ns_per_op, after.ns_per_op);
        pairs.push(Pair {
            ratio: with.ns_per_op / without,
            cpu_ratio: with.cpu_ns_per_op / f64::midpoint(before.cpu_ns_per_op, after.cpu_ns_per_op),
            more: with.ns_per_op - without,
            sensor: used as f64 / with.n as f64,
            lost,
        });
        before = after;
    }
    Ok(pairs)
}

fn alone(bench: &Bench, load: &Load) -> Result<Measured> {
    load.warm_up(bench)?;
    let busy = machine::busy();
    let measured = load.run(bench)?;
    note_others(bench, &measured, busy, 0);
    Ok(measured)
}

fn note_others(bench: &Bench, run: &Measured, busy_before: u64, sensor: u64) {
    let busy = (machine::busy() - busy_before).saturating_sub(run.user_ns + run.sys_ns + sensor);
    bench.others.borrow_mut().push(busy as f64 / (run.wall_ns as f64 * machine::cpus() as f64));
}
