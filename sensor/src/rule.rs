//! Rules: YAML in the language of Falco's rule files into a program that says which rules an event matches. It knows
//! the event, and nothing of how it was seen or what is done about it.
//!
//! ```text
//! text → yaml (tree with places) → document (items) → load (definitions in force) → compile (graph of shared nodes)
//!      → dispatch (for each class of events: guards, indexes, rules) → engine ─▶ correlate (over time) → Match
//! ```

pub mod builtin;
mod check;
mod compile;
pub mod correlate;
mod cost;
mod covers;
mod diagnostic;
mod dispatch;
mod document;
mod engine;
pub mod field;
pub mod files;
mod graph;
mod hosts;
mod index;
mod load;
mod origin;
mod prefilter;
mod program;
mod set;
mod syntax;
mod template;
pub mod testing;
mod types;
mod value;
mod verdict;
mod yaml;

pub(crate) use self::diagnostic::Diagnostics;
pub use self::{
    correlate::{CorrelationCounts, Finding, OverTime, Summary},
    cost::Cost,
    covers::{Covers, Net, Path, Sets, Word},
    diagnostic::{Diagnostic, Related, Severity, Source},
    document::{Priority, Reaction, Response},
    engine::{Engine, Filter, Match},
    files::{Content, Files, FilesError},
    hosts::Hosts,
    prefilter::{Gate, Outcome, Prefilter, Term},
    set::{Blind, Choice, Options, RuleInfo, RuleSet, Toggle, fits},
    types::TypeSet,
    verdict::{Act, Alternative, Left, Order, Verdicts},
};
