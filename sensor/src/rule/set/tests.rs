//! Loading as a whole: what later files change, what is refused and where, which rules match what.

mod diagnostics;
mod hostile;
mod over_time;
mod plan;
mod semantics;

use super::*;
use crate::{
    event::EventType,
    rule::{Engine, Filter, Severity, testing::event},
};

fn sources(texts: &[&str]) -> Vec<Source> {
    let name = |at: usize| format!("{}.yaml", char::from(b'a' + at as u8));
    texts.iter().enumerate().map(|(at, text)| Source { name: name(at), text: (*text).to_owned() }).collect()
}

fn load(texts: &[&str]) -> RuleSet {
    let (set, found) = RuleSet::compile(&sources(texts), &Options::default());
    let said: Vec<_> = found.iter().map(ToString::to_string).collect();
    set.unwrap_or_else(|| panic!("{}", said.join("\n")))
}

/// Everything that was found, in one line each.
fn found(texts: &[&str]) -> Vec<String> {
    let (_, found) = RuleSet::compile(&sources(texts), &Options::default());
    found.iter().filter(|found| !found.message.ends_with("is not used")).map(ToString::to_string).collect()
}

fn names(set: RuleSet, of: &str) -> Vec<String> {
    let mut engine = Engine::new(Arc::new(set));
    let mut matches = Vec::new();
    engine.evaluate(&event(of), &mut matches);
    matches.into_iter().map(|found| found.rule.name.clone()).collect()
}

fn rule(name: &str, condition: &str) -> String {
    format!("- {{rule: {name}, desc: d, condition: '{condition}', output: o, priority: INFO}}\n")
}

#[test]
fn macros_and_lists_are_resolved() {
    let set = load(&[concat!(
        "- list: shells\n  items: [bash, '\"z sh\"']\n",
        "- list: all\n  items: [shells, fish]\n",
        "- macro: exec\n  condition: evt.type in (execve, execveat)\n",
        "- macro: shell_exec\n  condition: exec and proc.name in (all)\n",
        "- rule: r\n  desc: d\n  condition: shell_exec and proc.pname in (shells, init)\n  output: o\n  priority: INFO\n",
    )]);
    let fires = |name: &str, parent: &str| {
        let set = load(&[concat!(
            "- list: shells\n  items: [bash]\n- list: all\n  items: [shells, fish]\n",
            "- macro: exec\n  condition: evt.type in (execve, execveat)\n",
            "- macro: shell_exec\n  condition: exec and proc.name in (all)\n",
            "- rule: r\n  desc: d\n  condition: shell_exec and proc.pname in (shells, init)\n  output: o\n  priority: INFO\n",
        )]);
        !names(set, &format!("{{evt.type: execve, proc.name: {name}, proc.pname: {parent}}}")).is_empty()
    };
    assert!(fires("bash", "init") && fires("fish", "bash"));
    assert!(!fires("shells", "init") && !fires("fish", "fish"));
    assert_eq!(names(set, "{evt.type: execve, proc.name: z sh, proc.pname: init}"), ["r"]);
}

#[test]
fn too_late_missing_and_cyclic_are_three_errors() {
    let late = "- macro: a\n  condition: b\n- macro: b\n  condition: evt.num > 0\n";
    let all = found(&[&(late.to_owned() + &rule("r", "a"))]);
    assert_eq!(all, ["a.yaml:2:14: error: macro `b` is defined too late: it must stand before what uses it"]);
    let all = found(&[&rule("r", "abc and evt.num > 0"), "- macro: abcd\n  condition: evt.num > 0\n"]);
    assert_eq!(all, ["a.yaml:1:34: error: macro `abc` is not defined anywhere (did you mean `abcd`?)"]);
    let circle = "- macro: a\n  condition: b\n- macro: b\n  condition: a\n";
    let all = found(&[&(circle.to_owned() + &rule("r", "a"))]);
    assert_eq!(all, ["a.yaml:4:14: error: macro `a` uses itself: a → b → a"]);
    let lists = "- list: a\n  items: [b]\n- list: b\n  items: [x]\n";
    let all = found(&[&(lists.to_owned() + &rule("r", "proc.name in (a)"))]);
    assert_eq!(
        all,
        ["a.yaml:2:11: error: list `b` is defined too late: it must stand before what contains it"]
    );
    let lists = "- list: a\n  items: [x]\n- list: b\n  items: [a]\n- list: a\n  items: [b]\n";
    let all = found(&[&(lists.to_owned() + &rule("r", "proc.name in (a)"))]);
    assert!(all.len() == 1 && all[0].contains("contains itself: a → b → a"), "{all:?}");
    let all = found(&[&rule("r", "proc.name in shels"), "- list: shells\n  items: [x]\n"]);
    assert_eq!(all, ["a.yaml:1:47: error: list `shels` is not defined anywhere (did you mean `shells`?)"]);
}

#[test]
fn a_macro_that_a_later_file_redefines_serves_earlier_rules() {
    let first = "- macro: never\n  condition: (never_true)\n- macro: never_true\n  condition: evt.num = 0\n";
    let first = first.replace("(never_true)", "evt.num = 0") + &rule("r", "evt.type = execve and not never");
    assert_eq!(names(load(&[&first]), "{evt.type: execve, proc.name: x}"), ["r"]);
    let second = "- macro: never\n  condition: proc.name = x\n";
    assert!(names(load(&[&first, second]), "{evt.type: execve, proc.name: x}").is_empty());
    let second = "- macro: never\n  condition: or proc.name = x\n  override: {condition: append}\n";
    assert!(names(load(&[&first, second]), "{evt.type: execve, proc.name: x}").is_empty());
    let second = "- macro: never\n  condition: or proc.name = x\n  append: true\n";
    assert!(names(load(&[&first, second]), "{evt.type: execve, proc.name: x}").is_empty());
}

#[test]
fn later_items_change_earlier_rules() {
    let base = rule("r", "evt.type = execve");
    let of = "{evt.type: execve, proc.name: x, proc.pname: y}";
    for (change, fires) in [
        ("- {rule: r, condition: and proc.name = x, append: true}", true),
        ("- {rule: r, condition: and proc.name = z, append: true}", false),
        ("- {rule: r, condition: and proc.name = z, override: {condition: append}}", false),
        ("- {rule: r, condition: evt.type = connect, override: {condition: replace}}", false),
        ("- {rule: r, enabled: false}", false),
        ("- {rule: r, enabled: false, override: {enabled: replace}}", false),
        (
            "- {rule: r, exceptions: [{name: e, fields: proc.name, values: [x, w]}], override: {exceptions: append}}",
            false,
        ),
        ("- {rule: r, exceptions: [{name: e, fields: proc.name, values: [v, w]}], append: true}", true),
        (
            "- {rule: r, exceptions: [{name: e, fields: [proc.name, proc.pname], values: [[x, y]]}], append: true}",
            false,
        ),
        (
            "- {rule: r, exceptions: [{name: e, fields: [proc.name, proc.pname], values: [[x, z]]}], append: true}",
            true,
        ),
        (
            "- {rule: r, exceptions: [{name: e, fields: [proc.name, proc.pname], comps: [startswith, in], \
             values: [['x', [y, z]]]}], append: true}",
            false,
        ),
        (
            "- {rule: r, exceptions: [{name: e, fields: proc.name, comps: startswith, values: [q, x]}], append: true}",
            false,
        ),
    ] {
        assert_eq!(names(load(&[&base, change]), of).len(), usize::from(fires), "{change}");
    }
    let set = load(&[
        &base,
        "- {rule: r, tags: [t], output: '%proc.name', priority: CRITICAL, \
                      override: {tags: append, output: append, priority: replace}}",
    ]);
    let rule = &set.rules()[0];
    assert_eq!((rule.priority, rule.tags.as_slice()), (Priority::Critical, ["t".to_owned()].as_slice()));
    assert_eq!(rule.render(&event(of)).0, "o x");
}

#[test]
fn every_mistake_is_reported_at_its_place() {
    let text = "\
- rule: one
  desc: d
  condition: evt.type = execve and proc.nmae = sh
  output: '%proc.nam'
  priority: INFOO
  colour: red
- rule: two
  desc: d
  condition: >
    evt.type = execve
    and proc.pid contains x
    and fd.sip = 10.0.0.0/99
  output: o
  priority: INFO
- rule: three
  desc: [d]
  condition: (evt.type = execve
  output: o
  priority: INFO
- macro: m
- liste: l
  items: [a]
- rule: four
  desc: d
  condition: proc.name regex '(' or proc.tty > x
  output: o
  priority: INFO
- rule: five
  desc: d
  condition: evt.type = execv
  enabled: maybe
  output: o
  priority: INFO
- {rule: six, condition: and x, append: true}
";
    let all = found(&[text]);
    let places: Vec<_> = all
        .iter()
        .map(|line| {
            line.split(": ")
                .take(2)
                .map(|part| part.trim_start_matches("a.yaml:"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let wanted = [
        "3:36 error",
        "4:13 error",
        "5:13 error",
        "6:3 warning",
        "11:9 error",
        "12:18 error",
        "16:9 error",
        "17:14 error",
        "20:10 error",
        "21:3 warning",
        "25:30 error",
        "25:48 error",
        "30:25 warning",
        "31:12 error",
        "34:10 error",
    ];
    assert_eq!(places, wanted, "{all:#?}");
}

#[test]
fn several_mistakes_of_one_condition_are_all_reported() {
    let all = found(&[&rule("r", "proc.nmae = a or (proc.pid = b and not nothing) or evt.arg.flagz = c")]);
    assert_eq!(all.len(), 4, "{all:#?}");
}

#[test]
fn a_condition_that_cannot_be_read_makes_no_set_and_is_checked_all_the_same() {
    for (condition, errors) in [
        ("proc.nmae ~ a or (evt.type = execve and fd.nmae in (a b)) or nothing", 5),
        ("evt.type = execve and proc.name ~ a", 1),
        ("evt.type = execve or not (proc.name ~ a", 2),
        ("evt.type = execve and proc.name = \"a\\.b\"", 1),
        ("evt.type = execve && proc.nmae = a", 2),
    ] {
        let text = rule("r", condition);
        for text in [text.clone(), text.replace("priority", "skip-if-unknown-filter: true, priority")] {
            let (set, _) = RuleSet::compile(&sources(&[&text]), &Options::default());
            assert!(set.is_none(), "{condition}");
        }
        assert_eq!(found(&[&text]).len(), errors, "{:#?}", found(&[&text]));
        let named = format!("- {{macro: m, condition: '{condition}'}}\n{}", rule("r", "m or not m"));
        assert_eq!(found(&[&named]).len(), errors, "{:#?}", found(&[&named]));
    }
}

#[test]
fn rules_of_other_sources_are_skipped_with_one_notice() {
    let text = "- {rule: k, desc: d, condition: ka.verb = create, output: o, priority: INFO, source: k8s_audit}\n\
                - {rule: l, desc: d, condition: jevt.value = x, output: o, priority: INFO, source: k8s_audit}\n\
                - {rule: k, enabled: false}\n";
    let all = found(&[text]);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("2 rules of other sources"), "{all:?}");
}

#[test]
fn versions_are_read() {
    for (version, warned) in [("0.26.0", false), ("15", false), ("'>= 0.40.0'", false), ("9.0.0", true)] {
        let text = format!(
            "- required_engine_version: {version}\n- required_plugin_versions: [{{name: k, version: 1}}]\n"
        );
        assert_eq!(found(&[&text]).len(), usize::from(warned), "{version}");
    }
}

#[test]
fn a_rule_that_cannot_see_says_so() {
    let texts = rule("u", "evt.type in (read, write)")
        + &rule("p", "evt.type in (openat, write)")
        + &rule("n", "not evt.type = write");
    let (set, said) = RuleSet::compile(&sources(&[&texts]), &Options::default());
    let set = set.unwrap();
    let blind: Vec<_> = set.blind().iter().map(|blind| (blind.rule.as_str(), blind.entirely)).collect();
    assert_eq!(blind, [("u", true), ("p", false)]);
    let blind = said.iter().filter(|found| found.message.contains("blind"));
    assert_eq!(blind.map(|found| found.severity).collect::<Vec<_>>(), [Severity::Warning, Severity::Notice]);
}

#[test]
fn event_types_are_derived() {
    let types = |condition: &str| {
        let types = load(&[&rule("r", condition)]).rules()[0].types;
        types.iter().map(EventType::name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(types("evt.type = execve and proc.name = x"), "execve");
    assert_eq!(types("evt.type in (execve, openat) and not evt.type = openat"), "execve");
    assert_eq!(types("(evt.type = execve and proc.name = x) or evt.type = connect"), "execve connect");
    assert_eq!(types("evt.is_open_write = true"), "open openat openat2 creat open_by_handle_at");
    assert_eq!(types("evt.type startswith accept"), "accept accept4");
    assert_eq!(
        types(
            "fd.sip exists and evt.type != connect and not evt.type in (accept, accept4, bind, listen)
        and not evt.type in (sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg, dup, dup2, dup3, fcntl, dns)"
        ),
        "socket"
    );
    assert_eq!(types("evt.type = execve and fd.name exists"), "");
    assert_eq!(
        types(
            "evt.arg.filename exists and evt.type != chmod and evt.type != fchmodat and evt.type != fchmodat2"
        ),
        "execve execveat"
    );
}

#[test]
fn rules_are_switched_by_name_tag_and_priority() {
    let text = "- {rule: one a, desc: d, condition: evt.num > 0, output: o, priority: INFO, tags: [t]}\n\
                - {rule: two a, desc: d, condition: evt.num > 0, output: o, priority: ERROR}\n\
                - {rule: two b, desc: d, condition: evt.num > 0, output: o, priority: ERROR, enabled: false}\n";
    let loaded = |options: &Options| {
        let (set, _) = RuleSet::compile(&sources(&[text]), options);
        set.unwrap().rules().iter().map(|rule| rule.name.clone()).collect::<Vec<_>>()
    };
    let toggle = |enable, rules| Options { toggles: vec![Toggle { enable, rules }], ..Options::default() };
    assert_eq!(loaded(&Options::default()), ["one a", "two a"]);
    assert_eq!(loaded(&toggle(true, Choice::Name("*b".into()))), ["one a", "two a", "two b"]);
    assert_eq!(loaded(&toggle(false, Choice::Name("* a".into()))), [""; 0]);
    assert_eq!(loaded(&toggle(false, Choice::Name("one*".into()))), ["two a"]);
    assert_eq!(loaded(&toggle(false, Choice::Name("one".into()))), ["one a", "two a"]);
    assert_eq!(loaded(&toggle(false, Choice::Tag("t".into()))), ["two a"]);
    assert_eq!(loaded(&toggle(false, Choice::File("*".into()))), [""; 0]);
    assert_eq!(loaded(&toggle(false, Choice::File("elsewhere.yaml".into()))), ["one a", "two a"]);
    let minimum = Options { minimum_priority: Some(Priority::Warning), ..Options::default() };
    assert_eq!(loaded(&minimum), ["two a"]);
    let first = Options { first_match: true, ..Options::default() };
    let (set, _) = RuleSet::compile(&sources(&[text]), &first);
    assert_eq!(names(set.unwrap(), "{evt.type: execve}"), ["one a"]);
}

#[test]
fn a_rule_with_an_unknown_field_may_ask_to_be_skipped() {
    let text = "- macro: m\n  condition: new.field = 1\n\
                - {rule: r, desc: d, condition: m and evt.num > 0, output: o, priority: INFO, skip-if-unknown-filter: true}\n";
    let all = found(&[text]);
    assert!(all.len() == 1 && all[0].contains("is skipped"), "{all:?}");
    let all = found(&[text, &rule("s", "m")]);
    assert!(all.len() == 2 && all[0].contains("new.field"), "{all:?}");
}

#[test]
fn the_same_check_exists_once() {
    let texts = rule("a", "evt.type = execve and proc.name in (x, y)")
        + &rule("b", "evt.type=execve and (proc.name in (x,y) or proc.pid > 1)");
    assert_eq!(load(&[&texts]).checks(), 3);
}

#[test]
fn responses_are_read() {
    let reaction = |value: &str| {
        let text =
            rule("r", "evt.type = execve").replace("priority", &format!("response: {value}, priority"));
        let (set, found) = RuleSet::compile(&sources(&[&text]), &Options::default());
        set.map(|set| set.rules()[0].reaction).ok_or(found.len())
    };
    use crate::rule::Response::{Block, Kill, KillContainer};
    assert_eq!(reaction("kill"), Ok(Reaction { response: Kill, or: None }));
    assert_eq!(reaction("kill-container"), Ok(Reaction { response: KillContainer, or: None }));
    assert_eq!(reaction("{block: {or: kill}}"), Ok(Reaction { response: Block, or: Some(Kill) }));
    assert_eq!(reaction("kil"), Err(1));
    assert_eq!(reaction("{block: kill}"), Err(1));
}
