//! `oneof`, `anyof` and `allof` between an operator and a list.

use super::{accepted, refused};

#[test]
fn accepts() {
    accepted(&[
        ("a.b = oneof (c, d)", "a.b = oneof (c, d)"),
        ("a.b = anyof (c, d)", "a.b = anyof (c, d)"),
        ("a.b = allof (c, d)", "a.b = allof (c, d)"),
        ("a.b == anyof (c)", "a.b = anyof (c)"),
        ("a.b != anyof (c)", "a.b != anyof (c)"),
        ("a.b != allof (c)", "a.b != allof (c)"),
        ("a.b contains oneof (c)", "a.b contains oneof (c)"),
        ("a.b icontains anyof (c)", "a.b icontains anyof (c)"),
        ("a.b bcontains anyof (cafe)", "a.b bcontains anyof (cafe)"),
        ("a.b startswith anyof (/c, /d)", "a.b startswith anyof (/c, /d)"),
        ("a.b bstartswith anyof (cafe)", "a.b bstartswith anyof (cafe)"),
        (r#"a.b endswith allof ('.c', ".d")"#, r#"a.b endswith allof (".c", ".d")"#),
        ("a.b glob anyof (*c, d*)", "a.b glob anyof (*c, d*)"),
        ("a.b iglob anyof (*c)", "a.b iglob anyof (*c)"),
        ("a.b regex anyof ('^c', 'd$')", r#"a.b regex anyof ("^c", "d$")"#),
        ("a.b = oneof()", "a.b = oneof ()"),
        ("a.b = oneof(c)", "a.b = oneof (c)"),
        ("a.b = oneof( c , d )", "a.b = oneof (c, d)"),
        ("a.b = oneof\n(c)", "a.b = oneof (c)"),
        ("a.b=oneof(c)", "a.b = oneof (c)"),
        ("a.b = oneof shells", "a.b = oneof shells"),
        ("a.b startswith anyof shells and x", "(a.b startswith anyof shells and x)"),
        ("a.b = allof shells", "a.b = allof shells"),
        ("(a.b = anyof (c))and(x)", "(a.b = anyof (c) and x)"),
        ("not a.b = anyof (c)", "not a.b = anyof (c)"),
        ("tolower(a.b) = anyof (c)", "tolower(a.b) = anyof (c)"),
        ("a.b = oneof", "a.b = oneof"),
        ("a.b = anyof and x", "(a.b = anyof and x)"),
        ("a.b = allof or x", "(a.b = allof or x)"),
        ("(a.b = oneof)", "a.b = oneof"),
        ("a.b = oneofx", "a.b = oneofx"),
        ("a.b = oneof-x", "a.b = oneof-x"),
        ("a.b = 'oneof'", r#"a.b = "oneof""#),
        ("a.b in (oneof, anyof)", "a.b in (oneof, anyof)"),
        ("a.b in oneof", "a.b in oneof"),
        ("oneof and anyof or allof", "((oneof and anyof) or allof)"),
    ]);
}

#[test]
fn refuses() {
    refused(&[
        ("a.b in oneof (c)", 14, "expected `and`, `or` or the end, found `(`"),
        ("a.b in anyof shells", 14, "expected `and`, `or` or the end, found `shells`"),
        ("a.b pmatch allof (c)", 18, "expected `and`, `or` or the end, found `(`"),
        ("a.b > anyof (1)", 7, "expected a number, found `anyof`"),
        ("a.b >= anyof (1)", 8, "expected a number, found `anyof`"),
        ("a.b exists anyof (c)", 12, "expected `and`, `or` or the end, found `anyof`"),
        ("a.b oneof (c)", 5, "expected an operator, found `oneof`"),
        ("a.b = oneof 'c'", 13, "expected `and`, `or` or the end, found `'`"),
        ("a.b = oneof /c", 13, "expected `and`, `or` or the end, found `/c`"),
        ("a.b = oneof (c", 13, "this list is never closed"),
        ("a.b = oneof (c,)", 16, "expected a string, found `)`"),
        ("a.b = oneof ((c))", 14, "expected a string, found `(`"),
        ("a.b = oneof anyof (c)", 19, "expected `and`, `or` or the end, found `(`"),
        ("a.b = oneof val(c.d)", 16, "expected `and`, `or` or the end, found `(`"),
        ("a.b = oneof tolower(c.d)", 20, "expected `and`, `or` or the end, found `(`"),
        ("a.b = oneofx (c)", 14, "expected `and`, `or` or the end, found `(`"),
        ("a.b = noneof (c)", 14, "expected `and`, `or` or the end, found `(`"),
        ("a.b = ONEOF (c)", 13, "expected `and`, `or` or the end, found `(`"),
        ("a.b oneof = (c)", 5, "expected an operator, found `oneof`"),
        ("oneof a.b = c", 7, "expected `and`, `or` or the end, found `a.b`"),
        ("a.b = oneof (c) d", 17, "expected `and`, `or` or the end, found `d`"),
        ("a.b = anyof c d", 15, "expected `and`, `or` or the end, found `d`"),
    ]);
}
