//! Conditions as alternatives of what the kernel can tell exactly; one thing that it cannot, and there are none.

use super::{Builder, Node, NodeId};
use crate::rule::verdict::{Act, Alternative, ask};

/// Alternatives of one rule: past this it is left to the daemon.
const MOST: usize = 32;

impl Builder {
    /// What must hold for the node to hold at this act, exactly. None: it never does.
    ///
    /// # Errors
    /// What the kernel cannot tell.
    pub(crate) fn alternatives(&self, id: NodeId, act: Act) -> Result<Vec<Alternative>, String> {
        self.alternatives_if(id, true, act)
    }

    fn alternatives_if(&self, id: NodeId, positive: bool, act: Act) -> Result<Vec<Alternative>, String> {
        match self.node(id) {
            Some(Node::Check(at)) => {
                let check = self.checks.get(*at as usize).ok_or("it is not known")?;
                let asked = ask(*at, check, positive, act);
                let why = || format!("`{}` cannot be told exactly in the kernel", check.text);
                asked.ok_or_else(why).map(|found| found.into_iter().collect())
            }
            Some(Node::Not(inner)) => self.alternatives_if(*inner, !positive, act),
            Some(Node::And(parts)) if positive => self.all_of(parts, positive, act),
            Some(Node::Or(parts)) if !positive => self.all_of(parts, positive, act),
            Some(Node::And(parts) | Node::Or(parts)) => {
                let mut any = Vec::new();
                for part in parts {
                    any.extend(self.alternatives_if(*part, positive, act)?);
                }
                few(any)
            }
            None => Err("it is not known".to_owned()),
        }
    }

    fn all_of(&self, parts: &[NodeId], positive: bool, act: Act) -> Result<Vec<Alternative>, String> {
        let mut all = vec![Alternative::default()];
        for part in parts {
            let part = self.alternatives_if(*part, positive, act)?;
            all = few(all.iter().flat_map(|one| part.iter().filter_map(|other| one.and(other))).collect())?;
        }
        Ok(all)
    }
}

fn few(mut alternatives: Vec<Alternative>) -> Result<Vec<Alternative>, String> {
    alternatives.sort();
    alternatives.dedup();
    if alternatives.len() > MOST {
        return Err(format!("it has more than {MOST} alternatives"));
    }
    Ok(alternatives)
}
