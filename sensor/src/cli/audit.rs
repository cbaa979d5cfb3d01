//! `vedette audit`: is the log of responses whole, and what does it say.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Common, EXIT_FAILED};
use crate::respond::audit::{files, verify};

/// Arguments of `vedette audit`.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check every record against its hash and the record before; exit code 1 and the first bad record where one is not right
    Verify(LogArgs),
    /// Show the records, one line each
    Show(LogArgs),
}

#[derive(Debug, Args)]
struct LogArgs {
    /// The log, with what was called by its name before (FILE.1, FILE.2, …) [default: the configured one]
    file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Does what was asked.
pub(super) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let (AuditCommand::Verify(log) | AuditCommand::Show(log)) = &args.command;
    let path = match &log.file {
        Some(file) => file.clone(),
        None => log.common.load()?.respond.audit,
    };
    // Those before it belong to the same chain.
    let all: Box<dyn Read> = Box::new(io::empty());
    let files = files(&path);
    let all = files.iter().try_fold(all, |all, path| -> anyhow::Result<Box<dyn Read>> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Box::new(all.chain(file)))
    })?;
    match &args.command {
        AuditCommand::Verify(_) => Ok(check(&path, files.len(), BufReader::new(all), log.common.json)),
        AuditCommand::Show(_) => show(BufReader::new(all), log.common.json),
    }
}

fn check(path: &Path, files: usize, log: impl BufRead, as_json: bool) -> ExitCode {
    let found = verify(log);
    if as_json {
        let said = match &found {
            Ok(log) => json!({
                "ok": true, "files": files, "first": log.first, "records": log.records, "last": log.last, "torn": log.torn, "missing": log.missing,
                "torn_end": log.torn_end,
            }),
            Err(broken) => json!({"ok": false, "error": broken.to_string()}),
        };
        println!("{said}");
    } else {
        match &found {
            Ok(log) => {
                let records = (log.records + 1).saturating_sub(log.first);
                println!("{}: {records} records, unbroken; the last is {}", path.display(), log.last);
                if files > 1 {
                    println!("in {files} files; the first record is number {}", log.first);
                }
                if log.torn > 0 || log.missing > 0 {
                    println!(
                        "in it: {} torn lines, {} records that could not be written; each is said by the record behind it",
                        log.torn, log.missing
                    );
                }
                if log.torn_end {
                    println!("the last line is torn: the sensor says so in it when it starts again");
                }
            }
            Err(broken) => eprintln!("{}: {broken}", path.display()),
        }
    }
    if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) }
}

fn show(log: impl BufRead, as_json: bool) -> anyhow::Result<ExitCode> {
    for (number, line) in (1..).zip(log.split(b'\n')) {
        let line = line.context("cannot read the log")?;
        let Ok(record) = serde_json::from_slice::<Value>(&line) else {
            eprintln!("line {number} is no record");
            continue;
        };
        if as_json {
            println!("{record}");
        } else {
            println!("{}", in_words(&record));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A record in a line.
fn in_words(record: &Value) -> String {
    let text = |pointer: &str| match record.pointer(pointer) {
        Some(Value::String(text)) => {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        }
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let start = format!("{} {} {}", text("/seq"), text("/time"), text("/record"));
    match record.get("record").and_then(Value::as_str) {
        Some("response") => {
            let who = match record.pointer("/asked_by/rule") {
                Some(_) => format!("rule `{}`", text("/asked_by/rule/name")),
                None => format!("user {}", text("/asked_by/operator/uid")),
            };
            let target = match record.pointer("/target/pid") {
                Some(_) => format!("process {} {}", text("/target/pid"), text("/target/exe")),
                None => format!("container {}", text("/target/container")),
            };
            let came = [text("/reason"), text("/mechanism"), text("/result"), text("/error")];
            let came: Vec<_> = came.into_iter().filter(|part: &String| !part.is_empty()).collect();
            format!(
                "{start}: {who}: {} of {target}: {} ({})",
                text("/action"),
                text("/decision"),
                came.join(", ")
            )
        }
        Some("fuse") => {
            let of =
                if record.get("workload").is_some() { text("/workload") } else { "all workloads".to_owned() };
            let what = if record.get("open") == Some(&Value::Bool(true)) { "open" } else { "closed" };
            format!("{start}: {what} for {of}")
        }
        Some("order") => format!("{start}: {} by user {}", text("/order"), text("/by/operator/uid")),
        Some("missing") => format!("{start}: {} records", text("/records")),
        _ => start,
    }
}
