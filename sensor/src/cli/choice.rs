//! Which of the loaded rules are at work: the flags that every command with rules has. It knows no rule.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::{
    config::{Config, RuleChoice, RuleToggle},
    rule::{Choice, Options, Priority, Toggle},
};

/// Flags that choose among the loaded rules.
#[derive(Clone, Debug, Args)]
pub(super) struct ChoiceArgs {
    /// Leave out rules below this priority (debug, informational, notice, warning, error, critical, alert, emergency)
    #[arg(long, value_name = "PRIORITY", value_parser = priority)]
    minimum_priority: Option<Priority>,
    #[command(flatten)]
    toggles: ToggleArgs,
    /// Stop at the first rule that matches an event
    #[arg(long)]
    first_match: bool,
}

impl ChoiceArgs {
    /// What the flags say, and nothing else.
    pub(super) fn alone(&self) -> Options {
        Options {
            minimum_priority: self.minimum_priority,
            toggles: self.toggles.0.clone(),
            first_match: self.first_match,
        }
    }

    /// What the configuration says, and the flags behind it.
    pub(super) fn options(&self, config: &Config) -> Options {
        let configured = config.rules.toggles.iter().map(toggle);
        Options {
            minimum_priority: self
                .minimum_priority
                .or_else(|| Priority::from_name(&config.rules.minimum_priority)),
            toggles: configured.chain(self.toggles.0.iter().cloned()).collect(),
            first_match: self.first_match || config.rules.first_match,
        }
    }
}

fn priority(name: &str) -> Result<Priority, String> {
    Priority::from_name(name).ok_or_else(|| "no such priority".to_owned())
}

fn toggle(configured: &RuleToggle) -> Toggle {
    let (enable, rules) = match configured {
        RuleToggle::Enable(rules) => (true, rules),
        RuleToggle::Disable(rules) => (false, rules),
    };
    let rules = match rules {
        RuleChoice::Rule(name) => Choice::Name(name.clone()),
        RuleChoice::Tag(tag) => Choice::Tag(tag.clone()),
        RuleChoice::File(file) => Choice::File(file.clone()),
    };
    Toggle { enable, rules }
}

/// `--enable` and `--disable` in the order in which they were typed, which a derived parser would not keep.
#[derive(Clone, Debug, Default)]
struct ToggleArgs(Vec<Toggle>);

const ENABLE: &str = "enable";
const DISABLE: &str = "disable";

impl Args for ToggleArgs {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str, help: &'static str| {
            Arg::new(name).long(name).value_name("RULES").action(ArgAction::Append).help(help)
        };
        let enable = "Switch rules on, also those that their file switches off: a name, tag:NAME or file:NAME; * stands for any text. Later flags win";
        command
            .arg(flag(ENABLE, enable))
            .arg(flag(DISABLE, "Switch rules off, as in --disable 'Shell*' --disable tag:mitre_discovery"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ToggleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut toggles = Vec::new();
        for (name, enable) in [(ENABLE, true), (DISABLE, false)] {
            let places = matches.indices_of(name).into_iter().flatten();
            let texts = matches.get_many::<String>(name).into_iter().flatten();
            toggles.extend(
                places.zip(texts).map(|(place, text)| (place, Toggle { enable, rules: choice(text) })),
            );
        }
        toggles.sort_by_key(|(place, _)| *place);
        Ok(Self(toggles.into_iter().map(|(_, toggle)| toggle).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn choice(text: &str) -> Choice {
    if let Some(tag) = text.strip_prefix("tag:") {
        Choice::Tag(tag.to_owned())
    } else if let Some(file) = text.strip_prefix("file:") {
        Choice::File(file.to_owned())
    } else {
        Choice::Name(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::PRIORITIES;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        choice: ChoiceArgs,
    }

    fn typed(args: &[&str]) -> ChoiceArgs {
        Typed::try_parse_from(["x"].iter().chain(args)).unwrap().choice
    }

    #[test]
    fn flags_follow_the_configuration_in_the_order_in_which_they_were_typed() {
        let sets = [
            r#"rules.toggles=[{"disable": {"tag": "t"}}]"#.to_owned(),
            "rules.minimum_priority=error".to_owned(),
        ];
        let config = Config::load(None, &sets).unwrap();
        let args = ["--disable", "*", "--enable", "Shell*", "--disable", "file:a.yaml", "--enable", "tag:u"];
        let options = typed(&args).options(&config);
        let said: Vec<_> = options.toggles.iter().map(ToString::to_string).collect();
        let expected = [
            "disable tag `t`",
            "disable rule `*`",
            "enable rule `Shell*`",
            "disable file `a.yaml`",
            "enable tag `u`",
        ];
        assert_eq!(said, expected);
        assert_eq!((options.minimum_priority, options.first_match), (Some(Priority::Error), false));
        let options = typed(&["--minimum-priority", "WARNING", "--first-match"]).options(&config);
        assert_eq!((options.minimum_priority, options.first_match), (Some(Priority::Warning), true));
        assert!(Typed::try_parse_from(["x", "--minimum-priority", "high"]).is_err());
    }

    #[test]
    fn the_configuration_knows_the_priorities_of_rules() {
        let known = PRIORITIES.map(|name| Priority::from_name(name).unwrap());
        assert_eq!(known, Priority::ALL);
    }
}
