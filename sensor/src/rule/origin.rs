//! Which files have a say in a rule: those that define or change it, and those that define or change the macros and lists that
//! it uses, and so on. It errs on the side of too many: a word that could be a list's name counts as one, and so does a
//! definition that was replaced later.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    document::{Exception, ListItem, MacroItem, RuleItem},
    yaml::{Node, Value},
};

/// What one name stands for, in all files.
#[derive(Debug, Default)]
struct Part {
    files: BTreeSet<u32>,
    words: HashSet<String>,
}

impl Part {
    fn add(&mut self, text: &str) {
        let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
        self.words.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
    }

    fn add_node(&mut self, node: &Node) {
        match &node.value {
            Value::Scalar(scalar) => self.add(&scalar.text),
            Value::List(list) => list.iter().for_each(|node| self.add_node(node)),
            Value::Map(map) => map.iter().for_each(|(_, node)| self.add_node(node)),
        }
    }
}

/// Every rule, and every macro and list.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    rules: HashMap<String, Part>,
    /// By their names; one that is a macro's and a list's counts for both.
    shared: HashMap<String, Part>,
}

impl Origins {
    pub(crate) fn note_rule(&mut self, item: &RuleItem) {
        let part = self.rules.entry(item.name.text.clone()).or_default();
        part.files.insert(item.name.span.file);
        let steps = item.temporal.sequence.iter().flat_map(|sequence| &sequence.then);
        item.condition.iter().chain(steps).for_each(|condition| part.add(&condition.text));
        for Exception { values, .. } in item.exceptions.iter().flatten() {
            values.iter().for_each(|node| part.add_node(node));
        }
    }

    pub(crate) fn note_macro(&mut self, item: &MacroItem) {
        let part = self.shared.entry(item.name.text.clone()).or_default();
        part.files.insert(item.name.span.file);
        part.add(&item.condition.text);
    }

    pub(crate) fn note_list(&mut self, item: &ListItem) {
        let part = self.shared.entry(item.name.text.clone()).or_default();
        part.files.insert(item.name.span.file);
        part.words.extend(item.items.iter().map(|word| word.text.clone()));
    }

    /// The numbers of the files that have a say in a rule.
    pub(crate) fn of(&self, rule: &str) -> BTreeSet<u32> {
        let Some(part) = self.rules.get(rule) else { return BTreeSet::new() };
        let mut files = part.files.clone();
        let mut seen = HashSet::new();
        let mut left: Vec<&str> = part.words.iter().map(String::as_str).collect();
        while let Some(word) = left.pop() {
            if let Some(part) = self.shared.get(word)
                && seen.insert(word)
            {
                files.extend(&part.files);
                left.extend(part.words.iter().map(String::as_str));
            }
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{Options, RuleSet, Source};

    #[test]
    fn every_file_that_has_a_say_is_named() {
        let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
        let rule = |name: &str, condition: &str| {
            format!("- {{rule: {name}, desc: d, condition: {condition}, output: o, priority: INFO}}\n")
        };
        let sources = [
            source(
                "base",
                "- {list: shells, items: [sh]}\n- {macro: shell, condition: proc.name in (shells)}\n",
            ),
            source("own", &(rule("alone", "proc.name = x") + &rule("uses", "shell and evt.type = execve"))),
            source("switch", "- {rule: alone, enabled: true}\n"),
            source("more", "- {list: shells, append: true, items: [bash]}\n"),
        ];
        let (set, found) = RuleSet::compile(&sources, &Options::default());
        let set = set.unwrap_or_else(|| panic!("{found:?}"));
        let sources: Vec<_> = set.rules().iter().map(|rule| rule.sources.join(" ")).collect();
        assert_eq!(sources, ["own switch", "base own more"]);
    }
}
