//! Socket addresses in the caller's memory.

use sensor_common::{Header, Net, flags, valid};

use super::Call;
use crate::{
    kernel::{AF_UNIX, Sock, read_user, user_ip, user_unix},
    record::Record,
};

/// A socket address in the caller's memory.
#[derive(Clone, Copy)]
pub(crate) struct UserAddr {
    pub(crate) at: u64,
    pub(crate) len: u32,
}

impl UserAddr {
    /// Of the `struct msghdr` that is argument 1: it begins with the address and its length. A `struct mmsghdr` begins with
    /// a `msghdr`.
    #[inline(always)]
    pub(crate) fn of_message(call: Call) -> Self {
        let message = call.arg(1);
        if call.is_compat() {
            return Self {
                at: u64::from(read_user::<u32>(message).unwrap_or(0)),
                len: read_user(message + 4).unwrap_or(0),
            };
        }
        Self { at: read_user(message).unwrap_or(0), len: read_user(message + 8).unwrap_or(0) }
    }

    /// Makes it the record's other end.
    #[inline(always)]
    pub(crate) fn remote(self, record: &mut Record, sock: Sock) {
        let found = if u32::from(sock.family) == AF_UNIX {
            let name = user_unix(record, self.at, self.len);
            let body = record.body::<Net>();
            body.remote.family = AF_UNIX;
            name.map(|name| body.remote_path = name)
        } else {
            user_ip(self.at, &mut record.body::<Net>().remote)
        };
        untrusted(record.header(), found, valid::REMOTE);
    }

    /// Makes it the record's own end.
    #[inline(always)]
    pub(crate) fn local(self, record: &mut Record, sock: Sock) {
        let found = if u32::from(sock.family) == AF_UNIX {
            let name = user_unix(record, self.at, self.len);
            let body = record.body::<Net>();
            body.local.family = AF_UNIX;
            name.map(|name| body.local_path = name)
        } else {
            user_ip(self.at, &mut record.body::<Net>().local)
        };
        untrusted(record.header(), found, valid::LOCAL);
    }
}

#[inline(always)]
fn untrusted(header: &mut Header, found: Option<()>, bit: u32) {
    if found.is_some() {
        header.valid |= bit;
        header.flags |= flags::UNTRUSTED_ADDR;
    }
}
