//! Data flows one way: no module of the daemon imports what is downstream of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// In the order of the flow. A module may import itself and what stands above it. `clock` is everybody's, `config` is what the
/// user asked for, and `metrics`-like tables are anybody's; `pipeline` wires, `cli` calls: both may import everything above them.
const FLOW: [&str; 15] = [
    "clock",
    "config",
    "capability",
    "event",
    "probe",
    "recording",
    "decode",
    "enrich",
    "rule",
    "respond",
    "sink",
    "control",
    "pipeline",
    "metrics",
    "cli",
];

/// Pairs (importer, imported) that the flow would allow and the design does not: what is beside each other.
const APART: [(&str, &str); 9] = [
    ("event", "config"),
    ("probe", "event"),
    ("probe", "config"),
    ("decode", "probe"),
    ("enrich", "probe"),
    ("enrich", "config"),
    ("rule", "decode"),
    ("rule", "enrich"),
    ("rule", "probe"),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules of the crate that a text names behind `crate::`, in a plain path or in braces.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code: Vec<&str> =
        text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect();
    for (at, _) in code.join("\n").match_indices("crate::") {
        let code = code.join("\n");
        // `sensor_crate::` is another thing.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let name = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        let Some(list) = rest.strip_prefix('{') else {
            found.push(name(rest));
            continue;
        };
        let mut depth = 1;
        let mut start = true;
        for (at, c) in list.char_indices() {
            if start && depth == 1 && (c.is_alphanumeric() || c == '_') {
                found.push(name(&list[at..]));
                start = false;
            }
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// What is wrong with the imports of a file of `module`.
fn wrong(module: &str, text: &str) -> Vec<String> {
    let place = |name: &str| FLOW.iter().position(|module| *module == name);
    let Some(own) = place(module) else { return vec![format!("{module} has no place in the flow")] };
    imports(text)
        .into_iter()
        .filter(|import| place(import).is_none_or(|at| at > own) || APART.contains(&(module, import)))
        .collect()
}

#[test]
fn no_module_imports_what_is_downstream() {
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sensor/src"));
    let mut complaints = Vec::new();
    for file in sources(top) {
        let inside = file.strip_prefix(top).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if ["main", "lib"].contains(&module) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        complaints.extend(
            wrong(module, &text).into_iter().map(|import| format!("{} imports {import}", inside.display())),
        );
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{\n    enrich::{Lookup, sink::X},\n    rule, event::Event,\n};\n\
                fn f() { crate::decode::decode(b) } // crate::cli\nuse crate::cli::Cli;";
    assert_eq!(imports(text), ["enrich", "rule", "event", "decode", "cli"]);
    assert_eq!(wrong("enrich", text), ["rule", "cli"]);
    assert_eq!(wrong("elsewhere", "").len(), 1);
}
