//! Files, variables and flags as they are read, and what is said where they are wrong.

use super::*;

fn load(file: &str, environment: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Loaded::of(Some(&path), environment.collect(), &sets)
}

/// What is wrong, without the folder of the file.
fn error(file: &str, environment: &[(&str, &str)], sets: &[&str]) -> String {
    let said = load(file, environment, sets).unwrap_err().to_string();
    said.rfind("/c.yaml").map_or(said.clone(), |at| said[at + 1..].to_owned())
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let file = "kernel:\n  ring_bytes: 65536\n  burst: 1\n  filters: false\nhostname: a\n";
    let environment = [("VEDETTE_KERNEL_BURST", "2"), ("VEDETTE_HOSTNAME", "b")];
    let loaded = load(file, &environment, &["hostname=c"]).unwrap();
    let kernel = &loaded.config.kernel;
    assert_eq!((kernel.ring_bytes, kernel.burst, loaded.config.hostname.as_str()), (65536, 2, "c"));
    let origin = |key: &str| loaded.origins.get(key).map(ToString::to_string);
    assert!(origin("kernel.filters").unwrap().ends_with("c.yaml:4"));
    assert_eq!(origin("kernel.burst").as_deref(), Some("VEDETTE_KERNEL_BURST"));
    assert_eq!(origin("hostname").as_deref(), Some("--set"));
    assert_eq!(origin("lock"), None);
    let loaded = load("", &[("VEDETTE_HOSTNAME", "1001")], &["lock=\"/l\"", "rules.minimum_priority=true"]);
    assert!(loaded.unwrap_err().to_string().contains("no such priority `true`"));
    let config = load("", &[("VEDETTE_HOSTNAME", "1001")], &["lock=\"/l\""]).unwrap().config;
    assert_eq!((config.hostname.as_str(), config.lock.to_str()), ("1001", Some("/l")));
    for file in ["", "sinks: {b: {to: {file: {path: /y}}}}\n"] {
        let sinks = r#"{"a": {"to": {"file": {"path": "/x"}}}}"#;
        assert!(load(file, &[("VEDETTE_SINKS", sinks)], &[]).unwrap().config.sinks.contains_key("a"));
    }
}

#[test]
fn a_key_that_does_not_exist_is_said_with_its_place_and_the_nearest_that_does() {
    assert_eq!(
        error("kernel:\n\n  ring_byte: 1\n", &[], &[]),
        "c.yaml:3: there is no key kernel.ring_byte; did you mean kernel.ring_bytes?"
    );
    assert_eq!(
        error("lock: /l\nring_bytes: 1\n", &[], &[]),
        "c.yaml:2: there is no key ring_bytes; did you mean kernel.ring_bytes?"
    );
    assert_eq!(
        error("", &[], &["kernal.ring_bytes=65536"]),
        "--set kernal.ring_bytes: there is no key kernal; did you mean kernel?"
    );
    assert_eq!(
        error("", &[], &["respond.limit.per_hour=1"]),
        "--set respond.limit.per_hour: there is no key respond.limit.per_hour; did you mean respond.limit.per_minute?"
    );
    assert_eq!(error("", &[], &["xyzzy=1"]), "--set xyzzy: there is no key xyzzy");
    let sink = "sinks:\n  siem:\n    to:\n      webhook:\n        url: http://x\n        http:\n          headrs: []\n";
    assert_eq!(
        error(sink, &[], &[]),
        "c.yaml:7: there is no key sinks.siem.to.webhook.http.headrs; did you mean sinks.siem.to.webhook.http.headers?"
    );
    let sink = "sinks:\n  siem:\n    to: {file: {path: /x}}\n    spol: {}\n";
    assert_eq!(
        error(sink, &[], &[]),
        "c.yaml:4: there is no key sinks.siem.spol; did you mean sinks.siem.spool?"
    );
    assert_eq!(
        error("", &[("VEDETTE_KERNEL_RING_BYTE", "1")], &[]),
        "VEDETTE_KERNEL_RING_BYTE: no key has this variable; did you mean VEDETTE_KERNEL_RING_BYTES?"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_said_with_its_key_and_its_place() {
    let said = error("lock: /l\nkernel: {ring_bytes: many}\n", &[], &[]);
    assert!(said.starts_with("c.yaml:2: kernel.ring_bytes: invalid type: string \"many\""), "{said}");
    let said = error("", &[], &["rules.builtin=maybe"]);
    assert!(said.starts_with("--set rules.builtin: invalid type: string \"maybe\""), "{said}");
    let said = error("", &[], &["metrics.listen=localhost"]);
    assert!(said.starts_with("--set metrics.listen: `localhost` is no address with a port"), "{said}");
    let said = error("respond:\n  isolate:\n    allow:\n      - 10.0.0.0/8\n      - 10.0.0.1/8\n", &[], &[]);
    assert!(said.starts_with("c.yaml:") && said.contains("respond.isolate.allow[1]: `10.0.0.1/8`"), "{said}");
    let said = error("rules:\n  toggles:\n    - off: {tag: x}\n", &[], &[]);
    assert!(said.contains("rules.toggles[0]") && said.contains("unknown variant `off`"), "{said}");
    let said = error("- a\n", &[], &[]);
    assert_eq!(said, "c.yaml: a mapping is expected here, not a list");
    let said = error("lock: /l\nkernel:\n  - 65536\n", &[], &[]);
    assert_eq!(said, "c.yaml:2: kernel: a mapping is expected here, not a list");
    assert!(error("", &[("VEDETTE_RULES_WATCH", "2")], &[]).starts_with("VEDETTE_RULES_WATCH: "));
}

#[test]
fn variables_that_are_none_of_ours_are_left_alone() {
    let ours = "metrics: {token: {env: VEDETTE_SCRAPE_TOKEN}}\n";
    for name in [
        "VEDETTE_LOG",
        "VEDETTE_BIN",
        "VEDETTE_TEST_SLOW",
        // What Kubernetes makes for services called `vedette` and `vedette-metrics`.
        "VEDETTE_SERVICE_HOST",
        "VEDETTE_SERVICE_PORT_METRICS",
        "VEDETTE_PORT",
        "VEDETTE_PORT_9464_TCP_ADDR",
        "VEDETTE_METRICS_PORT_9464_TCP",
        "VEDETTE_METRICS_SERVICE_HOST",
        // Where the configuration says that a secret is.
        "VEDETTE_SCRAPE_TOKEN",
    ] {
        assert!(load(ours, &[(name, "x")], &[]).is_ok(), "{name}");
    }
    assert!(load("", &[("VEDETTE_SCRAPE_TOKEN", "x")], &[]).is_err(), "nobody reads it");
}
