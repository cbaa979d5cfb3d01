//! What the kernel accounts for: CPU time and memory of a process, CPU time of the whole machine, run time of its BPF
//! programs.

use std::{collections::BTreeMap, fs, io};

use anyhow::{Context, Result};

/// CPUs that this process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Nanoseconds on `CLOCK_MONOTONIC`, which all processes share.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// CPU time of a process with all its threads, those that ended included, in nanoseconds.
pub(crate) fn cpu_of(pid: u32) -> Result<u64> {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls only write to the local they are given a pointer to.
    let result = unsafe {
        match libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) {
            0 => libc::clock_gettime(clock, &raw mut time),
            error => error,
        }
    };
    if result != 0 {
        return Err(io::Error::last_os_error()).context("cannot read the CPU clock of the sensor");
    }
    Ok(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
}

/// Resident memory of a process: now, and at most since its start. MiB.
pub(crate) fn memory_of(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the sensor is gone")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().split(' ').next()?.parse::<f64>().ok()
    };
    let mib = |name: &str| field(name).map(|kib| kib / 1024.0).with_context(|| format!("no {name}"));
    Ok((mib("VmRSS")?, mib("VmHWM")?))
}

/// CPU time that all CPUs spent on anything, in nanoseconds; as exact as the kernel's tick.
pub(crate) fn busy() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let columns: Vec<u64> = stat
        .lines()
        .next()
        .into_iter()
        .flat_map(str::split_whitespace)
        .skip(1)
        .filter_map(|column| column.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let ticks: u64 =
        columns.iter().take(8).enumerate().filter(|(at, _)| *at != 3 && *at != 4).map(|(_, n)| n).sum();
    ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second()
}

/// Programs of the kernel, by id: name, nanoseconds and times they ran. The last two stand still unless
/// [`count_run_time`] is held.
pub(crate) fn programs() -> BTreeMap<u32, Program> {
    aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .map(|info| {
            let name = info.name_as_str().unwrap_or_default().to_owned();
            (info.id(), Program { name, time: info.run_time().as_nanos() as u64, runs: info.run_count() })
        })
        .collect()
}

/// See [`programs`].
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) time: u64,
    pub(crate) runs: u64,
}

/// The kernel times every BPF program for as long as this descriptor is open, and stops when we end, however we end.
pub(crate) fn count_run_time() -> Result<std::os::fd::OwnedFd> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).context("cannot switch on BPF statistics")
}

/// Another sensor at work would be in every baseline.
pub(crate) fn warn_of_company() {
    let tracing: Vec<String> = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .filter(|info| format!("{:?}", info.program_type()).contains("TRAC"))
        .filter_map(|info| info.name_as_str().map(str::to_owned))
        .collect();
    if !tracing.is_empty() {
        eprintln!(
            "other BPF programs watch this machine, and slow the runs without the sensor, too: {}",
            tracing.join(" ")
        );
    }
}
