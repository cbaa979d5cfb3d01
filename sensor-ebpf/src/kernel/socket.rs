//! Sockets: family, protocol and both ends, from the kernel's own copies.

use sensor_common::{Net, NetAddr, Text, text, valid};

use super::{File, Path, Ptr, Task, append_path, fd_file, offset};
use crate::record::Record;

pub(crate) const AF_UNIX: u32 = 1;
pub(crate) const AF_INET: u32 = 2;
pub(crate) const AF_INET6: u32 = 10;
/// Longest `sun_path`.
const UNIX_PATH: u32 = 108;

/// `struct sock` with what its `struct socket` and inode add.
#[derive(Clone, Copy)]
pub(crate) struct Sock {
    sk: Ptr,
    pub(crate) family: u16,
    pub(crate) socket_type: u16,
    pub(crate) protocol: u16,
    pub(crate) state: u16,
    pub(crate) ino: u64,
}

/// The socket behind a descriptor of the task.
#[inline(always)]
pub(crate) fn fd_sock(task: Task, fd: i32) -> Option<Sock> {
    fd_file(task, fd)?.sock()
}

impl File {
    /// The socket that it is, where it is one.
    #[inline(always)]
    pub(crate) fn sock(self) -> Option<Sock> {
        let (socket, ino) = self.socket()?;
        let sk = socket.probe_ptr(offset!(socket_sk))?;
        let state: u8 = sk.probe(offset!(sk_state))?;
        Some(Sock {
            sk,
            family: sk.probe(offset!(sk_family))?,
            socket_type: socket.probe(offset!(socket_type))?,
            // A byte of a bit field up to 5.5, a `u16` since.
            protocol: sk.probe(offset!(sk_protocol))?,
            state: u16::from(state),
            ino,
        })
    }
}

impl Sock {
    /// Writes what the socket is, and its own end, into a record that begins with a [`Net`].
    #[inline(always)]
    pub(crate) fn describe(self, record: &mut Record) {
        let body = record.body::<Net>();
        body.family = self.family;
        body.sock_type = self.socket_type;
        body.protocol = self.protocol;
        body.state = self.state;
        body.ino = self.ino;
        let mut bits = valid::SOCKET;
        if self.local(&mut body.local).is_some() {
            bits |= valid::LOCAL;
        } else if u32::from(self.family) == AF_UNIX {
            body.local.family = AF_UNIX;
            if let Some(name) = unix_name(self.sk, record) {
                record.body::<Net>().local_path = name;
                bits |= valid::LOCAL;
            }
        }
        record.header().valid |= bits;
    }

    /// Writes the other end as the kernel knows it; none while the socket is not connected.
    #[inline(always)]
    pub(crate) fn describe_remote(self, record: &mut Record) -> Option<()> {
        if u32::from(self.family) == AF_UNIX {
            record.body::<Net>().remote.family = AF_UNIX;
            let name = unix_name(self.sk.probe_ptr(offset!(unix_peer))?, record)?;
            record.body::<Net>().remote_path = name;
        } else {
            self.remote(&mut record.body::<Net>().remote)?;
        }
        record.header().valid |= valid::REMOTE;
        Some(())
    }

    /// This end of an IP socket.
    #[inline(always)]
    fn local(self, to: &mut NetAddr) -> Option<()> {
        to.port = u32::from(self.sk.probe::<u16>(offset!(sk_num))?);
        self.ip(to, offset!(sk_rcv_saddr), offset!(sk_v6_rcv_saddr))
    }

    /// The other end of an IP socket; none while it is not connected.
    #[inline(always)]
    pub(crate) fn remote(self, to: &mut NetAddr) -> Option<()> {
        let port: u16 = self.sk.probe(offset!(sk_dport))?;
        if port == 0 {
            return None;
        }
        to.port = u32::from(u16::from_be(port));
        self.ip(to, offset!(sk_daddr), offset!(sk_v6_daddr))
    }

    #[inline(always)]
    fn ip(self, to: &mut NetAddr, v4: u32, v6: u32) -> Option<()> {
        let family = u32::from(self.family);
        if family == AF_INET {
            write_words(to, u64::from(self.sk.probe::<u32>(v4)?), 0);
        } else if family == AF_INET6 {
            let (low, high): (u64, u64) = (self.sk.probe(v6)?, self.sk.probe(v6 + 8)?);
            write_words(to, low, high);
        } else {
            return None;
        }
        to.family = family;
        Some(())
    }
}

/// Name of a unix socket: the path that the kernel resolved, else the bound name.
#[inline(always)]
fn unix_name(sk: Ptr, record: &mut Record) -> Option<Text> {
    let path: Path = sk.probe(offset!(unix_path))?;
    if path.dentry != 0 {
        return append_path(record, Task::current(), path);
    }
    let address = sk.probe_ptr(offset!(unix_addr))?;
    // The length covers the family in front of the name.
    let len = address.probe::<u32>(offset!(unix_address_len))?.checked_sub(2)?;
    let name = Ptr(address.0.wrapping_add(offset!(unix_address_name) as usize + 2));
    Some(record.append_kernel(name, len, UNIX_PATH, 0))
}

/// The first bytes of a `struct sockaddr` in user memory; IP families only. The port says whether there was an address.
#[inline(always)]
pub(crate) fn user_ip(address: u64, to: &mut NetAddr) -> Option<()> {
    let family: u16 = super::read_user(address)?;
    let port: u16 = super::read_user(address + 2)?;
    to.port = u32::from(u16::from_be(port));
    let family = u32::from(family);
    if family == AF_INET {
        write_words(to, u64::from(super::read_user::<u32>(address + 4)?), 0);
    } else if family == AF_INET6 {
        let (low, high): (u64, u64) = (super::read_user(address + 8)?, super::read_user(address + 16)?);
        write_words(to, low, high);
    } else {
        return None;
    }
    to.family = family;
    Some(())
}

/// The path of a `struct sockaddr_un` in user memory.
#[inline(always)]
pub(crate) fn user_unix(record: &mut Record, address: u64, len: u32) -> Option<Text> {
    let len = len.checked_sub(2)?;
    Some(record.append_user(address + 2, len, UNIX_PATH, text::UNTRUSTED))
}

/// Stores an address as two words: a byte-wise copy would become a loop.
#[inline(always)]
fn write_words(to: &mut NetAddr, low: u64, high: u64) {
    let words = (&raw mut to.addr).cast::<u64>();
    // SAFETY: the address is 16 bytes at the start of an 8-aligned record.
    unsafe {
        words.write(low);
        words.add(1).write(high);
    }
}
