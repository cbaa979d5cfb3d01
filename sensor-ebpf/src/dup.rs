//! Standard input, output and error that become something else.

use sensor_common::{FdDup, Kind, syscalls};

use crate::{
    kernel::{append_path, fd_file},
    record::{emit_call, filtered},
    syscall::{Call, on_end},
};

const F_DUPFD: u32 = 0;
const F_DUPFD_CLOEXEC: u32 = 1030;
/// Standard error.
const LAST: i64 = 2;

/// `dup`, `dup2`, `dup3` and the two commands of `fcntl` that do the same, when they end. Since 5.5 as a BTF program.
///
/// Descriptors are duplicated all the time; only 0, 1 and 2 say that a program's input or output is taken over. A `dup` that
/// failed names no new descriptor and is left out.
#[inline(always)]
fn fd_dup(call: Call) {
    let number = call.number();
    let second = call.arg(1) as u32;
    let new = if number == syscalls::FCNTL && second != F_DUPFD && second != F_DUPFD_CLOEXEC {
        -1
    } else if call.result() >= 0 {
        call.result()
    } else if number == syscalls::DUP2 || number == syscalls::DUP3 {
        i64::from(second.cast_signed())
    } else {
        -1
    };
    if !(0..=LAST).contains(&new) {
        filtered(Kind::FdDup);
        return;
    }
    emit_call::<FdDup>(Kind::FdDup, call, |record| {
        let body = record.body::<FdDup>();
        body.old_fd = call.arg(0) as i32;
        body.socket.fd = new as i32;
        body.flags = match number {
            syscalls::DUP3 => call.arg(2) as u32,
            syscalls::FCNTL => second,
            _ => 0,
        };
        if call.result() < 0 {
            return Some(());
        }
        // Another thread may have closed it already.
        let Some(file) = fd_file(call.task, new as i32) else { return Some(()) };
        if let Some(sock) = file.sock() {
            sock.describe(record);
            let _ = sock.describe_remote(record);
            return Some(());
        }
        let valid = file.identify(&mut record.body::<FdDup>().file)?;
        record.header().valid |= valid;
        let path = append_path(record, call.task, file.path)?;
        record.body::<FdDup>().path = path;
        Some(())
    });
}

on_end!(sx_fd_dup, fx_fd_dup, fd_dup);
