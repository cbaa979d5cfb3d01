//! Definitions into a program: macros and lists are resolved, every part is typed against the field table, exceptions
//! become conditions.

mod check;
mod decide;
mod exception;
mod limits;
mod resolve;
mod temporal;

use std::collections::{HashMap, HashSet};

use self::limits::Limits;
use super::{
    diagnostic::{Diagnostics, Span, nearest},
    field::{Reading, Unknown},
    graph::{Builder, FALSE},
    load::{Definitions, RuleDef},
    program::NodeId,
    syntax::{self, Expr, Word},
    yaml::Located,
};

/// Where a condition stands: what it may use depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// Place in the load order.
    pub(super) order: usize,
}

/// A macro on the way from text to node.
#[derive(Debug)]
enum Macro {
    Parsed(syntax::Condition),
    /// With the number of levels below it.
    Compiled(NodeId, usize),
    /// It has errors; they are reported.
    Wrong,
}

pub(super) struct Compiler<'d, 'f, 's> {
    definitions: &'d Definitions,
    pub(super) found: &'f mut Diagnostics<'s>,
    pub(super) program: Builder,
    macros: HashMap<&'d str, Macro>,
    /// Macros that are being compiled, outermost first.
    open: Vec<&'d str>,
    lists: HashMap<&'d str, Vec<Word>>,
    reported: HashSet<String>,
    /// Whether an unknown field was met since it was cleared.
    unknown: bool,
    /// Levels from the condition that is being compiled to here, macros counted, and the most that were reached.
    depth: usize,
    deepest: usize,
    limits: Limits,
}

impl<'d, 'f, 's> Compiler<'d, 'f, 's> {
    /// Reads the text of every macro, also of those that no rule uses.
    pub(super) fn new(definitions: &'d Definitions, found: &'f mut Diagnostics<'s>) -> Self {
        let mut macros = HashMap::new();
        for (name, definition) in &definitions.macros {
            let condition = syntax::parse(&definition.condition);
            report(&condition, found);
            macros.insert(name.as_str(), Macro::Parsed(condition));
        }
        Self {
            definitions,
            found,
            program: Builder::default(),
            macros,
            open: Vec::new(),
            lists: HashMap::new(),
            reported: HashSet::new(),
            unknown: false,
            depth: 0,
            deepest: 0,
            limits: Limits::default(),
        }
    }

    /// A rule's condition with its exceptions; `None` where the rule is skipped or has errors.
    pub(super) fn rule(&mut self, rule: &'d RuleDef) -> Option<NodeId> {
        self.unknown = false;
        let cx = Context { order: rule.order.last };
        let condition = syntax::parse(&rule.condition);
        report(&condition, self.found);
        // What cannot be read is wrong also of a rule that may be skipped.
        let mark = self.found.mark();
        let condition = self.compiled(&condition, cx);
        let exceptions = self.exceptions(rule, cx);
        if rule.skip_unknown && self.unknown {
            self.skip(rule, mark);
            return None;
        }
        self.say_exceeded(rule.name.span);
        let (condition, exceptions) = (condition?, exceptions?);
        let excepted = self.program.or(exceptions);
        let not_excepted = self.program.not(excepted);
        Some(self.program.and([condition, not_excepted]))
    }

    /// Takes back what was found since the mark, and says that the rule is skipped.
    fn skip(&mut self, rule: &RuleDef, mark: (usize, usize)) {
        self.found.roll_back(mark);
        self.macros.retain(|_, state| !matches!(state, Macro::Wrong));
        self.restore_macros();
        let message = format!("rule `{}` is skipped: it uses a field that is not known", rule.name.text);
        self.found.warning(rule.name.span, message);
    }

    /// Parses again the macros whose errors were rolled back, so that another user of them reports those errors.
    fn restore_macros(&mut self) {
        for (name, definition) in &self.definitions.macros {
            self.macros
                .entry(name.as_str())
                .or_insert_with(|| Macro::Parsed(syntax::parse(&definition.condition)));
        }
    }

    /// A condition; `None` where it has errors.
    pub(super) fn condition(&mut self, text: &Located, cx: Context) -> Option<NodeId> {
        let condition = syntax::parse(text);
        report(&condition, self.found);
        let node = self.compiled(&condition, cx);
        if self.say_exceeded(text.span(0, text.text.len())) { None } else { node }
    }

    fn say_exceeded(&mut self, span: Span) -> bool {
        let exceeded = self.limits.exceeded();
        if let Some(message) = &exceeded {
            self.found.error(span, message.as_str());
        }
        exceeded.is_some()
    }

    /// The names of a condition are resolved also where a part of it could not be read; then there is no node.
    fn compiled(&mut self, condition: &syntax::Condition, cx: Context) -> Option<NodeId> {
        let errors = self.found.errors();
        let node = self.expr(&condition.expr, cx);
        (condition.errors.is_empty() && self.found.errors() == errors).then_some(node)
    }

    fn expr(&mut self, expr: &Expr, cx: Context) -> NodeId {
        if self.found.full() {
            return FALSE;
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        let node = match expr {
            Expr::And(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.expr(part, cx)).collect();
                self.group(parts, true)
            }
            Expr::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.expr(part, cx)).collect();
                self.group(parts, false)
            }
            Expr::Not(inner) => {
                let inner = self.expr(inner, cx);
                self.program.not(inner)
            }
            Expr::Macro(word) => self.macro_node(word, cx).unwrap_or(FALSE),
            Expr::Check(check) => self.check(check).unwrap_or(FALSE),
            Expr::Error(readable) => {
                if let Some(readable) = readable {
                    self.expr(readable, cx);
                }
                FALSE
            }
        };
        self.depth -= 1;
        node
    }

    /// A group of parts, unless the set is too large for another one.
    fn group(&mut self, parts: Vec<NodeId>, all: bool) -> NodeId {
        let width = self.limits.width(&parts, all);
        if !self.limits.spend_parts(width) {
            return FALSE;
        }
        let copied = parts.iter().copied();
        let node = if all { self.program.and(copied) } else { self.program.or(copied) };
        self.limits.made(node, &parts, all);
        node
    }

    /// The field of this name, or an error with the nearest one.
    pub(super) fn reading(&mut self, name: &str, arg: Option<&str>, span: Span) -> Option<Reading> {
        match Reading::resolve(name, arg) {
            Ok(reading) => Some(reading),
            Err(Unknown::Field { near }) => {
                self.unknown = true;
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.found.error(span, format!("there is no field `{name}`")).hint = hint;
                None
            }
            Err(Unknown::Argument { message, near }) => {
                self.unknown = true;
                self.found.error(span, message).hint = near.map(|near| format!("did you mean `{near}`?"));
                None
            }
        }
    }

    /// Names of macros and lists near an unknown one.
    fn near_macro(&self, name: &str) -> Option<String> {
        if matches!(name, "and" | "or" | "not") {
            return Some(format!("something is missing behind `{name}`"));
        }
        if let Some(near) = nearest(name, self.definitions.macros.keys().map(String::as_str)) {
            return Some(format!("did you mean `{near}`?"));
        }
        self.definitions.lists.contains_key(name).then(|| format!("`{name}` is a list: use it behind `in`"))
    }
}

fn report(condition: &syntax::Condition, found: &mut Diagnostics<'_>) {
    for error in &condition.errors {
        found.error(error.span, error.message.as_str()).hint.clone_from(&error.hint);
    }
}
