//! What is checked of `count`, `sequence` and `suppress` when a set is loaded.

use super::*;

#[test]
fn keys_over_time_are_checked() {
    for (key, value, wrong) in [
        ("count", "{at_least: 5, within: 1m, by: [container.id], distinct: fd.name}", &[][..]),
        ("count", "{at_least: 5, within: 1m}", &[]),
        ("count", "{at_least: 5, within: 1m, by: 'proc.aname[2]'}", &[]),
        ("count", "{at_least: 0, within: 1x}", &["from 1 to 65536", "not a duration"]),
        ("count", "{at_least: 2000, within: 1s, distinct: fd.name}", &["from 1 to 1024"]),
        ("count", "{within: 0s, by: proces}", &["no `at_least`", "longer than nothing"]),
        ("count", "{at_least: 5, within: 1m, by: proces}", &["did you mean `process`?"]),
        ("count", "{at_least: 5, within: 1m, by: container.ids}", &["did you mean `container.id`?"]),
        ("count", "{at_least: 5, within: 1m, by: process-tree}", &["only a sequence"]),
        ("count", "{at_least: 5, within: 1m, by: 'proc.name[2]'}", &["takes no argument"]),
        ("count", "{at_least: 5, within: 1m, by: 'proc.name 2'}", &["is not a field"]),
        ("response: block, count", "{at_least: 5, within: 1m}", &["cannot block: its `count`"]),
        ("response: {block: {or: kill}}, count", "{at_least: 5, within: 1m}", &[]),
        ("response: block, suppress", "{for: 10m}", &[]),
        ("suppress", "{by: [container.id, process], for: 10m}", &[]),
        ("suppress", "{by: [container.id]}", &["no `for`"]),
        ("sequence", "{by: container.id, within: 30s, then: [evt.type = connect]}", &[]),
        ("sequence", "{by: process-tree, within: 30s, then: [evt.type = connect]}", &[]),
        (
            "sequence",
            "{by: [process-tree, container.id], within: 1s, then: [evt.num > 0]}",
            &["stands alone"],
        ),
        ("sequence", "{by: container.id, within: 30s, then: [evt.tipe = connect]}", &["evt.tipe"]),
        ("sequence", "{within: 30s, then: evt.type = connect}", &["no `by`", "must be a list"]),
        ("sequence", "{by: process, within: 30s, then: []}", &["list of conditions"]),
        (
            "sequence",
            "{by: process, within: 30s, then: [a, a, a, a, a, a, a, a, a]}",
            &["may have 8 conditions"],
        ),
    ] {
        let text = rule("r", "evt.type = execve").replace("priority", &format!("{key}: {value}, priority"));
        let all = found(&[&text]);
        assert_eq!(all.len(), wrong.len(), "{key}: {all:?}");
        assert!(wrong.iter().all(|part| all.iter().any(|line| line.contains(part))), "{key}: {all:?}");
    }
}

#[test]
fn a_sequence_sees_what_any_of_its_steps_sees_and_is_blind_where_one_is() {
    let sequence = |then: &str| {
        let key = format!("sequence: {{by: process, within: 1s, then: [{then}]}}, priority");
        rule("r", "evt.type = execve").replace("priority", &key)
    };
    let set = load(&[&sequence("evt.type = connect")]);
    let types: Vec<_> = set.wanted_types().iter().map(EventType::name).collect();
    assert_eq!(types, ["execve", "connect"]);
    assert_eq!(set.needing_answers().next(), None);
    for step in ["evt.type = dns", "'evt.type = connect and fd.sip.name = a.example'"] {
        assert_eq!(load(&[&sequence(step)]).needing_answers().next(), Some("r"), "{step}");
    }
    let set = load(&[&sequence("'evt.type in (connect, read)', evt.type = write")]);
    assert!(set.blind()[0].entirely);
    let set = load(&[&sequence("'evt.type in (connect, read)'")]);
    assert!(!set.blind()[0].entirely);
    let used = "- macro: m\n  condition: evt.type = connect\n".to_owned() + &sequence("m");
    let (_, said) = RuleSet::compile(&sources(&[&used]), &Options::default());
    assert!(said.is_empty(), "{said:?}");
    let skipped = sequence("new.field = 1").replace("priority", "skip-if-unknown-filter: true, priority");
    let all = found(&[&skipped]);
    assert!(all.len() == 1 && all[0].contains("is skipped"), "{all:?}");
}
