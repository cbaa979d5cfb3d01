//! DNS: whose an answer is, and what it names.

use sensor_common::Dns as Body;

use super::*;

const NAME: &[u8] = b"\x01a\x07example\x00";

fn message(id: u8, flags: u16, records: &[u8]) -> Vec<u8> {
    let [high, low] = flags.to_be_bytes();
    let count = u8::from(!records.is_empty());
    let header = [0, id, high, low, 0, 1, 0, count, 0, 0, 0, 0];
    [&header[..], NAME, &[0, 1, 0, 1], records].concat()
}

/// The address 10.9.8.7, for no time at all.
const ADDRESS: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 9, 8, 7];

impl Stream {
    fn dns(&mut self, header: Header, answer: u32, cookie: u64, message: &[u8]) -> Event {
        // As the kernel writes it: the rest of the class is zero.
        let mut class = message.to_vec();
        class.resize(Body::SHORT, 0);
        let remote = NetAddr { addr: [10; 16], port: 53, family: 2 };
        let body = Body { remote, cookie, len: message.len() as u32, answer, ..Body::default() };
        let record = RawEvent { header, body: RawBody::Dns(body, RawText { bytes: &class, flags: 0 }) };
        self.take(&record.encode()).unwrap()
    }

    /// The names of 10.9.8.7 for whoever connects to it.
    fn names(&mut self, header: Header) -> Vec<String> {
        let mut remote = NetAddr { port: 443, family: 2, ..NetAddr::default() };
        remote.addr[..4].copy_from_slice(&[10, 9, 8, 7]);
        let header = Header { valid: header.valid | valid::REMOTE, ..header };
        let body = RawBody::Net(Kind::NetConnect, Net { remote, ..Net::default() }, NetTexts::default());
        let event = self.take(&RawEvent { header, body }.encode()).unwrap();
        let Detail::Socket(socket) = event.detail else { panic!("not a socket") };
        socket.remote_names.iter().map(ToString::to_string).collect()
    }
}

fn detail(event: &Event) -> &crate::event::Dns {
    match &event.detail {
        Detail::Dns(dns) => dns,
        other => panic!("{other:?}"),
    }
}

fn asker() -> Header {
    let known = header(7, 10);
    Header { valid: known.valid | valid::TASK, cgroup: 99, ..known }
}

/// What the kernel knows of an answer.
fn nobody(ts: u64) -> Header {
    Header { ts, cpu: 3, ..Header::default() }
}

#[test]
fn an_answer_belongs_to_who_asked_and_names_addresses_for_them() {
    let mut stream = Stream::new();
    stream.exec((7, 10), "/usr/bin/curl", b"curl\0");
    let asked = stream.dns(asker(), 0, 5, &message(1, 0x0100, &[]));
    assert_eq!((asked.event_type, asked.task.pid, detail(&asked).answer), (EventType::Dns, 7, false));
    let answered = stream.dns(nobody(50), 1, 5, &message(1, 0x8180, ADDRESS));
    assert_eq!(answered.process.exe.to_string(), "/usr/bin/curl");
    assert_eq!((answered.task.pid, answered.boot_time, answered.cpu), (7, 50, 3));
    assert_eq!(answered.container.as_ref().map(|container| &*container.id), Some(&ID[..12]));
    let dns = detail(&answered);
    assert_eq!((dns.answer, dns.id, dns.malformed, dns.truncated), (true, 1, false, false));
    assert_eq!(dns.addresses, [std::net::IpAddr::from([10, 9, 8, 7])]);
    assert_eq!(dns.question.as_ref().map(ToString::to_string).as_deref(), Some("a.example"));
    assert_eq!(stream.names(Header { ts: 60, ..asker() }), ["a.example"]);
    assert_eq!(stream.names(Header { ts: 60, cgroup: 0, ..header(8, 20) }), [""; 0], "another container's");
    assert_eq!(stream.enricher.counts().names.addresses, 1);
}

#[test]
fn an_answer_that_nobody_waits_for_is_said_and_believed_by_nobody() {
    let mut stream = Stream::new();
    stream.dns(asker(), 0, 5, &message(1, 0x0100, &[]));
    // Another number: somebody guesses.
    let event = stream.dns(nobody(50), 1, 5, &message(2, 0x8180, ADDRESS));
    assert_eq!((event.task.pid, detail(&event).addresses.len()), (7, 1));
    assert_eq!(stream.names(Header { ts: 60, ..asker() }), [""; 0]);
    stream.dns(nobody(50), 1, 5, &message(1, 0x8180, ADDRESS));
    assert_eq!(stream.names(Header { ts: 60, ..asker() }), ["a.example"]);
    // A socket whose question was not seen: nobody in particular, and least of all root.
    let event = stream.dns(nobody(50), 1, 6, &message(9, 0x8180, ADDRESS));
    assert_eq!((event.task.pid, event.task.uid, event.task.user.clone()), (0, u32::MAX, None));
    assert_eq!(
        stream.names(Header { ts: 60, cgroup: 0, ..header(8, 20) }),
        ["a.example"],
        "of the host's own"
    );
}

#[test]
fn names_that_rules_compare_with_stand_behind_those_that_were_told() {
    let mut stream = Stream::new();
    let names: crate::event::HostNames = ["b.example", "a.example"].into_iter().map(Into::into).collect();
    stream.enricher.resolve([(std::net::IpAddr::from([10, 9, 8, 7]), names)].into());
    assert_eq!(stream.names(asker()), ["b.example", "a.example"]);
    stream.dns(asker(), 0, 5, &message(1, 0x0100, &[]));
    stream.dns(nobody(50), 1, 5, &message(1, 0x8180, ADDRESS));
    assert_eq!(stream.names(Header { ts: 60, ..asker() }), ["a.example", "b.example"]);
}

#[test]
fn what_is_no_dns_is_an_event_and_a_number() {
    let mut stream = Stream::new();
    let event = stream.dns(asker(), 0, 5, b"GET / HTTP/1.1\r\n");
    assert!(detail(&event).malformed);
    // A question that calls itself an answer.
    assert!(detail(&stream.dns(asker(), 0, 5, &message(1, 0x8180, &[]))).malformed);
    assert_eq!(stream.enricher.counts().malformed_dns, 2);
}
