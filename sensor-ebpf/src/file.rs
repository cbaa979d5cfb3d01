//! Files that are opened, and those that could not be.

mod refuse;
mod request;
mod uring;

use sensor_common::{FileOpen, Kind, Settings, Text, flags, verdict::OPEN};

use self::request::{Request, request};
use crate::{
    filter::{Case, Wanted, was_refused},
    kernel::{File, Task, append_path, append_relative_dir, fd_file},
    record::{Ending, Record, emit_if, failed, filtered, wanted},
    syscall::{Call, on_end, portable},
};

const PATH: u32 = 4096;

/// The open family, when the call ends: a successful one by its descriptor, a failed one by the caller's words.
///
/// It misses files that a program gets without opening them (descriptor passing).
#[inline(always)]
fn file_open(call: Call) {
    let ending = Ending::from(call);
    let request = request(call);
    let terms = Wanted::of_call(Kind::FileOpen, ending, request.known_facts(ending.result));
    if ending.result < 0 {
        refused(ending, terms.of_task(), request);
        return;
    }
    if terms.is_none() {
        filtered(Kind::FileOpen);
        return;
    }
    match fd_file(ending.task, ending.result as i32) {
        Some(file) => opened(ending, terms, request, file),
        None => failed(Kind::FileOpen),
    }
}

on_end!(sx_file_open, fx_file_open, file_open);

/// Tells of an open that failed.
#[inline(always)]
fn refused(ending: Ending, terms: Wanted, request: Request) {
    if terms.is_none() || was_refused(ending.result) {
        filtered(Kind::FileOpen);
        return;
    }
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
fn opened(ending: Ending, terms: Wanted, request: Request, file: File) {
    // The name before the task, whose control group takes twice as long.
    let terms = terms.of_file(request.facts(file.f_mode), file.path).of_task();
    if terms.is_none() {
        filtered(Kind::FileOpen);
        return;
    }
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
