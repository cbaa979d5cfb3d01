//! DNS: queries and answers with whose they are, and the names that addresses have by them.

use std::{net::IpAddr, process, time::Instant};

use sensor_tests::{
    Act, Event,
    alerts::Watcher,
    cgroup::{Group, legacy, unified},
    deadline,
    dns::{A, AAAA, CNAME, TXT, address, answer, hex, name, query, record, serve},
    needs_kernel,
    require::skip,
    shared, test_name,
};
use serde_json::json;

const V4: &str = "2";
const V6: &str = "10";
const DGRAM: &str = "2";

/// Steps that ask on one socket and wait for the answers.
fn ask(family: &str, server: &str, connected: bool, messages: &[Vec<u8>]) -> Vec<String> {
    let mut steps: Vec<String> = ["socket", family, DGRAM, "0"].map(str::to_owned).to_vec();
    let mut step = |words: &[&str]| {
        steps.push("--".to_owned());
        steps.extend(words.iter().map(|word| (*word).to_owned()));
    };
    if connected {
        step(&["connect", "3", server]);
    }
    for message in messages {
        step(&["send-hex", "3", &hex(message), if connected { "-" } else { server }]);
        step(&["recv", "3"]);
    }
    steps
}

/// The same, and then connects to an address.
fn ask_and_connect(server: &str, messages: &[Vec<u8>], to: &str) -> Vec<String> {
    let more = ["--", "socket", V4, "1", "0", "--", "connect", "4", to].map(str::to_owned);
    ask(V4, server, true, messages).into_iter().chain(more).collect()
}

fn of(events: &[Event], kind: &str) -> Vec<Event> {
    events.iter().filter(|event| event.kind() == kind).cloned().collect()
}

/// What a server says of `Www.Example` and its like: another name, and that one's address.
fn with_chain(query: &[u8], owner: &str, ip: IpAddr) -> Vec<u8> {
    let chain = record(owner, CNAME, 300, &name("Edge.cdn.example"));
    answer(query, 0, &[chain, address("edge.cdn.example", 30, ip)])
}

/// A query and its answer, over both families, on sockets that are connected and on those that are not.
fn both_ways(family: &str, client: &str, server: &str, kind: u16, ip: IpAddr) {
    let at = serve(server, move |query| with_chain(query, "Www.Example", ip));
    for connected in [true, false] {
        let messages = [query(0x4d4e, "Www.Example", kind)];
        let (done, events) = Act::new(ask(family, &at.to_string(), connected, &messages)).seen_by(&shared());
        let sent = if connected { 2 } else { 1 };
        let dns = of(&events, "dns");
        let [asked, answered] = &dns[..] else { panic!("two messages: {dns:?}") };
        for event in [asked, answered] {
            assert_eq!(event.pid(), done.pid);
            assert_eq!(event["/process/exe"], json!(sensor_tests::act::program()));
            assert_eq!(event["/detail/socket/remote"], json!({"ip": server, "port": 53}));
            assert_eq!(event["/detail/socket/local"], json!({"ip": client, "port": done.said(sent, "port")}));
            assert_eq!(event["/detail/socket/domain"].to_string(), family);
            assert_eq!(
                (&event["/detail/socket/protocol"], &event["/detail/id"]),
                (&json!(17), &json!(0x4d4e))
            );
            assert_eq!(event["/detail/question"], "www.example");
            assert_eq!(event["/detail/record_type"], if kind == A { "A" } else { "AAAA" });
            assert_eq!(event["/detail/malformed"], false);
        }
        assert_eq!((&asked["/detail/answer"], &asked["/detail/rcode"]), (&json!(false), &json!(null)));
        assert_eq!(asked["/detail/addresses"], json!([]));
        assert_eq!(
            (&answered["/detail/answer"], &answered["/detail/rcode"]),
            (&json!(true), &json!("NOERROR"))
        );
        assert_eq!(answered["/detail/addresses"], json!([ip]));
        assert_eq!(answered["/detail/names"], json!(["edge.cdn.example"]));
        assert_eq!(answered["/detail/ttl"], 30);
    }
}

#[test]
fn net_dns_v4() {
    needs_kernel!();
    both_ways(V4, "127.0.0.1", "127.0.53.1", A, [127, 0, 54, 1].into());
}

#[test]
fn net_dns_v6() {
    needs_kernel!();
    both_ways(V6, "::1", "::1", AAAA, "fd00::53".parse().unwrap());
}

#[test]
fn net_dns_names_a_connect_that_follows() {
    needs_kernel!();
    let at =
        serve("127.0.53.2", |query| with_chain(query, "www.example", [127, 0, 54, 2].into())).to_string();
    let steps = ask_and_connect(&at, &[query(1, "www.example", A)], "127.0.54.2:9");
    let (_, events) = Act::new(steps).seen_by(&shared());
    let connect = of(&events, "connect").pop().unwrap();
    assert_eq!(connect["/detail/remote_names"], json!(["www.example", "edge.cdn.example"]));
    // An answer to a question that was not asked names nothing.
    let at = serve("127.0.53.3", |query| {
        let mut other = query.to_vec();
        other[0] ^= 1;
        answer(&other, 0, &[address("www.example", 30, [127, 0, 54, 3].into())])
    });
    let steps = ask_and_connect(&at.to_string(), &[query(1, "www.example", A)], "127.0.54.3:9");
    let (_, events) = Act::new(steps).seen_by(&shared());
    assert_eq!(of(&events, "dns").len(), 2);
    assert_eq!(of(&events, "connect").pop().unwrap()["/detail/remote_names"], json!(null));
}

#[test]
fn net_dns_of_a_container_names_nothing_elsewhere() {
    needs_kernel!();
    let Some(hierarchy) = legacy().or_else(unified) else {
        return skip(test_name!(), "no hierarchy of control groups");
    };
    let id = format!("{:064x}", 0xd45_0000 + process::id());
    let at =
        serve("127.0.53.4", |query| with_chain(query, "www.example", [127, 0, 54, 4].into())).to_string();
    let steps = ask_and_connect(&at, &[query(2, "www.example", A)], "127.0.54.4:9");
    let group = Group::new(&hierarchy, &format!("/docker/{id}"));
    let (_, events) = group.join(Act::new(steps)).seen_by(&shared());
    let dns = of(&events, "dns");
    assert_eq!(dns.len(), 2);
    for event in &dns {
        assert_eq!(event["/container/full_id"], id, "{}", event["/detail/answer"]);
    }
    let connect = of(&events, "connect").pop().unwrap();
    assert_eq!(connect["/detail/remote_names"], json!(["www.example", "edge.cdn.example"]));
    let elsewhere = ["socket", V4, "1", "0", "--", "connect", "3", "127.0.54.4:9"];
    let (_, events) = Act::new(elsewhere).seen_by(&shared());
    assert_eq!(of(&events, "connect").pop().unwrap()["/detail/remote_names"], json!(null));
}

#[test]
fn net_dns_hostile_messages() {
    needs_kernel!();
    let pointer = |to: u8| {
        [&name("x")[..], &[0, 1, 0, 1], &[0xc0, to, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4]].concat()
    };
    let answers = serve("127.0.53.5", move |query| match query[1] {
        // A name that is itself, one that lies ahead, a record that is not there, a length that lies, nothing at all.
        1 => answer(query, 0, &[pointer(query.len() as u8 + 3)[3..].to_vec()]),
        2 => answer(query, 0, &[record("x.example", CNAME, 9, &[0xc0, 0xff])]),
        3 => answer(query, 0, &[vec![]]),
        4 => answer(query, 0, &[record("x.example", A, 9, &[1, 2, 3])]),
        5 => vec![0; 11],
        // Longer than what is copied: what was copied counts.
        6 => {
            let first = address("x.example", 9, [127, 0, 54, 5].into());
            answer(query, 0, &[first, record("x.example", TXT, 9, &[b'x'; 3000])])
        }
        _ => answer(query, 3, &[]),
    });
    let mut messages: Vec<_> = (1..=7).map(|id| query(id, "x.example", A)).collect();
    // A query that is none, and one whose name never ends.
    messages.push(vec![b'x'; 700]);
    messages.push([&query(9, "", A)[..12], &[0xc0, 12, 0, 1, 0, 1]].concat());
    let (_, events) = Act::new(ask(V4, &answers.to_string(), true, &messages)).seen_by(&shared());
    let dns = of(&events, "dns");
    let said: Vec<_> =
        dns.iter().map(|event| (&event["/detail/answer"], &event["/detail/malformed"])).collect();
    let (yes, no) = (&json!(true), &json!(false));
    let mut expected = Vec::new();
    for malformed in [yes, yes, yes, yes, yes, no, no] {
        expected.extend([(no, no), (yes, malformed)]);
    }
    expected.extend([(no, yes), (yes, yes), (no, yes), (yes, yes)]);
    assert_eq!(said, expected);
    let long = &dns[11];
    assert_eq!((&long["/detail/truncated"], &long["/detail/addresses"]), (yes, &json!(["127.0.54.5"])));
    assert_eq!(dns[13]["/detail/rcode"], "NXDOMAIN");
    assert!(dns.iter().all(|event| event.pid() == dns[0].pid()));
}

const RULES: &str = r#"
- rule: Told
  desc: A name that DNS gave.
  condition: evt.type = connect and fd.sip.name = told.example
  output: told
  priority: INFO
- rule: Looked up
  desc: A name that the sensor resolves itself.
  condition: evt.type = connect and fd.sip.name in (localhost, other.invalid)
  output: looked up %fd.sip.name
  priority: INFO
"#;

#[test]
fn net_dns_rules_compare_names() {
    needs_kernel!();
    let _alone = sensor_tests::exclusive();
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("r.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let watcher = Watcher::start(&rules, &[]);
    let at =
        serve("127.0.53.6", |query| answer(query, 0, &[address("told.example", 0, [127, 0, 54, 6].into())]));
    // No rule names the type of DNS events: that a name is compared with is reason enough to see them.
    let steps = ask_and_connect(&at.to_string(), &[query(3, "told.example", A)], "127.0.54.6:9");
    let done = Act::new(steps).run();
    assert_eq!(watcher.alert("Told", 1)["process"]["pid"], done.pid);
    // Looked up by a thread of the sensor's own, whenever that has an answer.
    let end = Instant::now() + deadline();
    while !watcher.alerts().iter().any(|alert| alert["rule"] == "Looked up") {
        assert!(Instant::now() < end, "never looked up: {}", watcher.stderr());
        let _ = Act::new(["socket", V4, "1", "0", "--", "connect", "3", "127.0.0.1:9"]).run();
    }
    let (_, stats) = watcher.stop();
    assert_eq!(stats["enrich"]["names"]["evicted"], 0);
    assert!(stats["kinds"]["net_dns"]["submitted"].as_u64() >= Some(2), "{}", stats["kinds"]["net_dns"]);
}

/// What nobody asks for is not read: questions alone are no reason to look at every packet that comes in.
#[test]
fn net_dns_answers_are_read_where_somebody_asks() {
    needs_kernel!();
    let _alone = sensor_tests::exclusive();
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("r.yaml");
    let rule = |name: &str, condition: &str, output: &str| {
        format!("- {{rule: {name}, desc: d, condition: '{condition}', output: '{output}', priority: INFO}}\n")
    };
    let asked = rule("Asked", "evt.type = dns and dns.answer = false and dns.question = told.example", "o");
    let named = rule("Named", "evt.type = connect and fd.sip = 127.0.54.7", "%fd.sip.name");
    let at =
        serve("127.0.53.7", |query| answer(query, 0, &[address("told.example", 0, [127, 0, 54, 7].into())]));
    let steps = || ask_and_connect(&at.to_string(), &[query(3, "told.example", A)], "127.0.54.7:9");
    let unnamed = rule("Named", "evt.type = connect and fd.sip = 127.0.54.7", "of no name");
    for (last, output) in [(unnamed, "of no name"), (named, "told.example")] {
        std::fs::write(&rules, asked.clone() + &last).unwrap();
        let watcher = Watcher::start(&rules, &[]);
        let done = Act::new(steps()).run();
        assert_eq!(watcher.alert("Asked", 1)["process"]["pid"], done.pid);
        assert_eq!(watcher.alert("Named", 1)["output"], output);
        let (_, stats) = watcher.stop();
        let hook = |stem: &str| {
            let hooks = stats["hooks"].as_array().unwrap();
            hooks.iter().find(|hook| hook["hook"] == stem).unwrap()["chosen"].clone()
        };
        assert_eq!(hook("net_dns_query"), "net_dns_query");
        let answers = if output == "told.example" { json!("net_dns_answer") } else { json!(null) };
        assert_eq!(hook("net_dns_answer"), answers);
    }
}
