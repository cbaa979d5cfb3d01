//! What `vedette doctor` finds out about rules: those on disk, compiled here and now, and those of a running sensor, by
//! its accounts. It changes nothing and asks the running sensor nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    cli::{lock, sources::RuleArgs},
    config::Config,
    pipeline::{Origin, RuleStats, SourceStats, blind_rules},
    probe::HookReport,
    rule::{Blind, Content, RuleSet, Severity},
};

/// The findings.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// Errors in one line each; rules can be loaded where there is none.
    errors: Vec<String>,
    warnings: Vec<String>,
    /// Rules that would be at work.
    loaded: usize,
    sources: usize,
    blind: Vec<Blind>,
    running: Running,
    /// What was loaded.
    #[serde(skip)]
    set: Option<RuleSet>,
}

/// What is known of a running sensor.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
enum Running {
    /// Nobody holds the lock.
    No,
    /// Somebody may, but that cannot be found out, or nothing is known of its rules.
    Unknown { why: String },
    /// It runs, and wrote its accounts.
    Yes {
        pid: u32,
        /// How its rules differ from those on disk; empty: they are the same.
        differences: Vec<String>,
        rules: Box<RuleStats>,
    },
}

/// The part of the accounts that counts here.
#[derive(Debug, Deserialize)]
struct Accounts {
    pid: u32,
    rules: RuleStats,
}

impl Findings {
    /// Compiles what the configuration and the flags name, and looks for a running sensor.
    pub(super) fn of(args: &RuleArgs, config: &Config) -> Self {
        let mut findings = Self {
            errors: Vec::new(),
            warnings: Vec::new(),
            loaded: 0,
            sources: 0,
            blind: Vec::new(),
            running: Running::No,
            set: None,
        };
        let content = args.open().and_then(|rules| rules.content(config));
        let disk = content.as_ref().ok().map(Origin::of);
        match content {
            Ok(content) => findings.compile(&content),
            Err(error) => findings.errors.push(format!("{error:#}")),
        }
        findings.running = running(config, disk.as_ref());
        findings
    }

    fn compile(&mut self, content: &Content) {
        self.sources = content.sources.len();
        let (set, found) = content.compile();
        for found in found {
            match found.severity {
                Severity::Error => self.errors.push(found.to_string()),
                Severity::Warning => self.warnings.push(found.to_string()),
                Severity::Notice => {}
            }
        }
        let Some(set) = set else { return };
        self.warnings.extend(set.idle_toggles().iter().cloned());
        self.loaded = set.rules().len();
        self.blind = set.blind().to_vec();
        self.set = Some(set);
    }

    /// The rules that miss something because a hook is not at work.
    pub(super) fn missing(&self, hook: &HookReport) -> Vec<&str> {
        let kinds = hook.kind.filter(|_| hook.is_blind()).map(|kind| (kind, hook.share));
        self.set.as_ref().map_or_else(Vec::new, |set| blind_rules(set, kinds.into_iter()))
    }

    /// Whether the rules on disk can be loaded.
    pub(super) const fn well(&self) -> bool {
        self.errors.is_empty()
    }

    /// For a person.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { errors, warnings, loaded, sources, blind, .. } = self;
        writeln!(out, "\nrules on disk:")?;
        if errors.is_empty() {
            writeln!(
                out,
                "  {loaded} rules of {sources} files can be loaded, {} warnings, {} blind",
                warnings.len(),
                blind.len()
            )?;
        } else {
            writeln!(out, "  cannot be loaded, {} errors", errors.len())?;
        }
        errors.iter().chain(warnings).try_for_each(|line| writeln!(out, "  {line}"))?;
        for Blind { rule, types, entirely } in blind {
            let how = if *entirely { "blind" } else { "blind for some of its events" };
            writeln!(out, "  {how}: {rule}: this version does not see {types:?}")?;
        }
        writeln!(out, "rules of the running sensor:")?;
        match &self.running {
            Running::No => writeln!(out, "  none is running"),
            Running::Unknown { why } => writeln!(out, "  not known: {why}"),
            Running::Yes { pid, differences, rules } => {
                writeln!(
                    out,
                    "  process {pid} has {} rules since {} (set {} of this run, {} failures)",
                    rules.loaded, rules.loaded_at, rules.generation, rules.failures
                )?;
                if !rules.blind.is_empty() {
                    writeln!(out, "  blind for want of a hook: {}", rules.blind.join(", "))?;
                }
                if differences.is_empty() {
                    writeln!(out, "  they are those on disk")?;
                } else {
                    writeln!(out, "  they are not those on disk:")?;
                    differences.iter().try_for_each(|line| writeln!(out, "    {line}"))?;
                }
                if let (Some(error), Some(at)) = (&rules.last_error, &rules.failed_at) {
                    let now = if rules.failing { "still" } else { "repaired since" };
                    writeln!(out, "  last failure at {at} ({now}): {error}")?;
                }
                Ok(())
            }
        }
    }
}

/// `disk`: what the rules on disk are; `None`: they cannot be read.
fn running(config: &Config, disk: Option<&Origin>) -> Running {
    let unknown = |why: String| Running::Unknown { why };
    let holder = match lock::holder(&config.lock) {
        Ok(Some(holder)) => holder,
        Ok(None) => return Running::No,
        Err(error) => return unknown(format!("cannot look at the lock {}: {error}", config.lock.display())),
    };
    if config.stats_file.as_os_str().is_empty() {
        return unknown(format!("process {holder} is to write no accounts (stats_file is empty)"));
    }
    let file = config.stats_file.display();
    let accounts = match read(&config.stats_file) {
        Ok(accounts) => accounts,
        Err(error) => return unknown(format!("process {holder} runs, but its accounts {file}: {error}")),
    };
    if accounts.pid.to_string() != holder {
        return unknown(format!("process {holder} runs, but {file} holds the accounts of {}", accounts.pid));
    }
    let differences = disk.map_or_else(
        || vec!["those on disk cannot be read".to_owned()],
        |disk| differences(&accounts.rules.origin, disk),
    );
    Running::Yes { pid: accounts.pid, differences, rules: Box::new(accounts.rules) }
}

fn read(path: &Path) -> io::Result<Accounts> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// One line for each difference.
fn differences(running: &Origin, disk: &Origin) -> Vec<String> {
    let by_name = |origin: &Origin| -> BTreeMap<String, String> {
        let pairs = |SourceStats { name, sha256 }: &SourceStats| (name.clone(), sha256.clone());
        origin.sources.iter().map(pairs).collect()
    };
    let (old, new) = (by_name(running), by_name(disk));
    let mut lines = Vec::new();
    for (name, sha256) in &new {
        match old.get(name) {
            None => lines.push(format!("{name} is only on disk")),
            Some(old) if old != sha256 => lines.push(format!("{name} has changed")),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    lines.extend(gone.map(|name| format!("{name} is only in the running set")));
    if running.options != disk.options {
        lines.push(format!("options: {} at work, {} on disk", running.options, disk.options));
    }
    if lines.is_empty() && running.sources != disk.sources {
        lines.push("the order of the files has changed".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_said() {
        let source =
            |name: &str, sha256: &str| SourceStats { name: name.to_owned(), sha256: sha256.to_owned() };
        let origin = |sources: &[SourceStats]| Origin { sources: sources.to_vec(), ..Origin::default() };
        let (a, b, other) = (source("a", "1"), source("b", "2"), source("b", "3"));
        let same = origin(&[a.clone(), b.clone()]);
        assert_eq!(differences(&same, &same), [""; 0]);
        assert_eq!(differences(&same, &origin(&[a.clone(), other])), ["b has changed"]);
        assert_eq!(differences(&same, &origin(std::slice::from_ref(&a))), ["b is only in the running set"]);
        assert_eq!(differences(&origin(std::slice::from_ref(&b)), &same), ["a is only on disk"]);
        assert_eq!(differences(&same, &origin(&[b, a])), ["the order of the files has changed"]);
        let options = Origin { options: serde_json::json!({"first_match": true}), ..same.clone() };
        assert_eq!(differences(&same, &options).len(), 1);
    }
}
