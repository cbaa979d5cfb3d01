//! What the configuration says about responses, in the form in which it is asked.

use super::protect::Protected;
use crate::{
    config::RespondConfig,
    event::Container,
    rule::{RuleInfo, builtin, fits},
};

/// What may be done, to whom, and by whose word.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) enabled: bool,
    pub(super) dry_run: bool,
    trusted: Vec<String>,
    pub(super) protected: Protected,
}

impl Policy {
    /// The configuration's. `own`: this process.
    #[must_use]
    pub fn new(config: &RespondConfig, own: u32) -> Self {
        Self {
            enabled: config.enabled,
            dry_run: config.dry_run,
            trusted: config.trusted_rules.clone(),
            protected: Protected::new(&config.protect, own),
        }
    }

    /// Why a rule's response is not for the kernel half to give; `None`: it is.
    #[must_use]
    pub fn bars(&self, rule: &RuleInfo) -> Option<&'static str> {
        match (self.enabled, self.dry_run, self.trusts(rule)) {
            (false, ..) => Some("responses are switched off"),
            (_, true, _) => Some("a rehearsal"),
            (.., false) => Some("a file that has a say in it may not respond"),
            (true, false, true) => None,
        }
    }

    /// Whether programs are protected by their file, also in containers.
    #[must_use]
    pub fn protects_programs(&self) -> bool {
        self.protected.names_programs()
    }

    /// Whether a container is protected, or may be for all that is known of it.
    #[must_use]
    pub fn protects(&self, container: &Container) -> bool {
        self.protected.container(container).is_some()
    }

    /// Whether a rule may respond: every file that says something of it has to be trusted, also one that only changes a list
    /// that the rule uses.
    pub(super) fn trusts(&self, rule: &RuleInfo) -> bool {
        let base = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        rule.sources.iter().all(|file| {
            builtin::is(file)
                || self.trusted.iter().any(|pattern| fits(pattern, file) || fits(pattern, &base(file)))
        })
    }
}
