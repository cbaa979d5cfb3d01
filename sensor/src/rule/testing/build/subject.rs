//! Who did it: the process and its user.

use std::sync::Arc;

use super::{Built, Draft, Pair, layer, unsettable};
use crate::event::{Args, Comm, Detail, ExeFile, Layer, Process, Task, User, flags};

impl Draft {
    pub(super) fn set_process(&mut self, pair: &Pair<'_>) -> Built<()> {
        let (task, process) = (&mut self.event.task, &mut self.process);
        match pair.name {
            "proc.name" => task.comm = Comm::from(pair.text.as_bytes()),
            "proc.exepath" => process.exe = pair.text.as_str().into(),
            "proc.exe" => process.args = first_replaced(&process.args, &pair.text),
            "proc.cmdline" => {
                process.args = pair.args();
                task.comm = comm_of(&process.args);
            }
            "proc.args" => {
                let first = process.args.iter().next().unwrap_or_default().to_vec();
                let rest = pair.args();
                let all = std::iter::once(first.as_slice()).chain(rest.iter());
                process.args = Args::from_list(all);
            }
            "proc.cwd" => process.cwd = pair.text.as_str().into(),
            "proc.env" => process.env = Some(pair.args()),
            "proc.tty" => process.tty = Some(pair.number()?),
            "proc.pid" => {
                (task.pid, task.tid) = (pair.number()?, pair.number()?);
                process.key.pid = task.pid;
            }
            "proc.nthreads" => task.threads = Some(pair.number()?),
            "thread.tid" => task.tid = pair.number()?,
            "thread.vtid" => task.vtid = Some(pair.number()?),
            "proc.ppid" => (task.ppid, process.ppid) = (pair.number()?, pair.number()?),
            "proc.vpid" => process.vpid = Some(pair.number()?),
            "proc.vpgid" => process.vpgid = Some(pair.number()?),
            "proc.sid" => process.sid = pair.number()?,
            "proc.pgid" => process.pgid = pair.number()?,
            "proc.is_exe_upper_layer" => exe_file(process).file.layer = layer(pair.bool()?, Layer::Upper),
            "proc.is_exe_lower_layer" => exe_file(process).file.layer = layer(pair.bool()?, Layer::Lower),
            "proc.is_exe_from_memfd" => exe_file(process).memfd = pair.bool()?,
            "proc.is_exe_writable" => {
                exe_file(process).file.mode = 0o755;
                exe_file(process).file.uid = if pair.bool()? { task.euid } else { task.euid.wrapping_add(1) };
            }
            "proc.exe_ino.ctime" => exe_file(process).ctime = pair.number()?,
            "proc.exe_ino.mtime" => exe_file(process).mtime = pair.number()?,
            "proc.duration" => {
                process.key.start = self.event.boot_time.saturating_sub(pair.number()?);
                if let Detail::Exit(exit) = &mut self.event.detail {
                    exit.lifetime = pair.number()?;
                }
            }
            "proc.aname" | "proc.aexepath" | "proc.acmdline" | "proc.apid" | "proc.aexe" => {
                return self.set_ancestor(pair.name, 1, pair);
            }
            "proc.pname" => return self.set_ancestor("proc.aname", 1, pair),
            "proc.pexepath" => return self.set_ancestor("proc.aexepath", 1, pair),
            "proc.pexe" => return self.set_ancestor("proc.aexe", 1, pair),
            "proc.pcmdline" => return self.set_ancestor("proc.acmdline", 1, pair),
            "proc.sname" => {
                let index = self.ancestors.len() + 1;
                let Some(leader) = self.ancestor(index) else { return Ok(()) };
                leader.comm = Comm::from(pair.text.as_bytes());
                self.process.sid = leader.key.pid;
            }
            "user.uid" => (task.uid, task.euid) = (pair.number()?, pair.number()?),
            "user.name" => user(task).name = pair.text.as_str().into(),
            "user.homedir" => user(task).home = pair.text.as_str().into(),
            "user.shell" => user(task).shell = pair.text.as_str().into(),
            "user.loginuid" => task.loginuid = (pair.text != "-1").then(|| pair.number()).transpose()?,
            "user.loginname" => task.login_user = Some(Arc::new(User::named(&pair.text))),
            "group.gid" => (task.gid, task.egid) = (pair.number()?, pair.number()?),
            "group.name" => task.group = Some(pair.text.as_str().into()),
            "thread.cap_effective" => task.cap_effective = Some(pair.flags(flags::CAPABILITIES)?),
            "thread.cap_permitted" => process.cap_permitted = Some(pair.flags(flags::CAPABILITIES)?),
            "thread.cap_inheritable" => process.cap_inheritable = Some(pair.flags(flags::CAPABILITIES)?),
            _ => return unsettable(pair),
        }
        Ok(())
    }
}

pub(super) fn comm_of(args: &Args) -> Comm {
    let first = args.iter().next().unwrap_or_default();
    Comm::from(first.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}

pub(super) fn first_replaced(args: &Args, first: &str) -> Args {
    Args::from_list(std::iter::once(first.as_bytes()).chain(args.iter().skip(1)))
}

fn user(task: &mut Task) -> &mut User {
    Arc::make_mut(task.user.get_or_insert_default())
}

fn exe_file(process: &mut Process) -> &mut ExeFile {
    process.exe_file.get_or_insert_default()
}
