//! Files that were written to be too much: each ends soon, with an error that says where.

use super::*;

/// Rules that use `last`, behind what `define` makes of each number.
fn chain(number: usize, define: impl Fn(usize) -> String, last: &str) -> String {
    (0..number).map(define).collect::<String>() + &rule("r", last)
}

fn refused(text: &str, place: &str, message: &str) {
    let (set, found) = RuleSet::compile(&sources(&[text]), &Options::default());
    let errors: Vec<_> = found.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(set.is_none());
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].message.contains(message), "{errors:?}");
    let line = text.lines().nth(errors[0].line as usize - 1).unwrap();
    assert!(line.contains(place), "{line}");
}

#[test]
fn macros_nested_too_deep() {
    let text = chain(
        20_000,
        |at| match at {
            0 => "- {macro: m0, condition: evt.num > 0}\n".to_owned(),
            at => format!("- {{macro: m{at}, condition: m{} and not proc.name = n{at}}}\n", at - 1),
        },
        "m19999",
    );
    let (set, found) = RuleSet::compile(&sources(&[&text]), &Options::default());
    assert!(set.is_none());
    assert!(found.iter().any(|found| found.message.contains("nest deeper than 256 levels")), "{found:?}");
    // In whatever order they are used: what is compiled already counts with all of its levels.
    let uses: String = (0..20).map(|at| rule(&format!("r{at}"), &format!("m{}", at * 50))).collect();
    let few = chain(1000, |at| text.lines().nth(at).unwrap().to_owned() + "\n", "m0") + &uses;
    let (set, found) = RuleSet::compile(&sources(&[&few]), &Options::default());
    assert!(set.is_none() && found.iter().any(|found| found.message.contains("nest deeper")), "{found:?}");
}

#[test]
fn macros_that_are_copied_into_each_other() {
    let wide: Vec<_> = (0..500).map(|at| format!("proc.pid = {at}")).collect();
    let text = format!("- {{macro: wide, condition: {}}}\n", wide.join(" or "))
        + &chain(1000, |at| format!("- {{macro: m{at}, condition: wide or proc.ppid = {at}}}\n"), "wide")
        + &(0..1000).map(|at| rule(&format!("r{at}"), &format!("m{at}"))).collect::<String>();
    refused(&text, "- {rule: r", "more than 20000 parts");
}

#[test]
fn lists_that_multiply() {
    let ten = |name: &str| [name; 10].join(", ");
    let text = chain(
        12,
        |at| match at {
            0 => "- {list: l0, items: [a, b]}\n".to_owned(),
            at => format!("- {{list: l{at}, items: [{}]}}\n", ten(&format!("l{}", at - 1))),
        },
        "proc.name in (l11)",
    );
    refused(&text, "- {rule: r", "more than 20000 values");
}

#[test]
fn lists_nested_too_deep() {
    let text = chain(
        20_000,
        |at| match at {
            0 => "- {list: l0, items: [a, b]}\n".to_owned(),
            at => format!("- {{list: l{at}, items: [l{}]}}\n", at - 1),
        },
        "proc.name in (l19999)",
    );
    refused(&text, "list: l", "nest deeper than 256 levels");
}

#[test]
fn a_long_list_used_everywhere() {
    let items: Vec<_> = (0..1000).map(|at| format!("a{at}")).collect();
    let text = format!("- {{list: l, items: [{}]}}\n", items.join(", "))
        + &(0..1000)
            .map(|at| rule(&format!("r{at}"), &format!("proc.name in (l, x{at})")))
            .collect::<String>();
    refused(&text, "- {rule: r", "more than 20000 values");
}

#[test]
fn more_mistakes_than_anybody_reads() {
    for (line, number) in [
        ("- {a: b}\n", 50_000),
        ("- {macro: m, condition: n and n and n and n}\n", 2000),
        ("- {rule: r, condition: proc.nmae ~ a b and c}\n", 2000),
    ] {
        let (_, found) = RuleSet::compile(&sources(&[&line.repeat(number)]), &Options::default());
        assert!(!found.is_empty() && found.len() <= 1000, "{line}: {}", found.len());
    }
    let macros: String = (0..1200).map(|at| format!("- {{macro: m{at}, condition: n{at}}}\n")).collect();
    let uses: String = (0..1200).map(|at| rule(&format!("r{at}"), &format!("m{at} or k{at}"))).collect();
    let (set, found) = RuleSet::compile(&sources(&[&(macros + &uses)]), &Options::default());
    assert!(set.is_none() && found.len() == 1000, "{}", found.len());
}

#[test]
fn names_that_are_too_long_to_be_compared() {
    let name = "n".repeat(200_000);
    let text = format!("- {{macro: {name}m, condition: evt.num > 0}}\n{}", rule("r", &name));
    refused(&text, "- {rule: r", "is not defined anywhere");
}

#[test]
fn a_file_that_is_too_long() {
    refused(&"# nothing\n".repeat(500_000), "# nothing", "more than 4 MiB");
}
