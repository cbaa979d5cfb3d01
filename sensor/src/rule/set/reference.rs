//! A second evaluator, as slow and as plain as can be: it walks the tree of the condition, reads every field anew as
//! text and compares texts. Random rules on random events must get the same answer from both.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    event::Event,
    rule::{
        Engine, Filter,
        field::Reading,
        syntax::{self, Check, Expr, Op, Operand, Right},
        testing::event,
        value::{Out, Slot, Value},
        yaml::Located,
    },
};

fn texts(reading: &Reading, event: &Event) -> Vec<String> {
    let mut all = Vec::new();
    let mut visit = |value: Value<'_>| {
        let mut text = Vec::new();
        value.write(&mut text);
        all.push(String::from_utf8_lossy(&text).into_owned());
        false
    };
    reading.read(event, &mut Out::new(&mut Slot::default(), 1, &mut visit));
    all
}

fn holds(expr: &Expr, event: &Event) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| holds(part, event)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, event)),
        Expr::Not(inner) => !holds(inner, event),
        Expr::Macro(_) | Expr::Error(_) => unreachable!("no macros and no errors here"),
        Expr::Check(check) => check_holds(check, event),
    }
}

fn check_holds(check: &Check, event: &Event) -> bool {
    let Operand::Field(field) = &check.left else { unreachable!("no transformers here") };
    let reading = Reading::resolve(&field.name, field.arg.as_ref().map(|arg| arg.text.as_str())).unwrap();
    let values = texts(&reading, event);
    let words: Vec<&str> = match &check.right {
        Right::Text(word) => vec![&word.text],
        Right::List(words) => words.iter().map(|word| word.text.as_str()).collect(),
        _ => Vec::new(),
    };
    let one = |value: &String| match check.op {
        Op::Exists => true,
        Op::Eq | Op::In | Op::Ne | Op::Intersects => {
            words.iter().any(|word| same(field.name.as_str(), value, word))
        }
        Op::Contains => value.contains(words[0]),
        Op::Icontains => value.to_lowercase().contains(&words[0].to_lowercase()),
        Op::Startswith => value.starts_with(words[0]),
        Op::Endswith => value.ends_with(words[0]),
        Op::Pmatch => words.iter().any(|word| value == word || value.starts_with(&format!("{word}/"))),
        Op::Lt => value.parse::<f64>().unwrap() < words[0].parse::<f64>().unwrap(),
        Op::Ge => value.parse::<f64>().unwrap() >= words[0].parse::<f64>().unwrap(),
        other => unreachable!("{other:?}"),
    };
    match check.op {
        Op::Ne if reading.field.ends => !values.is_empty() && !values.iter().any(one),
        Op::Ne => values.iter().any(|value| !one(value)),
        _ => values.iter().any(one),
    }
}

fn same(field: &str, value: &str, word: &str) -> bool {
    if field.ends_with("net") {
        return word.parse::<ipnet::IpNet>().unwrap().contains(&value.parse::<std::net::IpAddr>().unwrap());
    }
    value == word
}

const CHECKS: &[&str] = &[
    "evt.type = execve",
    "evt.type in (execve, openat, connect)",
    "evt.type != openat",
    "evt.type startswith exec",
    "evt.dir = <",
    "evt.failed = true",
    "evt.res = EACCES",
    "evt.res != SUCCESS",
    "evt.num = 0",
    "evt.is_open_write = true",
    "evt.is_open_write != true",
    "evt.arg.flags contains O_CREAT",
    "evt.arg.flags contains O_",
    "evt.arg.flags = O_RDONLY",
    "evt.arg.flags in (O_RDWR, O_WRONLY|O_CREAT)",
    "evt.arg.res = SUCCESS",
    "proc.name = bash",
    "proc.name != bash",
    "proc.name in (bash, cat, nginx)",
    "proc.name icontains BA",
    "proc.cmdline contains -c",
    "proc.cmdline contains shadow",
    "proc.cmdline contains x",
    "(proc.name contains a or proc.name contains e or proc.name contains i or proc.name contains o or proc.name contains ng or proc.name contains q)",
    "proc.aname contains s",
    "proc.aname contains m",
    "proc.cmdline startswith bash",
    "proc.args contains -c",
    "proc.args icontains SHADOW",
    "proc.args startswith -c",
    "proc.args endswith shadow",
    "proc.args in (x, /etc/shadow)",
    "fd.filename = shadow",
    "fd.filename in (x, shadow)",
    "fd.filename startswith sh",
    "fd.filename endswith ow",
    "fd.directory = /etc",
    "fd.directory = /",
    "fd.directory startswith /et",
    "fd.directory pmatch (/etc, /tmp)",
    "proc.name startswith ca",
    "proc.exepath endswith bash",
    "proc.aname = sshd",
    "proc.aname != sshd",
    "proc.aname[2] exists",
    "proc.pname in (sshd, make)",
    "proc.exepath pmatch (/usr, /tmp)",
    "proc.tty = 0",
    "proc.tty >= 1",
    "proc.env[A] = 1",
    "container.id != host",
    "container.id = host",
    "container.image exists",
    "fd.name endswith shadow",
    "fd.name startswith /etc",
    "fd.name pmatch (/etc)",
    "fd.typechar in (4, 6)",
    "fd.typechar = f",
    "fd.num < 0",
    "fd.sport in (80, 443)",
    "fd.port != 443",
    "fd.port = 443",
    "fd.net = 10.0.0.0/8",
    "fd.net != 10.0.0.0/8",
    "fd.snet in (10.0.0.0/8, 192.168.0.0/16)",
    "user.uid = 0",
    "user.name exists",
    "thread.cap_effective contains CAP_SYS",
];

fn condition() -> impl Strategy<Value = String> {
    let leaf = select(CHECKS).prop_map(str::to_owned);
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" and "))),
            proptest::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|inner| format!("not {inner}")),
        ]
    })
}

fn some(key: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), select(values).prop_map(move |value| format!(", '{key}': '{value}'"))]
}

fn any_event() -> impl Strategy<Value = Event> {
    let of_type = prop_oneof![
        select(&["execve", "clone", "procexit"][..]).prop_map(|event_type| format!("evt.type: {event_type}")),
        (
            select(&["openat", "open", "openat2"][..]),
            some("fd.name", &["/etc/shadow", "/etc/x", "/tmp/shadow", "/etcetera", "/shadow"]),
            some("evt.arg.flags", &["O_RDONLY", "O_RDWR", "O_WRONLY|O_CREAT", "O_WRONLY|O_CREAT|O_TRUNC"]),
        )
            .prop_map(|(event_type, name, flags)| format!("evt.type: {event_type}{name}{flags}")),
        (
            select(&["connect", "accept4", "sendto"][..]),
            some(
                "fd.name",
                &[
                    "10.0.0.1:5->1.2.3.4:443",
                    "1.2.3.4:443->192.168.0.1:80",
                    "/run/x.sock",
                    "::1:4->fd00::1:443"
                ]
            ),
        )
            .prop_map(|(event_type, name)| format!("evt.type: {event_type}{name}")),
    ];
    let who = (
        some("proc.cmdline", &["bash -c x", "cat /etc/shadow", "nginx"]),
        some("proc.exepath", &["/usr/bin/bash", "/tmp/x", "/usrlocal/x"]),
        some("proc.aname[1]", &["sshd", "make"]),
        some("proc.aname[2]", &["sshd", "systemd"]),
        some("proc.tty", &["0", "34816"]),
        some("proc.env", &["A=1", "B=1"]),
        some("container.id", &["c1"]),
        some("evt.res", &["EACCES", "SUCCESS"]),
        some("user.name", &["root"]),
        some("thread.cap_effective", &["CAP_SYS_ADMIN", "CAP_CHOWN"]),
    );
    (of_type, who).prop_map(|(of_type, (a, b, c, d, e, f, g, h, i, j))| {
        event(&format!("{{{of_type}{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}}}"))
    })
}

fn parsed(condition: &str) -> Expr {
    let source = Source { name: "t".into(), text: condition.into() };
    let condition = syntax::parse(&Located::whole(&source, 0));
    assert!(condition.errors.is_empty(), "{:?}", condition.errors);
    condition.expr
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sets of rules on several events in a row: 200 × 24 × 6 = 28,800 pairs. There are enough rules in a set for some to be
    /// found by a value instead of being asked.
    #[test]
    fn random_rules_on_random_events_agree_with_the_plain_evaluator(
        conditions in proptest::collection::vec(condition(), 24),
        events in proptest::collection::vec(any_event(), 6),
    ) {
        let rules: String = conditions.iter().enumerate().map(|(at, condition)| {
            format!("- rule: r{at}\n  desc: d\n  condition: '{condition}'\n  output: o\n  priority: INFO\n")
        }).collect();
        let (set, found) = RuleSet::compile(&[Source { name: "t".into(), text: rules }], &Options::default());
        let mut engine = Engine::new(Arc::new(set.unwrap_or_else(|| panic!("{found:?}"))));
        for event in &events {
            let mut matches = Vec::new();
            engine.evaluate(event, &mut matches);
            let engine_says: Vec<_> = matches.iter().map(|found| found.rule.index).collect();
            let plain: Vec<_> = conditions
                .iter()
                .enumerate()
                .filter(|(_, condition)| holds(&parsed(condition), event))
                .map(|(at, _)| at)
                .collect();
            prop_assert_eq!(engine_says, plain, "{:?}", event);
        }
    }

    #[test]
    fn a_filter_agrees_and_a_printed_condition_reads_back(condition in condition(), event in any_event()) {
        let plain = holds(&parsed(&condition), &event);
        prop_assert_eq!(Filter::compile(&condition).unwrap().matches(&event), plain);
        let printed = parsed(&condition).to_string();
        prop_assert_eq!(parsed(&printed).to_string(), printed.clone());
        prop_assert_eq!(holds(&parsed(&printed), &event), plain);
    }

    /// Whatever the text, the readers end without a panic.
    #[test]
    fn no_text_breaks_the_readers(text in "\\PC{0,200}", yaml in "[-a-z:&*\\[\\]{}>|'\"\\n ,=.()%]{0,300}") {
        let _ = Filter::compile(&text);
        let _ = Filter::compile(&yaml);
        let condition = format!("- rule: r\n  desc: d\n  condition: {yaml}\n  output: '{text}'\n  priority: INFO\n");
        for text in [text, yaml, condition] {
            let (_, found) = RuleSet::compile(&[Source { name: "t".into(), text }], &Options::default());
            for found in found {
                let _ = found.render(false);
            }
        }
    }
}
