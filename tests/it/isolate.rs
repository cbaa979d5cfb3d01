//! Isolation: a group that is cut off from the network, whatever its sockets are doing, and nobody else. Each test runs with a
//! group of every hierarchy that the sensor knows groups by.

pub(crate) mod kept;

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    time::{Duration, Instant},
};

use sensor::probe::isolate::{Isolation, IsolationError, IsolationOptions, Peer};
use sensor_common::Header;
use sensor_tests::{
    Act,
    act::Told,
    cgroup::{Group, legacy, unified},
    deadline, needs_kernel,
};

const EPERM: i64 = -(libc::EPERM as i64);
const EAGAIN: i64 = -(libc::EAGAIN as i64);
const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A hierarchy, and what its groups' keys have besides their ids.
#[derive(Clone)]
struct Hierarchy(PathBuf, u64);

fn hierarchies() -> Vec<Hierarchy> {
    let legacy = legacy().map(|path| Hierarchy(path, Header::CGROUP_V1));
    unified().map(|path| Hierarchy(path, 0)).into_iter().chain(legacy).collect()
}

impl Hierarchy {
    fn group(&self, name: &str) -> (Group, u64) {
        let group = Group::new(&self.0, &format!("/vedette-isolate-{}/{name}", std::process::id()));
        let key = group.id() | self.1;
        (group, key)
    }
}

fn load(allow: &[&str]) -> Isolation {
    let peer = |text: &&str| {
        let peer: sensor::config::AllowedPeer = text.parse().unwrap();
        Peer { network: peer.network, port: peer.port }
    };
    let allow = allow.iter().map(peer).collect();
    Isolation::load(&IsolationOptions { allow, pins: nowhere(), ..IsolationOptions::default() }).unwrap()
}

/// Where no sensor of this machine pins anything.
fn nowhere() -> PathBuf {
    std::env::temp_dir().join("vedette-no-pins")
}

fn refused(isolation: &Isolation, group: u64) -> u64 {
    let all = isolation.isolated().unwrap();
    all.iter().find(|isolated| isolated.group == group).expect("it is isolated").refused
}

/// Does something that must not get through, and waits until it is counted as refused.
fn refuses<T>(isolation: &Isolation, group: u64, what: &str, act: impl FnOnce() -> T) -> T {
    let before = refused(isolation, group);
    let result = act();
    let end = Instant::now() + deadline();
    while refused(isolation, group) == before {
        assert!(Instant::now() < end, "{what} is not refused");
        std::thread::yield_now();
    }
    result
}

/// What a helper in a group and the test have between them, by one family of addresses.
struct Line {
    ip: IpAddr,
    listener: TcpListener,
    /// The test's end of a connection, of which `tcp` is the helper's descriptor.
    stream: TcpStream,
    tcp: i64,
    /// The test's socket, and the helper's, which is connected to it.
    datagrams: UdpSocket,
    udp: i64,
    /// Where the helper's is.
    helper: SocketAddr,
}

impl Line {
    fn new(ip: IpAddr, inside: &mut Told) -> Self {
        let family = if ip.is_ipv4() { 2 } else { 10 };
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let tcp = inside.step(&format!("socket {family} 1 0"));
        assert_eq!(inside.step(&format!("connect {tcp} {}", listener.local_addr().unwrap())), 0);
        let (stream, _) = listener.accept().unwrap();
        let datagrams = UdpSocket::bind((ip, 0)).unwrap();
        let udp = inside.step(&format!("socket {family} 2 0"));
        let said = inside.asked(&format!("connect {udp} {}", datagrams.local_addr().unwrap()));
        let helper = SocketAddr::new(ip, said["port"].as_u64().unwrap() as u16);
        for socket in
            [stream.set_read_timeout(Some(deadline())), datagrams.set_read_timeout(Some(deadline()))]
        {
            socket.unwrap();
        }
        let mut line = Self { ip, listener, stream, tcp, datagrams, udp, helper };
        line.works(inside);
        line
    }

    /// Both ways, over both protocols. What is left of earlier attempts comes first.
    fn works(&mut self, inside: &mut Told) {
        let Self { tcp, udp, .. } = *self;
        assert_eq!(inside.step(&format!("send {udp} 1")), 1);
        self.datagrams.recv(&mut [0]).unwrap();
        self.datagrams.send_to(b"x", self.helper).unwrap();
        assert_eq!(inside.step(&format!("recv {udp}")), 1);
        assert_eq!(inside.step(&format!("send {tcp} 1")), 1);
        self.stream.read_exact(&mut [0]).unwrap();
        self.stream.write_all(b"x").unwrap();
        assert!(inside.step(&format!("recv {tcp}")) >= 1);
    }

    /// Neither way, over neither protocol.
    fn is_cut(&mut self, inside: &mut Told, isolation: &Isolation, group: u64) {
        let Self { tcp, udp, ip, .. } = *self;
        let what = |what: &str| format!("{what} of {ip}");
        assert_eq!(inside.step(&format!("send {udp} 1")), EPERM, "{}", what("a datagram"));
        refuses(isolation, group, &what("a datagram from outside"), || {
            self.datagrams.send_to(b"x", self.helper).unwrap();
        });
        assert_eq!(inside.step(&format!("recvfrom {udp} 0")), EAGAIN);
        refuses(isolation, group, &what("what a connection sends"), || {
            assert_eq!(inside.step(&format!("send {tcp} 1")), 1);
        });
        refuses(isolation, group, &what("what a connection is sent"), || {
            self.stream.write_all(b"x").unwrap()
        });
        assert_eq!(inside.step(&format!("recvfrom {tcp} 0")), EAGAIN);
        self.stream.set_nonblocking(true).unwrap();
        assert_eq!(self.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        assert_eq!(self.connect(inside), EPERM);
        let to = self.datagrams.local_addr().unwrap();
        let family = if ip.is_ipv4() { 2 } else { 10 };
        let fd = inside.step(&format!("socket {family} 2 0"));
        assert_eq!(inside.step(&format!("sendto {fd} 1 {to}")), EPERM);
        assert_eq!(inside.step(&format!("close {fd}")), 0);
    }

    /// A new connection from inside to the test's port.
    fn connect(&self, inside: &mut Told) -> i64 {
        connect(inside, self.listener.local_addr().unwrap())
    }
}

fn connect(inside: &mut Told, to: SocketAddr) -> i64 {
    let fd = inside.step(&format!("socket {} 1 0", if to.is_ipv4() { 2 } else { 10 }));
    let result = inside.step(&format!("connect {fd} {to}"));
    assert_eq!(inside.step(&format!("close {fd}")), 0);
    result
}

#[test]
fn isolate_cuts_what_is_there_and_what_is_new_and_release_restores_it() {
    needs_kernel!();
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("all");
        let mut inside = dir.join(Act::told()).listen();
        let mut lines = LOOPBACKS.map(|ip| Line::new(ip, &mut inside));
        let mut isolation = load(&[]);
        for round in 0..2 {
            let start = Instant::now();
            isolation.isolate(group).unwrap();
            println!("{}: isolated after {:?}", hierarchy.0.display(), start.elapsed());
            for line in &mut lines {
                line.is_cut(&mut inside, &isolation, group);
            }
            // An address of IPv4 by a socket of IPv6.
            let port = lines[0].listener.local_addr().unwrap().port();
            let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
            assert_eq!(connect(&mut inside, (mapped, port).into()), EPERM);
            isolation.isolate(group).unwrap();
            isolation.release(group).unwrap();
            assert_eq!(isolation.isolated().unwrap(), []);
            for line in &mut lines {
                assert_eq!(line.connect(&mut inside), 0, "round {round}");
                let _ = line.listener.accept().unwrap();
                // The byte that was kept back comes now, by the same connection.
                line.stream.read_exact(&mut [0]).unwrap();
                assert_eq!(inside.step(&format!("recv {}", line.tcp)), 1);
                line.works(&mut inside);
            }
            isolation.release(group).unwrap();
        }
    }
}

#[test]
fn isolate_cuts_who_listens() {
    needs_kernel!();
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("listens");
        let mut inside = dir.join(Act::told()).listen();
        let mut isolation = load(&[]);
        let ports = LOOPBACKS.map(|ip| {
            let fd = inside.step(&format!("socket {} 1 0", if ip.is_ipv4() { 2 } else { 10 }));
            let port = inside.asked(&format!("bind {fd} {}", SocketAddr::new(ip, 0)))["port"].as_u64();
            assert_eq!(inside.step(&format!("listen {fd} 8")), 0);
            SocketAddr::new(ip, port.unwrap() as u16)
        });
        isolation.isolate(group).unwrap();
        for to in ports {
            refuses(&isolation, group, "a connection from outside", || {
                let error = TcpStream::connect_timeout(&to, Duration::from_millis(1)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
            });
        }
        // One that is made when the group is isolated already.
        let fd = inside.step("socket 2 2 0");
        let port = inside.asked(&format!("bind {fd} 127.0.0.1:0"))["port"].as_u64().unwrap();
        let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
        refuses(&isolation, group, "a datagram to a new socket", || {
            outside.send_to(b"x", ("127.0.0.1", port as u16)).unwrap();
        });
        assert_eq!(inside.step(&format!("recvfrom {fd} 0")), EAGAIN);
        isolation.release(group).unwrap();
        for to in ports {
            TcpStream::connect_timeout(&to, deadline()).unwrap();
        }
    }
}

#[test]
fn isolate_leaves_others_of_the_same_network_namespace_alone() {
    needs_kernel!();
    for hierarchy in hierarchies() {
        let ((dir, group), (other_dir, other_group)) = (hierarchy.group("one"), hierarchy.group("two"));
        let mut inside = dir.join(Act::told()).listen();
        let mut beside = other_dir.join(Act::told()).listen();
        let mut line = Line::new(LOOPBACKS[0], &mut inside);
        let mut other = Line::new(LOOPBACKS[0], &mut beside);
        let mut isolation = load(&[]);
        isolation.isolate(group).unwrap();
        line.is_cut(&mut inside, &isolation, group);
        other.works(&mut beside);
        assert_eq!(other.connect(&mut beside), 0);
        // Both, and then the first no more.
        isolation.isolate(other_group).unwrap();
        other.is_cut(&mut beside, &isolation, other_group);
        isolation.release(group).unwrap();
        assert_eq!(line.connect(&mut inside), 0);
        other.is_cut(&mut beside, &isolation, other_group);
        assert_eq!(isolation.isolated().unwrap().len(), 1);
    }
}

#[test]
fn isolate_spares_peers_on_the_list() {
    needs_kernel!();
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("allowed");
        let mut inside = dir.join(Act::told()).listen();
        let (mut allowed, mut other) =
            (Line::new(LOOPBACKS[0], &mut inside), Line::new(LOOPBACKS[0], &mut inside));
        let mut sixth = Line::new(LOOPBACKS[1], &mut inside);
        let to = |line: &Line| line.listener.local_addr().unwrap();
        let datagrams = allowed.datagrams.local_addr().unwrap();
        let mut isolation =
            load(&[&to(&allowed).to_string(), &datagrams.to_string(), "::1/128", "127.0.0.2"]);
        isolation.isolate(group).unwrap();
        allowed.works(&mut inside);
        sixth.works(&mut inside);
        other.is_cut(&mut inside, &isolation, group);
        assert_eq!(allowed.connect(&mut inside), 0);
        assert_eq!(sixth.connect(&mut inside), 0);
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), to(&allowed).port()));
        assert_eq!(connect(&mut inside, mapped), 0);
        // A network without a port, which `127.0.0.1` is not in.
        let second = TcpListener::bind("127.0.0.2:0").unwrap();
        assert_eq!(connect(&mut inside, second.local_addr().unwrap()), 0);
    }
}

#[test]
fn isolate_covers_groups_below_and_what_processes_bring_along() {
    needs_kernel!();
    for hierarchy in hierarchies() {
        let (_above, outer) = hierarchy.group("outer");
        let (dir, inner) = hierarchy.group("outer/a/b/c");
        let mut inside = dir.join(Act::told()).listen();
        let mut brought = Act::told().listen();
        // A connection that was cut tries again later and later: each look has one of its own.
        let mut lines =
            [(); 3].map(|()| [Line::new(LOOPBACKS[0], &mut inside), Line::new(LOOPBACKS[1], &mut brought)]);
        dir.add(brought.pid());
        let mut isolation = load(&[]);
        let mut are_cut = |look: usize, isolation: &Isolation, group| {
            let [one, other] = &mut lines[look];
            one.is_cut(&mut inside, isolation, group);
            other.is_cut(&mut brought, isolation, group);
        };
        isolation.isolate(outer).unwrap();
        are_cut(0, &isolation, outer);
        // The inner one by itself stays isolated when the outer one is not any more, and the other way round.
        isolation.isolate(inner).unwrap();
        isolation.release(outer).unwrap();
        are_cut(1, &isolation, inner);
        isolation.isolate(outer).unwrap();
        isolation.release(inner).unwrap();
        are_cut(2, &isolation, outer);
        isolation.release(outer).unwrap();
        let [line, other] = &lines[0];
        assert_eq!(line.connect(&mut inside), 0);
        assert_eq!(other.connect(&mut brought), 0);
    }
}

#[test]
fn isolate_of_a_group_that_is_not_there() {
    needs_kernel!();
    let mut isolation = load(&[]);
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("gone");
        drop(dir);
        assert!(matches!(isolation.isolate(group), Err(IsolationError::NoGroup(none)) if none == group));
        isolation.release(group).unwrap();
    }
    assert_eq!(isolation.isolated().unwrap(), []);
}

#[test]
fn isolate_leaves_nothing_attached() {
    needs_kernel!();
    let hierarchy = hierarchies().remove(0);
    let (dir, group) = hierarchy.group("nothing");
    let _inside = dir.join(Act::told()).listen();
    let mut isolation = load(&[]);
    isolation.isolate(group).unwrap();
    assert!(programs() > 0);
    drop(isolation);
    let end = Instant::now() + deadline();
    // Other tests have theirs, for a while.
    while programs() > 0 {
        assert!(Instant::now() < end, "programs are left");
        std::thread::yield_now();
    }
}

/// Programs of isolation that any process of this machine has.
fn programs() -> usize {
    let ours = |name: &str| name.starts_with("isolate_");
    aya::programs::loaded_programs().flatten().filter(|info| info.name_as_str().is_some_and(ours)).count()
}
