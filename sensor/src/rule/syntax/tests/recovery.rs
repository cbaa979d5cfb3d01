//! Several mistakes in one condition: each is found, none is found twice, and what can be read is read.

use super::read;

/// Each with the columns of its errors in the order of the text, and the tree that is left.
const CASES: &[(&str, &[usize], &str)] = &[
    (
        "a.b ~ c and d.e in (f g) or h.i > j",
        &[5, 23, 35],
        "((<error: a.b exists> and <error: d.e exists>) or <error: h.i exists>)",
    ),
    (
        "(a.b ~ c) and (d.e in (f g)) or (h.i > j)",
        &[6, 26, 40],
        "((<error: a.b exists> and <error: d.e exists>) or <error: h.i exists>)",
    ),
    ("a.b ~ c and d.e = f", &[5], "(<error: a.b exists> and d.e = f)"),
    ("a.b = and c.d = e and f.g ~ h", &[7, 27], "(<error: a.b exists> and c.d = e and <error: f.g exists>)"),
    ("x and or y and a.b ~ c", &[7, 20], "((x and <error>) or (y and <error: a.b exists>))"),
    ("(a.b ~ c", &[1, 6], "<error: <error: a.b exists>>"),
    ("(a.b ~ c and (d.e = f", &[1, 6, 14], "<error: (<error: a.b exists> and <error: d.e = f>)>"),
    ("((x", &[1, 2], "<error: <error: x>>"),
    ("a.b ~ c) and d.e ~ f", &[5, 8, 18], "(<error: <error: a.b exists>> and <error: d.e exists>)"),
    ("x) and y) and z", &[2, 9], "(<error: x> and <error: y> and z)"),
    ("x y z and a.b ~ c", &[3, 15], "(<error: x> and <error: a.b exists>)"),
    ("x andy and a.b ~ c", &[6, 16], "(x and <error> and <error: a.b exists>)"),
    ("a.b = 'c and d.e ~ f", &[7, 18], "(<error: a.b exists> and <error: d.e exists>)"),
    ("a.b = 'c and d and e", &[7], "<error: a.b exists>"),
    (r#"a.b contains "curl and wget or (x"#, &[14], "<error: a.b exists>"),
    (r#"(a.b = "c) and (d.e ~ f)"#, &[8, 21], "<error: (<error: a.b exists> and <error: d.e exists>)>"),
    (
        "(a.b = 'c and d.e = f) or g.h ~ i",
        &[8, 31],
        "((<error: a.b exists> and d.e = f) or <error: g.h exists>)",
    ),
    ("a.b in (c, d and e.f ~ g", &[8, 22], "(<error: a.b exists> and <error: e.f exists>)"),
    (
        "(a.b in (c, d and e.f ~ g) or h.i ~ j",
        &[9, 23, 35],
        "((<error: a.b exists> and <error: e.f exists>) or <error: h.i exists>)",
    ),
    ("a.b in (c d) and e.f in (g, , h)", &[11, 29], "(<error: a.b exists> and <error: e.f exists>)"),
    ("a.b in (c, (d)) and e.f ~ g", &[12, 25], "(<error: a.b exists> and <error: e.f exists>)"),
    ("tolower(a.b = c) and d.e ~ f", &[13, 26], "(<error> and <error: d.e exists>)"),
    ("(tolower(a.b = c and d.e ~ f) or x", &[14, 26], "((<error> and <error: d.e exists>) or x)"),
    ("tolower(a.b, c.d) = e and f.g ~ h", &[1, 31], "(tolower(a.b, c.d) = e and <error: f.g exists>)"),
    ("join(',', a.b = c) = x and d.e ~ f", &[15, 32], "(<error> and <error: d.e exists>)"),
    ("concat(a.b, (c.d e.f), g.h) = x and y z", &[18, 39], "(<error> and <error: y>)"),
    ("a.b = val(c) and d.e = val(f.g, h.i)", &[11, 31], "(<error: a.b exists> and <error: d.e exists>)"),
    (
        r#"a.b = '\d' and c.d = '\e' and e.f = "\'""#,
        &[8, 23, 38],
        r#"(a.b = "\\d" and c.d = "\\e" and e.f = "\\'")"#,
    ),
    ("a.b[ = 1 and c.d[] = 2 and e.f[1 = 3", &[5, 18, 33], "(<error> and <error> and <error>)"),
    (
        "a.b > x and c.d < 'y' and e.f >= (1)",
        &[7, 19, 34],
        "(<error: a.b exists> and <error: c.d exists> and <error: e.f exists>)",
    ),
    ("not a.b ~ c and not (d.e ~ f)", &[9, 26], "(not <error: a.b exists> and not <error: d.e exists>)"),
    ("not (a.b ~ c or not d.e in f g)", &[10, 30], "not (<error: a.b exists> or <error: not d.e in f>)"),
    (
        "a.b contains curl -x and c.d = --flag=1",
        &[19, 38],
        "(<error: a.b contains curl> and <error: c.d = --flag>)",
    ),
    ("name = sh and proc = x", &[1, 15], "(<error> and <error>)"),
    ("foo(a.b) = c and tolower (d.e) = f", &[1, 18], "(<error> and <error>)"),
    ("x && y || z", &[3, 8], "<error: (<error: (x and y)> and z)>"),
    ("a.b = c and", &[12], "(a.b = c and <error>)"),
    ("and a.b ~ c or", &[1, 9, 15], "((<error> and <error: a.b exists>) or <error>)"),
    (
        "a.b ~ and c.d ~ or e.f ~",
        &[5, 15, 24],
        "((<error: a.b exists> and <error: c.d exists>) or <error: e.f exists>)",
    ),
    ("() and () or (())", &[2, 9, 16], "((<error> and <error>) or <error>)"),
    ("a.b not in (c) and d.e not exists", &[5, 24], "(<error: a.b exists> and <error: d.e exists>)"),
    (
        "(x or (a.b ~ c and d.e ~ f)) and g.h ~ i",
        &[12, 24, 38],
        "((x or (<error: a.b exists> and <error: d.e exists>)) and <error: g.h exists>)",
    ),
    ("x or(y) and z and a.b ~ c", &[9, 23], "(x or (y and z and <error: a.b exists>))"),
    (
        "a.b in 'c' and d.e in 10.0.0.1 and f.g pmatch /h",
        &[8, 23, 47],
        "(<error: a.b exists> and <error: d.e exists> and <error: f.g exists>)",
    ),
    ("a.b = (c) and d.e = (f, g)", &[7, 21], "(<error: a.b exists> and <error: d.e exists>)"),
    ("a.b in (c or d.e in (f", &[8, 21], "(<error: a.b exists> or <error: d.e exists>)"),
    ("a.b = 'it's' and c.d ~ e", &[11, 22], r#"(<error: a.b = "it"> and <error: c.d exists>)"#),
    ("1 = a.b and 'x' and !y", &[1, 13, 21], "(<error> and <error> and <error>)"),
];

#[test]
fn every_mistake_is_found_once() {
    for (text, columns, tree) in CASES {
        let (read, errors) = read(text);
        let mut found: Vec<usize> = errors.iter().map(|error| error.column).collect();
        found.sort_unstable();
        assert_eq!(found, *columns, "{text}: {errors:?}");
        assert_eq!(read, *tree, "{text}");
    }
}

#[test]
fn a_hostile_condition_has_few_errors() {
    for piece in
        ["x y and ", ") ", "a.b ~ c or ", "(a.b ", "'x' ", "a.b in (c d) and ", "tolower(", "and or ", "\\' "]
    {
        let (_, errors) = read(&piece.repeat(20_000));
        assert!((1..=20).contains(&errors.len()), "{piece}: {}", errors.len());
    }
}

#[test]
fn depth_is_bounded() {
    let nested =
        |open: &str, number: usize, close: &str| read(&(open.repeat(number) + "x" + &close.repeat(number))).1;
    assert!(nested("(", 99, ")").is_empty());
    for open in ["(", "not(", "tolower(", "join((", "(not "] {
        for number in [101, 100_000] {
            let errors = nested(open, number, "");
            assert_eq!(errors.len(), 1, "{open}: {errors:?}");
        }
    }
    assert!(read(&("not ".repeat(100_000) + "x")).1.is_empty());
}
