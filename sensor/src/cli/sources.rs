//! Which rules: the built-in ones, those of the configuration, those of `--rules`.

use std::{io, path::PathBuf};

use anyhow::Context;
use clap::Args;

use super::Usage;
use crate::{
    config::Config,
    rule::{Diagnostic, Options, RuleSet, Severity, Source},
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
}

impl RuleArgs {
    /// The rule files in load order. What the configuration names may be missing, what a flag names may not.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(super) fn sources(&self, config: &Config) -> anyhow::Result<Vec<Source>> {
        let builtin = config.rules.builtin && !self.no_builtin_rules;
        let configured = config.rules.paths.iter().filter(|path| path.exists());
        let paths: Vec<_> = configured.chain(&self.paths).collect();
        super::rules::sources(builtin, &paths)
    }

    /// Compiles the rules, and tells what is wrong with them on standard error.
    ///
    /// # Errors
    /// Where a file cannot be read or a rule has an error.
    pub(super) fn compile(&self, config: &Config) -> anyhow::Result<RuleSet> {
        let sources = self.sources(config)?;
        let (rules, found) = RuleSet::compile(&sources, &Options::default());
        tell(&found);
        let rules = rules.context("the rules have errors").context(Usage)?;
        for blind in rules.blind() {
            let how = if blind.entirely { "is blind" } else { "is blind for some of its events" };
            tracing::warn!(rule = blind.rule, "{how}: this version does not see {:?}", blind.types);
        }
        Ok(rules)
    }
}

/// Diagnostics, in colour where somebody looks.
fn tell(found: &[Diagnostic]) {
    let colour = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    for diagnostic in found.iter().filter(|diagnostic| diagnostic.severity != Severity::Notice) {
        eprintln!("{}", diagnostic.render(colour));
    }
}
