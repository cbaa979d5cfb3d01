//! Files that are opened, and those that could not be.

mod refuse;
mod request;
mod uring;

use sensor_common::{FileOpen, Kind, Settings, Text, flags, verdict::OPEN};

use self::request::{Flags, Request, mode, request};
use crate::{
    filter::{Case, Wanted, was_refused},
    kernel::{CASTS, File, Task, append_path, append_relative_dir, new_file},
    record::{Ending, Record, emit_if, failed, wanted},
    syscall::{Call, is_open, on_end, portable},
};

const PATH: u32 = 4096;

/// The open family, when the call ends: a successful one by its descriptor, a failed one by the caller's words.
///
/// It misses files that a program gets without opening them (descriptor passing).
#[inline(always)]
fn file_open(call: Call) {
    // What a 32-bit caller has in the place of `openat`: the dispatcher does not ask.
    if !is_open(call.number()) {
        return;
    }
    let ending = Ending::from(call);
    let flags = Flags::of(call);
    // Late, where the program has room for it more than once.
    let whole = if CASTS { None } else { Some(request(call, flags)) };
    let request = || whole.unwrap_or_else(|| request(call, flags));
    let mode = || whole.map_or_else(|| mode(call), |request| request.mode);
    let terms = Wanted::of_call(Kind::FileOpen, ending, flags.known_facts(ending.result));
    if ending.result < 0 {
        refused(ending, terms.of_task(ending.task), request);
        return;
    }
    if terms.is_none() {
        ending.filtered(Kind::FileOpen);
        return;
    }
    match new_file(ending.task, ending.result as i32) {
        Some(file) => opened(ending, terms, flags.facts(file.f_mode, mode), request, file),
        None => failed(Kind::FileOpen),
    }
}

on_end!(sx_file_open, fx_file_open, file_open);

/// Tells of an open that failed.
#[inline(always)]
fn refused(ending: Ending, terms: Wanted, request: impl FnOnce() -> Request) {
    if terms.is_none() || was_refused(ending.result) {
        ending.filtered(Kind::FileOpen);
        return;
    }
    let request = request();
    let look = |record: &mut Record| {
        let name = append_name(record, request);
        Some(terms.of_request::<FileOpen>(record, name))
    };
    emit_if::<FileOpen>(Kind::FileOpen, look, |record| {
        ending.head(record);
        ask(record, request);
        append_dir(record, ending.task, request);
        Some(())
    });
}

/// Tells of a file that was opened.
#[inline(always)]
fn opened(ending: Ending, terms: Wanted, facts: u32, request: impl FnOnce() -> Request, file: File) {
    // The name before the task, whose control group takes twice as long.
    let terms = terms.of_file(facts, file.path, ending.task);
    if terms.is_none() {
        ending.filtered(Kind::FileOpen);
        return;
    }
    let request = request();
    let look = |record: &mut Record| {
        let path = append_path(record, ending.task, file.path)?;
        record.body::<FileOpen>().path = path;
        Some(terms.of_path::<FileOpen>(record, path))
    };
    emit_if::<FileOpen>(Kind::FileOpen, look, |record| {
        ending.head(record);
        ask(record, request);
        let body = record.body::<FileOpen>();
        body.f_mode = file.f_mode;
        let valid = file.identify(&mut body.file)?;
        record.header().valid |= valid;
        if wanted(Settings::WANT_OPEN_NAME) {
            append_name(record, request);
        }
        let case = Case::of(OPEN);
        if !case.is_none() {
            let path = record.body::<FileOpen>().path;
            let case = case.of_comm(ending.task.comm()).of_file(request.verdict_facts(file), file.path);
            if case.of_path::<FileOpen>(record, path).kills() {
                record.header().flags |= flags::KILLED;
            }
        }
        Some(())
    });
}

/// Writes what the caller asked for.
#[inline(always)]
fn ask(record: &mut Record, request: Request) {
    let body = record.body::<FileOpen>();
    body.open_flags = portable(request.flags);
    body.mode = request.mode;
    body.dirfd = request.dirfd;
    body.resolve = request.resolve;
}

/// Appends the name that the caller gave.
#[inline(always)]
fn append_name(record: &mut Record, request: Request) -> Text {
    let name = record.append_str(request.name, PATH);
    record.body::<FileOpen>().name = name;
    name
}

/// Appends the directory at which a relative name starts. One that cannot be resolved leaves the name relative.
#[inline(always)]
fn append_dir(record: &mut Record, task: Task, request: Request) {
    if !request.name.is_none()
        && !request.name.is_absolute()
        && let Some(dir) = append_relative_dir(record, task, request.dirfd)
    {
        record.body::<FileOpen>().dir = dir;
    }
}
