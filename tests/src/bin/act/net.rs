//! Steps on sockets. Addresses are written `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@abstract`.

use std::{
    mem::{offset_of, size_of, zeroed},
    net::SocketAddr,
    ptr::null_mut,
};

use crate::{Args, Outcome};

/// A socket address of any family, and its length.
pub(crate) struct Address(libc::sockaddr_storage, pub(crate) u32);

impl Address {
    pub(crate) fn parse(text: &str) -> Self {
        // SAFETY: all zero is a valid address.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        let at = &raw mut storage;
        if let Some(name) = text.strip_prefix("unix:") {
            let bytes = name.strip_prefix('@').map_or_else(|| name.to_owned(), |rest| format!("\0{rest}"));
            // SAFETY: `sockaddr_storage` is larger than `sockaddr_un` and aligned for it.
            let unix = unsafe { &mut *at.cast::<libc::sockaddr_un>() };
            unix.sun_family = libc::AF_UNIX as u16;
            for (to, from) in unix.sun_path.iter_mut().zip(bytes.as_bytes()) {
                *to = *from as libc::c_char;
            }
            let path = offset_of!(libc::sockaddr_un, sun_path);
            let end = usize::from(!name.starts_with('@'));
            return Self(storage, (path + bytes.len() + end) as u32);
        }
        let len = match text.parse().unwrap_or_else(|_| panic!("no address: {text}")) {
            SocketAddr::V4(addr) => {
                // SAFETY: `sockaddr_storage` is larger and aligned.
                let v4 = unsafe { &mut *at.cast::<libc::sockaddr_in>() };
                v4.sin_family = libc::AF_INET as u16;
                v4.sin_port = addr.port().to_be();
                v4.sin_addr.s_addr = u32::from_ne_bytes(addr.ip().octets());
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(addr) => {
                // SAFETY: `sockaddr_storage` is larger and aligned.
                let v6 = unsafe { &mut *at.cast::<libc::sockaddr_in6>() };
                v6.sin6_family = libc::AF_INET6 as u16;
                v6.sin6_port = addr.port().to_be();
                v6.sin6_addr.s6_addr = addr.ip().octets();
                size_of::<libc::sockaddr_in6>()
            }
        };
        Self(storage, len as u32)
    }

    pub(crate) fn at(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.0).cast()
    }
}

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    Some(match name {
        "socket" => {
            let (family, kind, protocol) = (args.number() as i32, args.number() as i32, args.number() as i32);
            // SAFETY: numbers only.
            let fd = unsafe { libc::socket(family, kind, protocol) };
            // SAFETY: all zero is a valid `stat`.
            let mut stat: libc::stat64 = unsafe { zeroed() };
            // SAFETY: the struct is ours.
            unsafe { libc::fstat64(fd, &raw mut stat) };
            Outcome(Outcome::from(fd).0, format!(",\"ino\":{}", stat.st_ino))
        }
        "connect" | "bind" => {
            let (fd, mut address) = (args.number() as i32, Address::parse(&args.text()));
            let call = if name == "bind" { libc::bind } else { libc::connect };
            // SAFETY: the address and its length belong together.
            let outcome = Outcome::from(unsafe { call(fd, address.at(), address.1) });
            Outcome(outcome.0, local_port(fd))
        }
        "listen" => {
            let (fd, backlog) = (args.number() as i32, args.number() as i32);
            // SAFETY: numbers only.
            unsafe { libc::listen(fd, backlog) }.into()
        }
        "accept" => accepted(libc::SYS_accept, args.number() as i32, 0),
        "accept4" => accepted(libc::SYS_accept4, args.number() as i32, args.number()),
        "sendto" => {
            let (fd, bytes) = (args.number() as i32, vec![b'x'; args.number() as usize]);
            let mut address = Address::parse(&args.text());
            // SAFETY: the buffers have the lengths that are given.
            let sent =
                unsafe { libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), 0, address.at(), address.1) };
            Outcome(Outcome::from(sent as i64).0, local_port(fd))
        }
        // Without a destination: the socket's own.
        "send" => {
            let (fd, bytes) = (args.number() as i32, vec![b'x'; args.number() as usize]);
            // SAFETY: the buffer has the length that is given.
            (unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) } as i64).into()
        }
        // `send-hex FD BYTES ADDRESS`: these bytes; `-` stands for the socket's own destination.
        "send-hex" => {
            let (fd, bytes, to) = (args.number() as i32, unhex(&args.text()), args.text());
            let mut address = Address::parse(if to == "-" { "0.0.0.0:0" } else { &to });
            let (at, len) = if to == "-" { (std::ptr::null_mut(), 0) } else { (address.at(), address.1) };
            // SAFETY: the buffers have the lengths that are given.
            let sent = unsafe { libc::sendto(fd, bytes.as_ptr().cast(), bytes.len(), 0, at, len) };
            Outcome(Outcome::from(sent as i64).0, local_port(fd))
        }
        // Waits for a datagram: half a minute, then nobody is going to send one.
        "recv" => {
            let mut poll = libc::pollfd { fd: args.number() as i32, events: libc::POLLIN, revents: 0 };
            let mut bytes = vec![0_u8; 1 << 16];
            // SAFETY: one descriptor, and a buffer of the length that is given.
            unsafe {
                libc::poll(&raw mut poll, 1, 30_000);
                libc::recv(poll.fd, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) as i64
            }
            .into()
        }
        "sendmsg" | "sendmmsg" => send_message(name == "sendmmsg", args),
        // `recvfrom FD WITH-ADDRESS`: what has come already.
        "recvfrom" => {
            let (fd, asks) = (args.number() as i32, args.number() != 0);
            let mut from = Address::parse("0.0.0.0:0");
            from.1 = size_of::<libc::sockaddr_storage>() as u32;
            let mut bytes = [0_u8; 64];
            let (at, len) = if asks { (from.at(), &raw mut from.1) } else { (null_mut(), null_mut()) };
            // SAFETY: buffer, address and lengths belong together.
            let got = unsafe {
                libc::recvfrom(fd, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT, at, len)
            };
            Outcome(Outcome::from(got as i64).0, String::new())
        }
        "recvmsg" => receive_message(args.number() as i32),
        // `sendto-port-of FD OTHER IP`: one byte to the port that another descriptor is bound to.
        "sendto-port-of" => {
            let (fd, other, ip) = (args.number() as i32, args.number() as i32, args.text());
            let mut to = Address::parse(&format!("{ip}:{}", port(other)));
            // SAFETY: the buffer has the length that is given.
            let sent = unsafe { libc::sendto(fd, c"x".as_ptr().cast(), 1, 0, to.at(), to.1) };
            Outcome(Outcome::from(sent as i64).0, local_port(fd))
        }
        // The end of a connection that this process will have as its own descriptor.
        "port-of" => {
            let fd = args.number() as i32;
            Outcome(0, local_port(fd))
        }
        // `connect-to-port-of FD LISTENER IP`: to the port that another descriptor is bound to.
        "connect-to-port-of" => {
            let (fd, other, ip) = (args.number() as i32, args.number() as i32, args.text());
            let mut address = Address::parse(&format!("{ip}:{}", port(other)));
            // SAFETY: the address and its length belong together.
            let outcome = Outcome::from(unsafe { libc::connect(fd, address.at(), address.1) });
            Outcome(outcome.0, local_port(fd))
        }
        _ => return None,
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len() / 2).map(|at| byte(at * 2)).collect()
}

fn accepted(call: i64, fd: i32, flags: i64) -> Outcome {
    // SAFETY: no address is asked for.
    let new = unsafe { libc::syscall(call, fd, 0, 0, flags) };
    let outcome = Outcome::from(new);
    if new < 0 { outcome } else { Outcome(new, local_port(new as i32)) }
}

fn receive_message(fd: i32) -> Outcome {
    let mut from = Address::parse("0.0.0.0:0");
    let mut bytes = [0_u8; 64];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zero is a valid message.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = from.at().cast();
    message.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    // SAFETY: the message points to what lives until here.
    let got = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) };
    Outcome(Outcome::from(got as i64).0, String::new())
}

fn send_message(many: bool, args: &mut Args) -> Outcome {
    let (fd, bytes) = (args.number() as i32, vec![b'x'; args.number() as usize]);
    let mut address = Address::parse(&args.text());
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zero is a valid message.
    let mut messages: [libc::mmsghdr; 2] = unsafe { zeroed() };
    for message in &mut messages {
        message.msg_hdr.msg_name = address.at().cast();
        message.msg_hdr.msg_namelen = address.1;
        message.msg_hdr.msg_iov = &raw mut part;
        message.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the messages point to what lives until here.
    let sent = unsafe {
        if many {
            libc::sendmmsg(fd, messages.as_mut_ptr(), 2, 0) as i64
        } else {
            libc::sendmsg(fd, &raw const messages[0].msg_hdr, 0) as i64
        }
    };
    Outcome(Outcome::from(sent).0, local_port(fd))
}

/// The port that a socket is bound to, 0 for other families.
pub(crate) fn port(fd: i32) -> u16 {
    let mut address = Address::parse("0.0.0.0:0");
    address.1 = size_of::<libc::sockaddr_storage>() as u32;
    let (at, len) = (address.at(), &raw mut address.1);
    // SAFETY: the length is that of the storage.
    unsafe { libc::getsockname(fd, at, len) };
    // SAFETY: the port is at the same place in both.
    let port = unsafe { (*at.cast::<libc::sockaddr_in>()).sin_port };
    match i32::from(address.0.ss_family) {
        libc::AF_INET | libc::AF_INET6 => u16::from_be(port),
        _ => 0,
    }
}

fn local_port(fd: i32) -> String {
    format!(",\"port\":{}", port(fd))
}
