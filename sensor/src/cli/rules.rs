//! `vedette rules`: what a person who writes rules needs. It loads and prints; it watches nothing.

mod cost;
mod simulate;

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use self::cost::Costs;
use super::choice::ChoiceArgs;
use crate::rule::{self, Content, Diagnostic, Engine, RuleSet, Severity, Source, field, testing};

/// Flags and subcommand of `vedette rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every problem of rule files; exit 1 where there is an error
    Check(Files),
    /// List the rules, or what each costs
    List {
        /// How often each was asked and held, and the time it took: of the running sensor, or on a recorded stream
        #[arg(long)]
        cost: bool,
        /// A file that `vedette record` wrote, or a YAML list of events as tests write them
        #[arg(long, value_name = "FILE", requires = "cost")]
        events: Option<PathBuf>,
        /// Accounts of the running sensor
        #[arg(
            long,
            value_name = "FILE",
            default_value = "/run/vedette/stats.json",
            conflicts_with = "events"
        )]
        stats_file: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Run the tests beside the rules; exit 1 where one fails
    Test(Files),
    /// Show a rule's condition as a tree, each check with what it says of an event
    Explain {
        /// The rule's name
        rule: String,
        /// YAML file with events as flat maps of fields, as tests write them
        #[arg(long, value_name = "FILE")]
        event: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Play a recorded stream, and say what the rules would have alerted, killed and blocked, by rule and workload
    Simulate {
        /// A file that `vedette record` wrote, or a YAML list of events as tests write them
        #[arg(long, value_name = "FILE")]
        events: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Print the table of fields
    Fields {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which rules.
#[derive(Debug, Args)]
struct Files {
    /// Rule files or directories, loaded behind the built-in rules
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Rule file or directory; may be repeated
    #[arg(long = "rules", value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// Do not load the built-in rules
    #[arg(long)]
    no_builtin_rules: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Files {
    fn content(&self) -> anyhow::Result<Content> {
        let mut files = rule::Files::default();
        if !self.no_builtin_rules {
            files.builtin();
        }
        for path in self.rules.iter().chain(&self.files) {
            files.required(path)?;
        }
        Ok(Content { sources: files.read()?, options: self.choice.alone() })
    }

    /// Whether a finding is about what the user brought, and not about the built-in rules.
    fn concerns(&self, found: &Diagnostic) -> bool {
        let own = self.rules.is_empty() && self.files.is_empty();
        own || found.severity == Severity::Error
            || !found.file.starts_with("rules/")
            || self
                .rules
                .iter()
                .chain(&self.files)
                .any(|path| found.file.starts_with(&*path.to_string_lossy()))
    }
}

/// Does what was asked. The exit code is 1 where a check or a test failed.
///
/// # Errors
///
/// Files that cannot be read, rules that cannot be loaded.
pub fn run(args: RulesArgs) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    let code = match args.command {
        Command::Check(files) => check(&files, &mut out)?,
        Command::List { cost: false, files, .. } => list(&files, &mut out)?,
        Command::List { cost: true, events, stats_file, files } => {
            let costs = match events {
                Some(events) => Costs::of_recording(&events, &files)?,
                None => Costs::of_sensor(&stats_file)?,
            };
            match files.json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&costs)?)?,
                false => write!(out, "{costs}")?,
            }
            ExitCode::SUCCESS
        }
        Command::Test(files) => test(&files, &mut out)?,
        Command::Explain { rule, event, files } => explain(&rule, &event, &files, &mut out)?,
        Command::Simulate { events, files } => {
            let report = simulate::run(&events, &files)?;
            match files.json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
                false => write!(out, "{report}")?,
            }
            ExitCode::SUCCESS
        }
        Command::Fields { json } => fields(json, &mut out)?,
    };
    match std::io::stdout().lock().write_all(out.as_bytes()) {
        // Whoever reads may have seen enough: `vedette rules fields | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(code),
        result => result.map(|()| code).context("cannot write the result"),
    }
}

fn check(files: &Files, out: &mut String) -> anyhow::Result<ExitCode> {
    let (set, found) = files.content()?.compile();
    let shown: Vec<_> = found.iter().filter(|found| files.concerns(found)).collect();
    if files.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
    } else {
        let colour = std::io::stdout().is_terminal();
        for found in &shown {
            writeln!(out, "{}\n", found.render(colour))?;
        }
        let count = |severity| shown.iter().filter(|found| found.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let idle = set.as_ref().map_or(&[][..], RuleSet::idle_toggles);
        for idle in idle {
            writeln!(out, "warning: {idle}\n")?;
        }
        let warnings = warnings + idle.len();
        let rules = set.as_ref().map_or(0, |set| set.rules().len());
        match errors {
            0 => writeln!(out, "{rules} rules loaded, {warnings} warnings")?,
            _ => writeln!(out, "{errors} errors, {warnings} warnings")?,
        }
    }
    Ok(if set.is_some() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The set; errors are printed in full before they end the command.
fn load(files: &Files) -> anyhow::Result<(Arc<RuleSet>, Vec<Source>)> {
    let content = files.content()?;
    let (set, found) = content.compile();
    let Some(set) = set else {
        let errors = found.iter().filter(|found| found.severity == Severity::Error);
        let lines: Vec<_> = errors.map(|found| found.render(false)).collect();
        bail!("the rules cannot be loaded\n{}", lines.join("\n"));
    };
    set.idle_toggles().iter().for_each(|idle| eprintln!("warning: {idle}"));
    Ok((Arc::new(set), content.sources))
}

fn list(files: &Files, out: &mut String) -> anyhow::Result<ExitCode> {
    let (set, _) = load(files)?;
    if files.json {
        let rules: Vec<_> = set.rules().iter().map(|rule| &**rule).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&rules)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = set.rules().iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
    for rule in set.rules() {
        let response = rule.reaction.response.name();
        writeln!(
            out,
            "{:width$}  {:13}  {response:14}  {}",
            rule.name,
            rule.priority.name(),
            rule.tags.join(" ")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn test(files: &Files, out: &mut String) -> anyhow::Result<ExitCode> {
    let (set, sources) = load(files)?;
    let outcomes = testing::run(&set, &sources);
    let failed = outcomes.iter().filter(|outcome| outcome.problem.is_some()).count();
    if files.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&outcomes)?)?;
    } else {
        let width = set.rules().iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
        for rule in set.rules() {
            let of = || outcomes.iter().filter(|outcome| outcome.rule == rule.name);
            let passed = of().filter(|outcome| outcome.problem.is_none()).count();
            let mark = if of().count() == 0 {
                "no tests"
            } else if passed == of().count() {
                "ok"
            } else {
                "FAILED"
            };
            writeln!(out, "{:width$}  {passed:3} of {:3}  {mark}", rule.name, of().count())?;
        }
        for outcome in &outcomes {
            if let Some(problem) = &outcome.problem {
                let testing::Outcome { file, line, rule, kind, number, .. } = outcome;
                writeln!(out, "\n{file}:{line}: {rule}, {kind} {number}: {problem}")?;
            }
        }
        writeln!(out, "\n{} passed, {failed} failed", outcomes.len() - failed)?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn explain(name: &str, path: &Path, files: &Files, out: &mut String) -> anyhow::Result<ExitCode> {
    let (set, _) = load(files)?;
    let Some(rule) = set.rules().iter().find(|rule| rule.name == name).cloned() else {
        bail!("there is no rule `{name}`");
    };
    let source = rule::files::source(path)?;
    let events = testing::events(&source.name, &source.text).map_err(anyhow::Error::msg)?;
    let mut engine = Engine::new(set).matching_all();
    write!(out, "{}", rule.over_time)?;
    let mut matches = Vec::new();
    for event in &events {
        writeln!(out, "{} {}", event.number, event.event_type)?;
        out.push_str(&engine.explain(&rule, event));
        if !rule.over_time.is_none() {
            matches.clear();
            engine.evaluate(event, &mut matches);
            let outcome = if matches.iter().any(|found| found.rule.index == rule.index) {
                "alert"
            } else if engine.silenced().contains(&(rule.index as u32)) {
                "suppressed"
            } else {
                "no alert"
            };
            writeln!(out, "{outcome}; then {}", engine.reached(&rule, event).trim_end().replace('\n', "; "))?;
        }
        writeln!(out, "{}\n", rule.render(event).0)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fields(json: bool, out: &mut String) -> anyhow::Result<ExitCode> {
    let mut all: Vec<_> = field::all().collect();
    all.sort_by_key(|field| field.name);
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for field in all {
        let name = match field.arg {
            field::ArgKind::None => field.name.to_owned(),
            field::ArgKind::Index => format!("{}[n]", field.name),
            field::ArgKind::Key | field::ArgKind::Name | field::ArgKind::EventArg => {
                format!("{}[name]", field.name)
            }
        };
        let missing = if field.carried { "" } else { " (not known to this version: always missing)" };
        writeln!(out, "{name:40} {:8} {}{missing}", field.kind.name(), field.doc.trim())?;
    }
    Ok(ExitCode::SUCCESS)
}
