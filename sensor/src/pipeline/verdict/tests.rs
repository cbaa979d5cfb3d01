//! What becomes of responses, and that the tables say of every act what the rules say: asked here as the kernel programs
//! ask them, as plainly as can be.

use sensor_common::{filter::Property, verdict::CONNECT};

use super::*;
use crate::{
    event::Runtime,
    probe::fanotify::Questions,
    rule::{Options, Source},
};

fn set(rules: &str) -> Arc<RuleSet> {
    let source = Source { name: "t.yaml".to_owned(), text: rules.to_owned() };
    let (set, found) = RuleSet::compile(&[source], &Options::default());
    Arc::new(set.unwrap_or_else(|| panic!("{found:?}")))
}

fn rule(name: &str, response: &str, condition: &str) -> String {
    format!(
        "- {{rule: {name}, desc: d, condition: '{condition}', output: o, priority: INFO, response: {response}}}\n"
    )
}

fn can(what: Result<(), &str>) -> Can {
    Can { refuse: Act::ALL.map(|_| what.map_err(str::to_owned)), fanotify: None }
}

fn container(id: &str) -> Arc<Container> {
    Arc::new(Container::new(id, Runtime::Containerd, "/c", None))
}

#[test]
fn what_becomes_of_a_response_depends_on_the_kernel() {
    let exec = "evt.type = execve and proc.exepath = /bin/nc";
    let rules = [
        rule("block", "block", exec),
        rule("or kill", "{block: {or: kill}}", exec),
        rule("or pause", "{block: {or: pause}}", exec),
        rule("kill", "kill", exec),
        rule("net", "kill", "evt.type = connect and fd.sport = 22"),
        rule("port", "kill", "evt.type = bind and fd.sport = 22"),
        rule("text", "kill", "evt.type = execve and proc.cmdline contains x"),
    ];
    let set = set(&rules.concat());
    let how = |plan: &Plan, rule: &str| {
        plan.told.iter().find(|told| told.rule == rule).map(|told| told.how.clone()).unwrap()
    };
    let able = Plan::of(Arc::clone(&set), &can(Ok(())));
    assert_eq!(able.refused, [0].into());
    for rule in ["block", "or kill", "or pause"] {
        assert_eq!(how(&able, rule), How::RefusedInKernel, "{rule}");
    }
    assert_eq!(how(&able, "kill"), How::KilledInKernel);
    assert_eq!(how(&able, "net"), How::Daemon("a connect is known when it has been tried".to_owned()));
    assert_eq!(how(&able, "port"), How::Daemon("a bind is known when it has been tried".to_owned()));
    assert!(matches!(how(&able, "text"), How::Daemon(why) if why.contains("proc.cmdline")));
    assert_eq!(able.impossible().count(), 0);
    let unable = Plan::of(set, &can(Err("no LSM")));
    assert_eq!(unable.refused, [].into());
    assert_eq!(how(&unable, "or kill"), How::KilledInKernel);
    assert_eq!(how(&unable, "or pause"), How::Daemon("no LSM".to_owned()));
    assert_eq!(unable.impossible().collect::<Vec<_>>(), ["rule `block` cannot block an exec: no LSM"]);
}

#[test]
fn fanotify_refuses_what_it_can_tell_and_the_kernel_half_cannot() {
    let rules = [
        rule("path", "block", "evt.type = execve and container.id = c1 and proc.exepath = /bin/nc"),
        rule("kill", "{block: {or: kill}}", "evt.type = execve and proc.is_exe_upper_layer = true"),
        rule("name", "block", "evt.type = execve and proc.name = nc"),
        rule("open", "{block: {or: kill}}", "evt.type = openat and fd.name = /x"),
    ];
    let set = set(&rules.concat());
    let can = |fanotify| Can { fanotify: Some(fanotify), ..can(Err("no LSM")) };
    let how = |plan: &Plan, rule: &str| {
        plan.told.iter().find(|told| told.rule == rule).map(|told| told.how.clone()).unwrap()
    };
    let plan = Plan::of(Arc::clone(&set), &can(Ok(())));
    assert_eq!(how(&plan, "path"), How::RefusedByFanotify);
    assert_eq!(how(&plan, "kill"), How::RefusedByFanotify);
    assert_eq!(how(&plan, "open"), How::RefusedByFanotify);
    assert!(
        matches!(how(&plan, "name"), How::Impossible(why) if why.starts_with("no LSM; fanotify does not"))
    );
    assert_eq!(plan.asked.of(Act::Exec).len(), 2);
    let execs = |id: &str| plan.asked_in(&container(id)).of(Act::Exec);
    assert_eq!((execs("c1"), execs("c2")), (0b11, 0b10));
    // Who slips through is killed where the rule says so.
    let exec = plan.acts.iter().find(|act| act.class == Act::Exec as u32).unwrap();
    assert_eq!((exec.verdict.refuse, exec.verdict.kill), (0, 1));
    let plan = Plan::of(set, &can(Err("no privileges".to_owned())));
    assert_eq!(how(&plan, "path"), How::Impossible("no LSM; no privileges".to_owned()));
    assert!(plan.asked.is_empty());
}

#[test]
fn fanotify_asks_where_a_rule_is_about_it_and_nowhere_else() {
    let open = "evt.type in (open, openat, openat2) and";
    let rules = [
        rule("exec", "block", "evt.type = execve and container.id = c1 and proc.exepath = /bin/nc"),
        rule("file", "block", &format!("{open} container.id = c2 and fd.typechar = f and fd.name = /x")),
        rule(
            "any",
            "block",
            &format!("{open} container.id = c3 and proc.name = sh and fd.name startswith /x"),
        ),
        rule("process", "block", &format!("{open} fd.name startswith /proc/sys")),
        rule("device", "{block: {or: kill}}", &format!("{open} fd.name in (/x, /dev/mem)")),
        rule("shared", "block", &format!("{open} container.id = c3 and fd.name = /dev/shm/x")),
    ];
    let can = Can { fanotify: Some(Ok(())), ..can(Err("no LSM")) };
    let plan = Plan::of(set(&rules.concat()), &can);
    let how =
        |rule: &str| plan.told.iter().find(|told| told.rule == rule).map(|told| told.how.clone()).unwrap();
    for rule in ["exec", "file", "any", "shared"] {
        assert_eq!(how(rule), How::RefusedByFanotify, "{rule}");
    }
    let why = "no LSM; fanotify asks neither of /proc nor of devices";
    assert_eq!(how("process"), How::Impossible(why.to_owned()));
    assert_eq!(how("device"), How::KilledInKernel);
    let questions = |id: &str| {
        let Questions { execs, opens, directories } = plan.asked.questions(plan.asked_in(&container(id)));
        (execs, opens, directories)
    };
    assert_eq!(questions("c1"), (true, false, false));
    assert_eq!(questions("c2"), (false, true, false));
    assert_eq!(questions("c3"), (false, true, true));
    assert_eq!(questions("c4"), (false, false, false));
}

#[test]
fn who_may_not_connect_may_not_send_datagrams() {
    let refused = |condition: &str| {
        let condition = format!("evt.type = connect and {condition}");
        Plan::of(set(&rule("net", "block", &condition)), &can(Ok(()))).refused
    };
    assert_eq!(refused("fd.sport = 53"), [CONNECT, SEND].into());
    assert_eq!(refused("fd.sport = 53 and fd.l4proto = udp"), [CONNECT, SEND].into());
    assert_eq!(refused("fd.sport = 53 and fd.l4proto = tcp"), [CONNECT].into());
}

#[test]
fn more_terms_than_there_are_bits_are_left_to_the_daemon() {
    let rules: String = (0..70)
        .map(|number| {
            rule(&format!("r{number}"), "kill", &format!("evt.type = execve and proc.exepath = /{number}"))
        })
        .collect();
    let plan = Plan::of(set(&rules), &can(Ok(())));
    let killed = plan.told.iter().filter(|told| told.how == How::KilledInKernel).count();
    assert_eq!((killed, plan.told.len()), (TERMS, 70));
}

#[test]
fn what_is_asked_of_containers_is_asked_once_for_each() {
    let rules = [
        rule("all", "kill", "evt.type = execve and container.id != host and proc.exepath = /a"),
        rule("one", "kill", "evt.type = execve and container.id = c1 and proc.exepath = /a"),
        rule("name", "kill", "evt.type = execve and not container.name = good and proc.exepath = /a"),
    ];
    let plan = Plan::of(set(&rules.concat()), &can(Ok(())));
    let holds = |container: &Arc<Container>| plan.holds(container, None, Some(7));
    assert_eq!(holds(&container("c1")).terms[0], 0b011);
    assert_eq!(holds(&container("c2")).terms[0], 0b001);
    // Its name is asked for when it is known, or when nobody waits for it any more.
    let mut settled = (*container("c2")).clone();
    settled.settled = true;
    assert_eq!(holds(&Arc::new(settled.clone())).terms[0], 0b101);
    settled.facts.name = Some("good".into());
    assert_eq!(holds(&Arc::new(settled)).terms[0], 0b001);
    assert_eq!(holds(&container("c1")).outside, [7, 7]);
}

#[test]
fn what_a_group_says_is_known_at_once_and_all_the_rest_when_nothing_lacks() {
    let rules = [
        rule(
            "full",
            "kill",
            "evt.type = execve and container.full_id = 0123456789abcdef and proc.exepath = /a",
        ),
        rule("type", "kill", "evt.type = execve and container.type = containerd and proc.exepath = /a"),
        rule("image", "kill", "evt.type = execve and container.image.repository = x and proc.exepath = /a"),
    ];
    let plan = Plan::of(set(&rules.concat()), &can(Ok(())));
    let holds = |container: &Container| plan.holds(&Arc::new(container.clone()), None, Some(7)).terms[0];
    let mut known = (*container("0123456789abcdef")).clone();
    assert_eq!(holds(&known), 0b011);
    known.facts.image = Some(crate::event::Image::named("x:1"));
    known.look();
    assert_eq!(holds(&known), 0b011, "what lacks may still make it another one");
    // Its events wait no longer: nobody settles what is known in time.
    known.facts.name = Some("app".into());
    known.facts.users = Some(Arc::default());
    known.look();
    assert!(known.lack.is_none() && !known.settled);
    assert_eq!(holds(&known), 0b111);
}

/// The terms of a table for a value: those of the narrowest entry that it lies in.
fn look<T>(property: Property, entries: &[(T, u64)], fits: impl Fn(&T) -> Option<usize>) -> u64 {
    if property.asked == 0 {
        return u64::MAX;
    }
    let found = entries.iter().filter_map(|(value, terms)| Some((fits(value)?, *terms)));
    found.max_by_key(|(width, _)| *width).map_or(property.other, |(_, terms)| terms)
}

#[test]
fn the_narrowest_entry_answers_for_all_rules() {
    let rules = [
        rule("net", "block", "evt.type = connect and fd.snet = 10.0.0.0/8 and not fd.snet = 10.1.0.0/16"),
        rule("port", "block", "evt.type = connect and fd.sport in (22, 23) and fd.snet = \"10.1.0.0/16\""),
        rule("other", "block", "evt.type = connect and not fd.sport in (22, 80) and not fd.sip = 10.1.2.3"),
    ];
    let plan = Plan::of(set(&rules.concat()), &can(Ok(())));
    let [act] = plan.acts.as_slice() else { panic!("{plan:?}") };
    let verdict = act.verdict;
    let decide = |ip: &str, port: u16| {
        let ip: std::net::Ipv4Addr = ip.parse().unwrap();
        let address = ip.to_ipv6_mapped().to_bits();
        let nets: Vec<_> =
            act.row.nets.iter().map(|(first, bits, terms)| ((*first, *bits), *terms)).collect();
        let net = look(act.row.whole.net, &nets, |(first, bits)| {
            let mask = u128::MAX << (128 - u32::from(*bits));
            (address & mask == u128::from_be_bytes(*first)).then_some(usize::from(*bits))
        });
        let port = look(act.row.whole.port, &act.row.ports, |of| (*of == port).then_some(0));
        net & port & verdict.refuse
    };
    assert_eq!(decide("10.2.0.1", 80), 0b001);
    assert_eq!(decide("10.2.0.1", 443), 0b101);
    assert_eq!(decide("10.1.0.1", 22), 0b010);
    assert_eq!(decide("10.1.0.1", 23), 0b110);
    assert_eq!(decide("10.1.2.3", 23), 0b010);
    assert_eq!(decide("10.1.2.3", 443), 0);
    assert_eq!(decide("8.8.8.8", 443), 0b100);
}

#[test]
fn what_the_configuration_bars_is_not_for_the_kernel() {
    use crate::{config::RespondConfig, respond::Policy};
    let plan = |config: RespondConfig| {
        let rule = "- {rule: r, desc: d, condition: evt.type = execve and evt.failed = false and container.id != host and \
                    proc.name = nc, output: o, priority: INFO, response: kill}\n";
        Plan::under(set(rule), &can(Ok(())), Some(Arc::new(Policy::new(&config, 1))))
    };
    let allowed = plan(RespondConfig::default());
    assert_eq!(allowed.acts.len(), 1, "{:?}", allowed.told);
    for barred in [
        RespondConfig { dry_run: true, ..RespondConfig::default() },
        RespondConfig { enabled: false, ..RespondConfig::default() },
        RespondConfig { trusted_rules: Vec::new(), ..RespondConfig::default() },
    ] {
        let plan = plan(barred.clone());
        assert!(plan.acts.is_empty(), "{barred:?}: {:?}", plan.told);
        assert!(matches!(plan.told.first().map(|told| &told.how), Some(How::Daemon(_))));
    }
    // A protected container has no verdicts in it, nor has one of which it is not known yet.
    let container = |namespace: Option<&str>| {
        let pod = crate::event::Pod { namespace: namespace.map(Into::into), ..crate::event::Pod::default() };
        let mut container =
            crate::event::Container::new("c", crate::event::Runtime::Kubernetes, "/kubepods/c", Some("u"));
        container.facts.pod = Some(Arc::new(pod));
        container.settled = true;
        allowed.holds(&Arc::new(container), None, None).terms
    };
    assert_ne!(container(Some("shop")), container(Some("kube-system")));
    assert_eq!(container(None), container(Some("kube-system")));
}
