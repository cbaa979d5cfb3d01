//! A question → an answer: who asks, for which file, and whether a term holds of both. All that it opens lies in `/proc`, of
//! which nobody is asked.

use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, mpsc::Sender},
    time::Duration,
};

use sensor_common::{
    filter::{FACTS, facts::EXECUTABLE},
    verdict::facts,
};

use super::{
    Book, Watched,
    caller::{Call, Caller},
    file, lock, ring,
};
use crate::{
    enrich::scan::{RefusedFile, refused_exec, refused_open},
    event::Layer,
    probe::{
        Refusals,
        fanotify::{Asked, Judge},
    },
    rule::{Act, Alternative, Path},
};

/// Who answers.
pub(super) struct Clerk {
    book: Arc<Mutex<Book>>,
    refusals: Refusals,
    records: Sender<Vec<u8>>,
    bell: Arc<OwnedFd>,
    /// How long an answer may take.
    within: Duration,
    /// What was last said no to.
    last: Option<No>,
}

struct No {
    thread: (u32, u32),
    record: Vec<u8>,
}

/// Where somebody is: the key of his control group, and the terms that may hold there.
struct Place {
    key: u64,
    terms: Vec<Arc<Alternative>>,
}

impl Clerk {
    pub(super) fn new(
        book: Arc<Mutex<Book>>,
        refusals: Refusals,
        records: Sender<Vec<u8>>,
        bell: Arc<OwnedFd>,
        within: Duration,
    ) -> Self {
        Self { book, refusals, records, bell, within, last: None }
    }

    fn look(&self, asked: &Asked) -> Option<No> {
        let (file, caller) = (asked.file()?, Caller(asked.tid()));
        let act = if asked.is_exec() { Act::Exec } else { Act::Open };
        let path = caller.path(file)?;
        let Place { key, terms } = self.place(act, caller, &path)?;
        let tgid = caller.tgid()?;
        if tgid == std::process::id() {
            return None;
        }
        let metadata = fs::metadata(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        let what = |layer| RefusedFile { path: &path, metadata: &metadata, layer };
        let record = if act == Act::Exec {
            let asks = terms.iter().any(|term| term.not_facts != 0);
            let layer = if asks { file::layer(caller.0, file, &path) } else { None };
            // Of a script its interpreter runs, which is asked of next; and what a program is loaded by is not what runs.
            if !any(&terms, by_layer(layer)) || file::is_script(file)? || file::is_loader(file)? {
                return None;
            }
            refused_exec(tgid, caller.0, key, &what(layer.or_else(|| file::layer(caller.0, file, &path))))
        } else {
            let call = caller.call(self.within)?;
            // To be run: that is another question.
            if call == Call::Exec || !any(&terms, by_access(call, metadata.is_dir())) {
                return None;
            }
            let how = if let Call::Open { number, flags, mode } = call {
                Some((number, flags, mode))
            } else {
                None
            };
            refused_open(tgid, caller.0, key, &what(file::layer(caller.0, file, &path)), how)
        };
        Some(No { thread: (tgid, caller.0), record: record? })
    }

    /// The terms that hold of a file with this path and of who asks for it; what else they say of the file is not looked at.
    fn place(&self, act: Act, caller: Caller, path: &[u8]) -> Option<Place> {
        let exact = Path::Exact(path.into());
        let name: Box<[u8]> = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().into();
        let of_file = |term: &Alternative| {
            term.path.fits(&exact) && (term.name.is_any() || !name.is_empty() && term.name.fits(&name))
        };
        let book = lock(&self.book);
        let mut fit = (0..).zip(book.terms.of(act)).filter(|(_, term)| of_file(term));
        // Most files are no rule's business, and that is all that is looked at of them.
        let first = fit.next()?;
        let fit: Vec<(u32, &Arc<Alternative>)> = std::iter::once(first).chain(fit).collect();
        let (key, watched) = innermost(&book, &caller.groups()?)?;
        let bits = watched.terms.of(act);
        let here: Vec<_> = fit
            .into_iter()
            .filter(|(bit, _)| bits & 1 << bit != 0)
            .map(|(_, term)| Arc::clone(term))
            .collect();
        let outside = watched.outside;
        drop(book);
        let mnt_ns = caller.mnt_ns()?;
        if outside.iter().any(|outside| u64::from(*outside) == mnt_ns) {
            return None;
        }
        let terms: Vec<_> = here.into_iter().filter(|term| holds_of(term, caller)).collect();
        (!terms.is_empty()).then_some(Place { key, terms })
    }
}

/// Whether what a term says of who asks holds.
fn holds_of(term: &Alternative, caller: Caller) -> bool {
    let comm = || caller.comm().is_some_and(|name| term.comm.fits(&name));
    let root = |wanted| caller.is_root() == Some(wanted);
    (term.comm.is_any() || comm()) && term.root.is_none_or(root)
}

/// Whether some term holds, whichever of these numbers of facts is the true one.
fn any(terms: &[Arc<Alternative>], possible: u16) -> bool {
    terms.iter().any(|term| term.not_facts & possible == 0)
}

/// The numbers of facts that a program in this layer can have.
fn by_layer(layer: Option<Layer>) -> u16 {
    match layer {
        Some(Layer::Upper) => 1 << facts::UPPER,
        Some(Layer::Lower) => 1 << facts::LOWER,
        Some(Layer::Other) => 1,
        None => u16::MAX,
    }
}

/// The numbers of facts that a file can have which is opened by this call.
fn by_access(call: Call, is_directory: bool) -> u16 {
    let kind = if is_directory { facts::DIRECTORY } else { 0 };
    // Whether it is made just now is not known, nor asked for.
    let numbers = call.access().into_iter().flat_map(|access| [access | kind, access | kind | EXECUTABLE]);
    numbers.filter(|number| (*number as usize) < FACTS).fold(0, |set, number| set | 1 << number)
}

impl Judge for Clerk {
    fn allows(&mut self, asked: &Asked) -> bool {
        self.last = self.look(asked);
        if let Some(No { thread, .. }) = &self.last {
            // The call's own end then tells nothing.
            self.refusals.note(*thread);
        }
        self.last.is_none()
    }

    fn refused(&mut self) {
        if let Some(No { record, .. }) = self.last.take() {
            let _ = self.records.send(record);
            ring(&self.bell);
        }
    }

    fn late(&mut self) {
        if let Some(No { thread, .. }) = self.last.take() {
            self.refusals.forget(thread);
        }
    }
}

/// Of the groups of containers that one of these is in, the innermost.
fn innermost<'b>(book: &'b Book, groups: &[String]) -> Option<(u64, &'b Watched)> {
    let holds = |watched: &Watched| {
        let cgroup = &*watched.container.cgroup;
        let rest = |path: &String| path.strip_prefix(cgroup).map(str::to_owned);
        groups.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let inside = book.groups.iter().filter(|(_, watched)| holds(watched));
    inside.max_by_key(|(_, watched)| watched.container.cgroup.len()).map(|(key, watched)| (*key, watched))
}

#[cfg(test)]
mod tests;
