//! Items of all files, in their order, into the definitions that are in force: what later items append, replace or
//! switch off is applied here.

use std::collections::HashMap;

use super::{
    diagnostic::{Diagnostics, Source, nearest},
    document::{
        self, Change, Exception, Item, ListItem, MacroItem, Priority, Reaction, RuleItem, Temporal, Tests,
    },
    origin::Origins,
    syntax::Word,
    yaml::{self, Located},
};

/// A definition's place in the load order. A macro can be used by what was last changed after the macro first stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

#[derive(Debug)]
pub(crate) struct MacroDef {
    pub(crate) name: Word,
    pub(crate) condition: Located,
    pub(crate) order: Order,
}

#[derive(Debug)]
pub(crate) struct ListDef {
    pub(crate) name: Word,
    pub(crate) items: Vec<Word>,
    pub(crate) order: Order,
}

#[derive(Debug)]
pub(crate) struct RuleDef {
    pub(crate) name: Word,
    pub(crate) order: Order,
    pub(crate) condition: Located,
    pub(crate) output: Located,
    pub(crate) desc: String,
    pub(crate) priority: Priority,
    pub(crate) tags: Vec<String>,
    pub(crate) enabled: bool,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) skip_unknown: bool,
    pub(crate) reaction: Reaction,
    pub(crate) temporal: Temporal,
    pub(crate) tests: Tests,
}

/// What is in force after all files.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) macros: HashMap<String, MacroDef>,
    pub(crate) lists: HashMap<String, ListDef>,
    /// In the order of their first definition.
    pub(crate) rules: Vec<RuleDef>,
    pub(crate) origins: Origins,
    places: HashMap<String, usize>,
    /// Rules of another source than system calls: known by name, so that changes of them are no errors.
    foreign: HashMap<String, ()>,
    items: usize,
}

impl Definitions {
    pub(crate) fn read(sources: &[Source], found: &mut Diagnostics<'_>) -> Self {
        let mut all = Self::default();
        for (file, source) in (0..).zip(sources) {
            let documents = yaml::read(file, source, found);
            let mut foreign = None;
            for item in document::items(&documents, sources, found) {
                all.items += 1;
                match &item {
                    Item::Macro(item) => all.origins.note_macro(item),
                    Item::List(item) => all.origins.note_list(item),
                    Item::Rule(item) => all.origins.note_rule(item),
                }
                match item {
                    Item::Macro(item) => all.define_macro(item, found),
                    Item::List(item) => all.define_list(item, found),
                    Item::Rule(item) => {
                        let other = item.source.as_ref().filter(|source| source.text != "syscall");
                        if let Some(other) = other {
                            let (_, count) = foreign.get_or_insert((other.clone(), 0));
                            *count += 1;
                            all.foreign.insert(item.name.text, ());
                        } else if !all.foreign.contains_key(&item.name.text) {
                            all.rule(*item, found);
                        }
                    }
                }
            }
            if let Some((source, count)) = foreign {
                let source_name = &source.text;
                let message = match count {
                    1 => format!("a rule of another source than `syscall`, `{source_name}`, is skipped"),
                    _ => format!(
                        "{count} rules of other sources than `syscall` (here `{source_name}`) are skipped"
                    ),
                };
                found.notice(source.span, message);
            }
        }
        all
    }

    const fn order(&self, first: Option<usize>) -> Order {
        Order {
            first: match first {
                Some(first) => first,
                None => self.items,
            },
            last: self.items,
        }
    }

    fn define_macro(&mut self, item: MacroItem, found: &mut Diagnostics<'_>) {
        let order = self.order(self.macros.get(&item.name.text).map(|before| before.order.first));
        match self.macros.get_mut(&item.name.text) {
            Some(before) if item.append => {
                before.condition.append(&item.condition);
                before.order = order;
            }
            None if item.append => undefined(&item.name, "macro", self.macros.keys(), found),
            _ => {
                let MacroItem { name, condition, .. } = item;
                self.macros.insert(name.text.clone(), MacroDef { name, condition, order });
            }
        }
    }

    fn define_list(&mut self, item: ListItem, found: &mut Diagnostics<'_>) {
        let order = self.order(self.lists.get(&item.name.text).map(|before| before.order.first));
        match self.lists.get_mut(&item.name.text) {
            Some(before) if item.append => {
                before.items.extend(item.items);
                before.order = order;
            }
            None if item.append => undefined(&item.name, "list", self.lists.keys(), found),
            _ => {
                let ListItem { name, items, .. } = item;
                self.lists.insert(name.text.clone(), ListDef { name, items, order });
            }
        }
    }

    fn rule(&mut self, item: RuleItem, found: &mut Diagnostics<'_>) {
        let items = self.items;
        let place = self.places.get(&item.name.text).copied();
        let before = place.and_then(|place| self.rules.get_mut(place));
        let only_enabled = item.condition.is_none() && item.output.is_none() && item.enabled.is_some();
        if item.append || !item.overrides.is_empty() || (only_enabled && before.is_some()) {
            let Some(before) = before else {
                return undefined(&item.name, "rule", self.places.keys(), found);
            };
            before.order.last = items;
            if item.overrides.is_empty() {
                append(before, item, found);
            } else {
                override_keys(before, item, found);
            }
            return;
        }
        let order = Order { first: before.as_ref().map_or(items, |before| before.order.first), last: items };
        let Some(rule) = define(item, order, found) else { return };
        match before {
            Some(before) => *before = rule,
            None => {
                self.places.insert(rule.name.text.clone(), self.rules.len());
                self.rules.push(rule);
            }
        }
    }
}

fn undefined<'n>(
    name: &Word,
    kind: &str,
    known: impl Iterator<Item = &'n String>,
    found: &mut Diagnostics<'_>,
) {
    let near = nearest(&name.text, known.map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
    let message = format!("there is no {kind} `{}` before this that it could change", name.text);
    found.error(name.span, message).hint = near;
}

fn define(item: RuleItem, order: Order, found: &mut Diagnostics<'_>) -> Option<RuleDef> {
    // A key of a wrong type is reported already: it is not missing.
    let written = |key: &str| item.keys.iter().any(|(name, _)| name == key);
    let missing: Vec<_> =
        ["condition", "output", "desc", "priority"].into_iter().filter(|key| !written(key)).collect();
    if !missing.is_empty() {
        let message = format!("rule `{}` has no `{}`", item.name.text, missing.join("`, `"));
        found.error(item.name.span, message);
    }
    Some(RuleDef {
        name: item.name,
        order,
        condition: item.condition?,
        output: item.output.unwrap_or_default(),
        desc: item.desc.unwrap_or_default(),
        priority: item.priority.unwrap_or_default(),
        tags: item.tags.unwrap_or_default(),
        enabled: item.enabled.unwrap_or(true),
        exceptions: item.exceptions.unwrap_or_default(),
        skip_unknown: item.skip_unknown.unwrap_or(false),
        reaction: item.reaction.unwrap_or_default(),
        temporal: item.temporal,
        tests: item.tests.unwrap_or_default(),
    })
}

/// `append: true`, and a rule that is only switched on or off.
fn append(before: &mut RuleDef, item: RuleItem, found: &mut Diagnostics<'_>) {
    if let Some(condition) = &item.condition {
        before.condition.append(condition);
    }
    if let Some(exceptions) = item.exceptions {
        append_exceptions(before, exceptions, found);
    }
    if let Some(enabled) = item.enabled {
        before.enabled = enabled;
    }
    before.tags.extend(item.tags.unwrap_or_default());
    add_tests(before, item.tests);
}

fn add_tests(before: &mut RuleDef, tests: Option<Tests>) {
    let tests = tests.unwrap_or_default();
    before.tests.fires.extend(tests.fires);
    before.tests.quiet.extend(tests.quiet);
}

fn append_exceptions(before: &mut RuleDef, exceptions: Vec<Exception>, found: &mut Diagnostics<'_>) {
    for exception in exceptions {
        match before.exceptions.iter_mut().find(|known| known.name.text == exception.name.text) {
            Some(known) => {
                if !exception.fields.is_empty() && fields(known) != fields(&exception) {
                    let message = "an appended exception must name the same fields, or none";
                    let related = found.related(known.name.span, "first defined here");
                    found.error(exception.name.span, message).related = Some(related);
                    continue;
                }
                known.values.extend(exception.values);
            }
            None => before.exceptions.push(exception),
        }
    }
}

fn fields(exception: &Exception) -> Vec<&str> {
    exception.fields.iter().map(|field| field.text.as_str()).collect()
}

fn override_keys(before: &mut RuleDef, item: RuleItem, found: &mut Diagnostics<'_>) {
    for (key, span) in &item.keys {
        let allowed = ["rule", "override"].contains(&key.as_str());
        if !allowed && !item.overrides.iter().any(|(name, ..)| name == key) {
            found.error(*span, format!("`{key}` is not named in `override`"));
        }
    }
    let mut item = item;
    for (key, change, span) in std::mem::take(&mut item.overrides) {
        let appends = change == Change::Append;
        match key.as_str() {
            _ if change == Change::Wrong => {}
            "condition" => text(&mut before.condition, item.condition.take(), appends),
            "output" => text(&mut before.output, item.output.take(), appends),
            "desc" => {
                let desc = item.desc.take().unwrap_or_default();
                before.desc = if appends { format!("{} {desc}", before.desc) } else { desc };
            }
            "tags" => {
                let tags = item.tags.take().unwrap_or_default();
                if !appends {
                    before.tags.clear();
                }
                before.tags.extend(tags);
            }
            "exceptions" => {
                let exceptions = item.exceptions.take().unwrap_or_default();
                if appends {
                    append_exceptions(before, exceptions, found);
                } else {
                    before.exceptions = exceptions;
                }
            }
            "tests" => {
                if !appends {
                    before.tests = Tests::default();
                }
                add_tests(before, item.tests.take());
            }
            _ if appends => {
                found.error(span, format!("`{key}` can be replaced, not appended to"));
            }
            "priority" => before.priority = item.priority.unwrap_or(before.priority),
            "enabled" => before.enabled = item.enabled.unwrap_or(before.enabled),
            "skip-if-unknown-filter" => {
                before.skip_unknown = item.skip_unknown.unwrap_or(before.skip_unknown)
            }
            "response" => before.reaction = item.reaction.unwrap_or(before.reaction),
            "count" => before.temporal.count = item.temporal.count.take(),
            "sequence" => before.temporal.sequence = item.temporal.sequence.take(),
            "suppress" => before.temporal.suppress = item.temporal.suppress.take(),
            // `warn_evttypes` and `capture` change nothing here.
            _ => {}
        }
    }
}

fn text(before: &mut Located, new: Option<Located>, appends: bool) {
    match new {
        Some(new) if appends => before.append(&new),
        Some(new) => *before = new,
        None => {}
    }
}
