//! Texts by what they start with: a radix tree that is walked once, whatever the number of texts in it.

use std::ops::Range;

/// What a text in the tree stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// The whole value.
    Exact,
    /// The beginning of the value.
    Prefix,
    /// The value itself, or a directory that holds it.
    Path,
}

/// A tree of texts; each leads to numbers.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// First bytes of the labels of nodes, by the node's number: the children of a node stand next to each other.
    firsts: Vec<u8>,
    labels: Vec<u8>,
    numbers: Vec<u32>,
}

#[derive(Debug, Default)]
struct Node {
    label: Range<u32>,
    children: Range<u32>,
    exact: Range<u32>,
    prefix: Range<u32>,
    path: Range<u32>,
}

/// A text, what it stands for, and the number that it leads to.
pub(super) type Entry = (Box<[u8]>, Ending, u32);

impl Trie {
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        let mut trie = Self::default();
        trie.nodes.push(Node::default());
        trie.firsts.push(0);
        trie.fill(0, 0, &entries);
        trie
    }

    /// Fills the node `at`, whose text is `depth` bytes long, with the entries that start with it.
    fn fill(&mut self, at: usize, depth: usize, entries: &[Entry]) {
        let own = entries.partition_point(|(text, ..)| text.len() == depth);
        let (own, longer) = entries.split_at_checked(own).unwrap_or_default();
        let mut ranges = [Ending::Exact, Ending::Prefix, Ending::Path].map(|ending| {
            let first = self.numbers.len() as u32;
            self.numbers.extend(own.iter().filter(|entry| entry.1 == ending).map(|entry| entry.2));
            first..self.numbers.len() as u32
        });
        let groups: Vec<&[Entry]> =
            longer.chunk_by(|left, right| left.0.get(depth) == right.0.get(depth)).collect();
        let first = self.nodes.len();
        for group in &groups {
            let label = shared(group).get(depth..).unwrap_or_default();
            let start = self.labels.len() as u32;
            self.labels.extend_from_slice(label);
            self.firsts.push(label.first().copied().unwrap_or_default());
            self.nodes.push(Node { label: start..self.labels.len() as u32, ..Node::default() });
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.children = first as u32..first as u32 + groups.len() as u32;
            [node.exact, node.prefix, node.path] = ranges.each_mut().map(std::mem::take);
        }
        for (child, group) in (first..).zip(groups) {
            self.fill(child, shared(group).len(), group);
        }
    }

    /// Passes on every number whose text stands for the value. Some may come twice.
    pub(super) fn find(&self, value: &[u8], mut found: impl FnMut(&[u32])) {
        let mut rest = value;
        let mut node = self.nodes.first();
        while let Some(Node { label, children, exact, prefix, path }) = node {
            let label = self.labels.get(range(label)).unwrap_or_default();
            let Some(behind) = rest.strip_prefix(label) else { return };
            rest = behind;
            let mut pass = |numbers: &Range<u32>| {
                if !numbers.is_empty() {
                    found(self.numbers.get(range(numbers)).unwrap_or_default());
                }
            };
            pass(prefix);
            let Some(next) = rest.first() else {
                pass(exact);
                pass(path);
                return;
            };
            if *next == b'/' {
                pass(path);
            }
            let firsts = self.firsts.get(range(children)).unwrap_or_default();
            let child = firsts.iter().position(|first| first == next);
            node = child.and_then(|child| self.nodes.get(children.start as usize + child));
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

const fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// What all texts of a sorted list start with.
fn shared(entries: &[Entry]) -> &[u8] {
    let (Some((first, ..)), Some((last, ..))) = (entries.first(), entries.last()) else { return &[] };
    let same = first.iter().zip(last).take_while(|(left, right)| left == right).count();
    first.get(..same).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn plain(entries: &[Entry], value: &[u8]) -> Vec<u32> {
        let holds = |(text, ending, _): &&Entry| match ending {
            Ending::Exact => value == &**text,
            Ending::Prefix => value.starts_with(text),
            Ending::Path => {
                value.strip_prefix(&**text).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
        };
        let mut numbers: Vec<_> = entries.iter().filter(holds).map(|entry| entry.2).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    proptest! {
        /// Few letters, so that texts start with each other.
        #[test]
        fn the_tree_finds_what_a_list_finds(
            texts in vec(("[/ab]{0,5}", select(&[Ending::Exact, Ending::Prefix, Ending::Path][..])), 0..30),
            values in vec("[/ab]{0,7}", 30),
        ) {
            let entries: Vec<Entry> = (0..)
                .zip(texts)
                .map(|(number, (text, ending))| (text.into_bytes().into_boxed_slice(), ending, number))
                .collect();
            let trie = Trie::new(entries.clone());
            for value in values {
                let mut found = Vec::new();
                trie.find(value.as_bytes(), |numbers| found.extend_from_slice(numbers));
                found.sort_unstable();
                prop_assert_eq!(found, plain(&entries, value.as_bytes()), "{}", value);
            }
        }
    }
}
