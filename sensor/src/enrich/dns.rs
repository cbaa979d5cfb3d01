//! DNS records → events: whose answer it is, and which names addresses have for whom. The format of messages is the
//! decoder's matter.

use std::{
    collections::{HashMap as StdHashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use hashbrown::HashMap;
use sensor_common::{Dns as Body, Header, Kind, valid};

use super::{Enricher, Lookup, Place, convert, names::HOST};
use crate::{
    decode::{RawText, dns::read},
    event::{Detail, Dns, Event, HostNames, Peer, Process, SocketAddr, Task},
};

/// Sockets whose last question is remembered: far more than wait for an answer at one time on a busy host.
const ASKERS: usize = 1024;

/// Questions of one socket whose answers have not come. A forwarder may ask them all on one.
const OPEN: usize = 256;

/// Who asked on a socket, and what.
#[derive(Debug)]
struct Asker {
    header: Header,
    process: Arc<Process>,
    ids: VecDeque<u16>,
}

/// Sockets that asked, by their numbers, the first to be forgotten first.
#[derive(Debug, Default)]
pub(super) struct Askers {
    by_cookie: HashMap<u64, Asker>,
    order: VecDeque<u64>,
}

impl Askers {
    fn asked(&mut self, cookie: u64, id: u16, header: Header, process: Arc<Process>) {
        if let Some(known) = self.by_cookie.get_mut(&cookie) {
            known.ids.push_back(id);
            if known.ids.len() > OPEN {
                known.ids.pop_front();
            }
            (known.header, known.process) = (header, process);
            return;
        }
        self.by_cookie.insert(cookie, Asker { header, process, ids: VecDeque::from([id]) });
        self.order.push_back(cookie);
        if self.order.len() > ASKERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_cookie.remove(&oldest);
        }
    }
}

/// Names of addresses that rules compare with, as they resolve now.
pub type Resolved = StdHashMap<IpAddr, HostNames>;

impl<L: Lookup> Enricher<L> {
    /// Takes over what names that rules compare with resolve to.
    pub fn resolve(&mut self, resolved: Resolved) {
        self.resolved = resolved;
    }

    /// A query or an answer.
    pub(super) fn dns(&mut self, header: &Header, body: &Body, message: RawText<'_>) -> Event {
        // What follows belongs to the size class.
        let bytes = message.bytes.get(..body.len as usize);
        let said = read(bytes.unwrap_or(message.bytes), bytes.is_some());
        let answer = body.answer != 0;
        let malformed = said.malformed || (said.question.is_some() && said.answer != answer);
        self.counts.malformed_dns += u64::from(malformed);
        let (header, process, expected) = self.asker(header, body.cookie, said.id, answer);
        if answer && expected && !malformed {
            let names = said.question.iter().chain(&said.names);
            let names: Vec<Arc<str>> = names.map(|name| name.to_str_lossy().into()).collect();
            let scope = match self.place(&header) {
                Some(Place::Container(container)) => container.instance,
                _ => HOST,
            };
            self.names.learn(scope, &said.addresses, &names, said.ttl.unwrap_or(0), header.ts);
        }
        let dns = Dns {
            socket: convert::dns_socket(body),
            answer,
            id: said.id,
            question: said.question,
            record_type: said.record_type,
            rcode: said.rcode.filter(|_| answer),
            addresses: said.addresses,
            names: said.names,
            ttl: said.ttl,
            size: body.len,
            truncated: said.truncated,
            malformed,
        };
        let known = header.valid & valid::TASK != 0;
        let mut event = self.event_of(&header, Kind::NetDns, process, Detail::Dns(Box::new(dns)));
        if !known {
            // Nobody is no more root than anybody else.
            let none = u32::MAX;
            let cgroup = event.task.cgroup;
            event.task = Task { uid: none, euid: none, gid: none, egid: none, cgroup, ..Task::default() };
        }
        self.name_event(&mut event);
        event
    }

    /// Who is behind a message, as a header at its time, and whether the message was to be expected.
    fn asker(&mut self, header: &Header, cookie: u64, id: u16, answer: bool) -> (Header, Arc<Process>, bool) {
        if answer {
            let Some(asker) = self.askers.by_cookie.get_mut(&cookie) else {
                // The question was not seen, so there is nothing to compare with.
                return (*header, Arc::default(), true);
            };
            let open = asker.ids.iter().position(|open| *open == id);
            if let Some(at) = open {
                asker.ids.remove(at);
            }
            let Header { ts, cpu, seq, .. } = *header;
            return (Header { ts, cpu, seq, ..asker.header }, Arc::clone(&asker.process), open.is_some());
        }
        if header.valid & valid::TASK == 0 {
            return (*header, Arc::default(), true);
        }
        let process = self.process(header);
        self.askers.asked(cookie, id, *header, Arc::clone(&process));
        (*header, process, true)
    }

    /// Puts to both ends of an event's socket the names of their addresses.
    pub(super) fn name_event(&mut self, event: &mut Event) {
        if self.names.is_empty() && self.resolved.is_empty() {
            return;
        }
        let scope = event.container.as_ref().map_or(HOST, |container| container.instance);
        let socket = match &mut event.detail {
            Detail::Socket(socket) => socket,
            Detail::Dns(dns) => &mut dns.socket,
            _ => return,
        };
        let mut names = |end: &SocketAddr| {
            let SocketAddr::Ip(Peer { ip, .. }) = end else { return HostNames::default() };
            let observed = self.names.of(scope, *ip, event.boot_time);
            match self.resolved.get(ip) {
                Some(resolved) => observed.with(resolved),
                None => observed,
            }
        };
        (socket.local_names, socket.remote_names) = (names(&socket.local), names(&socket.remote));
    }
}
