//! Every operator on texts, numbers, flags and missing values.

use super::*;

fn text(op: Op, word: &str, value: &str) -> bool {
    Test::text(op, word).unwrap().holds(Value::Bytes(value.as_bytes()))
}

#[test]
fn texts() {
    let table = [
        (Op::Eq, "a", "a", true),
        (Op::Eq, "a", "ab", false),
        (Op::Contains, "b c", "ab cd", true),
        (Op::Contains, "", "x", true),
        (Op::Contains, "B", "abc", false),
        (Op::Icontains, "B", "abc", true),
        (Op::Icontains, "", "", true),
        (Op::Icontains, "abcd", "abc", false),
        (Op::Startswith, "ab", "abc", true),
        (Op::Startswith, "bc", "abc", false),
        (Op::Endswith, "bc", "abc", true),
        (Op::Bcontains, "6263", "abcd", true),
        (Op::Bstartswith, "6162", "abcd", true),
        (Op::Bstartswith, "62", "abcd", false),
        (Op::Glob, "/tmp/*", "/tmp/a/b", true),
        (Op::Glob, "/tmp/*", "/tmp", false),
        (Op::Glob, "a?c", "abc", true),
        (Op::Glob, "a?c", "ac", false),
        (Op::Glob, "[a-c]x", "bx", true),
        (Op::Glob, "[!a-c]x", "bx", false),
        (Op::Glob, "[!a-c]x", "dx", true),
        (Op::Glob, "[]]", "]", true),
        (Op::Glob, "a[", "a[", true),
        (Op::Glob, "a.b", "axb", false),
        (Op::Glob, "\\*", "*", true),
        (Op::Glob, "A*", "abc", false),
        (Op::Iglob, "A*", "abc", true),
        (Op::Regex, "a.c", "abc", true),
        (Op::Regex, "b", "abc", false),
        (Op::Regex, "a|c", "abc", false),
        (Op::Regex, ".*[0-9]+", "x12", true),
    ];
    for (op, word, value, holds) in table {
        assert_eq!(text(op, word, value), holds, "{value:?} {} {word:?}", op.word());
    }
}

#[test]
fn paths_are_matched_by_whole_parts() {
    let few = Test::paths(["/etc/ssh", "/root/"].into_iter());
    let names: Vec<String> = (0..50).map(|at| format!("/x/{at}")).collect();
    let many = Test::paths(["/etc/ssh", "/root/"].into_iter().chain(names.iter().map(String::as_str)));
    assert!(matches!((&few, &many), (Test::FewPaths(_), Test::Paths(_))));
    for (path, holds) in
        [("/etc/ssh", true), ("/etc/ssh/x/y", true), ("/etc/sshd", false), ("/root/a", true), ("/etc", false)]
    {
        assert_eq!(few.holds(Value::Bytes(path.as_bytes())), holds, "{path}");
        assert_eq!(many.holds(Value::Bytes(path.as_bytes())), holds, "{path}");
    }
    assert!(Test::paths(["/"].into_iter()).holds(Value::Bytes(b"/x")));
}

#[test]
fn numbers() {
    for (written, number) in [
        ("3", Number::Whole(3)),
        ("-3", Number::Whole(-3)),
        ("+3", Number::Whole(3)),
        ("0x10", Number::Whole(16)),
        ("1e+3", Number::Whole(1000)),
        ("1.5", Number::Fraction(1.5)),
    ] {
        assert_eq!(Number::parse(written), Some(number), "{written}");
    }
    for written in ["", "abc", "0xzz", "inf", "nan", "1x"] {
        assert_eq!(Number::parse(written), None, "{written}");
    }
    let holds = |op, word, value| Test::number(op, word).unwrap().holds(Value::Number(value));
    assert!(holds(Op::Lt, "1.5", 1) && !holds(Op::Lt, "1.5", 2));
    assert!(holds(Op::Ge, "2", 2) && holds(Op::Le, "2", 2) && !holds(Op::Gt, "2", 2));
    assert!(Test::numbers(["1", "0x2"].into_iter()).unwrap().holds(Value::Number(2)));
    assert!(Test::text(Op::Eq, "-13").unwrap().holds(Value::Number(-13)));
    assert!(Test::text(Op::Eq, &i64::MIN.to_string()).unwrap().holds(Value::Number(i64::MIN)));
}

#[test]
fn flags_are_tested_bit_by_bit_with_the_answers_of_their_text() {
    let words = ["O_CREAT", "O_", "O_RD", "CREAT|O", "|", "0", "", "S_ISUID", "SYNC", "CAP_SYS_ADMIN"];
    for word in [0u64, 1, 2, 0o101, 0o1102, 0o4_010_002, 0o10_000, 1 << 21] {
        for table in flags::TABLES {
            let flags = Flags { table, word, separator: "|" };
            let mut written = Vec::new();
            Value::Flags(flags).write(&mut written);
            for part in words {
                for op in [Op::Contains, Op::Eq, Op::Startswith, Op::Icontains] {
                    let test = Test::text(op, part).unwrap();
                    assert_eq!(
                        test.holds(Value::Flags(flags)),
                        test.holds(Value::Bytes(&written)),
                        "{} {} {part}",
                        String::from_utf8_lossy(&written),
                        op.word()
                    );
                }
            }
        }
    }
}

#[test]
fn addresses_and_networks() {
    let nets = Test::networks(["10.0.0.0/8", "fd00::/8", "1.2.3.4"].into_iter()).unwrap();
    for (ip, inside) in
        [("10.1.2.3", true), ("11.0.0.1", false), ("fd12::1", true), ("1.2.3.4", true), ("::1", false)]
    {
        assert_eq!(nets.holds(Value::Ip(ip.parse().unwrap())), inside, "{ip}");
    }
    assert!(Test::networks(["10.0.0.0/33"].into_iter()).is_err());
    assert!(Test::addresses(["localhost"].into_iter()).is_err());
}

#[test]
fn what_cannot_be_compared_is_refused() {
    assert!(Test::number(Op::Eq, "x").is_err());
    assert!(Test::bools(["maybe"].into_iter()).is_err());
    assert!(Test::text(Op::Bcontains, "abc").is_err());
    assert!(Test::text(Op::Bcontains, "zz").is_err());
    assert!(Test::text(Op::Regex, "(").is_err());
    assert!(Test::text(Op::Regex, "(a{1000}){1000}").is_err(), "a huge automaton");
}
