//! A number for what a node says, the same whatever else is in the graph: it tells whether a rule changed.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{Builder, Node, NodeId};

impl Builder {
    /// The node's number. `done` keeps those of shared parts.
    pub(crate) fn digest(&self, id: NodeId, done: &mut HashMap<NodeId, u64>) -> u64 {
        if let Some(known) = done.get(&id) {
            return *known;
        }
        let mut hasher = DefaultHasher::new();
        match self.node(id) {
            Some(Node::Check(at)) => self.checks.get(*at as usize).map(|check| &check.text).hash(&mut hasher),
            Some(Node::Not(inner)) => ("not", self.digest(*inner, done)).hash(&mut hasher),
            Some(Node::And(parts)) => ("and", self.digests(parts, done)).hash(&mut hasher),
            Some(Node::Or(parts)) => ("or", self.digests(parts, done)).hash(&mut hasher),
            None => {}
        }
        let digest = hasher.finish();
        done.insert(id, digest);
        digest
    }

    /// Sorted: the order of a group's parts depends on the numbers of the nodes.
    fn digests(&self, parts: &[NodeId], done: &mut HashMap<NodeId, u64>) -> Vec<u64> {
        let mut digests: Vec<_> = parts.iter().map(|part| self.digest(*part, done)).collect();
        digests.sort_unstable();
        digests
    }
}
