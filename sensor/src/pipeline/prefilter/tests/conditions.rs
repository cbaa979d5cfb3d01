//! Random conditions about what the recorded streams hold.

use std::sync::LazyLock;

use proptest::{prelude::*, sample::select};

use super::pairs;
use crate::event::{Detail, SocketAddr};

/// Words that make some checks hold: what the streams are about, whole and in part.
pub(super) fn words() -> Vec<String> {
    let mut words = vec!["/etc".to_owned(), "/".into(), "/tmp/".into(), "passwd".into(), "/usr/lib".into()];
    for (_, event) in pairs() {
        words.push(String::from_utf8_lossy(event.task.comm.as_bytes()).into_owned());
        let Detail::Open(open) = &event.detail else { continue };
        let path = open.path.to_string();
        words.extend(path.rsplit('/').next().map(str::to_owned));
        let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at)).map(str::to_owned);
        words.extend(parents);
        words.extend(path.get(path.len() / 2..).map(str::to_owned));
        words.push(path);
    }
    words.retain(|word| !word.is_empty() && !word.contains(['\'', '"', '\\', '\n']));
    words.sort();
    words.dedup();
    words
}

fn check(words: &[String]) -> impl Strategy<Value = String> + use<> {
    let texts = select(&["fd.name", "fs.path.name", "fd.filename", "fd.directory", "proc.name"][..]);
    let ops = select(&["=", "!=", "startswith", "endswith", "contains"][..]);
    let sets = select(&["in", "pmatch"][..]);
    let some = proptest::collection::vec(select(words.to_vec()), 1..6);
    let fixed = select(
        &[
            "evt.type in (open, openat, openat2)",
            "evt.type = openat",
            "evt.type in (connect, sendto, mkdir, mkdirat)",
            "evt.is_open_read = true",
            "evt.is_open_write = true",
            "evt.is_open_write != true",
            "evt.is_open_exec = true",
            "fd.typechar = f",
            "fd.num >= 0",
            "fd.num < 0",
            "evt.rawres = -2",
            "evt.rawres != -2",
            "evt.res = ENOENT",
            "evt.res in (EACCES, EPERM)",
            "evt.res != ENOENT",
            "evt.failed = true",
            "user.uid = 0",
            "user.uid != 0",
            "user.uid > 0",
            "user.uid in (0, 1000)",
            "container.id = host",
            "container.id != host",
            "container.name = x",
            "k8s.ns.name != x",
            "k8s.pod.name exists",
        ][..],
    );
    let addresses = select(
        &[
            "fd.sip", "fd.cip", "fd.lip", "fd.rip", "fd.ip", "fd.snet", "fd.cnet", "fd.lnet", "fd.rnet",
            "fd.net",
        ][..],
    );
    let address = select(
        &[
            "127.0.0.1",
            "127.0.0.0/8",
            "127.0.0.1/32",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "::1",
            "::/0",
            "::/64",
            "::ffff:0:0/96",
            "2000::/3",
            "fe80::/10",
        ][..],
    );
    let some_addresses = proptest::collection::vec(address.clone(), 1..4);
    let ports = select(&["fd.sport", "fd.cport", "fd.lport", "fd.rport", "fd.port"][..]);
    let port = select(PORTS_SEEN.as_slice());
    let some_ports = proptest::collection::vec(port.clone(), 1..4);
    let of_sockets = select(
        &[
            "evt.type = connect",
            "evt.type in (accept, accept4)",
            "evt.type in (bind, listen)",
            "evt.type in (sendto, sendmsg, recvfrom, recvmsg)",
            "fd.typechar in (4, 6)",
            "fd.typechar = 4",
            "fd.typechar != 6",
            "fd.typechar = u",
            "fd.type = ipv6",
            "fd.l4proto = tcp",
            "fd.l4proto != tcp",
            "fd.l4proto in (udp, icmp)",
            "fd.l4proto exists",
            "fd.sockfamily = ip",
            "fd.sockfamily = unix",
            "fd.is_server = true",
            "evt.type = socket",
            "evt.arg.domain = AF_INET",
            "evt.arg.domain != AF_INET6",
            "evt.arg.domain contains PACKET",
            "evt.arg[domain] in (AF_UNIX, AF_NETLINK)",
            "evt.arg.domain exists",
        ][..],
    );
    prop_oneof![
        3 => fixed.prop_map(str::to_owned),
        3 => of_sockets.prop_map(str::to_owned),
        1 => (addresses.clone(), select(&["=", "!="][..]), address).prop_map(|(field, op, address)| {
            format!("{field} {op} \"{}\"", if field.ends_with("net") { address } else { bare(address) })
        }),
        1 => (addresses, some_addresses).prop_map(|(field, some)| {
            let some: Vec<_> = some.iter().map(|address| {
                format!("\"{}\"", if field.ends_with("net") { address } else { bare(address) })
            }).collect();
            format!("{field} in ({})", some.join(", "))
        }),
        1 => (ports.clone(), select(&["=", "!=", "<", ">="][..]), port).prop_map(|(field, op, port)| format!("{field} {op} {port}")),
        1 => (ports, some_ports).prop_map(|(field, some)| {
            let some: Vec<_> = some.iter().map(ToString::to_string).collect();
            format!("{field} in ({})", some.join(", "))
        }),
        4 => (texts.clone(), ops, select(words.to_vec())).prop_map(|(field, op, word)| format!("{field} {op} \"{word}\"")),
        3 => (texts, sets, some).prop_map(|(field, op, words)| {
            let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{field} {op} ({})", words.join(", "))
        }),
    ]
}

/// The address alone.
fn bare(network: &str) -> &str {
    network.split('/').next().unwrap()
}

/// The ports of the streams.
static PORTS_SEEN: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut ports = vec![0, 22, 80];
    for (_, event) in pairs() {
        if let Detail::Socket(socket) = &event.detail {
            let of = |end: &SocketAddr| match end {
                SocketAddr::Ip(peer) => Some(peer.port),
                _ => None,
            };
            ports.extend([&socket.local, &socket.remote].into_iter().filter_map(of));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    ports
});

pub(super) fn condition(words: &[String]) -> impl Strategy<Value = String> + use<> {
    check(words).prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" and "))),
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            1 => inner.prop_map(|inner| format!("not {inner}")),
        ]
    })
}
