//! `vedette config check | show`: whether the configuration is one, and what is in force and why.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Usage, known_hooks,
    run::{redactor, streamed},
};
use crate::config::{Config, Loaded, Origin, needs_restart};

/// Arguments of `vedette config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with the configuration, if anything; exit code 2 if so
    Check(SourceArgs),
    /// Print every key as it is in force, with where its value comes from
    Show(SourceArgs),
}

#[derive(Debug, Args)]
struct SourceArgs {
    /// Configuration file [default: /etc/vedette/vedette.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a key, as in --set kernel.ring_bytes=16777216
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Checks or shows.
pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let (ConfigCommand::Check(source) | ConfigCommand::Show(source)) = &args.command;
    let loaded = Loaded::read(source.config.as_deref(), &source.sets).and_then(|loaded| {
        known_hooks(&loaded.config)?;
        // What `vedette run` would find at its start, and the configuration by itself cannot know.
        redactor(&loaded.config)?;
        streamed(&loaded.config)?;
        Ok(loaded)
    });
    let Loaded { config, origins } = loaded.context(Usage)?;
    let text = match (&args.command, source.json) {
        (ConfigCommand::Check(_), false) => check(&config, &origins),
        (ConfigCommand::Check(_), true) => format!("{}\n", json!({ "ok": true, "changed": origins.len() })),
        (ConfigCommand::Show(_), false) => show(&serde_json::to_value(&config)?, &origins),
        (ConfigCommand::Show(_), true) => as_json(&serde_json::to_value(&config)?, &origins),
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config, origins: &BTreeMap<String, Origin>) -> String {
    let sinks: Vec<_> =
        config.sinks.iter().map(|(name, sink)| format!("{name} ({})", sink.to.name())).collect();
    let sinks = if sinks.is_empty() { "none".to_owned() } else { sinks.join(", ") };
    format!("the configuration is fine: {} keys set; sinks beside standard output: {sinks}\n", origins.len())
}

/// The whole of it as YAML. Secrets are not in it: a configuration only says where they are.
fn show(value: &Value, origins: &BTreeMap<String, Origin>) -> String {
    let mut text = String::from(
        "# What is in force. Behind each value that is not the default: where it comes from; `reload`: a running sensor takes a change\n\
         # over when the file changes or SIGHUP comes; all else needs a restart.\n",
    );
    lines(&mut text, "", value, origins);
    text
}

fn lines(text: &mut String, prefix: &str, value: &Value, origins: &BTreeMap<String, Origin>) {
    let Value::Object(map) = value else { return };
    let indent = "  ".repeat(if prefix.is_empty() { 0 } else { prefix.split('.').count() });
    for (key, value) in map {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        // Writing to a string does not fail.
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                let _ = writeln!(text, "{indent}{key}:");
                lines(text, &name, value, origins);
            }
            // JSON is YAML, in every version and with every character.
            value => {
                let reload = (!needs_restart(&name)).then(|| "reload".to_owned());
                let notes: Vec<_> =
                    origins.get(&name).map(Origin::to_string).into_iter().chain(reload).collect();
                let note = if notes.is_empty() { String::new() } else { format!("  # {}", notes.join(", ")) };
                let _ = writeln!(text, "{indent}{key}: {value}{note}");
            }
        }
    }
}

/// One object for each key.
fn as_json(value: &Value, origins: &BTreeMap<String, Origin>) -> String {
    fn leaves<'v>(prefix: &str, value: &'v Value, into: &mut Vec<(String, &'v Value)>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    leaves(&name, value, into);
                }
            }
            value => into.push((prefix.to_owned(), value)),
        }
    }
    let mut all = Vec::new();
    leaves("", value, &mut all);
    let line = |(key, value): &(String, &Value)| {
        let from = origins.get(key).map_or_else(|| "default".to_owned(), Origin::to_string);
        format!(
            "{}\n",
            json!({ "key": key, "value": value, "from": from, "needs_restart": needs_restart(key) })
        )
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_loaded_again_and_says_where_it_comes_from() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "kernel:\n  ring_bytes: 65536\nrules:\n  minimum_priority: notice\nhostname: \"a # \\\"b\\\"\\n\"\n";
        std::fs::write(file.path(), text).unwrap();
        let sets = [
            "rules.watch=false".to_owned(),
            r#"sinks={"siem": {"to": {"splunk": {"url": "https://s", "token": {"file": "/run/secrets/hec"}}}}}"#.to_owned(),
        ];
        let Loaded { config, origins } = Loaded::read(Some(file.path()), &sets).unwrap();
        let shown = show(&serde_json::to_value(&config).unwrap(), &origins);
        let path = file.path().display();
        for line in [
            format!("  ring_bytes: 65536  # {path}:2"),
            format!("  minimum_priority: \"notice\"  # {path}:4, reload"),
            "  watch: false  # --set, reload".to_owned(),
            "  burst: 40000".to_owned(),
            "          file: \"/run/secrets/hec\"  # --set".to_owned(),
        ] {
            assert!(shown.lines().any(|it| it == line), "{line} is missing in\n{shown}");
        }
        let again = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(again.path(), &shown).unwrap();
        assert_eq!(Config::load(Some(again.path()), &[]).unwrap(), config);
        let json = as_json(&serde_json::to_value(&config).unwrap(), &origins);
        let line = r#"{"from":"--set","key":"rules.watch","needs_restart":false,"value":false}"#;
        assert!(json.lines().any(|it| it == line), "{json}");
    }
}
