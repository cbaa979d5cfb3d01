//! What is said of rules that can be loaded all the same: what they do not see, what they cost, what nothing uses.

use std::collections::HashSet;

use crate::{
    event::EventType,
    rule::{
        Diagnostics,
        load::{Definitions, RuleDef},
        prefilter::Gate,
        syntax,
        types::TypeSet,
    },
};

pub(super) fn say_blind(rule: &RuleDef, unseen: TypeSet, entirely: bool, found: &mut Diagnostics<'_>) {
    let names: Vec<_> = unseen.iter().map(EventType::name).collect();
    let names = names.join(", ");
    let name = &rule.name.text;
    if entirely {
        found.warning(rule.name.span, format!("rule `{name}` is blind: the sensor does not see {names}"));
    } else {
        found.notice(
            rule.name.span,
            format!("rule `{name}` is blind on {names}: the sensor does not see them"),
        );
    }
}

/// Opens are the one flood that a single rule turns on.
pub(super) fn say_gate(rule: &RuleDef, gate: Gate, found: &mut Diagnostics<'_>) {
    let name = &rule.name.text;
    let message = format!(
        "rule `{name}` makes the sensor read {gate}: the kernel cannot tell which of them it is about"
    );
    found.warning(rule.name.span, message).hint =
        Some("what it can tell: paths by their beginning, file names, directories and `proc.name`".into());
}

/// Says which macros nothing uses: most often a name that was mistyped, or one that a local file shall use.
pub(super) fn unused(definitions: &Definitions, found: &mut Diagnostics<'_>) {
    let mut used: HashSet<String> = HashSet::new();
    let conditions = definitions
        .macros
        .values()
        .map(|definition| &definition.condition)
        .chain(definitions.rules.iter().map(|rule| &rule.condition))
        .chain(
            definitions
                .rules
                .iter()
                .filter_map(|rule| rule.temporal.sequence.as_ref())
                .flat_map(|it| &it.then),
        );
    for condition in conditions {
        used.extend(syntax::names(condition));
    }
    let mut unused: Vec<_> = definitions.macros.values().filter(|it| !used.contains(&it.name.text)).collect();
    unused.sort_by_key(|definition| definition.order.first);
    for definition in unused {
        found.notice(definition.name.span, format!("macro `{}` is not used", definition.name.text));
    }
}
