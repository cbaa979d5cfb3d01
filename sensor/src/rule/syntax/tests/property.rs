//! Any tree that the language can say is printed, read and the same: trees are made of the grammar's own parts, words of
//! the language as names and every escape in strings among them.

use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};

use super::super::*;
use crate::rule::{diagnostic::Source, yaml::Located};

fn word(text: String, quoted: bool) -> Word {
    Word { text, span: Span::default(), quoted }
}

fn name() -> BoxedStrategy<String> {
    let keyword = select(vec![
        "and", "or", "not", "in", "exists", "contains", "val", "len", "tolower", "oneof", "anyof", "allof",
        "glob",
    ]);
    prop_oneof![4 => "[a-zA-Z][a-zA-Z0-9_]{0,6}", 1 => keyword.prop_map(str::to_owned)].boxed()
}

fn quoted() -> BoxedStrategy<Word> {
    let piece = prop_oneof![
        "[a-z (),=.\\[\\]ü日]{1,4}",
        select(vec![
            "\\", "\"", "'", "\n", "\t", "\r", "\u{8}", "\u{c}", "/", "\\n", "\\\\", "\u{b}", " and "
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..5).prop_map(|pieces| word(pieces.concat(), true)).boxed()
}

fn bare() -> BoxedStrategy<Word> {
    let text = prop_oneof![4 => "[a-z0-9/*.<>!?\\\\ü:@#$%^&;|{}\\[\\]~+_`-]{1,8}", 1 => name()];
    text.prop_map(|text| word(text, false)).boxed()
}

fn text() -> BoxedStrategy<Word> {
    prop_oneof![quoted(), bare()].boxed()
}

fn number() -> BoxedStrategy<Word> {
    "0x[0-9a-fA-F]{1,4}|[+-]?[0-9]{1,4}([.][0-9]{0,3})?([eE][+-][0-9]{1,2})?"
        .prop_map(|text| word(text, false))
        .boxed()
}

fn index() -> BoxedStrategy<Option<Word>> {
    let bare = "[a-z0-9/*.=,()<>!ü:@-]{1,6}".prop_map(|text| word(text, false));
    option::weighted(0.3, prop_oneof![bare, quoted()]).boxed()
}

fn field() -> BoxedStrategy<Operand> {
    (vec(name(), 2..4), index())
        .prop_map(|(parts, arg)| Operand::Field(Field { name: parts.join("."), arg, span: Span::default() }))
        .boxed()
}

fn call(function: Function, args: Vec<Argument>, index: Option<Word>) -> Operand {
    Operand::Call(Call { function, args, index, span: Span::default() })
}

/// A field, or transformers of fields, strings, numbers and lists of them.
fn operand() -> BoxedStrategy<Operand> {
    field()
        .prop_recursive(3, 12, 3, |inner| {
            let item = prop_oneof![
                3 => inner.prop_map(Argument::Operand),
                1 => quoted().prop_map(Argument::Text),
                1 => number().prop_map(Argument::Text),
            ];
            let argument =
                prop_oneof![4 => item.clone(), 1 => vec(item, 0..4).prop_map(Argument::List)].boxed();
            let with = move |function: Function, args: std::ops::Range<usize>| {
                (vec(argument.clone(), args), index())
                    .prop_map(move |(args, index)| call(function, args, index))
                    .boxed()
            };
            Union::new(Function::ALL.iter().filter(|function| **function != Function::Val).map(|function| {
                match function {
                    Function::Join | Function::GetOpt => with(*function, 2..3),
                    Function::Concat => with(*function, 1..5),
                    _ => with(*function, 1..2),
                }
            }))
        })
        .boxed()
}

/// What may stand on the right side for something of the event: a transformer, or `val` of a field.
fn right_operand() -> BoxedStrategy<Right> {
    let val = field().prop_map(|field| call(Function::Val, vec![Argument::Operand(field)], None));
    let transformer = operand().prop_map(|operand| match operand {
        Operand::Call(_) => operand,
        field => call(Function::ToLower, vec![Argument::Operand(field)], None),
    });
    prop_oneof![val, transformer].prop_map(Right::Operand).boxed()
}

fn list() -> BoxedStrategy<Right> {
    let named = name().prop_map(|name| Right::Named(word(name, false)));
    prop_oneof![2 => vec(text(), 0..4).prop_map(Right::List), 1 => named].boxed()
}

fn right(op: Op) -> BoxedStrategy<Right> {
    match op {
        Op::Exists => Just(Right::Nothing).boxed(),
        Op::Lt | Op::Le | Op::Gt | Op::Ge => {
            prop_oneof![2 => number().prop_map(Right::Text), 1 => right_operand()].boxed()
        }
        Op::In | Op::Intersects | Op::Pmatch => prop_oneof![3 => list(), 1 => right_operand()].boxed(),
        _ => {
            let each = (select(Each::ALL), list())
                .prop_filter("a modifier alone is a string", |(_, list)| {
                    !matches!(list, Right::Named(name) if matches!(name.text.as_str(), "and" | "or"))
                })
                .prop_map(|(each, list)| Right::Each(each, Box::new(list)));
            prop_oneof![3 => text().prop_map(Right::Text), 1 => right_operand(), 1 => each].boxed()
        }
    }
}

fn expr() -> BoxedStrategy<Expr> {
    let check = select(Op::ALL).prop_flat_map(|op| {
        (operand(), right(op)).prop_map(move |(left, right)| {
            Expr::Check(Box::new(Check { left, op, right, span: Span::default() }))
        })
    });
    prop_oneof![3 => check, 1 => name().prop_map(|name| Expr::Macro(word(name, false)))]
        .prop_recursive(5, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 2..4).prop_map(Expr::And),
                vec(inner.clone(), 2..4).prop_map(Expr::Or),
                inner.prop_map(|inner| Expr::Not(Box::new(inner))),
            ]
        })
        .boxed()
}

/// The tree without the places of its parts.
fn shape(expr: &Expr) -> String {
    let shown = format!("{expr:?}");
    let mut parts = shown.split("Span { file: ");
    let mut shape = parts.next().unwrap().to_owned();
    for part in parts {
        shape += part.split_once('}').unwrap().1;
    }
    shape
}

fn parsed(text: &str) -> Condition {
    parse(&Located::whole(&Source { name: "t".into(), text: text.into() }, 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_as_the_same_tree(expr in expr()) {
        let printed = expr.to_string();
        let read = parsed(&printed);
        prop_assert!(read.errors.is_empty(), "{}: {:?}", printed, read.errors);
        prop_assert_eq!(shape(&read.expr), shape(&expr), "{}", printed);
    }

    /// A tree is read as well where a blank is a line break or a tab, and where it stands in parentheses.
    #[test]
    fn blanks_and_parentheses_change_nothing(expr in expr(), blank in select(vec!["\n", "\t", "\r\n", "  "])) {
        let printed = expr.to_string();
        let quotes = printed.contains(['"', '\'']);
        let spread = if quotes { printed } else { printed.replace(' ', blank) };
        let read = parsed(&format!("({blank}{spread}{blank})"));
        prop_assert!(read.errors.is_empty(), "{}: {:?}", spread, read.errors);
        prop_assert_eq!(shape(&read.expr), shape(&expr), "{}", spread);
    }

    /// Cut anywhere, a condition is read whole or has errors, at places inside of it, and nothing panics.
    #[test]
    fn a_piece_of_a_condition_has_its_errors_in_it(expr in expr(), cut in any::<proptest::sample::Index>()) {
        let printed = expr.to_string();
        let at = (0..=cut.index(printed.len() + 1)).rev().find(|at| printed.is_char_boundary(*at)).unwrap();
        for piece in [&printed[..at], &printed[at..]] {
            let read = parsed(piece);
            prop_assert_eq!(shape(&read.expr).contains("Error("), read.errors.iter().any(|error| {
                !error.message.contains("arguments, these") && !error.message.contains("argument, these")
                    && !error.message.contains("is not an escape") && !error.message.contains("cannot be followed")
            }), "{}: {:?}", piece, read);
            for error in &read.errors {
                prop_assert!(error.span.end as usize <= piece.len() && error.span.start <= error.span.end);
            }
        }
    }
}
