//! Backslashes in quotes: what the first implementation knows, and that it refuses the rest.

use super::{accepted, refused};

#[test]
fn accepts() {
    accepted(&[
        (r#"a.b = "x \" y" "#, r#"a.b = "x \" y""#),
        (r"a.b = 'x \' y'", r#"a.b = "x ' y""#),
        (r"a.b = '\''", r#"a.b = "'""#),
        (r#"a.b = "\"" "#, r#"a.b = "\"""#),
        (r"a.b = '\\'x'", r#"a.b = "\\'x""#),
        (r"a.b = 'x\\y'", r#"a.b = "x\\y""#),
        (r#"a.b = "x\\y" "#, r#"a.b = "x\\y""#),
        (r"a.b = 'x\ny'", r#"a.b = "x\ny""#),
        (r"a.b = 'x\ty'", r#"a.b = "x\ty""#),
        (r"a.b = 'x\ry'", r#"a.b = "x\ry""#),
        (r"a.b = 'x\by'", r#"a.b = "x\by""#),
        (r"a.b = 'x\fy'", r#"a.b = "x\fy""#),
        (r"a.b = 'x\/y'", r#"a.b = "x/y""#),
        (r"a.b = 'x\ y'", r#"a.b = "x\\y""#),
        (r"a.b = 'x\ '", r#"a.b = "x\ ""#),
        (r#"a.b = "bad escape \ " "#, r#"a.b = "bad escape \ ""#),
        (r"a.b = '\n\t\r\b\f\/\\'x'", r#"a.b = "\n\t\r\b\f/\\'x""#),
        (r"a.b = '\\n'", r#"a.b = "\\n""#),
        (r"a.b = '\\\n'", r#"a.b = "\\\n""#),
        (r"a.b = '\\\' '", r#"a.b = "\\' ""#),
        (r"a.b = 'multiple \' \\''", r#"a.b = "multiple ' \\'""#),
        (r"a.b = '\\\\x'", r#"a.b = "\\\\x""#),
        (r"a.b regex '^a\\.b$'", r#"a.b regex "^a\\.b$""#),
        (r#"a.b regex "\\d+\\s*" "#, r#"a.b regex "\\d+\\s*""#),
        (r"a.b glob '\\*'", r#"a.b glob "\\*""#),
        (r#"a.b in ('\n', "\t", x)"#, r#"a.b in ("\n", "\t", x)"#),
        (r"a.b = \n", r"a.b = \n"),
        (r"a.b = C:\x", r"a.b = C:\x"),
        (r"a.b regex ^a\.b$", r"a.b regex ^a\.b$"),
        (r"a.b in (\d, \w)", r"a.b in (\d, \w)"),
        (r#"a.b["\\\ "] = 1"#, r#"a.b["\\\ "] = 1"#),
    ]);
}

#[test]
fn refuses() {
    refused(&[
        (r#"a.b = 'x\"y'"#, 9, r#"`\"` is not an escape"#),
        (r#"a.b = "x\'y" "#, 9, r"`\'` is not an escape"),
        (r"a.b = 'x\dy'", 9, r"`\d` is not an escape"),
        (r#"a.b = "\." "#, 8, r"`\.` is not an escape"),
        (r"a.b regex '^a\.b$'", 14, r"`\.` is not an escape"),
        (r"a.b regex '\d+\s'", 12, r"`\d` is not an escape"),
        (r"a.b = '\x41'", 8, r"`\x` is not an escape"),
        (r"a.b = '\u0041'", 8, r"`\u` is not an escape"),
        (r"a.b = '\0'", 8, r"`\0` is not an escape"),
        (r"a.b = '\a'", 8, r"`\a` is not an escape"),
        (r"a.b = '\v'", 8, r"`\v` is not an escape"),
        (r"a.b = '\e'", 8, r"`\e` is not an escape"),
        (r"a.b = '\N'", 8, r"`\N` is not an escape"),
        (r"a.b = '\*'", 8, r"`\*` is not an escape"),
        (r"a.b = '\-'", 8, r"`\-` is not an escape"),
        (r"a.b = '\ü'", 8, r"`\ü` is not an escape"),
        (r"a.b = '\('", 8, r"`\(` is not an escape"),
        ("a.b = '\\\n'", 8, "a backslash before the end of a line or a tab is not an escape"),
        ("a.b = '\\\t'", 8, "a backslash before the end of a line or a tab is not an escape"),
        (r"a.b = 'x\'", 7, "this quote is never closed"),
        (r#"a.b = "x\" "#, 7, "this quote is never closed"),
        (r"a.b = 'x\\'", 7, "this quote is never closed"),
        (r#"a.b = "C:\\" "#, 7, "this quote is never closed"),
        (r"a.b = '\'", 7, "this quote is never closed"),
        (r"a.b = '\\'", 7, "this quote is never closed"),
        (r"a.b in ('x\\')", 9, "this quote is never closed"),
        (r"a.b in ('\d')", 10, r"`\d` is not an escape"),
        (r"a.b in (x, '\d')", 13, r"`\d` is not an escape"),
        (r#"a.b = \"x\" "#, 8, r#"expected `and`, `or` or the end, found `"`"#),
        (r#"a.b = x\"y"#, 9, r#"expected `and`, `or` or the end, found `"`"#),
    ]);
}
