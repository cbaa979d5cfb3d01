//! Exceptions into conditions: an event that one of them describes is not the rule's business.

use super::{Compiler, Context, resolve::unquoted};
use crate::rule::{
    diagnostic::Span,
    document::Exception,
    load::RuleDef,
    program::NodeId,
    syntax::{Check, Expr, Field, Op, Operand, Right, Word, field_name},
    yaml::Node,
};

impl Compiler<'_, '_, '_> {
    /// The nodes of a rule's exceptions; `None` where one has errors.
    pub(super) fn exceptions(&mut self, rule: &RuleDef, cx: Context) -> Option<Vec<NodeId>> {
        let errors = self.found.errors();
        let mut nodes = Vec::new();
        for exception in &rule.exceptions {
            let Some(fields) = self.exception_fields(exception) else { continue };
            let Some(ops) = self.operators(exception) else { continue };
            if exception.single {
                let expr = self.single(exception, &fields, &ops);
                nodes.extend(expr.map(|expr| self.expr(&expr, cx)));
                continue;
            }
            for value in &exception.values {
                let expr = self.tuple(value, &fields, &ops);
                nodes.extend(expr.map(|expr| self.expr(&expr, cx)));
            }
        }
        (self.found.errors() == errors).then_some(nodes)
    }

    fn exception_fields(&mut self, exception: &Exception) -> Option<Vec<Field>> {
        if exception.fields.is_empty() {
            let message = format!("exception `{}` has no `fields`", exception.name.text);
            self.found.error(exception.name.span, message);
            return None;
        }
        let mut fields = Vec::with_capacity(exception.fields.len());
        for word in &exception.fields {
            let Some(name) = field_name(&word.text) else {
                self.found.error(word.span, format!("`{}` is not the name of a field", word.text));
                return None;
            };
            let rest = word.text.get(name.len()..).unwrap_or_default();
            let arg = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            if arg.is_none() && !rest.is_empty() {
                self.found.error(word.span, format!("`{}` is not the name of a field", word.text));
                return None;
            }
            let arg = arg.map(|arg| Word { text: arg.trim_matches(['"', '\'']).to_owned(), ..word.clone() });
            fields.push(Field { name: name.to_owned(), arg, span: word.span });
        }
        Some(fields)
    }

    fn operators(&mut self, exception: &Exception) -> Option<Vec<Op>> {
        let default = if exception.single { Op::In } else { Op::Eq };
        let ops: Vec<Op> = if exception.comps.is_empty() {
            vec![default; exception.fields.len()]
        } else {
            exception.comps.iter().map(|(op, _)| *op).collect()
        };
        if ops.len() != exception.fields.len() {
            let span = exception.comps.first().map_or(exception.name.span, |(_, span)| *span);
            let message =
                format!("`comps` must be as many as `fields`: {}, not {}", exception.fields.len(), ops.len());
            self.found.error(span, message);
            return None;
        }
        Some(ops)
    }

    /// One field: all values make one list, or one comparison each where the operator takes no list.
    fn single(&mut self, exception: &Exception, fields: &[Field], ops: &[Op]) -> Option<Expr> {
        let (field, op) = (fields.first()?, *ops.first()?);
        let mut words = Vec::new();
        for value in &exception.values {
            self.flatten(value, &mut words)?;
        }
        if words.is_empty() {
            return None;
        }
        if takes_list(op) {
            let span = exception.name.span;
            return Some(comparison(field, op, Right::List(words), span));
        }
        let each = words.into_iter().map(|word| {
            let span = word.span;
            comparison(field, op, Right::Text(word), span)
        });
        Some(Expr::Or(each.collect()))
    }

    /// Several fields: one value for each.
    fn tuple(&mut self, value: &Node, fields: &[Field], ops: &[Op]) -> Option<Expr> {
        let parts = match value.list() {
            Some(parts) => parts,
            None if fields.len() == 1 => std::slice::from_ref(value),
            None => {
                let message = format!("{} fields need a list of {0} values, this is one", fields.len());
                self.found.error(value.span, message).hint = Some(format!(
                    "write `[{}]`",
                    fields
                        .iter()
                        .map(|field| format!("value of {}", field.name))
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
                return None;
            }
        };
        if parts.len() != fields.len() {
            let message = format!("{} fields need {0} values, these are {}", fields.len(), parts.len());
            self.found.error(value.span, message);
            return None;
        }
        let mut checks = Vec::with_capacity(fields.len());
        for ((part, field), op) in parts.iter().zip(fields).zip(ops) {
            let mut words = Vec::new();
            self.flatten(part, &mut words)?;
            let right = if takes_list(*op) {
                Right::List(words)
            } else if part.list().is_some() {
                let message = format!("`{}` compares with one value, this is a list", op.word());
                self.found.error(part.span, message).hint = Some("use `in`".into());
                return None;
            } else {
                Right::Text(words.pop()?)
            };
            checks.push(comparison(field, *op, right, part.span));
        }
        Some(Expr::And(checks))
    }

    fn flatten(&mut self, value: &Node, words: &mut Vec<Word>) -> Option<()> {
        if let Some(text) = value.text() {
            words.push(unquoted(&Word { text: text.to_owned(), span: value.span, quoted: false }));
            return Some(());
        }
        let Some(list) = value.list() else {
            self.found.error(
                value.span,
                format!("a value of an exception is a text or a list, this is {}", value.kind()),
            );
            return None;
        };
        list.iter().try_for_each(|inner| self.flatten(inner, words))
    }
}

const fn takes_list(op: Op) -> bool {
    matches!(op, Op::In | Op::Intersects | Op::Pmatch)
}

fn comparison(field: &Field, op: Op, right: Right, span: Span) -> Expr {
    Expr::Check(Box::new(Check { left: Operand::Field(field.clone()), op, right, span }))
}
