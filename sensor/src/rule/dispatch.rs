//! The order in which the rules of one class of events are asked. What several of them demand and few events have stands
//! in front of them as a guard and is asked once; the others are found by a value that they demand. Most events are
//! turned away by a handful of looks, however many rules there are.

use std::{cmp::Reverse, collections::HashMap};

use super::{
    field::Reading,
    graph::Builder,
    index::{Access, Candidate, Index, Key},
    program::NodeId,
};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A demand of every rule up to the step of this number.
    Guard(NodeId, u32),
    /// Rules that are found by a value, by the number of the index.
    Index(u32),
    /// A rule, and what is left of its condition behind its guards.
    Rule(u32, NodeId),
}

/// A demand that more events have than this turns too few of them away to be worth a step in front of rules that can be
/// found by a value.
const RARE: f32 = 0.3;
/// The same in front of rules that have to be asked one by one.
const USUAL: f32 = 0.85;
/// A rule and the parts of its condition of which all must hold.
type Demands = (u32, Vec<NodeId>);

/// An index while its rules are collected.
struct Draft {
    reading: Reading,
    candidates: Vec<Candidate>,
    keys: Vec<(Key, u32)>,
}

/// The steps of every class, as they are put together.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) indexes: Vec<Index>,
}

impl Plan {
    /// Puts rules into steps. The rules come with their conditions for one class of events.
    pub(crate) fn steps(&mut self, rules: &[(u32, NodeId)], builder: &mut Builder) -> Vec<Step> {
        let demands = rules.iter().map(|(rule, node)| (*rule, builder.conjuncts(*node))).collect();
        let mut steps = Vec::new();
        self.group(demands, builder, &mut steps);
        steps
    }

    fn group(&mut self, rules: Vec<Demands>, builder: &mut Builder, steps: &mut Vec<Step>) {
        let rest = self.guarded(rules, RARE, builder, steps, Self::group);
        let rest = self.index(rest, builder, steps);
        self.ask(rest, builder, steps);
    }

    /// Rules that no value leads to.
    fn ask(&mut self, rules: Vec<Demands>, builder: &mut Builder, steps: &mut Vec<Step>) {
        for (rule, demands) in self.guarded(rules, USUAL, builder, steps, Self::ask) {
            let node = builder.and(demands);
            steps.push(Step::Rule(rule, node));
        }
    }

    /// Puts those that share a demand behind it, as long as there are any, and returns the others.
    fn guarded(
        &mut self,
        mut rules: Vec<Demands>,
        odds: f32,
        builder: &mut Builder,
        steps: &mut Vec<Step>,
        behind: fn(&mut Self, Vec<Demands>, &mut Builder, &mut Vec<Step>),
    ) -> Vec<Demands> {
        while let Some(guard) = most_shared(&rules, odds, builder) {
            let (mut inside, outside): (Vec<_>, Vec<_>) =
                rules.into_iter().partition(|(_, demands)| demands.contains(&guard));
            for (_, demands) in &mut inside {
                demands.retain(|demand| *demand != guard);
            }
            let at = steps.len();
            steps.push(Step::Guard(guard, 0));
            behind(self, inside, builder, steps);
            let end = steps.len() as u32;
            if let Some(step) = steps.get_mut(at) {
                *step = Step::Guard(guard, end);
            }
            rules = outside;
        }
        rules
    }

    /// Puts those that are found by a value into indexes, and returns the others.
    fn index(&mut self, rules: Vec<Demands>, builder: &mut Builder, steps: &mut Vec<Step>) -> Vec<Demands> {
        let mut rest = Vec::new();
        let mut drafts: Vec<Draft> = Vec::new();
        let chosen = choose(&rules, builder);
        for ((rule, demands), access) in rules.into_iter().zip(chosen) {
            let Some(access) = access else {
                rest.push((rule, demands));
                continue;
            };
            let node = builder.and(demands);
            for lookup in access.lookups {
                let at = drafts.iter().position(|draft| draft.reading == lookup.reading);
                let at = at.unwrap_or_else(|| {
                    drafts.push(Draft { reading: lookup.reading, candidates: Vec::new(), keys: Vec::new() });
                    drafts.len() - 1
                });
                let Some(Draft { candidates, keys, .. }) = drafts.get_mut(at) else { continue };
                if candidates.last() != Some(&(rule, node)) {
                    candidates.push((rule, node));
                }
                keys.push((lookup.key, candidates.len() as u32 - 1));
            }
        }
        for Draft { reading, candidates, keys } in drafts {
            let slot = builder.slot(&reading);
            match Index::new(&reading, slot, candidates.clone(), &keys) {
                Some(index) => {
                    steps.push(Step::Index(self.indexes.len() as u32));
                    self.indexes.push(index);
                }
                None => rest.extend(candidates.into_iter().map(|(rule, node)| (rule, vec![node]))),
            }
        }
        rest
    }
}

/// How often the choice is made anew: it settles in two or three rounds.
const ROUNDS: usize = 4;

/// For each rule the demand by which it is found, so that few fields are looked at: a look is paid for by all rules that
/// are found by it. `None` for rules that are asked faster than found.
fn choose(rules: &[Demands], builder: &mut Builder) -> Vec<Option<Access>> {
    let options: Vec<Vec<Access>> = rules
        .iter()
        .map(|(_, demands)| demands.iter().filter_map(|demand| builder.access(*demand)).collect())
        .collect();
    let asking: Vec<f32> = rules
        .iter()
        .map(|(_, demands)| {
            let node = builder.and(demands.iter().copied());
            builder.facts(node).cost
        })
        .collect();
    // At first every way counts, then those that were chosen.
    let mut users = Users::new(options.iter().flatten());
    let mut chosen: Vec<Option<&Access>> = vec![None; rules.len()];
    for _ in 0..ROUNDS {
        for ((choice, options), asking) in chosen.iter_mut().zip(&options).zip(&asking) {
            let effort = |access: &Access| users.share(access) + access.asking();
            let best = options.iter().min_by(|left, right| effort(left).total_cmp(&effort(right)));
            *choice = best.filter(|access| effort(access) < *asking);
        }
        users = Users::new(chosen.iter().flatten().copied());
    }
    chosen.into_iter().map(Option::<&Access>::cloned).collect()
}

/// How many rules are found by each field, and what a look at it costs.
struct Users<'a>(HashMap<&'a Reading, (f32, f32)>);

impl<'a> Users<'a> {
    fn new(found: impl Iterator<Item = &'a Access>) -> Self {
        let mut users: HashMap<&Reading, (f32, f32)> = HashMap::new();
        for access in found {
            for (reading, cost) in access.looks() {
                let entry = users.entry(reading).or_default();
                *entry = (entry.0 + 1.0, entry.1.max(cost));
            }
        }
        Self(users)
    }

    /// Nanoseconds of looking that one rule pays for.
    fn share(&self, access: &Access) -> f32 {
        let share = |(reading, cost): (&Reading, f32)| {
            self.0.get(reading).map_or(cost, |(users, all)| all.max(cost) / users.max(1.0))
        };
        access.looks().map(share).sum()
    }
}

/// The demand that turns the most rules away, the cheaper of equals; `None` where no two share any.
fn most_shared(rules: &[Demands], odds: f32, builder: &Builder) -> Option<NodeId> {
    let mut counts: HashMap<NodeId, u32> = HashMap::new();
    for demand in rules.iter().flat_map(|(_, demands)| demands) {
        if builder.facts(*demand).odds <= odds {
            *counts.entry(*demand).or_default() += 1;
        }
    }
    let saved = |demand: NodeId, count: u32| count as f32 * (1.0 - builder.facts(demand).odds);
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .max_by(|(left, count), (right, other)| {
            let order = saved(*left, *count).total_cmp(&saved(*right, *other));
            let cost = |demand: NodeId| builder.facts(demand).cost;
            order.then(cost(*right).total_cmp(&cost(*left))).then(Reverse(left).cmp(&Reverse(right)))
        })
        .map(|(demand, _)| demand)
}
