//! What is decided in the kernel, what is not and why, and that what is decided is what the rule says.

use super::*;
use crate::rule::{Covers, Options, RuleSet, Source};

fn compile(rules: &str) -> (Option<RuleSet>, Vec<String>) {
    let source = Source { name: "t.yaml".to_owned(), text: rules.to_owned() };
    let (set, found) = RuleSet::compile(&[source], &Options::default());
    (set, found.iter().map(ToString::to_string).collect())
}

fn rule(response: &str, condition: &str) -> String {
    format!(
        "- {{rule: r, desc: d, condition: '{condition}', output: o, priority: INFO, response: {response}}}\n"
    )
}

#[track_caller]
fn verdicts(condition: &str) -> Verdicts {
    let (set, found) = compile(&rule("kill", condition));
    set.unwrap_or_else(|| panic!("{condition}: {found:?}")).verdicts().clone()
}

fn decided(condition: &str) -> Vec<(Act, Vec<Alternative>)> {
    let verdicts = verdicts(condition);
    assert_eq!(verdicts.left, [], "{condition}");
    verdicts.orders.into_iter().map(|order| (order.act, order.any.to_vec())).collect()
}

fn words<const N: usize>(words: [&str; N]) -> BTreeSet<Word> {
    words.into_iter().map(|word| word.as_bytes().into()).collect()
}

#[test]
fn what_the_kernel_tells_is_decided() {
    let exec = decided("evt.type in (execve, execveat) and container.id != host and proc.name in (nc, ncat)");
    let [(Act::Exec, any)] = exec.as_slice() else { panic!("{exec:?}") };
    let [one] = any.as_slice() else { panic!("{any:?}") };
    assert_eq!(one.comm, Sets::new(words(["nc", "ncat"]), true));
    assert_eq!(one.workload.len(), 1);
    let exec =
        decided("evt.type = execve and not proc.exepath startswith /usr/ and proc.is_exe_upper_layer = true");
    let [(Act::Exec, any)] = exec.as_slice() else { panic!("{exec:?}") };
    assert_eq!(any[0].path, Sets::new([Path::Prefix(b"/usr/"[..].into())].into(), false));
    assert_eq!(any[0].not_facts, 0b0101_0101_0101_0101);
    let open = decided(
        "evt.type in (open, openat, openat2) and fd.typechar = f and fd.num >= 0 and evt.is_open_write = true \
         and (fd.name startswith /etc/ or fd.filename = authorized_keys) and user.uid != 0",
    );
    let [(Act::Open, any)] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!(any.len(), 2);
    assert!(any.iter().all(|one| one.root == Some(false)));
    let connect = decided(
        "evt.type = connect and fd.sport in (22, 2222) and not fd.snet in (10.0.0.0/8, \"fd00::/8\") and fd.l4proto = tcp",
    );
    let [(Act::Connect, any)] = connect.as_slice() else { panic!("{connect:?}") };
    assert_eq!(any[0].port, Sets::new([22, 2222].into(), true));
    let nets: Vec<u8> = any[0].net.except.iter().map(|net| net.bits).collect();
    assert_eq!(nets, [104, 8]);
    for (port, address) in [("fd.sport", "fd.sip"), ("fd.lport", "fd.lnet"), ("fd.port", "fd.ip")] {
        let bind = decided(&format!(
            "evt.type = bind and fd.is_server = true and {port} = 22 and {address} = 10.0.0.1 and user.uid = 0"
        ));
        let [(Act::Bind, any)] = bind.as_slice() else { panic!("{bind:?}") };
        assert_eq!((any.len(), any[0].root), (1, Some(true)));
        assert_eq!(any[0].port, Sets::new([22].into(), true), "{port}");
        assert_eq!(
            any[0].net.only.iter().flatten().map(|net| net.bits).collect::<Vec<_>>(),
            [128],
            "{address}"
        );
    }
}

#[test]
fn datagrams_are_decided_as_connections_are() {
    let of = |act| {
        decided(&format!(
            "evt.type in ({act}) and fd.rport = 53 and not fd.rnet = 10.0.0.0/8 and fd.l4proto = udp and fd.typechar = 4"
        ))
    };
    let (connect, send) = (of("connect"), of("sendto, sendmsg, sendmmsg"));
    let ([(Act::Connect, connect)], [(Act::Send, send)]) = (connect.as_slice(), send.as_slice()) else {
        panic!("{connect:?} {send:?}")
    };
    assert_eq!(connect, send);
}

#[test]
fn removals_are_decided_by_path_and_by_rmdir_only_where_it_is_named() {
    let of = |types| {
        let removed =
            decided(&format!("evt.type in ({types}) and fs.path.name startswith /data/ and user.uid = 0"));
        let [(Act::Remove, any)] = removed.as_slice() else { panic!("{removed:?}") };
        let [one] = any.as_slice() else { panic!("{any:?}") };
        assert_eq!(one.path, Sets::new([Path::Prefix(b"/data/"[..].into())].into(), true));
        assert_eq!(one.root, Some(true));
        one.not_facts
    };
    assert_eq!(of("unlink, unlinkat, rmdir"), 0);
    assert_eq!(of("unlink, unlinkat"), 0b1010_1010_1010_1010);
}

#[test]
fn moves_and_links_are_decided_by_one_of_their_names() {
    let data = || Sets::new([Path::Prefix(b"/data/"[..].into())].into(), true);
    for (types, act) in [("rename, renameat, renameat2", Act::Move), ("link, linkat", Act::Link)] {
        let of = |asked: &str| {
            let decided = decided(&format!("evt.type in ({types}) and {asked}"));
            let [(of, any)] = decided.as_slice() else { panic!("{decided:?}") };
            assert_eq!(*of, act);
            assert!(any.iter().all(|one| one.target.is_any()));
            any.iter().map(|one| (one.path.clone(), one.not_facts)).collect::<Vec<_>>()
        };
        let (source, target) = (0b1010_1010_1010_1010, 0b0101_0101_0101_0101);
        assert_eq!(of("fs.path.source startswith /data/"), [(data(), source)]);
        assert_eq!(of("fs.path.target startswith /data/"), [(data(), target)]);
        assert_eq!(of("proc.name = mv"), [(Sets::default(), source)], "of every one");
        let mut either = of("(fs.path.source startswith /data/ or fs.path.target startswith /data/)");
        either.sort();
        assert_eq!(either, [(data(), target), (data(), source)]);
    }
}

#[test]
fn what_never_is_gives_no_order() {
    assert_eq!(decided("evt.type = connect and fd.sport = 22 and fd.sport = 23"), []);
    assert_eq!(decided("evt.type = execve and container.id = c and not container.id = c"), []);
    assert_eq!(decided("evt.type = openat and evt.res != SUCCESS"), []);
    assert_eq!(decided("evt.type = bind and fd.is_server = false"), []);
}

#[test]
fn what_it_cannot_tell_is_left_with_the_reason() {
    for (condition, act, why) in [
        ("evt.type = execve and proc.cmdline contains x", Some(Act::Exec), "`proc.cmdline contains"),
        ("evt.type = execve and proc.name = longer-than-fifteen", Some(Act::Exec), "proc.name"),
        ("evt.type = execve and user.uid = 0", Some(Act::Exec), "user.uid"),
        ("evt.type = openat and fd.name contains x", Some(Act::Open), "fd.name contains"),
        ("evt.type = openat and user.uid = 1000", Some(Act::Open), "user.uid"),
        ("evt.type = creat and fd.name = /x", Some(Act::Open), "leaves out `openat`"),
        ("evt.type = sendmsg and fd.sport = 53", Some(Act::Send), "leaves out `sendto`"),
        ("evt.type in (openat, creat) and (evt.type = creat or fd.name = /x)", Some(Act::Open), "of `creat`"),
        ("evt.type = connect and fd.ip = 1.2.3.4", Some(Act::Connect), "fd.ip"),
        ("evt.type = bind and fd.rport = 22", Some(Act::Bind), "fd.rport"),
        ("evt.type = connect and fd.l4proto != tcp", Some(Act::Connect), "fd.l4proto"),
        ("evt.type = unlink and fs.path.name = /x", Some(Act::Remove), "leaves out `unlinkat`"),
        ("evt.type = unlinkat and evt.arg.name = /x", Some(Act::Remove), "evt.arg.name"),
        ("evt.type = rename and fs.path.source = /x", Some(Act::Move), "leaves out `renameat2`"),
        ("evt.type = linkat and fs.path.source = /x and fs.path.target = /y", Some(Act::Link), "at once"),
        (
            "evt.type = renameat2 and fs.path.source = /x and not fs.path.target = /x",
            Some(Act::Move),
            "at once",
        ),
        ("evt.type = symlinkat and fs.path.target = /x", None, "decides symlinkat"),
        ("evt.type = mkdirat and fs.path.name = /x", None, "decides mkdirat"),
    ] {
        let Verdicts { orders, left } = verdicts(condition);
        assert_eq!(orders, [], "{condition}");
        let [one] = left.as_slice() else { panic!("{condition}: {left:?}") };
        assert_eq!(one.act, act, "{condition}");
        assert!(one.why.contains(why), "{condition}: {}", one.why);
    }
    let over_time = rule("kill, count: {at_least: 2, within: 1m}", "evt.type = execve and proc.name = nc");
    let left = compile(&over_time).0.unwrap().verdicts().left.clone();
    assert!(left[0].why.contains("its `count`"), "{left:?}");
}

#[test]
fn a_rule_that_cannot_block_is_an_error_unless_it_says_what_else() {
    let unknown = "evt.type = execve and proc.cmdline contains x";
    let (set, found) = compile(&rule("block", unknown));
    assert!(set.is_none());
    assert!(found[0].contains("rule `r` cannot block: `proc.cmdline contains"), "{found:?}");
    assert!(compile(&rule("{block: {or: kill}}", unknown)).0.is_some());
    assert!(compile(&rule("block", "evt.type = execve and proc.exepath = /x")).0.is_some());
}

#[test]
fn a_rule_for_alerts_has_no_verdict() {
    let (set, _) = compile(&rule("alert", "evt.type = execve and proc.exepath = /x"));
    let set = set.unwrap();
    assert!(set.verdicts().orders.is_empty() && set.verdicts().left.is_empty());
}

#[test]
fn networks_cover_what_lies_in_them() {
    let net = |text: &str| Net::from(text.parse::<ipnet::IpNet>().unwrap());
    assert!(net("10.0.0.0/8").covers(&net("10.1.0.0/16")));
    assert!(!net("10.1.0.0/16").covers(&net("10.0.0.0/8")));
    assert!(net("::/0").covers(&net("10.0.0.0/8")));
    assert!(!net("fd00::/8").covers(&net("fe00::/8")));
}
