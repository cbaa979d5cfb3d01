//! Names of hosts in rules: those that conditions compare the names of addresses with. Whoever resolves them is not known
//! here.

use std::collections::BTreeSet;

use super::{
    check::{Against, Check, Source, Test},
    field::Reading,
    program::{NodeId, Program},
    template::Template,
};

/// Fields with the names of an address.
const FIELDS: [&str; 4] = ["fd.sip.name", "fd.cip.name", "fd.lip.name", "fd.rip.name"];

/// Names that are resolved at most: one after the other, they must be through before the next round.
const MOST: usize = 1000;

/// What rules ask of the names of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Whether a condition or an output names such a field at all.
    pub asked: bool,
    /// Names that conditions compare with.
    pub names: BTreeSet<String>,
}

fn is_name(reading: &Reading) -> bool {
    FIELDS.contains(&reading.name())
}

impl Hosts {
    /// Of these conditions and outputs.
    pub(super) fn of<'t>(
        program: &Program,
        nodes: &[NodeId],
        templates: impl Iterator<Item = &'t Template>,
    ) -> Self {
        let mut hosts = Self::default();
        for check in program.checks_below(nodes) {
            hosts.look(check);
        }
        hosts.asked |= templates.flat_map(Template::readings).any(is_name);
        hosts
    }

    fn look(&mut self, check: &Check) {
        let mut readings = Vec::new();
        check.readings(&mut readings);
        self.asked |= readings.iter().copied().any(is_name);
        let (Source::Field(reading), true) = (&check.source, self.names.len() < MOST) else { return };
        if !is_name(reading) {
            return;
        }
        match &check.against {
            Against::Test(test) => self.compared(test),
            Against::Each(_, tests) => tests.iter().for_each(|test| self.compared(test)),
            Against::Values(..) => {}
        }
    }

    fn compared(&mut self, test: &Test) {
        let mut add = |text: &[u8]| {
            self.names.extend(std::str::from_utf8(text).ok().filter(|name| is_host(name)).map(str::to_owned));
        };
        match test {
            Test::Equal(text) => add(text),
            Test::Set(texts) => texts.iter().for_each(|text| add(text)),
            _ => {}
        }
    }
}

/// Whether a text can be a host's name (RFC 1123, and the underscore that names in the wild have).
fn is_host(name: &str) -> bool {
    let letters =
        |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let label = |label: &str| (1..=63).contains(&label.len()) && letters(label);
    name.len() <= 253 && name.split('.').all(label) && name.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use crate::rule::{Options, RuleSet, Source};

    fn hosts(condition: &str, output: &str) -> super::Hosts {
        let text = format!(
            "- rule: r\n  desc: d\n  condition: {condition}\n  output: \"{output}\"\n  priority: INFO\n"
        );
        let sources = [Source { name: "r.yaml".to_owned(), text }];
        let (set, found) = RuleSet::compile(&sources, &Options::default());
        set.unwrap_or_else(|| panic!("{found:?}")).hosts().clone()
    }

    #[test]
    fn names_that_rules_compare_with_are_known_and_only_those() {
        let found =
            hosts("evt.type = connect and fd.sip.name in (a.example, b.example, \"not a name\")", "x");
        assert!(found.asked);
        assert_eq!(found.names.iter().collect::<Vec<_>>(), ["a.example", "b.example"]);
        let found = hosts("evt.type = connect and not fd.rip.name = c.example", "x");
        assert_eq!(found.names.iter().collect::<Vec<_>>(), ["c.example"]);
        // Nothing to resolve, yet the names must be there.
        for (condition, output) in [
            ("evt.type = connect and fd.sip.name endswith .example", "x"),
            ("evt.type = connect and tolower(fd.cip.name) = x", "x"),
            ("evt.type = connect", "to %fd.sip.name"),
        ] {
            let found = hosts(condition, output);
            assert!(found.asked && found.names.is_empty(), "{condition}");
        }
        assert_eq!(hosts("evt.type = connect and fd.sip = 1.2.3.4", "%fd.sip"), super::Hosts::default());
    }
}
