//! Which rules are switched on or off by the person who runs the sensor, and which of those wishes choose nothing. It
//! knows names, tags and files, no conditions.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Choice, Options, Toggle};
use crate::rule::{Source, diagnostic::nearest, load::RuleDef};

/// Applies the toggles in their order, and returns a sentence for each that chooses no rule: most often a name that was
/// mistyped, and a rule that should be off would alert, one that should be on would not.
pub(super) fn apply(rules: &mut [RuleDef], sources: &[Source], options: &Options) -> Vec<String> {
    let mut idle = Vec::new();
    for toggle in &options.toggles {
        let mut chosen = 0;
        for rule in rules.iter_mut() {
            if toggle.rules.fits(rule, sources) {
                rule.enabled = toggle.enable;
                chosen += 1;
            }
        }
        if chosen == 0 {
            idle.push(sentence(toggle, rules, sources));
        }
    }
    idle
}

impl Choice {
    fn fits(&self, rule: &RuleDef, sources: &[Source]) -> bool {
        match self {
            Self::Name(pattern) => fits(pattern, &rule.name.text),
            Self::Tag(tag) => rule.tags.contains(tag),
            Self::File(pattern) => {
                let name = file(rule, sources);
                fits(pattern, name) || fits(pattern, base(name))
            }
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) => write!(f, "rule `{text}`"),
            Self::Tag(text) => write!(f, "tag `{text}`"),
            Self::File(text) => write!(f, "file `{text}`"),
        }
    }
}

impl fmt::Display for Toggle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.enable { "enable" } else { "disable" }, self.rules)
    }
}

impl Serialize for Toggle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn sentence(toggle: &Toggle, rules: &[RuleDef], sources: &[Source]) -> String {
    let near = match &toggle.rules {
        Choice::Name(text) => nearest(text, rules.iter().map(|rule| rule.name.text.as_str())),
        Choice::Tag(text) => nearest(text, rules.iter().flat_map(|rule| &rule.tags).map(String::as_str)),
        Choice::File(text) => {
            let whole = rules.iter().map(|rule| file(rule, sources));
            nearest(text, whole.clone().chain(whole.map(base)))
        }
    };
    let hint = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
    format!("{toggle}: no such rule is loaded{hint}")
}

fn file<'s>(rule: &RuleDef, sources: &'s [Source]) -> &'s str {
    sources.get(rule.name.span.file as usize).map_or("", |source| &source.name)
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether the text fits a pattern in which `*` stands for any text.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::RuleSet;

    #[test]
    fn files_are_chosen_by_path_and_by_name_and_idle_toggles_are_said() {
        let rule = |name: &str| {
            format!(
                "- {{rule: {name}, desc: d, condition: evt.num > 0, output: o, priority: INFO, tags: [mitre_execution]}}\n"
            )
        };
        let source = |name: &str, rule_name: &str| Source { name: name.to_owned(), text: rule(rule_name) };
        let sources = [source("/etc/vedette/rules.d/10-a.yaml", "one"), source("/opt/b.yaml", "two")];
        let load = |toggles: &[(bool, Choice)]| {
            let toggles = toggles.iter().cloned().map(|(enable, rules)| Toggle { enable, rules }).collect();
            let (set, _) = RuleSet::compile(&sources, &Options { toggles, ..Options::default() });
            let set = set.unwrap();
            let names: Vec<_> = set.rules().iter().map(|rule| rule.name.clone()).collect();
            (names, set.idle_toggles().to_vec())
        };
        let file = |pattern: &str| Choice::File(pattern.to_owned());
        assert_eq!(load(&[(false, file("10-a.yaml"))]).0, ["two"]);
        assert_eq!(load(&[(false, file("/opt/*"))]).0, ["one"]);
        let all_but_two = [(false, Choice::Name("*".to_owned())), (true, Choice::Name("two".to_owned()))];
        assert_eq!(load(&all_but_two).0, ["two"]);
        let idle = [
            (false, Choice::Tag("mitre_exectuion".to_owned())),
            (true, file("10-b.yaml")),
            (true, Choice::Name("nothing like it".to_owned())),
            (true, Choice::Name("one".to_owned())),
        ];
        assert_eq!(
            load(&idle).1,
            [
                "disable tag `mitre_exectuion`: no such rule is loaded (did you mean `mitre_execution`?)",
                "enable file `10-b.yaml`: no such rule is loaded (did you mean `10-a.yaml`?)",
                "enable rule `nothing like it`: no such rule is loaded",
            ]
        );
    }
}
