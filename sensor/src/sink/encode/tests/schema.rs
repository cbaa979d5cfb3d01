//! Records against the schemas: OCSF's own (made from version 1.3.0 by the package `ocsf-json-schema` 1.2.0 with the profiles
//! `host` and `container`), and the fields of ECS that are used, with their types.

use std::{collections::BTreeMap, io::Read};

use flate2::read::GzDecoder;
use jsonschema::Validator;
use serde_json::Value;

use super::*;

const OCSF: &[u8] = include_bytes!("../../../../tests/fixtures/ocsf-1.3.0.json.gz");
/// Field and type, as <https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html> lists them.
const FIELDS: &str = include_str!("../../../../tests/fixtures/ecs-8.11.txt");

#[test]
fn ocsf_records_are_valid_by_its_schema() {
    let mut text = String::new();
    GzDecoder::new(OCSF).read_to_string(&mut text).unwrap();
    let schemas: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let validators: BTreeMap<&str, Validator> = schemas
        .iter()
        .map(|(class, schema)| (class.as_str(), jsonschema::validator_for(schema).unwrap()))
        .collect();
    let own = [Class::Gap, Class::Checkpoint].map(|class| {
        encode_own(
            Encoding::Ocsf,
            &delivery(class),
            "node-1",
            1_700_000_000_000_000_000,
            &json!({ "count": 1 }),
        )
    });
    let records = items()
        .into_iter()
        .chain(hostile())
        .map(|(item, delivery)| encode(Encoding::Ocsf, &item, &delivery, "node_1"));
    let mut classes = std::collections::BTreeSet::new();
    for record in records.chain(own) {
        let record = object(&record);
        let class = record["class_uid"].to_string();
        let wrong: Vec<String> = validators[class.as_str()]
            .iter_errors(&record)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{record:#}");
        assert_eq!(
            record["type_uid"].as_u64(),
            Some(record["class_uid"].as_u64().unwrap() * 100 + record["activity_id"].as_u64().unwrap())
        );
        classes.insert(class);
    }
    assert_eq!(Vec::from_iter(classes), ["0", "1001", "1007", "2004", "4001", "4003"], "every class is made");
}

#[test]
fn ecs_records_have_fields_of_the_schema_alone() {
    let fields: BTreeMap<&str, &str> = FIELDS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .collect();
    let own = [Class::Gap, Class::Checkpoint]
        .map(|class| encode_own(Encoding::Ecs, &delivery(class), "node-1", 1, &json!({ "count": 1 })));
    let records =
        items().into_iter().map(|(item, delivery)| encode(Encoding::Ecs, &item, &delivery, "node-1"));
    let mut used = std::collections::BTreeSet::new();
    for record in records.chain(own) {
        let record = object(&record);
        for required in ["@timestamp", "ecs", "event", "message", "vedette"] {
            assert!(record.get(required).is_some(), "{required}: {record:#}");
        }
        check(&record, "", &fields, &mut used);
    }
    let unused: Vec<_> = fields.keys().filter(|name| !used.contains(**name)).collect();
    assert!(unused.is_empty(), "no record has {unused:?}: the list or the records are wrong");
}

fn check(
    value: &Value,
    path: &str,
    fields: &BTreeMap<&str, &str>,
    used: &mut std::collections::BTreeSet<String>,
) {
    if path == "vedette" {
        return assert_no_dots(value);
    }
    let Some(kind) = fields.get(path) else {
        let map = value.as_object().unwrap_or_else(|| panic!("ECS has no field {path}: {value}"));
        for (name, value) in map {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            check(value, &path, fields, used);
        }
        return;
    };
    used.insert(path.to_owned());
    let one = |value: &Value| match *kind {
        "long" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "ip" => value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
        "date" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        "object" => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        _ => value.is_string(),
    };
    let good = match kind.strip_suffix("[]") {
        Some("ip") => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        Some(_) => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        None => one(value),
    };
    assert!(good, "{path} is no {kind}: {value}");
}

fn assert_no_dots(value: &Value) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            assert!(!name.contains('.'), "a name with a dot: {name}");
            assert_no_dots(value);
        }),
        Value::Array(list) => list.iter().for_each(assert_no_dots),
        _ => {}
    }
}
