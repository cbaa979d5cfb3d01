//! What the kernel half is to do of its own accord: the verdicts of a set of rules as its tables, for the containers that
//! there are, as far as this kernel can.

mod asked;

use std::{collections::BTreeSet, sync::Arc};

use sensor_common::{
    filter::{FACTS, KindFilter, PATH_LEN, facts},
    verdict::{Group, ROOM, SEND, Verdict},
};
use serde::Serialize;

use self::asked::answerable;
pub(super) use self::asked::{Asked, AskedIn};
use crate::{
    enrich::Made,
    event::Container,
    pipeline::row,
    probe::{ActTables, Row},
    respond::Policy,
    rule::{Act, Alternative, Order, Path, Response, RuleSet},
};

/// Terms of one class of acts.
const TERMS: usize = 64;

/// What becomes of a rule's response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The kernel half refuses the act.
    RefusedInKernel,
    /// The kernel asks the daemon before it does it, and the answer is no (fanotify).
    RefusedByFanotify,
    /// The kernel half kills the process before it runs another instruction.
    KilledInKernel,
    /// The daemon acts when it has seen the event, for this reason.
    Daemon(String),
    /// Nobody can do what the rule says, for this reason.
    Impossible(String),
}

/// What becomes of a rule's response at one act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Name of the rule.
    pub rule: String,
    /// At which act; `None`: at all others.
    pub act: Option<Act>,
    /// What becomes of it.
    pub how: How,
}

/// What can be refused here.
#[derive(Clone, Debug)]
pub struct Can {
    /// Whether the kernel half can refuse, by act.
    pub refuse: [Result<(), String>; Act::ALL.len()],
    /// Whether fanotify may be used where it cannot, and can; `None`: it may not.
    pub fanotify: Option<Result<(), String>>,
}

/// The terms of one class: what holds of the container, bit by bit.
type Workloads = Vec<BTreeSet<(u32, bool)>>;

/// What the kernel half is to do of the rules of a set.
#[derive(Clone, Debug)]
pub struct Plan {
    set: Arc<RuleSet>,
    /// What the configuration allows; `None`: everything.
    policy: Option<Arc<Policy>>,
    /// The tables of each act that is decided.
    pub acts: Vec<ActTables>,
    /// The classes of acts that are refused.
    pub refused: BTreeSet<u32>,
    /// What fanotify refuses.
    pub asked: Asked,
    /// What becomes of each response.
    pub told: Vec<Told>,
    workloads: [Workloads; Act::ALL.len()],
}

impl Plan {
    /// The plan for these rules where the kernel `can` do so much.
    #[must_use]
    pub fn of(set: Arc<RuleSet>, can: &Can) -> Self {
        Self::under(set, can, None)
    }

    /// The same as far as the configuration allows: what it does not is left to the daemon, which says so.
    #[must_use]
    pub fn under(set: Arc<RuleSet>, can: &Can, policy: Option<Arc<Policy>>) -> Self {
        let barred = |rule: usize| {
            let rule = set.rules().get(rule)?;
            policy.as_ref().and_then(|policy| policy.bars(rule)).map(|why| How::Daemon(why.to_owned()))
        };
        let spared = policy.as_ref().is_some_and(|policy| policy.protects_programs());
        let name = |rule: usize| set.rules().get(rule).map_or_else(String::new, |rule| rule.name.clone());
        let mut told: Vec<_> = set
            .verdicts()
            .left
            .iter()
            .map(|left| {
                let how = How::Daemon(left.why.clone());
                Told { rule: name(left.rule), act: left.act, how }
            })
            .collect();
        let (mut acts, mut refused) = (Vec::new(), BTreeSet::new());
        let mut workloads = [(); Act::ALL.len()].map(|()| Workloads::new());
        let mut asked = Asked::default();
        for (class, (act, refuse)) in (0..).zip(Act::ALL.into_iter().zip(&can.refuse)) {
            let mut terms: Vec<&Alternative> = Vec::new();
            let mut verdict = Verdict::default();
            for order in set.verdicts().orders.iter().filter(|order| order.act == act) {
                let mut how = barred(order.rule).unwrap_or_else(|| decide(order, refuse, can));
                if how == How::KilledInKernel && spared {
                    how = How::Daemon("programs are protected, which it alone tells apart".to_owned());
                }
                if how == How::RefusedByFanotify && !asked.take(order) {
                    how = otherwise(order, format!("the rules have more than {TERMS} alternatives"));
                }
                // Who is not asked in time, or where it is in doubt, is still killed where the rule says so.
                let backs =
                    how == How::RefusedByFanotify && order.reaction.or == Some(Response::Kill) && !spared;
                if backs && terms.len() + order.any.len() <= TERMS {
                    verdict.kill |= bits(terms.len(), order);
                    terms.extend(order.any.iter());
                }
                if matches!(how, How::RefusedInKernel | How::KilledInKernel) {
                    if terms.len() + order.any.len() > TERMS {
                        how = otherwise(order, format!("the rules have more than {TERMS} alternatives"));
                    } else {
                        let bits = bits(terms.len(), order);
                        *(if how == How::RefusedInKernel {
                            &mut verdict.refuse
                        } else {
                            &mut verdict.kill
                        }) |= bits;
                        terms.extend(order.any.iter());
                    }
                }
                told.push(Told { rule: name(order.rule), act: Some(act), how });
            }
            if verdict.refuse != 0 {
                refused.insert(class);
            }
            // Who may not connect may not send datagrams there, either.
            let refuses = |bit: usize| verdict.refuse & 1 << bit != 0;
            if act == Act::Connect
                && terms.iter().enumerate().any(|(bit, term)| refuses(bit) && is_of_datagrams(term))
            {
                refused.insert(SEND);
            }
            if let Some(of_class) = workloads.get_mut(class as usize) {
                of_class.extend(terms.iter().map(|term| term.workload.clone()));
            }
            // With fanotify the kernel half has to know of refusals, although it decides nothing.
            if !terms.is_empty() || !asked.of(act).is_empty() {
                acts.push(tables(class, verdict, &terms));
            }
        }
        Self { set, policy, acts, refused, asked, told, workloads }
    }

    /// Responses that nobody can give, as sentences.
    pub fn impossible(&self) -> impl Iterator<Item = String> {
        self.told.iter().filter_map(|told| match (&told.how, told.act) {
            (How::Impossible(why), Some(act)) => {
                Some(format!("rule `{}` cannot block {}: {why}", told.rule, act.name()))
            }
            (How::Impossible(why), None) => Some(format!("rule `{}` cannot block: {why}", told.rule)),
            _ => None,
        })
    }

    /// What holds in a container's control groups. `made`: by whom, `host`: the mount namespace of the host.
    #[must_use]
    pub fn holds(&self, container: &Arc<Container>, made: Option<Made>, host: Option<u32>) -> Group {
        let mut terms = [0; ROOM];
        for (terms, workloads) in terms.iter_mut().zip(&self.workloads) {
            *terms = self.terms(container, workloads.iter());
        }
        // No namespace has the number 0.
        let host = host.unwrap_or(0);
        Group { terms, outside: [made.and_then(|made| made.by).unwrap_or(host), host] }
    }

    /// The terms of [`Plan::asked`] that hold in a container.
    #[must_use]
    pub fn asked_in(&self, container: &Arc<Container>) -> AskedIn {
        let held = |act| self.terms(container, self.asked.of(act).iter().map(|term| &term.workload));
        AskedIn { execs: held(Act::Exec), opens: held(Act::Open) }
    }

    fn terms<'w>(
        &self,
        container: &Arc<Container>,
        workloads: impl Iterator<Item = &'w BTreeSet<(u32, bool)>>,
    ) -> u64 {
        if self.policy.as_ref().is_some_and(|policy| policy.protects(container)) {
            return 0;
        }
        // What is not known of it yet may still make a check true.
        let known = |check| container.is_settled() || self.set.asks_group(check);
        let holds =
            |(check, holds): &(u32, bool)| known(*check) && self.set.holds_in(*check, container) == *holds;
        let held = workloads.enumerate().filter(|(_, workload)| workload.iter().all(holds));
        held.fold(0, |set, (bit, _)| set | 1_u64 << bit)
    }
}

/// Whether something that is no TCP can be meant.
fn is_of_datagrams(term: &Alternative) -> bool {
    (0..FACTS as u32).any(|bits| bits & facts::TCP == 0 && term.not_facts & 1 << bits == 0)
}

/// The bits of an order's terms behind so many others.
fn bits(before: usize, order: &Order) -> u64 {
    (before..before + order.any.len()).fold(0, |bits, bit| bits | 1 << bit)
}

/// What becomes of an order here.
fn decide(order: &Order, refuse: &Result<(), String>, can: &Can) -> How {
    let (Response::Block, Err(why)) = (order.reaction.response, refuse) else {
        return match order.reaction.response {
            Response::Block => How::RefusedInKernel,
            _ => kill(order.act),
        };
    };
    let why = match can.fanotify.as_ref().map(|can| can.clone().and_then(|()| answerable(order))) {
        None => why.clone(),
        Some(Ok(())) => return How::RefusedByFanotify,
        Some(Err(other)) => format!("{why}; {other}"),
    };
    match order.reaction.or {
        Some(Response::Kill) => kill(order.act),
        Some(_) => How::Daemon(why),
        None => How::Impossible(why),
    }
}

fn kill(act: Act) -> How {
    match act {
        Act::Exec | Act::Open => How::KilledInKernel,
        Act::Connect | Act::Bind | Act::Send | Act::Remove | Act::Move | Act::Link => {
            How::Daemon(format!("{} is known when it has been tried", act.name()))
        }
    }
}

fn otherwise(order: &Order, why: String) -> How {
    let blocks = order.reaction.response == Response::Block && order.reaction.or.is_none();
    if blocks { How::Impossible(why) } else { How::Daemon(why) }
}

fn tables(class: u32, verdict: Verdict, terms: &[&Alternative]) -> ActTables {
    let mut facts = [0; FACTS];
    for (number, set) in facts.iter_mut().enumerate() {
        *set = row::bits(terms, |term| term.not_facts & 1 << number == 0);
    }
    let (comm, comms) = row::words(terms, |term| &term.comm);
    let (name, names) = row::words(terms, |term| &term.name);
    let (path, paths) = row::entries(terms, |term| &term.path);
    let (port, ports) = row::entries(terms, |term| &term.port);
    let (net, nets) = row::entries(terms, |term| &term.net);
    let whole = KindFilter {
        comm,
        name,
        path,
        port,
        net,
        root: row::bits(terms, |term| term.root != Some(false)),
        user: row::bits(terms, |term| term.root != Some(true)),
        host: 0,
        facts,
        urgent: 0,
    };
    let paths = paths.into_iter().map(|(path, terms)| (bytes(&path), terms)).collect();
    let nets = nets.into_iter().map(|(net, terms)| (net.first.to_be_bytes(), net.bits, terms)).collect();
    ActTables { class, row: Row { whole, comms, names, paths, ports, nets }, verdict }
}

/// What the kernel is told of a path is never cut: one that is too long is left to the daemon.
fn bytes(path: &Path) -> Vec<u8> {
    let (bytes, whole) = row::pattern(path);
    debug_assert!(
        whole && bytes.len() <= PATH_LEN,
        "a pattern that is cut stands for more than the rule says"
    );
    bytes
}

#[cfg(test)]
mod tests;
