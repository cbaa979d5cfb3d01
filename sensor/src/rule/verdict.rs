//! Rules that the kernel can decide by itself: conditions as alternatives of what it can tell exactly, before any user code
//! runs on. Where a condition asks for more, the rule is left to the daemon, and the reason is kept.
//!
//! The terms of [`super::prefilter`] let through what they cannot tell; what is here must not.

mod ask;

use std::{collections::BTreeSet, sync::Arc};

use rustc_hash::FxHashMap;

pub(crate) use self::ask::ask;
use super::{
    Net, Path, Sets, Word,
    document::{Reaction, Response},
    graph::{Builder, FALSE},
    index::Candidate,
    program::NodeId,
    types::{Class, TypeSet},
};
use crate::event::EventType;

/// What can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// A new image.
    Exec,
    /// A file that is opened.
    Open,
    /// A connection that is made.
    Connect,
    /// An address that a socket takes for its own.
    Bind,
    /// A datagram with a destination of its own.
    Send,
    /// A name that is removed.
    Remove,
    /// A name that is moved.
    Move,
    /// A second name for a file.
    Link,
}

impl Act {
    /// Every act, in the order of [`sensor_common::verdict`]'s numbers.
    pub const ALL: [Self; 8] =
        [Self::Exec, Self::Open, Self::Connect, Self::Bind, Self::Send, Self::Remove, Self::Move, Self::Link];

    /// What it is called in sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "an exec",
            Self::Open => "an open",
            Self::Connect => "a connect",
            Self::Bind => "a bind",
            Self::Send => "a datagram",
            Self::Remove => "a removal",
            Self::Move => "a move",
            Self::Link => "a link",
        }
    }

    /// The type of it that everybody uses. The others (`execveat`, `creat`, `sendmsg`) are the same act: a verdict does not tell them
    /// apart.
    const fn usual(self) -> EventType {
        match self {
            Self::Exec => EventType::Execve,
            Self::Open => EventType::Openat,
            Self::Connect => EventType::Connect,
            Self::Bind => EventType::Bind,
            Self::Send => EventType::Sendto,
            Self::Remove => EventType::Unlinkat,
            Self::Move => EventType::Renameat2,
            Self::Link => EventType::Linkat,
        }
    }

    fn of(event_type: EventType) -> Option<Self> {
        match event_type {
            EventType::Execve | EventType::Execveat => Some(Self::Exec),
            EventType::Connect => Some(Self::Connect),
            EventType::Bind => Some(Self::Bind),
            EventType::Sendto | EventType::Sendmsg | EventType::Sendmmsg => Some(Self::Send),
            _ if TypeSet::OPEN.contains(event_type) => Some(Self::Open),
            _ if TypeSet::REMOVE.contains(event_type) => Some(Self::Remove),
            _ if TypeSet::MOVE.contains(event_type) => Some(Self::Move),
            _ if TypeSet::LINK.contains(event_type) => Some(Self::Link),
            _ => None,
        }
    }
}

/// What must hold for a verdict. All of it together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alternative {
    /// Checks on the container, by number, and whether they must hold: the daemon asks them once for each container.
    pub workload: BTreeSet<(u32, bool)>,
    /// Whether the effective user must not be root, or must be.
    pub root: Option<bool>,
    /// Numbers of facts that do not fit, one bit each.
    pub not_facts: u16,
    /// The thread's name.
    pub comm: Sets<Word>,
    /// The file's name.
    pub name: Sets<Word>,
    /// The file's path; of a move and of a link that of the name which it has, or is to have: [`Self::not_facts`] says which.
    pub path: Sets<Path>,
    /// The path of the name that it is to have, while a condition is put together. Nothing, once it is.
    pub target: Sets<Path>,
    /// The port of the other end; of a bind the own one.
    pub port: Sets<u16>,
    /// The address of the same end.
    pub net: Sets<Net>,
}

impl Alternative {
    /// Both together; `None` where nothing can be both.
    pub(crate) fn and(&self, other: &Self) -> Option<Self> {
        let root = match (self.root, other.root) {
            (Some(ours), Some(theirs)) if ours != theirs => return None,
            (ours, theirs) => ours.or(theirs),
        };
        let workload = &self.workload | &other.workload;
        if workload.iter().any(|(check, holds)| workload.contains(&(*check, !holds))) {
            return None;
        }
        let not_facts = self.not_facts | other.not_facts;
        if not_facts == u16::MAX {
            return None;
        }
        Some(Self {
            workload,
            root,
            not_facts,
            comm: self.comm.and(&other.comm)?,
            name: self.name.and(&other.name)?,
            path: self.path.and(&other.path)?,
            target: self.target.and(&other.target)?,
            port: self.port.and(&other.port)?,
            net: self.net.and(&other.net)?,
        })
    }
}

/// What the kernel is to do of a rule's own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Place of the rule in its set.
    pub rule: usize,
    /// What it says.
    pub reaction: Reaction,
    /// At which act.
    pub act: Act,
    /// Where: one of these must hold.
    pub any: Arc<[Alternative]>,
}

/// What of a rule is left to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Place of the rule in its set.
    pub rule: usize,
    /// At which act; `None` for what no kernel program decides.
    pub act: Option<Act>,
    /// Why.
    pub why: String,
}

/// What the rules of a set have the kernel do.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// What it can decide.
    pub orders: Vec<Order>,
    /// What it cannot.
    pub left: Vec<Left>,
}

/// The verdicts of a set of rules, class by class.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    /// What is left of a rule for each way to do something.
    nodes: FxHashMap<(u32, Act), Vec<(EventType, NodeId)>>,
    /// Types that rules act on and no verdict decides.
    others: FxHashMap<u32, TypeSet>,
}

impl Drafts {
    /// Takes in what is left of the rules' conditions for events of one class. What failed needs no verdict.
    pub(crate) fn add(&mut self, class: Class, rules: &[Candidate]) {
        if class.failed {
            return;
        }
        for (entry, node) in rules.iter().filter(|(_, node)| *node != FALSE) {
            match Act::of(class.event_type) {
                Some(act) => self.nodes.entry((*entry, act)).or_default().push((class.event_type, *node)),
                None => {
                    let others = self.others.entry(*entry).or_default();
                    *others = others.union([class.event_type].into_iter().collect());
                }
            }
        }
    }

    /// The verdicts of one rule. `over_time`: the key that makes it depend on what was before, if one does.
    pub(crate) fn rule(
        &self,
        rule: usize,
        reaction: Reaction,
        over_time: Option<&str>,
        builder: &Builder,
        to: &mut Verdicts,
    ) {
        if !matches!(reaction.response, Response::Kill | Response::Block) {
            return;
        }
        if let Some(key) = over_time {
            to.left.push(Left { rule, act: None, why: format!("its `{key}` is not known in the kernel") });
            return;
        }
        for act in Act::ALL {
            let Some(nodes) = self.nodes.get(&(rule as u32, act)) else { continue };
            match alternatives(act, nodes, builder) {
                Ok(any) if any.is_empty() => {}
                Ok(any) => to.orders.push(Order { rule, reaction, act, any: any.into() }),
                Err(why) => to.left.push(Left { rule, act: Some(act), why }),
            }
        }
        if let Some(others) = self.others.get(&(rule as u32)).filter(|others| !others.is_empty()) {
            let names: Vec<_> = others.iter().map(EventType::name).collect();
            let why = format!("no kernel program decides {}", names.join(", "));
            to.left.push(Left { rule, act: None, why });
        }
    }
}

fn alternatives(
    act: Act,
    nodes: &[(EventType, NodeId)],
    builder: &Builder,
) -> Result<Vec<Alternative>, String> {
    let usual = nodes.iter().find(|(event_type, _)| *event_type == act.usual());
    let Some((_, node)) = usual else {
        return Err(format!("it leaves out `{}`, which a verdict cannot", act.usual().name()));
    };
    if let Some((other, _)) = nodes.iter().find(|(_, special)| special != node) {
        return Err(format!("it asks other things of `{}` than of `{}`", other.name(), act.usual().name()));
    }
    let any = builder.alternatives(*node, act)?;
    // Whoever leaves out `rmdir` does not mean it; `unlinkat` removes directories, too.
    if act == Act::Remove && !nodes.iter().any(|(event_type, _)| *event_type == EventType::Rmdir) {
        let apart = ask::not_by_rmdir();
        return Ok(any.iter().filter_map(|one| one.and(&apart)).collect());
    }
    if matches!(act, Act::Move | Act::Link) {
        let one_name = any.into_iter().map(ask::of_one_name).collect::<Option<Vec<_>>>();
        return one_name.ok_or_else(|| {
            "it asks for `fs.path.source` and `fs.path.target` at once, and each is decided by itself"
                .to_owned()
        });
    }
    Ok(any)
}

#[cfg(test)]
mod tests;
