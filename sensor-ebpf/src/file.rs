//! Files that are opened, and those that could not be.

mod uring;

use sensor_common::{
    CALLER_DIR, FileOpen, Kind, Settings, Text,
    filter::{NO_FACTS, facts},
    syscalls,
};

use crate::{
    filter::Wanted,
    kernel::{File, Task, append_path, append_relative_dir, fd_file, read_user},
    record::{Ending, Record, Str, emit_if, failed, filtered, wanted},
    syscall::{Call, on_end},
};

const PATH: u32 = 4096;
/// `O_CREAT | O_WRONLY | O_TRUNC`: what `creat` stands for.
const CREAT_FLAGS: u32 = 0o1101;
/// `O_ACCMODE`.
const ACCESS_MODE: u32 = 3;
/// Of the path alone: such a file can be neither read nor written.
const O_PATH: u32 = 0o10_000_000;
/// `struct file`'s mode bit of one that did not exist before.
const FMODE_CREATED: u32 = 1 << 20;
/// A file that is not there is made.
const O_CREAT: u32 = 0o100;
/// Execute permission for anybody.
const EXECUTE: u32 = 0o111;

/// What a caller asked for.
#[derive(Clone, Copy)]
struct Request {
    dirfd: i32,
    name: Str,
    flags: u32,
    mode: u32,
    resolve: u64,
}

/// The open family, when the call ends: a successful one by its descriptor, a failed one by the caller's words.
///
/// It misses files that a program gets without opening them (descriptor passing).
#[inline(always)]
fn file_open(call: Call) {
    let ending = Ending::from(call);
    let request = request(call);
    let terms = ending.wanted(Kind::FileOpen, request.known_facts(ending.result));
    if terms.is_none() {
        filtered(Kind::FileOpen);
        return;
    }
    if ending.result < 0 {
        refused(ending, terms, request);
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
    let look = |record: &mut Record| {
        let name = append_name(record, request);
        Some(!terms.of_request::<FileOpen>(record, name).is_none())
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
    let terms = terms.of_file(request.facts(file.f_mode), file.path);
    if terms.is_none() {
        filtered(Kind::FileOpen);
        return;
    }
    let look = |record: &mut Record| {
        let path = append_path(record, ending.task, file.path)?;
        record.body::<FileOpen>().path = path;
        Some(!terms.of_path::<FileOpen>(record, path).is_none())
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
        Some(())
    });
}

/// Writes what the caller asked for.
#[inline(always)]
fn ask(record: &mut Record, request: Request) {
    let body = record.body::<FileOpen>();
    body.open_flags = request.flags;
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

impl Request {
    /// [`facts`] of a file that this request opened.
    #[inline(always)]
    fn facts(self, f_mode: u32) -> u32 {
        let by_mode = match self.flags & (ACCESS_MODE | O_PATH) {
            0 => facts::READ,
            1 => facts::WRITE,
            2 => facts::READ | facts::WRITE,
            _ => 0,
        };
        let executable = f_mode & FMODE_CREATED != 0 && self.mode & EXECUTE != 0;
        by_mode | if executable { facts::EXECUTABLE } else { 0 }
    }

    /// [`Request::facts`] before the file is known; those of an open that failed, or that may have made a file, are not.
    #[inline(always)]
    fn known_facts(self, result: i64) -> u32 {
        if result < 0 || self.flags & O_CREAT != 0 { NO_FACTS } else { self.facts(0) }
    }
}

#[inline(always)]
fn request(call: Call) -> Request {
    let at = Request {
        dirfd: call.arg(0) as i32,
        name: Str::user(call.arg(1)),
        flags: call.arg(2) as u32,
        mode: call.arg(3) as u32,
        resolve: 0,
    };
    match call.number() {
        syscalls::OPENAT => at,
        syscalls::OPENAT2 => {
            // `struct open_how`: flags, mode, resolve, each of 64 bits also for 32-bit callers.
            let how = call.arg(2);
            Request {
                flags: read_user::<u64>(how).unwrap_or(0) as u32,
                mode: read_user::<u64>(how + 8).unwrap_or(0) as u32,
                resolve: read_user(how + 16).unwrap_or(0),
                ..at
            }
        }
        syscalls::OPEN_BY_HANDLE_AT => Request { name: Str::NONE, mode: 0, ..at },
        syscalls::CREAT => Request {
            dirfd: CALLER_DIR,
            name: Str::user(call.arg(0)),
            flags: CREAT_FLAGS,
            mode: call.arg(1) as u32,
            ..at
        },
        _ => Request {
            dirfd: CALLER_DIR,
            name: Str::user(call.arg(0)),
            flags: call.arg(1) as u32,
            mode: call.arg(2) as u32,
            ..at
        },
    }
}
