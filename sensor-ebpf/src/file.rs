//! Files that are opened, and those that could not be.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{CALLER_DIR, FileOpen, Kind, Settings, filter::facts, syscalls};

use crate::{
    filter::Wanted,
    kernel::{append_path, append_relative_dir, fd_file, read_user},
    record::{Record, emit, emit_if, failed, filtered},
    syscall::Call,
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
/// Execute permission for anybody.
const EXECUTE: u32 = 0o111;
/// `offsetof(struct file_handle, f_handle)` plus the longest handle: nothing there is a name.
const NO_NAME: u64 = 0;

/// What a caller asked for.
#[derive(Clone, Copy)]
struct Request {
    dirfd: i32,
    name: u64,
    flags: u32,
    mode: u32,
    resolve: u64,
}

/// The open family, when the call ends: a successful one by its descriptor, a failed one by the caller's words.
///
/// It misses opens through `io_uring`, and files that a program gets without opening them (descriptor passing).
#[btf_tracepoint(function = "sys_exit")]
fn sx_file_open(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    let wanted = Wanted::of_call(Kind::FileOpen, call.number(), call.result());
    if wanted.is_none() {
        filtered(Kind::FileOpen);
        return 0;
    }
    let request = request(call);
    if call.result() < 0 {
        emit::<FileOpen>(Kind::FileOpen, |record| {
            call.head(record);
            ask(record, request);
            append_request(record, call, request)
        });
        return 0;
    }
    let Some(file) = fd_file(call.task, call.result() as i32) else {
        failed(Kind::FileOpen);
        return 0;
    };
    let wanted = wanted.of_file(request.facts(file.f_mode), file.path.dentry);
    if wanted.is_none() {
        filtered(Kind::FileOpen);
        return 0;
    }
    let look = |record: &mut Record| {
        let path = append_path(record, call.task, file.path)?;
        record.body::<FileOpen>().path = path;
        Some(!wanted.of_path::<FileOpen>(record, path).is_none())
    };
    emit_if::<FileOpen>(Kind::FileOpen, look, |record| {
        call.head(record);
        ask(record, request);
        let body = record.body::<FileOpen>();
        body.f_mode = file.f_mode;
        let valid = file.identify(&mut body.file)?;
        record.header().valid |= valid;
        if crate::record::wanted(Settings::WANT_OPEN_NAME) {
            append_request(record, call, request)
        } else {
            Some(())
        }
    });
    0
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

/// Appends the name that the caller gave, and where a failed call leaves a relative one, the directory at which it starts.
#[inline(always)]
fn append_request(record: &mut Record, call: Call, request: Request) -> Option<()> {
    if request.name == NO_NAME {
        return Some(());
    }
    let name = record.append_user_str(request.name, PATH);
    record.body::<FileOpen>().name = name;
    let first: u8 = read_user(request.name).unwrap_or(0);
    if call.result() < 0 && first != b'/' {
        // A directory that cannot be resolved leaves the name relative.
        if let Some(dir) = append_relative_dir(record, call.task, request.dirfd) {
            record.body::<FileOpen>().dir = dir;
        }
    }
    Some(())
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
}

#[inline(always)]
fn request(call: Call) -> Request {
    let at = Request {
        dirfd: call.arg(0) as i32,
        name: call.arg(1),
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
        syscalls::OPEN_BY_HANDLE_AT => Request { name: NO_NAME, mode: 0, ..at },
        syscalls::CREAT => Request {
            dirfd: CALLER_DIR,
            name: call.arg(0),
            flags: CREAT_FLAGS,
            mode: call.arg(1) as u32,
            ..at
        },
        _ => Request {
            dirfd: CALLER_DIR,
            name: call.arg(0),
            flags: call.arg(1) as u32,
            mode: call.arg(2) as u32,
            ..at
        },
    }
}
