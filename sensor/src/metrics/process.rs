//! What the sensor itself takes of the machine, as the kernel says it, under the names that every Prometheus library uses.

use std::fs;

/// What it takes; 0 where the kernel does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// Bytes of it in memory.
    pub(super) resident: u64,
    /// Seconds on a processor, in user space and in the kernel.
    pub(super) cpu_seconds: f64,
    pub(super) threads: u64,
    pub(super) open_files: u64,
    pub(super) most_files: u64,
}

impl Process {
    /// Reads it now.
    pub(super) fn read() -> Self {
        let Ok(own) = procfs::process::Process::myself() else { return Self::default() };
        let Ok(stat) = own.stat() else { return Self::default() };
        let ticks = stat.utime + stat.stime;
        let files = own.limits().map(|limits| limits.max_open_files.soft_limit);
        Self {
            resident: stat.rss * procfs::page_size(),
            cpu_seconds: ticks as f64 / procfs::ticks_per_second() as f64,
            threads: u64::try_from(stat.num_threads).unwrap_or(0),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
            most_files: match files {
                Ok(procfs::process::LimitValue::Value(most)) => most,
                _ => 0,
            },
        }
    }
}
