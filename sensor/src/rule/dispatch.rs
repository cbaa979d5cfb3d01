//! The order in which the rules of one class of events are asked. What several of them demand and few events have stands
//! in front of them as a guard and is asked once; the others are found by a value that they demand. Most events are
//! turned away by a handful of looks, however many rules there are.

use std::sync::Arc;

use rustc_hash::FxHashMap;

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
/// One rule in so many is few.
const FEW: usize = 4;

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
    /// Steps that were put together before: for many classes the same is left of all rules.
    known: FxHashMap<Vec<Candidate>, Arc<[Step]>>,
}

impl Plan {
    /// Puts rules into steps. The rules come with their conditions for one class of events.
    pub(crate) fn steps(&mut self, rules: Vec<Candidate>, builder: &mut Builder) -> Arc<[Step]> {
        if let Some(known) = self.known.get(&rules) {
            return Arc::clone(known);
        }
        let demands = rules.iter().map(|(rule, node)| (*rule, builder.conjuncts(*node))).collect();
        let mut steps = Vec::new();
        self.group(demands, builder, &mut steps);
        let steps: Arc<[Step]> = steps.into();
        self.known.insert(rules, Arc::clone(&steps));
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
        rules: Vec<Demands>,
        odds: f32,
        builder: &mut Builder,
        steps: &mut Vec<Step>,
        behind: fn(&mut Self, Vec<Demands>, &mut Builder, &mut Vec<Step>),
    ) -> Vec<Demands> {
        let shared = shared(&rules, odds, builder);
        let all = rules.len();
        let mut rules: Vec<Option<Demands>> = rules.into_iter().map(Some).collect();
        for (guard, users) in shared {
            let left = |rules: &[Option<Demands>], at: usize| rules.get(at).is_some_and(Option::is_some);
            let count = users.iter().filter(|at| left(&rules, **at)).count();
            // A value that a few rules demand is looked up together with the values of the others.
            if count < 2 || (count < all / FEW && builder.access(guard).is_some()) {
                continue;
            }
            let mut inside: Vec<_> =
                users.iter().filter_map(|at| rules.get_mut(*at).and_then(Option::take)).collect();
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
        }
        rules.into_iter().flatten().collect()
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
struct Users<'a>(FxHashMap<&'a Reading, (f32, f32)>);

impl<'a> Users<'a> {
    fn new(found: impl Iterator<Item = &'a Access>) -> Self {
        let mut users: FxHashMap<&Reading, (f32, f32)> = FxHashMap::default();
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

/// The demands that several rules share, with the places of those rules: the demand that turns the most of them away
/// first, the cheaper of equals.
fn shared(rules: &[Demands], odds: f32, builder: &Builder) -> Vec<(NodeId, Vec<usize>)> {
    let mut users: FxHashMap<NodeId, Vec<usize>> = FxHashMap::default();
    for (at, (_, demands)) in rules.iter().enumerate() {
        for demand in demands.iter().filter(|demand| builder.facts(**demand).odds <= odds) {
            users.entry(*demand).or_default().push(at);
        }
    }
    let mut shared: Vec<_> = users.into_iter().filter(|(_, users)| users.len() > 1).collect();
    let saved =
        |(demand, users): &(NodeId, Vec<usize>)| users.len() as f32 * (1.0 - builder.facts(*demand).odds);
    shared.sort_by(|left, right| {
        let order = saved(right).total_cmp(&saved(left));
        let cost = |demand: NodeId| builder.facts(demand).cost;
        order.then(cost(left.0).total_cmp(&cost(right.0))).then(left.0.cmp(&right.0))
    });
    shared
}
