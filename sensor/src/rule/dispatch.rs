//! The order in which the rules of one event type are asked. What several of them demand stands in front of them as a
//! guard and is asked once: most events are turned away by a handful of guards, however many rules stand behind.

use std::collections::HashMap;

use super::program::{Builder, NodeId};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A demand of every rule up to the step of this number.
    Guard(NodeId, u32),
    /// A rule, and what is left of its condition behind its guards.
    Rule(u32, NodeId),
}

/// A rule and the parts of its condition of which all must hold.
type Demands = (u32, Vec<NodeId>);

/// Puts rules into steps. The rules come with their conditions for one event type.
pub(crate) fn steps(rules: &[(u32, NodeId)], builder: &mut Builder) -> Vec<Step> {
    let demands = rules.iter().map(|(rule, node)| (*rule, builder.conjuncts(*node))).collect();
    let mut steps = Vec::new();
    group(demands, builder, &mut steps);
    steps
}

fn group(mut rules: Vec<Demands>, builder: &mut Builder, steps: &mut Vec<Step>) {
    while let Some(guard) = most_shared(&rules, builder) {
        let (mut inside, outside): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|(_, demands)| demands.contains(&guard));
        for (_, demands) in &mut inside {
            demands.retain(|demand| *demand != guard);
        }
        let at = steps.len();
        steps.push(Step::Guard(guard, 0));
        group(inside, builder, steps);
        let end = steps.len() as u32;
        if let Some(step) = steps.get_mut(at) {
            *step = Step::Guard(guard, end);
        }
        rules = outside;
    }
    for (rule, demands) in rules {
        let node = builder.and(demands);
        steps.push(Step::Rule(rule, node));
    }
}

/// The demand that the most rules share, the cheaper of equals; `None` where no two share any.
fn most_shared(rules: &[Demands], builder: &Builder) -> Option<NodeId> {
    let mut counts: HashMap<NodeId, u32> = HashMap::new();
    for demand in rules.iter().flat_map(|(_, demands)| demands) {
        *counts.entry(*demand).or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .max_by_key(|(demand, count)| (*count, std::cmp::Reverse((builder.cost(*demand), *demand))))
        .map(|(demand, _)| demand)
}
