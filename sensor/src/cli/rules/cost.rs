//! `vedette rules list --cost`: what each rule costs, of a running sensor by its accounts, or on a recorded stream.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{Files, simulate};
use crate::rule::Cost;

/// The costs, the dearest rule first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Costs(Vec<Cost>);

/// The part of the accounts that counts here.
#[derive(Debug, Deserialize)]
struct Accounts {
    costs: Vec<Cost>,
}

impl Costs {
    /// What the rules cost on a recorded stream.
    ///
    /// # Errors
    /// See [`simulate::play`].
    pub(super) fn of_recording(path: &Path, files: &Files) -> anyhow::Result<Self> {
        let (simulation, _) = simulate::play(path, files)?;
        Ok(Self::new(simulation.costs()))
    }

    /// What the rules of the sensor that writes its accounts to this file have cost since they were loaded.
    ///
    /// # Errors
    /// Where the accounts cannot be read, or are none of a sensor with rules.
    pub(super) fn of_sensor(accounts: &Path) -> anyhow::Result<Self> {
        let place = accounts.display();
        if !accounts.exists() {
            bail!(
                "no sensor writes its accounts to {place}: name the file with --stats-file, or a recording with --events"
            );
        }
        let read = || anyhow::Ok(serde_json::from_str::<Accounts>(&fs::read_to_string(accounts)?)?);
        let Accounts { costs } = read().with_context(|| format!("cannot read the accounts in {place}"))?;
        if costs.is_empty() {
            bail!("the accounts in {place} are of a run without rules");
        }
        Ok(Self::new(costs))
    }

    fn new(mut costs: Vec<Cost>) -> Self {
        costs
            .sort_by(|left, right| right.nanoseconds.cmp(&left.nanoseconds).then(left.rule.cmp(&right.rule)));
        Self(costs)
    }
}

impl Display for Costs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = |cost: &Cost| match cost.rule.as_str() {
            "" => "(what rules share: guards and lookups)".to_owned(),
            rule => rule.to_owned(),
        };
        let width = self.0.iter().map(|cost| name(cost).chars().count()).max().unwrap_or(0);
        let all: u64 = self.0.iter().map(|cost| cost.nanoseconds).sum();
        writeln!(
            f,
            "{:width$}  {:>12} {:>10} {:>8} {:>10} {:>6}  through the kernel's filters",
            "", "asked", "held", "ns each", "ms", "share"
        )?;
        for cost in &self.0 {
            let each = cost.nanoseconds.checked_div(cost.evaluations).unwrap_or(0);
            let share = 100.0 * cost.nanoseconds as f64 / all.max(1) as f64;
            let milliseconds = cost.nanoseconds as f64 / 1e6;
            let (name, asked, held) = (name(cost), cost.evaluations, cost.matches);
            write!(f, "{name:width$}  {asked:12} {held:10} {each:8} {milliseconds:10.3} {share:5.1}%")?;
            if !cost.gates.is_empty() {
                write!(f, "  {}", cost.gates.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
