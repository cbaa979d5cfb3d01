//! What is read and what is refused, as tables: one file for each topic, one line for each case. The language is the one
//! of Falco's rule files, letter by letter; where it differs on purpose, the case says so.

mod blanks;
mod escapes;
mod fields;
mod lists;
mod logic;
mod macros;
mod modifiers;
mod numbers;
mod operators;
mod property;
mod recovery;
mod strings;
mod transformers;

use super::*;
use crate::rule::{diagnostic::Source, yaml::Located};

#[derive(Debug)]
struct Error {
    /// Characters, from 1.
    column: usize,
    message: String,
}

/// The condition in its normal form, and what is wrong with it.
fn read(text: &str) -> (String, Vec<Error>) {
    let source = Source { name: "t".into(), text: text.into() };
    let condition = parse(&Located::whole(&source, 0));
    let errors = condition.errors.into_iter().map(|error| Error {
        column: text[..error.span.start as usize].chars().count() + 1,
        message: error.message,
    });
    (condition.expr.to_string(), errors.collect())
}

/// Conditions, each with its normal form, which stands for itself.
fn accepted(cases: &[(&str, &str)]) {
    for (text, normal) in cases {
        for text in [text, normal] {
            let (read, errors) = read(text);
            assert!(errors.is_empty(), "{text:?}: {errors:?}");
            assert_eq!(read, *normal, "{text:?}");
        }
    }
}

/// Conditions, each with the column and a piece of the one error in it.
fn refused(cases: &[(&str, usize, &str)]) {
    for (text, column, message) in cases {
        let (_, errors) = read(text);
        assert_eq!(errors.len(), 1, "{text:?}: {errors:?}");
        assert_eq!(errors[0].column, *column, "{text:?}: {errors:?}");
        assert!(errors[0].message.contains(message), "{text:?}: {errors:?}");
    }
}
