//! What a person reads of every kind of finding: `diagnostics/NAME.yaml`, with `NAME.txt` as it is rendered. A line `%%`
//! begins another file. `VEDETTE_TEST_BLESS=1` writes the texts anew; read them before they are committed.

use std::{fmt::Write, fs, path::Path};

use super::*;

#[test]
fn every_kind_of_finding_reads_well() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rule/set/tests/diagnostics");
    let update = std::env::var_os("VEDETTE_TEST_BLESS").is_some();
    let mut cases = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let shown = shown(&path);
        let wanted = path.with_extension("txt");
        if update {
            fs::write(wanted, shown).unwrap();
        } else {
            assert_eq!(shown, fs::read_to_string(wanted).unwrap_or_default(), "{}", path.display());
        }
    }
    assert!(cases > 50, "{cases}");
}

/// Everything that is found in a case, as `rules check` shows it without colours.
fn shown(path: &Path) -> String {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let files = text.split("%%\n").enumerate();
    let sources: Vec<_> = files
        .map(|(at, text)| Source {
            name: if at == 0 { format!("{name}.yaml") } else { format!("{name}_{at}.yaml") },
            text: text.to_owned(),
        })
        .collect();
    let (set, found) = RuleSet::compile(&sources, &Options::default());
    let errors = found.iter().filter(|found| found.severity == Severity::Error).count();
    assert_eq!(set.is_none(), errors > 0, "{name}");
    assert!(!found.is_empty(), "{name}");
    let mut shown = String::new();
    for found in &found {
        writeln!(shown, "{}\n", found.render(false)).unwrap();
    }
    shown
}
