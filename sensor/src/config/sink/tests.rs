//! The commented examples of `deploy/vedette.yaml`: every destination, every key, and its default.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Map, Value};

use super::*;

/// What stands in examples though nothing does by default.
const EXAMPLES: [&str; 8] =
    ["encoding", "compression", "headers", "user", "password", "api_key", "token", "sasl"];

/// The example without what makes it a comment, as YAML.
fn example() -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/vedette.yaml");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| *line != "#   sinks:").take_while(|line| *line != "sinks: {}");
    let yaml: String = lines.map(|line| line.strip_prefix("#   ").unwrap().to_owned() + "\n").collect();
    let value: Value = serde_saphyr::from_str(&yaml).unwrap();
    value["sinks"].as_object().unwrap().clone()
}

fn read(value: &Value) -> Result<SinkConfig, serde_json::Error> {
    serde_json::from_value(value.clone())
}

/// The paths of all keys that hold a value.
fn leaves(value: &Value, path: &[String], found: &mut BTreeSet<Vec<String>>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &[path, std::slice::from_ref(key)].concat(), found);
            }
        }
        _ => drop(found.insert(path.to_vec())),
    }
}

fn without(value: &Value, path: &[String]) -> Value {
    let mut value = value.clone();
    let (last, front) = path.split_last().unwrap();
    let inner = front.iter().fold(&mut value, |value, key| value.get_mut(key).unwrap());
    inner.as_object_mut().unwrap().remove(last);
    value
}

#[test]
fn every_destination_has_an_example_that_loads() {
    let example = example();
    let mut destinations = BTreeSet::new();
    for (name, value) in &example {
        let sink = read(value).unwrap_or_else(|error| panic!("{name}: {error}"));
        sink.validate(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        destinations.insert(sink.to.name());
    }
    let all = ["elasticsearch", "file", "kafka", "nats", "otlp", "splunk", "syslog", "webhook"];
    assert_eq!(Vec::from_iter(destinations), all);
}

#[test]
fn examples_have_every_key_with_its_default() {
    let mut documented = BTreeSet::new();
    let mut there = BTreeSet::new();
    // What all sinks, and all that speak HTTP, have in common stands once.
    let general = |path: &[String]| -> Vec<String> {
        let at = path.iter().position(|key| key == "http");
        at.and_then(|at| path.get(at..)).unwrap_or(path).to_vec()
    };
    for (name, value) in &example() {
        let sink = read(value).unwrap();
        let mut paths = BTreeSet::new();
        leaves(value, &[], &mut paths);
        for path in &paths {
            documented.insert(general(path));
            // A key that can be left out is one that has a default.
            let Ok(left_out) = read(&without(value, path)) else { continue };
            let shown = path.iter().any(|key| EXAMPLES.contains(&key.as_str()));
            assert!(shown || left_out == sink, "{name}: {path:?} has another default");
        }
        let mut paths = BTreeSet::new();
        leaves(&serde_json::to_value(&sink).unwrap(), &[], &mut paths);
        there.extend(paths.iter().map(|path| general(path)));
    }
    let list = |path: &Vec<String>| !path.iter().any(|key| key == "headers");
    let missing: Vec<_> = there.difference(&documented).filter(|path| list(path)).collect();
    assert!(missing.is_empty(), "no example shows {missing:?}");
}
