//! Files that are opened, and those that could not be.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{CALLER_DIR, FileOpen, Kind, Settings, syscalls};

use crate::{
    kernel::{append_path, append_relative_dir, fd_file, read_user},
    record::{emit, wanted},
    syscall::Call,
};

const PATH: u32 = 4096;
/// `O_CREAT | O_WRONLY | O_TRUNC`: what `creat` stands for.
const CREAT_FLAGS: u32 = 0o1101;
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
    emit::<FileOpen>(Kind::FileOpen, |record| {
        call.head(record);
        let request = request(call);
        let body = record.body::<FileOpen>();
        body.open_flags = request.flags;
        body.mode = request.mode;
        body.dirfd = request.dirfd;
        body.resolve = request.resolve;
        if call.result() >= 0 {
            let file = fd_file(call.task, call.result() as i32)?;
            body.f_mode = file.f_mode;
            let valid = file.identify(&mut body.file)?;
            record.header().valid |= valid;
            let path = append_path(record, call.task, file.path)?;
            record.body::<FileOpen>().path = path;
            if !wanted(Settings::WANT_OPEN_NAME) {
                return Some(());
            }
        }
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
    });
    0
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
