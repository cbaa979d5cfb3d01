//! Any text as rule files: no panic, an error wherever there is no set, and a result that is in proportion to the text.
//! A line `%%` begins another file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::rule::{Options, RuleSet, Severity, Source};

fuzz_target!(|text: &str| {
    let files = text.split("\n%%\n").enumerate();
    let sources: Vec<_> =
        files.map(|(at, text)| Source { name: format!("{at}.yaml"), text: text.to_owned() }).collect();
    let (set, found) = RuleSet::compile(&sources, &Options::default());
    assert!(found.len() <= 1000);
    let errors = found.iter().filter(|found| found.severity == Severity::Error).count();
    assert_eq!(set.is_none(), errors > 0, "{found:?}");
    for found in found.iter().take(20) {
        let source = sources.iter().find(|source| source.name == found.file).expect("a finding names its file");
        assert!(found.span.end <= source.text.len() && found.line as usize <= source.text.lines().count().max(1) + 1);
        std::hint::black_box(found.render(false));
    }
    if let Some(set) = set {
        // Aliases multiply text, but no more than the reader allows; a rule or a check takes several bytes of it.
        assert!(set.rules().len() <= 1 + text.len() && set.checks() <= 100_000 + text.len());
    }
});
