//! The configuration as the command line shows it. None of it needs a kernel.

use std::{fs, process::Command};

use sensor_tests::{daemon::run, vedette};

#[test]
fn config_that_is_wrong_is_refused_by_every_command_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    fs::write(&file, "lock: /l\nkernel:\n  ring_byte: 65536\n").unwrap();
    let file = file.to_str().unwrap();
    for command in [&["config", "check"][..], &["config", "show"], &["run"], &["events"], &["status"]] {
        let output = run(&[command, &["--config", file]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        let wanted = format!("{file}:3: there is no key kernel.ring_byte; did you mean kernel.ring_bytes?");
        assert!(said.contains(&wanted) && output.stdout.is_empty(), "{command:?}: {said}");
    }
    let sink = r#"sinks={"s": {"to": {"file": {"path": "/x"}}, "events": {"types": ["opne"]}}}"#;
    for (set, wanted) in
        [(sink, "sinks.s.events.types: no such type"), ("redact.patterns=[\"(\"]", "redact.patterns: ")]
    {
        let output = run(&["config", "check", "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(wanted), "{said}");
    }
    let output = run(&["config", "check", "--set", "kernel.disabled_hooks=[\"file_opne\"]"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("kernel.disabled_hooks: `file_opne`: no such hook")
    );
}

#[test]
fn config_is_shown_with_its_sources_and_without_a_secret() {
    const SECRET: &str = "planted-4f1c9a";
    let dir = tempfile::tempdir().unwrap();
    let (file, secret) = (dir.path().join("c.yaml"), dir.path().join("token"));
    fs::write(&secret, SECRET).unwrap();
    let text = format!(
        "metrics:\n  token: {{env: VEDETTE_SCRAPE}}\nsinks:\n  siem:\n    to:\n      splunk: {{url: 'https://s:8088', token: {{file: {}}}}}\n",
        secret.display()
    );
    fs::write(&file, text).unwrap();
    for command in [&["show"][..], &["show", "--json"], &["check"], &["check", "--json"]] {
        let output = Command::new(vedette())
            .args(["config"])
            .args(command)
            .arg("--config")
            .arg(&file)
            .args(["--set", "stdout.queue=7"])
            .env("VEDETTE_SCRAPE", SECRET)
            .env("VEDETTE_HOSTNAME", "h")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words}");
        assert!(!said.contains(SECRET) && !words.contains(SECRET), "{command:?}: {said}{words}");
        if command == ["show"] {
            for line in [
                "hostname: \"h\"  # VEDETTE_HOSTNAME".to_owned(),
                "  queue: 7  # --set".to_owned(),
                format!("    env: \"VEDETTE_SCRAPE\"  # {}:2", file.display()),
            ] {
                assert!(said.lines().any(|it| it == line), "{line} is missing in\n{said}");
            }
            // What it prints is a configuration.
            let again = dir.path().join("again.yaml");
            fs::write(&again, &said).unwrap();
            assert!(run(&["config", "check", "--config", again.to_str().unwrap()]).status.success());
        }
        if command == ["show", "--json"] {
            assert!(
                said.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
                "{said}"
            );
        }
    }
}
