//! Which rules: the built-in ones, those of the configuration, those of `--rules`.

mod own;

use std::{io, path::PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Usage, choice::ChoiceArgs};
use crate::{
    config::Config,
    pipeline::reload::Plan,
    rule::{Content, Diagnostic, Files, Options, RuleSet, Severity, Source},
};

/// Flags that choose rules.
#[derive(Clone, Debug, Args)]
pub(super) struct RuleArgs {
    /// More rules: a file, or a directory whose *.yaml are loaded in the order of their names
    #[arg(long = "rules", value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Leave the built-in rules out
    #[arg(long)]
    no_builtin_rules: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
}

/// The flags, with what can be read only once read.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    files: Files,
    args: RuleArgs,
    /// What the built-in rules are told of the sensor that runs them.
    own: Option<Source>,
}

impl RuleArgs {
    /// Reads what can be read only once.
    ///
    /// # Errors
    /// Where that fails.
    pub(super) fn open(&self) -> anyhow::Result<Rules> {
        let mut files = Files::default();
        for path in &self.paths {
            files.required(path)?;
        }
        Ok(Rules { files, args: self.clone(), own: None })
    }

    /// Compiles the rules, and tells what is wrong with them on standard error.
    ///
    /// # Errors
    /// Where a file cannot be read or a rule has an error.
    pub(super) fn compile(&self, config: &Config) -> anyhow::Result<RuleSet> {
        compile(&self.open()?.content(config)?)
    }
}

impl Rules {
    /// The same, for a sensor that runs: the built-in rules know it.
    pub(super) fn of_this_sensor(mut self) -> Self {
        self.own = Some(own::source(std::process::id()));
        self
    }

    /// The rule files in load order. What the configuration names may be missing, what a flag names may not.
    fn files(&self, config: &Config) -> Files {
        let mut files = Files::default();
        if config.rules.builtin && !self.args.no_builtin_rules {
            files.builtin();
            self.own.iter().for_each(|own| files.said(own.clone()));
        }
        config.rules.paths.iter().for_each(|path| files.optional(path));
        files.and(&self.files)
    }

    fn options(&self, config: &Config) -> Options {
        self.args.choice.options(config)
    }

    /// What to load and what to watch. `beside`: the files of the configuration.
    pub(super) fn plan(&self, config: &Config, beside: Vec<PathBuf>) -> Plan {
        Plan { files: self.files(config), options: self.options(config), watch: config.rules.watch, beside }
    }

    /// The texts as they are now.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(super) fn content(&self, config: &Config) -> anyhow::Result<Content> {
        Ok(Content { sources: self.files(config).read_settled()?, options: self.options(config) })
    }
}

/// Compiles, and tells what is wrong on standard error.
///
/// # Errors
/// Where a rule has an error.
pub(super) fn compile(content: &Content) -> anyhow::Result<RuleSet> {
    let (rules, found) = content.compile();
    tell(&found);
    let rules = rules.context("the rules have errors").context(Usage)?;
    rules.idle_toggles().iter().for_each(|idle| tracing::warn!("{idle}"));
    for blind in rules.blind() {
        let how = if blind.entirely { "is blind" } else { "is blind for some of its events" };
        tracing::warn!(rule = blind.rule, "{how}: this version does not see {:?}", blind.types);
    }
    Ok(rules.without_tests())
}

/// Diagnostics, in colour where somebody looks.
fn tell(found: &[Diagnostic]) {
    let colour = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    for diagnostic in found.iter().filter(|diagnostic| diagnostic.severity != Severity::Notice) {
        eprintln!("{}", diagnostic.render(colour));
    }
}
