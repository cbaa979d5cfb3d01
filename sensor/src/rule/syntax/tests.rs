//! What is read and what is refused, as tables.

use super::*;
use crate::rule::{diagnostic::Source, yaml::Located};

fn read(text: &str) -> Result<String, (String, String)> {
    let source = Source { name: "t".into(), text: text.into() };
    parse(&Located::whole(&source, 0)).map(|expr| expr.to_string()).map_err(|error| {
        let place = &text[error.span.start as usize..error.span.end as usize];
        (place.to_owned(), error.message)
    })
}

/// Each with its normal form.
const ACCEPTED: &[(&str, &str)] = &[
    ("a.b exists", "a.b exists"),
    ("a.b=c", "a.b = c"),
    ("a.b==c", "a.b = c"),
    ("a.b = c", "a.b = c"),
    ("a.b!=c", "a.b != c"),
    ("a.b <= 3", "a.b <= 3"),
    ("a.b<3", "a.b < 3"),
    ("a.b >= 0x1F", "a.b >= 0x1F"),
    ("a.b > -1.5e+10", "a.b > -1.5e+10"),
    ("a.b>1.", "a.b > 1."),
    ("a.b contains c", "a.b contains c"),
    ("a.b contains\tc", "a.b contains c"),
    ("a.b contains\nc", "a.b contains c"),
    ("a.b icontains \"c d\"", "a.b icontains \"c d\""),
    ("a.b bcontains 303000", "a.b bcontains 303000"),
    ("a.b startswith /x", "a.b startswith /x"),
    ("a.b bstartswith 12ab", "a.b bstartswith 12ab"),
    ("a.b endswith .so", "a.b endswith .so"),
    ("a.b glob '*x?'", "a.b glob \"*x?\""),
    ("a.b iglob /tmp/*", "a.b iglob /tmp/*"),
    ("a.b regex '^a.*\\.so$'", "a.b regex \"^a.*\\\\.so$\""),
    ("a.b in (c)", "a.b in (c)"),
    ("a.b in(c,d)", "a.b in (c, d)"),
    ("a.b in ( c , 'd e' , \"f\" )", "a.b in (c, \"d e\", \"f\")"),
    ("a.b in ()", "a.b in ()"),
    ("a.b in c", "a.b in c"),
    ("a.b intersects (c, d)", "a.b intersects (c, d)"),
    ("a.b pmatch (/a, /b/c)", "a.b pmatch (/a, /b/c)"),
    ("a.b = oneof (c, d)", "a.b = oneof (c, d)"),
    ("a.b startswith anyof list", "a.b startswith anyof list"),
    ("a.b contains allof(c)", "a.b contains allof (c)"),
    ("a.b = oneof", "a.b = oneof"),
    ("a.b = oneof and x", "(a.b = oneof and x)"),
    ("a.b[1] = c", "a.b[1] = c"),
    ("a.b[/proc*] = c", "a.b[/proc*] = c"),
    ("a.b['c d'] = c", "a.b[\"c d\"] = c"),
    ("tolower(a.b) = c", "tolower(a.b) = c"),
    ("toupper( tolower( a.b[1] ) ) = C", "toupper(tolower(a.b[1])) = C"),
    ("len(a.b) > 3", "len(a.b) > 3"),
    ("join(',', (a.b, c.d)) = x", "join(\",\", (a.b, c.d)) = x"),
    ("concat(a.b, ':', c.d) = x", "concat(a.b, \":\", c.d) = x"),
    ("getopt(a.b, 'ab:')[b] = x", "getopt(a.b, \"ab:\")[b] = x"),
    ("a.b = val(c.d)", "a.b = val(c.d)"),
    ("a.b = val( c.d[1] )", "a.b = val(c.d[1])"),
    ("a.b = basename(c.d)", "a.b = basename(c.d)"),
    ("a.b < val(c.d)", "a.b < val(c.d)"),
    ("a.b in val(c.d)", "a.b in val(c.d)"),
    ("a.b = c.d", "a.b = c.d"),
    ("a.b = c-d_e/f:g@h*[1]{2}", "a.b = c-d_e/f:g@h*[1]{2}"),
    ("a.b = ü", "a.b = ü"),
    ("a.b = >", "a.b = >"),
    ("evt.dir=<", "evt.dir = <"),
    ("a.b = \"it \\\"is\\\" \\'so\\'\"", "a.b = \"it \\\"is\\\" 'so'\""),
    ("a.b = ''", "a.b = \"\""),
    ("a.b = 'x\\\\y'", "a.b = \"x\\\\y\""),
    ("x", "x"),
    ("  x  ", "x"),
    ("x and y", "(x and y)"),
    ("x and y or z", "((x and y) or z)"),
    ("x or y and z", "(x or (y and z))"),
    ("(x or y) and z", "((x or y) and z)"),
    ("(x)and(y)or(z)", "((x and y) or z)"),
    ("x and(y)", "(x and y)"),
    ("not x", "not x"),
    ("not not x", "x"),
    ("not not not x", "not x"),
    ("not(x)", "not x"),
    ("not (x)", "not x"),
    ("not\nx", "not x"),
    ("not not(x)", "x"),
    ("nothing", "nothing"),
    ("notx and y", "(notx and y)"),
    ("((((x))))", "x"),
    ("(\n x\n)", "x"),
    ("order", "order"),
    ("x or order", "(x or order)"),
    ("a.b in (c)and x", "(a.b in (c) and x)"),
    ("a.b exists and x", "(a.b exists and x)"),
    ("a.b intersects list", "a.b intersects list"),
    ("a.b_c.d1 = 2", "a.b_c.d1 = 2"),
    ("tolower_x", "tolower_x"),
];

/// Each with the piece that is underlined and a piece of the message.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "", "empty"),
    ("   ", "   ", "empty"),
    ("(", "", "expected a field"),
    (")", ")", "expected a field"),
    ("()", ")", "expected a field"),
    ("(x", "(", "never closed"),
    ("x)", ")", "expected `and`"),
    ("x y", "y", "expected `and`"),
    ("x and", "", "blank or `(`"),
    ("x and ", "", "expected a field"),
    ("x andy", "y", "blank or `(`"),
    ("x or", "", "blank or `(`"),
    ("and x", "x", "expected `and`"),
    ("not", "not", ""),
    ("a.b", "", "an operator"),
    ("a.b ~ c", "~", "an operator"),
    ("a.b not in (c)", "not", "an operator"),
    ("a.b containsc", "containsc", "an operator"),
    ("a.b =", "", "a string"),
    ("a.b = (c)", "", ""),
    ("a.b = )", ")", "a string"),
    ("a.b < c", "c", "a number"),
    ("a.b > ", "", "a number"),
    ("a.b in", "", "a list"),
    ("a.b in (c", "(", "never closed"),
    ("a.b in (c,", "", "a string"),
    ("a.b in (c,)", ")", "a string"),
    ("a.b in (,c)", ",", "a string"),
    ("a.b in (c d)", "d", "`,` or `)`"),
    ("a.b in 'c'", "'c'", "a list"),
    ("a.b in ((c))", "(", "a string"),
    ("a.b = 'c", "'", "never closed"),
    ("a.b = \"c", "\"", "never closed"),
    ("a.b[] = c", "]", "an argument"),
    ("a.b[1 = c", " ", "`]`"),
    ("a.b[ 1] = c", " ", "an argument"),
    ("tolower() = c", ")", "a field"),
    ("tolower(a.b = c", "=", "`,` or `)`"),
    ("tolower(x) = c", "x", "a field"),
    ("len(a.b, c.d) > 1", "len(a.b, c.d)", "does not take 2"),
    ("val(a.b) = c", "(", "expected `and`"),
    ("a.b = val(c)", "c", "a field"),
    ("a.b = tolower(c)", "c", "a field"),
    ("1.b = c", "1.b", "a field"),
    ("!x", "!x", "a field"),
    ("x && y", "&&", "expected `and`"),
];

#[test]
fn what_the_language_allows_is_read() {
    for (text, normal) in ACCEPTED {
        assert_eq!(read(text).as_deref(), Ok(*normal), "{text:?}");
        assert_eq!(read(normal).as_deref(), Ok(*normal), "again: {normal:?}");
    }
}

#[test]
fn what_the_language_refuses_is_refused_at_its_place() {
    for (text, place, message) in REFUSED {
        match read(text) {
            Err((at, said)) => {
                // An empty message stands for "refused, wherever".
                assert!(message.is_empty() || at == *place, "{text:?}: at {at:?}");
                assert!(said.contains(message), "{text:?}: {said}");
            }
            // `not` alone is a macro's name, as in the first implementation.
            Ok(normal) => assert_eq!((*text, normal.as_str()), ("not", "not")),
        }
    }
}

#[test]
fn depth_is_bounded() {
    assert!(read(&("(".repeat(90) + "x" + &")".repeat(90))).is_ok());
    assert!(read(&"(".repeat(100_000)).unwrap_err().1.contains("deeper"));
    assert!(read(&"tolower(".repeat(100_000)).unwrap_err().1.contains("deeper"));
    assert!(read(&("not ".repeat(100_000) + "x")).is_ok());
}
