//! Conditions as terms, and the floods that they let through.

use super::*;
use crate::rule::{Options, RuleSet, Sets, Source, Word};

fn compiled(condition: &str) -> RuleSet {
    let text = format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n");
    let (set, found) = RuleSet::compile(&[Source { name: "t".into(), text }], &Options::default());
    set.unwrap_or_else(|| panic!("{found:?}"))
}

fn terms(condition: &str) -> Vec<Term> {
    let set = compiled(condition);
    set.prefilter().iter().flat_map(|(_, terms)| terms.clone()).collect()
}

fn words(words: &[&str]) -> Sets<Word> {
    Sets::new(words.iter().map(|word| word.as_bytes().into()).collect(), true)
}

#[test]
fn all_calls_of_a_kind_share_one_term() {
    let all =
        terms("evt.type in (open, openat) and evt.is_open_read = true and fd.name in (/etc/shadow, /etc/x)");
    let [term] = all.as_slice() else { panic!("{all:?}") };
    let types: Vec<_> = term.classes.iter().map(|(event_type, _)| event_type.name()).collect();
    assert_eq!(types, ["open", "openat"]);
    assert!(term.classes.iter().all(|(_, outcome)| *outcome == Outcome::Done));
    assert_eq!(term.name, words(&["shadow", "x"]));
    assert_eq!(term.path.only.as_ref().unwrap().len(), 2);
}

#[test]
fn what_the_kernel_cannot_tell_is_left_out() {
    let all = terms("evt.type = openat and proc.pname = sh and user.uid = 0 and container.id != host");
    let [term] = all.as_slice() else { panic!("{all:?}") };
    assert!(term.root && !term.user && !term.host);
    assert_eq!((&term.comm, &term.name), (&Sets::any(), &Sets::any()));
    assert!(term.path.is_any());
    assert_eq!(term.classes.len(), 3, "{term:?}");
}

#[test]
fn what_cannot_be_leaves_no_term() {
    assert!(terms("evt.type = openat and user.uid = 0 and user.uid != 0").is_empty());
    assert!(terms("evt.type = openat and evt.failed = false and fd.name = /a and fd.name = /b").is_empty());
    assert!(terms("evt.type = openat and fd.num >= 0 and evt.failed = true").is_empty());
}

#[test]
fn a_rule_that_names_no_file_opens_the_gate() {
    let gates = |condition: &str| compiled(condition).gates(0).to_vec();
    let open = |outcome, containers| Gate { kind: Kind::FileOpen, outcome, containers };
    assert_eq!(
        gates("evt.type = openat and evt.is_open_read = true and fd.name contains key"),
        [open(Outcome::Done, false)]
    );
    assert_eq!(
        gates("evt.type = openat and evt.is_open_read = true and container.id != host"),
        [open(Outcome::Done, true)]
    );
    assert_eq!(gates("evt.type = openat and evt.res = ENOENT"), [open(Outcome::NotFound, false)]);
    assert_eq!(gates("evt.type = openat and evt.is_open_write = true"), []);
    assert_eq!(gates("evt.type = openat and evt.failed = false and fd.filename = id_rsa"), []);
    assert_eq!(gates("evt.type = execve"), []);
}
