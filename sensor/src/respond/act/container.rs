//! The end of a container: by its runtime, which then knows that it was meant to end; by the kernel where the runtime does not
//! answer. Whatever was said, it is over when the control group is empty.

use std::{fs, io, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::{Done, Runtimes, freeze, group::Group, runtime};
use crate::{
    event::Container,
    respond::outcome::{Mechanism, Reason, Result},
};

/// How long a container's processes are waited for after the runtime said that it killed them, and after the kernel was asked.
const EMPTY: Duration = Duration::from_secs(2);

/// Kills every process of the container, and has its runtime take away what is left.
pub(super) async fn kill(container: &Container, group: &Group<'_>, runtimes: &Runtimes) -> Done {
    let before = match group.members() {
        Ok(members) if members.is_empty() => return Done::refused(Reason::Gone),
        Ok(members) => members.len(),
        Err(error) => return Done::failed(Mechanism::CgroupKill, &error),
    };
    thaw(group);
    let mut said = None;
    let mut done = None;
    match runtime::kill(container, runtimes).await {
        Ok(Some(mechanism)) if empty(group).await => done = Some(Done::with(mechanism, Result::Done)),
        Ok(Some(_)) => {
            said = Some("the runtime said that it killed the container, and processes are left".to_owned())
        }
        Ok(None) => {}
        Err(error) => said = Some(error.to_string()),
    }
    let mut done = match done {
        Some(done) => done,
        None => by_kernel(group).await,
    };
    if done.result == Some(Result::Done)
        && let Err(error) = runtime::remove(container, runtimes).await
    {
        said.get_or_insert(error.to_string());
    }
    // What a runtime said is worth knowing also where it was done without it.
    done.error = done.error.or(said);
    done.processes = Some(before);
    done
}

/// A container that the freezer of version 1 holds does not die.
fn thaw(group: &Group<'_>) {
    if let Some(dir) = group.freezer() {
        // Where it is not frozen this changes nothing; where it cannot be thawed its processes are seen to be left.
        let _ = fs::write(dir.join("freezer.state"), "THAWED");
    }
}

async fn by_kernel(group: &Group<'_>) -> Done {
    if let Some(dir) = group.unified()
        && fs::write(dir.join("cgroup.kill"), "1").is_ok()
        && empty(group).await
    {
        return Done::with(Mechanism::CgroupKill, Result::Done);
    }
    // Before 5.14, in version 1, and where a process is in another hierarchy only. Who stands still has no children while he is
    // listed; a signal waits for him where the freezer of version 1 holds him, and is the first thing that he gets.
    let still = freeze::still(group).await;
    let first = signal_all(group);
    drop(still);
    if let Err(error) = first {
        return Done::failed(Mechanism::CgroupSignals, &error);
    }
    let end = Instant::now() + EMPTY;
    loop {
        match signal_all(group) {
            Ok(0) => return Done::with(Mechanism::CgroupSignals, Result::Done),
            Ok(_) if Instant::now() > end => return Done::with(Mechanism::CgroupSignals, Result::Pending),
            Ok(_) => sleep(Duration::from_millis(1)).await,
            Err(error) => return Done::failed(Mechanism::CgroupSignals, &error),
        }
    }
}

/// Kills everything that is listed, and says how many there were. Who is listed again after his descriptor was opened is the
/// one who was listed.
fn signal_all(group: &Group<'_>) -> io::Result<usize> {
    let members = group.members()?;
    let opened: Vec<_> = members
        .iter()
        .filter_map(|pid| {
            Some((*pid, pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?))
        })
        .collect();
    let still = group.members()?;
    for (_, pidfd) in opened.iter().filter(|(pid, _)| still.contains(pid)) {
        // It died meanwhile, or it is seen to be left.
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
    Ok(members.len())
}

/// Whether the group is empty, at the latest after a while.
async fn empty(group: &Group<'_>) -> bool {
    let end = Instant::now() + EMPTY;
    let mut pause = Duration::from_micros(200);
    loop {
        if group.members().is_ok_and(|members| members.is_empty()) {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
