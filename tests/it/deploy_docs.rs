//! The documents: what they tell a reader to type exists, what they quote is right, and where they lead there is something.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sensor::capability::NEEDS;
use sensor_tests::vedette;
use serde_json::Value;

/// Programs of others that the documents use; what they are told is theirs to check.
const OTHERS: [&str; 10] =
    ["cargo", "ctr", "dpkg", "helm", "kubectl", "mkdir", "rpm", "skopeo", "systemctl", "systemd-analyze"];

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Every document, by its path from the top.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(top("docs")).unwrap().flatten().map(|entry| entry.path());
    let files = docs.chain([top("README.md")]).filter(|path| path.extension().is_some_and(|end| end == "md"));
    files.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The texts between fences of that language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let starts = text.match_indices(&fence).map(|(at, _)| &text[at + fence.len()..]);
    starts.map(|rest| rest.split_once("```").expect("a fence that ends").0).collect()
}

/// The commands of a shell's text, in words, without what stands behind `#`.
fn commands(block: &str) -> Vec<Vec<String>> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split_once(" # ").map_or(line, |(command, _)| command));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    lines.map(words).filter(|words| !words.is_empty()).collect()
}

/// What is wrong with a call of `vedette`: a subcommand or an option that it does not have.
fn wrong_call(words: &[String]) -> Option<String> {
    let mut subcommands: Vec<&str> = Vec::new();
    for word in words.iter().skip(1).take(2) {
        // What follows the first subcommand may be its argument.
        if word.starts_with(|c: char| !c.is_ascii_lowercase())
            || (!subcommands.is_empty() && subcommands[0] != "rules")
        {
            break;
        }
        subcommands.push(word);
    }
    let help = Command::new(vedette()).args(&subcommands).arg("--help").output().unwrap();
    if !help.status.success() {
        return Some(String::from_utf8_lossy(&help.stderr).into_owned());
    }
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let known: BTreeSet<&str> = help.split(|c: char| !(c.is_alphanumeric() || c == '-')).collect();
    let options = words.iter().filter(|word| word.starts_with("--") && word.len() > 2);
    options.map(|word| word.split('=').next().unwrap()).find(|word| !known.contains(word)).map(str::to_owned)
}

#[test]
fn deploy_docs_name_commands_and_options_that_exist() {
    let xtask = fs::read_to_string(top("xtask/src/main.rs")).unwrap();
    let mut checked = 0;
    for (path, text) in documents() {
        for words in blocks(&text, "sh").into_iter().flat_map(commands) {
            let words = if words[0] == "sudo" { &words[1..] } else { &words[..] };
            let problem = match words[0].as_str() {
                "vedette" => wrong_call(words),
                "cargo" if words[1] == "xtask" => {
                    // `e2e-k8s` is `E2eK8s` there.
                    let part = |part: &str| format!("{}{}", part[..1].to_uppercase(), &part[1..]);
                    let name: String = words[2].split('-').map(part).collect();
                    let lines = [format!("    {name}("), format!("    {name},")];
                    let known = lines.iter().any(|line| xtask.contains(line));
                    (!known).then(|| format!("no command {}", words[2]))
                }
                other => {
                    (!OTHERS.contains(&other)).then(|| format!("a program that is not expected: {other}"))
                }
            };
            checked += 1;
            assert_eq!(problem, None, "{}: {}", path.display(), words.join(" "));
        }
    }
    println!("{checked} commands");
    assert!(checked > 15);
}

#[test]
fn deploy_docs_rules_load() {
    let mut checked = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "yaml").into_iter().filter(|block| block.starts_with("- rule:")) {
            let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
            fs::write(file.path(), block).unwrap();
            for what in ["check", "test"] {
                let output = Command::new(vedette())
                    .args(["rules", what, "--rules"])
                    .arg(file.path())
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}: {said}\n{block}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 2);
}

#[test]
fn deploy_docs_lead_somewhere() {
    let mut checked = 0;
    for (path, text) in documents() {
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.starts_with("http") {
                continue;
            }
            checked += 1;
            assert!(path.parent().unwrap().join(target).exists(), "{}: {target}", path.display());
        }
    }
    assert!(checked > 10);
}

#[test]
fn deploy_lists_of_capabilities_are_the_sensors() {
    let own: BTreeSet<String> = NEEDS.iter().map(|need| need.name.to_owned()).collect();
    let unit = fs::read_to_string(top("deploy/systemd/vedette.service")).unwrap();
    let unit = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    assert_eq!(unit.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>(), own);
    let values = fs::read_to_string(top("deploy/helm/vedette/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    let listed = values["capabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| format!("CAP_{}", name.as_str().unwrap()));
    assert_eq!(listed.collect::<BTreeSet<_>>(), own);
    let text = fs::read_to_string(top("docs/privileges.md")).unwrap();
    for need in NEEDS {
        let row = format!("| `{}` |", need.name.trim_start_matches("CAP_"));
        let line = text.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no row {row}"));
        assert_eq!(line.ends_with("given up |"), need.start_only, "{line}");
    }
}
