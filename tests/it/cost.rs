//! `vedette rules list --cost`: what each rule costs, on a recording and by the accounts of a run. No kernel is needed.

use std::{fs, path::Path};

use sensor_tests::daemon::run;
use serde_json::Value;

/// The first two differ in a name and are found by it; the third has to be asked of every exec.
const RULES: &str = "
- {rule: Curl, desc: d, condition: evt.type = execve and proc.name = curl, output: o, priority: INFO}
- {rule: Wget, desc: d, condition: evt.type = execve and proc.name = wget, output: o, priority: INFO}
- {rule: Nc, desc: d, condition: evt.type = execve and proc.name = nc, output: o, priority: INFO}
- {rule: Many, desc: d, condition: evt.type = execve and proc.tty >= 0, output: o, priority: INFO}
";

fn events() -> String {
    let names = ["curl", "ls", "ls", "wget", "curl"];
    names.map(|name| format!("- {{evt.type: execve, proc.name: {name}, proc.tty: 0}}\n")).concat()
}

fn costs(json: &[u8]) -> impl Fn(&str) -> (u64, u64) {
    let costs: Vec<Value> = serde_json::from_slice(json).unwrap();
    move |rule| {
        let cost = costs.iter().find(|cost| cost["rule"] == rule);
        let cost = cost.unwrap_or_else(|| panic!("{rule}: {costs:#?}"));
        (cost["evaluations"].as_u64().unwrap(), cost["matches"].as_u64().unwrap())
    }
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn cost_of_rules_on_events() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, events) = (file(dir.path(), "r.yaml", RULES), file(dir.path(), "e.yaml", &events()));
    let list = ["rules", "list", "--cost", "--no-builtin-rules", "--rules", &rules, "--events", &events];
    let output = run(&[&list[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cost = costs(&output.stdout);
    assert_eq!(cost("Many"), (5, 5));
    assert_eq!((cost("Curl"), cost("Wget"), cost("Nc")), ((2, 2), (1, 1), (0, 0)), "asked only where found");
    assert_eq!(cost("").0, 5, "one look for each event");
    let text = String::from_utf8(run(&list).stdout).unwrap();
    assert!(text.contains("(what rules share: guards and lookups)"), "{text}");
}

#[test]
fn cost_of_rules_by_the_accounts_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/busy_host.rec");
    let accounts = dir.path().join("stats.json").display().to_string();
    let set = format!("stats_file={accounts}");
    let played = run(&["replay", &recording.display().to_string(), "--set", &set]);
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let output = run(&["rules", "list", "--cost", "--json", "--stats-file", &accounts]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(costs(&output.stdout)("").0 > 1000);
}

#[test]
fn cost_without_accounts_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let of = |accounts: &str| {
        let output = run(&["rules", "list", "--cost", "--stats-file", accounts]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = dir.path().join("none").display().to_string();
    assert!(of(&missing).contains("no sensor writes its accounts to"), "{}", of(&missing));
    let torn = file(dir.path(), "torn", "{\"costs\": [");
    assert!(of(&torn).contains("cannot read the accounts in"), "{}", of(&torn));
    let ruleless = file(dir.path(), "ruleless", "{\"costs\": []}");
    assert!(of(&ruleless).contains("without rules"), "{}", of(&ruleless));
}
