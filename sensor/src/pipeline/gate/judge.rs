//! A question → an answer: who asks, for which file, and whether a term holds of both. All that it opens lies in `/proc`, of
//! which nobody is asked.

use std::{
    fs,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    sync::{Arc, Mutex, mpsc::Sender},
};

use sensor_common::verdict::facts;

use super::{Book, Watched, file, lock, ring};
use crate::{
    enrich::scan::{Program, refused_exec},
    event::Layer,
    probe::{
        Refusals,
        fanotify::{Asked, Judge},
    },
    rule::Path,
};

/// Who answers.
pub(super) struct Clerk {
    book: Arc<Mutex<Book>>,
    refusals: Refusals,
    records: Sender<Vec<u8>>,
    bell: Arc<OwnedFd>,
    /// What was last said no to.
    last: Option<No>,
}

struct No {
    thread: (u32, u32),
    record: Vec<u8>,
}

impl Clerk {
    pub(super) fn new(
        book: Arc<Mutex<Book>>,
        refusals: Refusals,
        records: Sender<Vec<u8>>,
        bell: Arc<OwnedFd>,
    ) -> Self {
        Self { book, refusals, records, bell, last: None }
    }

    fn look(&self, asked: &Asked) -> Option<No> {
        let (file, tid) = (asked.file()?, asked.tid());
        let path = path(tid, file)?;
        let (key, bits) = self.terms(tid, file, path.clone())?;
        // Of a script its interpreter runs, which is asked of next; and what a program is loaded by is not what runs.
        if bits == 0 || file::is_script(file)? || file::is_loader(file)? {
            return None;
        }
        let tgid = tgid(tid)?;
        if tgid == std::process::id() {
            return None;
        }
        let metadata = fs::metadata(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        let program = Program { path: &path, metadata: &metadata, layer: file::layer(tid, file, &path) };
        let record = refused_exec(tgid, tid, key, &program)?;
        Some(No { thread: (tgid, tid), record })
    }

    /// The control group, and the terms that hold.
    fn terms(&self, tid: u32, file: BorrowedFd<'_>, path: Vec<u8>) -> Option<(u64, u64)> {
        let exact = Path::Exact(path.as_slice().into());
        let book = lock(&self.book);
        let mut bits = (0..).zip(&book.terms).filter(|(_, term)| term.path.fits(&exact));
        // Most programs are no rule's business, and that is all that is looked at of them.
        let first = bits.next()?;
        let bits: Vec<(u32, &_)> = std::iter::once(first).chain(bits).collect();
        let groups = groups(tid)?;
        let (key, watched) = innermost(&book, &groups)?;
        let mnt_ns = fs::metadata(format!("/proc/{tid}/ns/mnt")).ok()?.ino();
        if watched.outside.iter().any(|outside| u64::from(*outside) == mnt_ns) {
            return None;
        }
        let asked = bits.iter().any(|(_, term)| term.not_facts != 0);
        let number = if asked { file::layer(tid, file, &path).and_then(number) } else { None };
        let holds = |(bit, term): &&(u32, &crate::rule::Alternative)| {
            let fact = term.not_facts == 0 || number.is_some_and(|number| term.not_facts & 1 << number == 0);
            fact && watched.terms & 1 << bit != 0
        };
        Some((key, bits.iter().filter(holds).fold(0, |set, (bit, _)| set | 1_u64 << bit)))
    }
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

/// The number that a layer is among [`facts`].
const fn number(layer: Layer) -> Option<u32> {
    match layer {
        Layer::Upper => Some(facts::UPPER),
        Layer::Lower => Some(facts::LOWER),
        Layer::Other => Some(0),
    }
}

/// The file's path as the caller sees it. `None` where it is below another root, or not there any more.
fn path(tid: u32, file: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let link = |path: String| fs::read_link(path).ok().map(|path| path.into_os_string().into_vec());
    let path = link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    if !path.starts_with(b"/") || path.ends_with(b" (deleted)") {
        return None;
    }
    let root = link(format!("/proc/{tid}/root"))?;
    if root == b"/" {
        return Some(path);
    }
    path.strip_prefix(root.as_slice()).filter(|rest| rest.starts_with(b"/")).map(<[u8]>::to_vec)
}

/// The paths of a thread's control groups.
fn groups(tid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{tid}/cgroup")).ok()?;
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2).map(str::to_owned));
    let mut paths: Vec<_> = paths.filter(|path| path != "/").collect();
    paths.sort_unstable();
    paths.dedup();
    Some(paths)
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

fn tgid(tid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests;
