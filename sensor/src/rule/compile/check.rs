//! One comparison, typed: which operators a field takes, and what its values look like.

use super::{
    Compiler,
    decide::{Decided, decide},
};
use crate::{
    event::EventType,
    rule::{
        check::{Against, Check, Computed, Source, Test, TestError},
        diagnostic::nearest,
        field::{self, Type},
        graph::{FALSE, TRUE},
        program::NodeId,
        syntax::{self, Argument, Call, Each, Function, Op, Operand, Right, Word},
        types::{Classes, TypeSet},
    },
};

impl Compiler<'_, '_, '_> {
    pub(super) fn check(&mut self, check: &syntax::Check) -> Option<NodeId> {
        let (source, kind, on) = self.source(&check.left)?;
        let op = check.op;
        if !allows(kind, op) {
            let message =
                format!("`{}` does not work on `{}`: it is of type {}", op.word(), check.left, kind.name());
            self.found.error(check.span, message).hint = hint(kind, op);
            return None;
        }
        let (against, shown) = self.against(check, kind)?;
        if let Source::Field(reading) = &source
            && !reading.field.carried
        {
            self.not_carried(reading.name(), check.left.span());
            return Some(FALSE);
        }
        let text = format!("{} {}{shown}", check.left, op.word());
        let slot = match &source {
            Source::Field(reading) => self.program.slot(reading),
            Source::Computed(_) => 0,
        };
        let name = match &source {
            Source::Field(reading) => reading.name(),
            Source::Computed(_) => "",
        };
        let compiled = Check { source, against, negated: op == Op::Ne, slot, text };
        if name == "evt.type" {
            self.unknown_types(check);
        }
        if let Some(node) = self.program.known(&compiled.text) {
            return Some(node);
        }
        let Decided { may_true, may_false } = decide(name, &compiled, on);
        if name == "evt.dir" && may_true == Classes::NONE {
            // Every event is one of a call that has returned.
            self.found.warning(check.span, "this never matches: all events are exit events (`<`)");
        }
        if may_true == Classes::NONE || may_false == Classes::NONE {
            return Some(if may_false == Classes::NONE { TRUE } else { FALSE });
        }
        let names = name == "evt.type" && !compiled.negated && op != Op::Exists;
        let named = if names { may_true.types() } else { TypeSet::NONE };
        Some(self.program.check(compiled, may_true, may_false, named))
    }

    /// Says once that nothing carries a field.
    fn not_carried(&mut self, name: &'static str, span: crate::rule::diagnostic::Span) {
        if self.reported.insert(name.to_owned()) {
            let message = format!("no event carries `{name}` yet: every check on it is false");
            self.found.notice(span, message);
        }
    }

    /// Warns of event types that do not exist.
    fn unknown_types(&mut self, check: &syntax::Check) {
        if !matches!(check.op, Op::Eq | Op::Ne | Op::In | Op::Intersects) {
            return;
        }
        let words = match &check.right {
            Right::Text(word) => vec![word.clone()],
            Right::List(words) => self.spliced(words).unwrap_or_default(),
            Right::Named(word) => self.named_list(word).unwrap_or_default(),
            _ => Vec::new(),
        };
        for word in words {
            if EventType::from_name(&word.text).is_none()
                && self.reported.insert(format!("evt.type {}", word.text))
            {
                let near = nearest(&word.text, EventType::ALL.iter().map(|event_type| event_type.name()));
                let message = format!("no event is of the type `{}`", word.text);
                self.found.warning(word.span, message).hint =
                    near.map(|near| format!("did you mean `{near}`?"));
            }
        }
    }

    fn source(&mut self, operand: &Operand) -> Option<(Source, Type, TypeSet)> {
        match operand {
            Operand::Field(field) => {
                let arg = field.arg.as_ref().map(|arg| arg.text.as_str());
                let reading = self.reading(&field.name, arg, field.span)?;
                let (kind, on) = (reading.field.kind, reading.on);
                Some((Source::Field(reading), kind, on))
            }
            Operand::Call(call) => {
                let kind = if call.function == Function::Len { Type::Number } else { Type::Text };
                // A transformer of a missing value is missing: the types of its first field bound it.
                let on = self.call_types(call);
                self.call(call).map(|computed| (Source::Computed(computed), kind, on))
            }
        }
    }

    fn call_types(&self, call: &Call) -> TypeSet {
        match call.args.first() {
            Some(Argument::Operand(Operand::Field(field))) if call.function != Function::Concat => {
                let arg = field.arg.as_ref().map(|arg| arg.text.as_str());
                crate::rule::field::Reading::resolve(&field.name, arg)
                    .map_or(TypeSet::ALL, |reading| reading.on)
            }
            Some(Argument::Operand(Operand::Call(inner))) => self.call_types(inner),
            _ => TypeSet::ALL,
        }
    }

    fn call(&mut self, call: &Call) -> Option<Computed> {
        let args = call.args.iter().map(|arg| self.argument(arg)).collect::<Option<Vec<_>>>()?;
        let index = call.index.as_ref().map(|index| index.text.as_str().into());
        Some(Computed::Call { function: call.function, args, index })
    }

    fn argument(&mut self, argument: &Argument) -> Option<Computed> {
        match argument {
            Argument::Text(word) => Some(Computed::Text(word.text.as_bytes().into())),
            Argument::List(list) => {
                list.iter().map(|item| self.argument(item)).collect::<Option<_>>().map(Computed::List)
            }
            Argument::Operand(Operand::Call(call)) => self.call(call),
            Argument::Operand(Operand::Field(field)) => {
                let arg = field.arg.as_ref().map(|arg| arg.text.as_str());
                let reading = self.reading(&field.name, arg, field.span)?;
                if !reading.field.carried {
                    self.not_carried(reading.name(), field.span);
                }
                Some(Computed::Field(reading))
            }
        }
    }

    /// The right side, compiled, and as text with every list resolved.
    fn against(&mut self, check: &syntax::Check, kind: Type) -> Option<(Against, String)> {
        let op = check.op;
        match &check.right {
            Right::Nothing => Some((Against::Test(Test::Exists), String::new())),
            Right::Operand(operand) => {
                let call = match operand {
                    Operand::Call(call) => self.call(call)?,
                    Operand::Field(_) => return None,
                };
                Some((Against::Values(op, call), format!(" {operand}")))
            }
            Right::Each(each, list) => {
                let words = self.words(list)?;
                // `!=` is tested as "not equal": not all of them is any that differs, and the other way round.
                let each = match (op, each) {
                    (Op::Ne, Each::All) => Each::Any,
                    (Op::Ne, _) => Each::All,
                    (_, each) => *each,
                };
                let tests = words
                    .iter()
                    .map(|word| self.test(kind, op, std::slice::from_ref(word)))
                    .collect::<Option<_>>()?;
                Some((Against::Each(each, tests), format!(" {}{}", each.word(), shown(&words))))
            }
            right => {
                let words = self.words(right)?;
                let test = self.test(kind, op, &words)?;
                let shown = match right {
                    Right::Text(_) => {
                        words.first().map(|word| format!(" {}", quoted(word))).unwrap_or_default()
                    }
                    _ => shown(&words),
                };
                Some((Against::Test(test), shown))
            }
        }
    }

    fn words(&mut self, right: &Right) -> Option<Vec<Word>> {
        match right {
            Right::Text(word) => Some(vec![word.clone()]),
            Right::List(words) => self.spliced(words),
            Right::Named(word) => self.named_list(word),
            _ => Some(Vec::new()),
        }
    }

    fn test(&mut self, kind: Type, op: Op, words: &[Word]) -> Option<Test> {
        // Word by word first: an error must point at the word that is wrong.
        let mut wrong = false;
        for word in words {
            if let Err(error) = make(kind, op, std::slice::from_ref(word)) {
                let hint = match (&error, kind) {
                    (TestError::Address(text), _) if text.contains('/') => {
                        Some("networks are compared with `fd.snet`, `fd.cnet`, `fd.net`".to_owned())
                    }
                    _ if field::find(&word.text).is_some() && !word.quoted => {
                        Some(format!("to compare with a field, write `val({})`", word.text))
                    }
                    (TestError::Hex(_), _) => Some("two hexadecimal digits for each byte: `cafe`".to_owned()),
                    _ => None,
                };
                self.found.error(word.span, error.to_string()).hint = hint;
                wrong = true;
            }
        }
        if wrong { None } else { make(kind, op, words).ok() }
    }
}

fn make(kind: Type, op: Op, words: &[Word]) -> Result<Test, TestError> {
    let texts = || words.iter().map(|word| word.text.as_str());
    let first = words.first().map_or("", |word| word.text.as_str());
    let list = matches!(op, Op::In | Op::Intersects);
    match (kind, op) {
        (Type::Bool, _) => Test::bools(texts()),
        (Type::Address, _) => Test::addresses(texts()),
        (Type::Network, _) => Test::networks(texts()),
        (_, Op::Lt | Op::Le | Op::Gt | Op::Ge) => Test::number(op, first),
        (Type::Number, _) if list => Test::numbers(texts()),
        (Type::Number, _) => Test::number(Op::Eq, first),
        (_, Op::Pmatch) => Ok(Test::paths(texts())),
        _ if list => Ok(Test::set(texts())),
        _ => Test::text(op, first),
    }
}

/// Which operators make sense of which type.
const fn allows(kind: Type, op: Op) -> bool {
    match op {
        Op::Exists | Op::Eq | Op::Ne | Op::In | Op::Intersects => true,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => matches!(kind, Type::Number | Type::Any),
        _ => matches!(kind, Type::Text | Type::Flags | Type::Any),
    }
}

fn hint(kind: Type, op: Op) -> Option<String> {
    Some(match (kind, op) {
        (Type::Number, _) => "numbers are compared with =, !=, <, <=, >, >= and in".to_owned(),
        (Type::Bool, _) => "compare it with `= true` or `= false`".to_owned(),
        (Type::Address | Type::Network, _) => "addresses are compared with =, != and in".to_owned(),
        (Type::Text | Type::Flags, _) => {
            "texts have no order; `len(…)` is the number of characters".to_owned()
        }
        _ => return None,
    })
}

fn quoted(word: &Word) -> String {
    Word { quoted: true, ..word.clone() }.to_string()
}

fn shown(words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(quoted).collect();
    format!(" ({})", words.join(", "))
}
