//! Flat maps of fields into events. What is set is read back through the field table: an event that cannot say what
//! its author wrote is an error, never a test that passes for the wrong reason.

mod call;
mod change;
mod dns;
mod object;
mod place;
mod subject;

use std::{net::IpAddr, sync::Arc};

use self::subject::{comm_of, first_replaced};
use crate::{
    event::{
        Args, Call, Comm, Detail, Dup, Event, EventType, Exec, Exit, File, Fork, Layer, Loss, Open, Process,
        ProcessKey, Socket, Task, errno_name, flags,
    },
    rule::{
        diagnostic::Span,
        document::duration,
        field::{Reading, Unknown, parts},
        types::TypeSet,
        yaml::Node,
    },
};

/// What is wrong, and where.
pub(super) struct Problem {
    pub(super) span: Span,
    pub(super) message: String,
}

type Built<T> = Result<T, Problem>;

fn problem<T>(span: Span, message: impl Into<String>) -> Built<T> {
    Err(Problem { span, message: message.into() })
}

/// The moment of the first event: 2026-01-01, an hour after boot.
const START: u64 = 1_767_225_600_000_000_000;
const BOOT: u64 = 3_600_000_000_000;

/// The events of one test.
pub(super) fn scenario(node: &Node) -> Built<Vec<Event>> {
    let nodes = node.list().unwrap_or(std::slice::from_ref(node));
    let mut elapsed = 0;
    let mut events = Vec::with_capacity(nodes.len());
    for (number, node) in (1..).zip(nodes) {
        let Some(map) = node.map() else {
            return problem(node.span, format!("an event is a mapping of fields, this is {}", node.kind()));
        };
        let mut pairs = Vec::with_capacity(map.len());
        for (key, value) in map {
            let (Some(name), Some(text)) = (key.text(), text(value)) else {
                return problem(value.span, "a field's value is a text or a list of texts");
            };
            if name == "after" {
                let Some(after) = duration(&text) else { return problem(value.span, "not a duration") };
                elapsed += after.as_nanos() as u64;
            } else {
                pairs.push(Pair { name, text, list: value.list(), span: key.span });
            }
        }
        events.push(event(&pairs, node.span, number, elapsed)?);
    }
    Ok(events)
}

fn text(node: &Node) -> Option<String> {
    match node.list() {
        Some(list) => list.iter().map(Node::text).collect::<Option<Vec<_>>>().map(|words| words.join(" ")),
        None => node.text().map(str::to_owned),
    }
}

struct Pair<'n> {
    name: &'n str,
    text: String,
    list: Option<&'n [Node]>,
    span: Span,
}

impl Pair<'_> {
    fn number<T: std::str::FromStr>(&self) -> Built<T> {
        self.text
            .parse()
            .or_else(|_| problem(self.span, format!("`{}` is not a number that fits", self.text)))
    }

    fn bool(&self) -> Built<bool> {
        self.text.parse().or_else(|_| problem(self.span, "this must be `true` or `false`"))
    }

    fn ip(&self) -> Built<IpAddr> {
        self.text.parse().or_else(|_| problem(self.span, format!("`{}` is not an address", self.text)))
    }

    fn args(&self) -> Args {
        match self.list {
            Some(list) => Args::from_list(list.iter().filter_map(Node::text)),
            None => Args::from_list(self.text.split_whitespace()),
        }
    }

    fn flags(&self, table: &[flags::Flag]) -> Built<u64> {
        let mut word = 0;
        for name in self.text.split(['|', ' ']).filter(|name| !name.is_empty()) {
            let Some(flag) = table.iter().find(|flag| flag.name == name) else {
                return problem(self.span, format!("there is no flag `{name}`"));
            };
            word |= flag.value;
        }
        Ok(word)
    }

    /// The name and the number in brackets behind it.
    fn indexed(&self) -> Built<Option<(&str, usize)>> {
        let Some((name, index)) = self.name.split_once('[') else { return Ok(None) };
        match index.trim_end_matches(']').parse() {
            Ok(index @ 1..=32) => Ok(Some((name, index))),
            _ => problem(self.span, "an ancestor is a number from 1 to 32"),
        }
    }
}

/// An event in the making.
struct Draft {
    event: Event,
    process: Process,
    /// Nearest first.
    ancestors: Vec<Process>,
}

fn event(pairs: &[Pair<'_>], span: Span, number: u64, elapsed: u64) -> Built<Event> {
    let Some(kind) = pairs.iter().find(|pair| pair.name == "evt.type") else {
        return problem(span, "an event needs an `evt.type`");
    };
    let Some(event_type) = EventType::from_name(&kind.text) else {
        return problem(kind.span, format!("there is no event type `{}`", kind.text));
    };
    let Some(detail) = detail(event_type) else {
        return problem(kind.span, format!("the sensor does not see `{}`", kind.text));
    };
    let mut draft = Draft {
        event: Event {
            event_type,
            number,
            time: START + elapsed,
            boot_time: BOOT + elapsed,
            cpu: 0,
            result: 0,
            compat: false,
            io_uring: false,
            enforced: None,
            task: Task { pid: 1000, tid: 1000, ppid: 999, ..Task::default() },
            process: Arc::default(),
            container: None,
            detail,
        },
        process: Process { key: ProcessKey { pid: 1000, start: BOOT - 1 }, ppid: 999, ..Process::default() },
        ancestors: Vec::new(),
    };
    // A command line comes before the parts of it that are given by themselves.
    let rank = |pair: &&Pair<'_>| match pair.name {
        "proc.cmdline" | "proc.pcmdline" => 0,
        "proc.args" => 1,
        "container.image" => 1,
        name if name.starts_with("proc.acmdline") => 0,
        "fd.name" => 1,
        _ => 2,
    };
    let mut ordered: Vec<_> = pairs.iter().collect();
    ordered.sort_by_key(rank);
    for pair in ordered {
        draft.set(pair)?;
    }
    let event = draft.finish();
    for pair in pairs {
        read_back(pair, &event)?;
    }
    Ok(event)
}

/// An empty detail of the right family; `None` for what the sensor does not see.
fn detail(event_type: EventType) -> Option<Detail> {
    use EventType as E;
    Some(match event_type {
        E::Execve | E::Execveat => Detail::Exec(Exec::default()),
        E::Fork | E::Vfork | E::Clone | E::Clone3 => Detail::Fork(Fork::default()),
        E::Procexit => Detail::Exit(Exit::default()),
        E::Loss => Detail::Loss(Loss::default()),
        E::Open | E::Openat | E::Openat2 | E::Creat | E::OpenByHandleAt => {
            Detail::Open(Open { file: Some(File::default()), dirfd: -100, ..Open::default() })
        }
        E::Dns => Detail::Dns(Box::new(dns::empty())),
        E::Dup | E::Dup2 | E::Dup3 | E::Fcntl => Detail::Dup(Dup { old_fd: 3, ..Dup::default() }),
        _ if !parts(event_type).is_empty() => Detail::Call(Call::default()),
        _ if TypeSet::SOCKET.contains(event_type) => {
            let server = matches!(
                event_type,
                E::Accept | E::Accept4 | E::Listen | E::Recvfrom | E::Recvmsg | E::Recvmmsg
            );
            Detail::Socket(Socket { fd: 3, family: 2, socket_type: 1, server, ..Socket::default() })
        }
        _ if event_type.is_seen() => Detail::Change(change::empty(event_type)),
        _ => return None,
    })
}

/// What the event says of a field must be what was written.
fn read_back(pair: &Pair<'_>, event: &Event) -> Built<()> {
    let (name, arg) = match pair.name.split_once('[') {
        Some((name, arg)) => (name, Some(arg.trim_end_matches(']'))),
        None => (pair.name, None),
    };
    let reading = match Reading::resolve(name, arg) {
        Ok(reading) => reading,
        Err(Unknown::Field { near }) => {
            let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return problem(pair.span, format!("there is no field `{name}`{near}"));
        }
        Err(Unknown::Argument { message, .. }) => return problem(pair.span, message),
    };
    let mut said = Vec::new();
    let known = reading.write(event, &mut said);
    let said = String::from_utf8_lossy(&said);
    let same = known && (said == pair.text || said.trim_end_matches('/') == pair.text.trim_end_matches('/'));
    if same {
        return Ok(());
    }
    let said = if known { format!("`{said}`") } else { "missing".to_owned() };
    problem(pair.span, format!("no such event: with the other fields, `{}` is {said}", pair.name))
}

impl Draft {
    fn ancestor(&mut self, index: usize) -> Option<&mut Process> {
        while self.ancestors.len() < index {
            let pid = 999_u32.saturating_sub(self.ancestors.len() as u32);
            self.ancestors.push(Process { key: ProcessKey { pid, start: 1 }, ..Process::default() });
        }
        self.ancestors.get_mut(index - 1)
    }

    fn set(&mut self, pair: &Pair<'_>) -> Built<()> {
        if let Some((name, index)) = pair.indexed().or_else(|problem| {
            // Brackets that hold a name, as in `proc.env[PATH]`, are for the class to understand.
            if pair.name.starts_with("proc.a") { Err(problem) } else { Ok(None) }
        })? && name.starts_with("proc.a")
        {
            return self.set_ancestor(name, index, pair);
        }
        match pair.name.split_once('.').map(|(class, _)| class) {
            Some("evt") => self.set_event(pair),
            Some("proc" | "thread" | "user" | "group") => self.set_process(pair),
            Some("container" | "k8s" | "host") => self.set_container(pair),
            Some("fd") => match &mut self.event.detail {
                Detail::Open(_) => self.set_file(pair),
                Detail::Change(_) => self.set_change(pair),
                Detail::Socket(_) | Detail::Dns(_) => self.set_socket(pair),
                Detail::Dup(_) => self.set_dup(pair),
                Detail::Call(_) => self.set_call(pair),
                _ => problem(pair.span, "an event of this type has no descriptor"),
            },
            Some("dns") => self.set_dns(pair),
            Some("fs") => match &mut self.event.detail {
                Detail::Change(_) => self.set_change(pair),
                Detail::Open(open) if pair.name == "fs.path.name" => {
                    open.path = pair.text.as_str().into();
                    Ok(())
                }
                _ => unsettable(pair),
            },
            _ => unsettable(pair),
        }
    }

    fn set_ancestor(&mut self, name: &str, index: usize, pair: &Pair<'_>) -> Built<()> {
        let Some(process) = self.ancestor(index) else { return Ok(()) };
        match name {
            "proc.aname" => process.comm = Comm::from(pair.text.as_bytes()),
            "proc.aexepath" => process.exe = pair.text.as_str().into(),
            // Who names a process by its number means the one that did what other events of the test say.
            "proc.apid" => process.key = ProcessKey { pid: pair.number()?, start: BOOT - 1 },
            "proc.aexe" => process.args = first_replaced(&process.args, &pair.text),
            "proc.acmdline" => {
                process.args = pair.args();
                process.comm = comm_of(&process.args);
            }
            _ => return unsettable(pair),
        }
        Ok(())
    }

    fn set_event(&mut self, pair: &Pair<'_>) -> Built<()> {
        let event = &mut self.event;
        match (pair.name, &mut event.detail) {
            ("evt.type" | "evt.dir" | "evt.failed", _) => {}
            ("evt.num", _) => event.number = pair.number()?,
            ("evt.time" | "evt.rawtime", _) => {
                event.time = pair.number()?;
                // Both clocks tell the same moment.
                event.boot_time = event.time.saturating_sub(START - BOOT);
            }
            ("evt.rawres", _) => event.result = pair.number()?,
            ("evt.res", _) if pair.text == "SUCCESS" => event.result = 0,
            ("evt.res", _) => match (1..600).find(|errno| errno_name(*errno) == Some(&pair.text)) {
                Some(errno) => event.result = -i64::from(errno),
                None => return problem(pair.span, format!("there is no error `{}`", pair.text)),
            },
            ("evt.is_io_uring", _) => event.io_uring = pair.bool()?,
            ("evt.arg.flags", Detail::Open(open)) => open.flags = pair.flags(flags::OPEN)? as u32,
            ("evt.arg.mode", Detail::Open(open)) => open.mode = pair.flags(flags::MODE)? as u32,
            ("evt.arg.name", Detail::Open(open)) => open.name = Some(pair.text.as_str().into()),
            ("evt.is_open_write", Detail::Open(open)) => open.flags |= u32::from(pair.bool()?),
            ("evt.is_open_read", Detail::Open(open)) => {
                // Opening for nothing but writing is how an open does not read.
                if !pair.bool()? {
                    open.flags |= 1;
                } else if open.flags & 3 == 1 {
                    open.flags += 1;
                }
            }
            ("evt.is_open_exec", Detail::Open(open)) => {
                if pair.bool()? {
                    (open.created, open.mode) = (true, open.mode | 0o755);
                }
            }
            ("evt.arg.filename", Detail::Exec(exec)) => exec.filename = pair.text.as_str().into(),
            ("evt.arg.flags", Detail::Fork(fork)) => fork.flags = pair.flags(flags::CLONE)?,
            ("evt.arg.status", Detail::Exit(exit)) => exit.status = pair.number()?,
            ("evt.arg.size" | "evt.arg.backlog", Detail::Socket(socket)) => socket.arg = pair.number()?,
            (name, Detail::Change(_)) if name.starts_with("evt.arg.") => return self.set_change(pair),
            (name, Detail::Dup(_)) if name.starts_with("evt.arg.") => return self.set_dup(pair),
            (name, Detail::Call(_)) if name.starts_with("evt.arg.") => return self.set_call(pair),
            (name, Detail::Socket(_)) if name.starts_with("evt.arg.") => return self.set_socket(pair),
            _ => return unsettable(pair),
        }
        Ok(())
    }

    fn finish(self) -> Event {
        let Self { mut event, mut process, ancestors } = self;
        if process.args.is_empty() {
            process.args = Args::from_list([event.task.comm.as_bytes()]);
        }
        process.comm = event.task.comm;
        let mut parent: Option<Arc<Process>> = None;
        for mut ancestor in ancestors.into_iter().rev() {
            ancestor.depth = parent.as_ref().map_or(0, |parent| parent.depth + 1);
            ancestor.parent = parent.take();
            parent = Some(Arc::new(ancestor));
        }
        process.depth = parent.as_ref().map_or(0, |parent| parent.depth + 1);
        process.parent = parent;
        if let Detail::Open(open) = &mut event.detail
            && event.result < 0
        {
            open.file = None;
        }
        event.process = Arc::new(process);
        event
    }
}

fn unsettable<T>(pair: &Pair<'_>) -> Built<T> {
    match Reading::resolve(pair.name.split('[').next().unwrap_or_default(), None) {
        Err(Unknown::Field { near }) => {
            let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            problem(pair.span, format!("there is no field `{}`{near}", pair.name))
        }
        _ => problem(pair.span, format!("a test cannot set `{}` of such an event", pair.name)),
    }
}

const fn layer(is: bool, layer: Layer) -> Layer {
    if is { layer } else { Layer::Other }
}
