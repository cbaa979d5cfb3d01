//! What follows from all conditions together: what has to be seen, and in which steps rules are asked.

use super::*;

/// What a rule cannot match need not be seen: attempts that failed take a hook of their own.
#[test]
fn failed_attempts_are_wanted_only_where_a_rule_can_match_them() {
    let wants = |condition: &str| {
        let set = load(&[&rule("r", condition)]);
        let names = |types: TypeSet| types.iter().map(EventType::name).collect::<Vec<_>>();
        (names(set.wanted_types()), names(set.wanted_failures()))
    };
    let both = |condition: &str| {
        let (types, failures) = wants(condition);
        assert_eq!(types, ["execve"], "{condition}");
        failures == types
    };
    assert!(both("evt.type = execve"));
    assert!(both("evt.type = execve and evt.res in (SUCCESS, ENOENT)"));
    assert!(both("evt.type = execve and not evt.res = SUCCESS"));
    assert!(both("evt.type = execve and evt.rawres <= 0"));
    for condition in [
        "evt.failed = false",
        "not evt.failed = true",
        "evt.res = SUCCESS",
        "evt.rawres >= 0",
        "evt.rawres = 0",
    ] {
        assert!(!both(&format!("evt.type = execve and {condition}")), "{condition}");
    }
    // Nothing is open for reading where the open failed.
    assert_eq!(wants("evt.type = openat and evt.is_open_read = true"), (vec!["openat"], vec![]));
    assert_eq!(wants("evt.type = openat and evt.is_open_read != true"), (vec!["openat"], vec!["openat"]));
}

/// What comes back from a DNS server takes a hook of its own, too.
#[test]
fn answers_are_wanted_only_where_a_rule_can_match_or_name_them() {
    let wants = |condition: &str, output: &str| {
        let set = load(&[&rule("r", condition).replace("output: o", &format!("output: '{output}'"))]);
        set.needing_answers().next().is_some()
    };
    for condition in [
        "evt.type = dns",
        "evt.type = dns and dns.answer = true",
        "evt.type = dns and dns.rcode = NXDOMAIN",
        "evt.type in (dns, connect) and proc.name = x",
        "evt.type = connect and fd.sip.name = a.example",
        "evt.type = connect and not fd.rip.name endswith example",
    ] {
        assert!(wants(condition, "o"), "{condition}");
    }
    for condition in [
        "evt.type = dns and dns.answer = false",
        "evt.type = dns and not dns.answer = true and dns.question = a.example",
        "evt.type = connect and fd.sport = 53",
        "evt.type = execve",
    ] {
        assert!(!wants(condition, "o"), "{condition}");
        assert!(wants(condition, "%fd.cip.name"), "{condition}");
    }
}

/// Rules that differ in a value are found by that value: what an event costs does not grow with their number.
#[test]
fn many_rules_are_found_by_a_look() {
    let conditions: [fn(usize) -> String; 6] = [
        |n| format!("evt.type = execve and proc.name = tool{n}"),
        |n| format!("evt.type = execve and container.id != host and proc.args contains --option-{n}"),
        |n| format!("evt.type = openat and evt.is_open_write = true and fd.name pmatch (/srv/{n}, /opt/{n})"),
        |n| {
            format!(
                "evt.type = openat and not proc.name in (a{n}) and (fd.filename = f{n} or fd.name startswith /run/{n})"
            )
        },
        |n| format!("evt.type = connect and fd.sport in ({n}, {})", n + 10_000),
        // Two and two demand the same.
        |n| format!("evt.type = accept and proc.name = a{} and proc.pname = p{}", n / 2, n.div_ceil(2)),
    ];
    let steps = |copies: usize| {
        let rules = conditions
            .iter()
            .enumerate()
            .flat_map(|(at, condition)| (0..copies).map(move |n| rule(&format!("r{at}x{n}"), &condition(n))));
        let set = load(&[&rules.collect::<String>()]);
        assert_eq!(set.rules().len(), 6 * copies);
        Class::all().map(|class| set.steps(class).len()).sum::<usize>()
    };
    assert_eq!(steps(20), steps(200));
    let set = || load(&[&(0..200).map(|n| rule(&format!("r{n}"), &conditions[3](n))).collect::<String>()]);
    assert_eq!(names(set(), "{evt.type: openat, fd.name: /x/f7, proc.name: x}"), ["r7"]);
    // Found by both names, it matches once.
    assert_eq!(names(set(), "{evt.type: openat, fd.name: /run/18/f1, proc.name: x}"), ["r1", "r18"]);
    assert_eq!(names(set(), "{evt.type: openat, fd.name: /run/1/f1, proc.name: x}"), ["r1"]);
    assert_eq!(names(set(), "{evt.type: openat, fd.name: /run/1/f1, proc.name: a1}"), [""; 0]);
}
