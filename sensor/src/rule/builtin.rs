//! The rules that come with the program: `rules/macros.yaml` first, then every other file by its path.

use include_dir::{Dir, include_dir};

use super::Source;

static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../rules");

/// The files in load order.
#[must_use]
pub fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&RULES, &mut sources);
    sources.sort_by(|a, b| {
        (a.name != "rules/macros.yaml", &a.name).cmp(&(b.name != "rules/macros.yaml", &b.name))
    });
    sources
}

/// Whether a source of this name is one of them.
#[must_use]
pub fn is(name: &str) -> bool {
    name.strip_prefix("rules/").is_some_and(|path| RULES.get_file(path).is_some())
}

fn collect(dir: &Dir<'_>, sources: &mut Vec<Source>) {
    for file in dir.files() {
        let yaml = file.path().extension().is_some_and(|extension| extension == "yaml");
        if let Some(text) = file.contents_utf8().filter(|_| yaml) {
            let name = format!("rules/{}", file.path().display());
            sources.push(Source { name, text: text.to_owned() });
        }
    }
    dir.dirs().for_each(|dir| collect(dir, sources));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rule::{Options, RuleSet, Severity, testing};

    #[test]
    fn a_set_at_work_keeps_no_tests() {
        let sources = sources();
        let (set, _) = RuleSet::compile(&sources, &Options::default());
        let set = Arc::new(set.unwrap().without_tests());
        assert!(!set.rules().is_empty());
        assert_eq!(testing::run(&set, &sources).len(), 0);
    }

    #[test]
    fn the_built_in_rules_load_and_pass_their_tests() {
        let sources = sources();
        let (set, found) = RuleSet::compile(&sources, &Options::default());
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(found.iter().all(|found| found.severity == Severity::Notice), "{}", said.join("\n"));
        let set = Arc::new(set.unwrap());
        assert!(set.blind().is_empty(), "{:?}", set.blind());
        for rule in set.rules() {
            assert!(
                !rule.tests.fires.is_empty() && !rule.tests.quiet.is_empty(),
                "{} lacks tests",
                rule.name
            );
            assert!(rule.tags.iter().any(|tag| tag.starts_with("mitre_")), "{} lacks a tactic", rule.name);
        }
        let failed: Vec<_> = testing::run(&set, &sources)
            .into_iter()
            .filter_map(|outcome| {
                let problem = outcome.problem?;
                Some(format!(
                    "{}:{} {} {}: {problem}",
                    outcome.file, outcome.line, outcome.rule, outcome.kind
                ))
            })
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
