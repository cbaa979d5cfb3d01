//! Sets of words and of paths that a term asks for, `None` standing for all there are.

use std::collections::BTreeSet;

/// Words of which one must be the value; `None`: whatever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Words(pub Option<BTreeSet<Box<[u8]>>>);

impl Words {
    /// What is in both; `None` where nothing is.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let both = match (&self.0, &other.0) {
            (None, words) | (words, None) => words.clone(),
            (Some(ours), Some(theirs)) => Some(ours & theirs),
        };
        both.as_ref().is_none_or(|words| !words.is_empty()).then_some(Self(both))
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        Self(self.0.as_ref().zip(other.0.as_ref()).map(|(ours, theirs)| ours | theirs))
    }
}

/// A set of paths that can be told by their beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// This one.
    Exact(Box<[u8]>),
    /// All that begin so.
    Prefix(Box<[u8]>),
}

impl Path {
    /// Whether every path of the other set is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(ours), Self::Exact(theirs)) => ours == theirs,
            (Self::Exact(_), Self::Prefix(_)) => false,
            (Self::Prefix(ours), Self::Exact(theirs) | Self::Prefix(theirs)) => theirs.starts_with(ours),
        }
    }
}

/// Paths of which one must fit, and none of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Paths {
    /// `None`: whatever it is.
    pub only: Option<BTreeSet<Path>>,
    /// None of these.
    pub except: BTreeSet<Path>,
}

impl Paths {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// What is in both; `None` where nothing is.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let only = match (&self.only, &other.only) {
            (None, only) | (only, None) => only.clone(),
            (Some(ours), Some(theirs)) => {
                let inside = |these: &BTreeSet<Path>, those: &BTreeSet<Path>| -> BTreeSet<Path> {
                    these.iter().filter(|path| those.iter().any(|set| set.covers(path))).cloned().collect()
                };
                Some(&inside(ours, theirs) | &inside(theirs, ours))
            }
        };
        let except = &self.except | &other.except;
        let left = only.map(|only| -> BTreeSet<Path> {
            only.into_iter().filter(|path| !except.iter().any(|set| set.covers(path))).collect()
        });
        left.as_ref().is_none_or(|only| !only.is_empty()).then_some(Self { only: left, except })
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        let only = self.only.as_ref().zip(other.only.as_ref()).map(|(ours, theirs)| ours | theirs);
        // Excepted is what neither lets in.
        let inside = |these: &Self, those: &Self| -> BTreeSet<Path> {
            let covered = |path: &&Path| those.except.iter().any(|set| set.covers(path));
            these.except.iter().filter(covered).cloned().collect()
        };
        Self { only, except: &inside(self, other) | &inside(other, self) }
    }

    /// Whether [`Paths::or`] is exactly what one of both lets in.
    pub(super) fn joins(&self, other: &Self) -> bool {
        self.except == other.except
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(only: &[&str], except: &[&str]) -> Paths {
        let set = |texts: &[&str]| -> BTreeSet<Path> {
            texts
                .iter()
                .map(|text| match text.strip_suffix('*') {
                    Some(prefix) => Path::Prefix(prefix.as_bytes().into()),
                    None => Path::Exact(text.as_bytes().into()),
                })
                .collect()
        };
        Paths { only: (!only.is_empty()).then(|| set(only)), except: set(except) }
    }

    #[test]
    fn paths_in_both_sets_are_those_of_the_narrower_one() {
        let both = |left: &Paths, right: &Paths| left.and(right);
        assert_eq!(
            both(&paths(&["/etc*", "/x"], &[]), &paths(&["/etc/passwd", "/x*", "/y"], &[])),
            Some(paths(&["/etc/passwd", "/x"], &[]))
        );
        assert_eq!(both(&paths(&["/etc/a"], &[]), &paths(&["/etc/b"], &[])), None);
        assert_eq!(both(&paths(&["/etc/a"], &[]), &paths(&[], &["/etc*"])), None);
        assert_eq!(
            both(&paths(&["/etc*"], &[]), &paths(&[], &["/etc/a"])),
            Some(paths(&["/etc*"], &["/etc/a"]))
        );
    }

    #[test]
    fn what_either_lets_in_is_let_in() {
        let either = |left: &Paths, right: &Paths| left.or(right);
        assert_eq!(either(&paths(&["/a"], &[]), &paths(&["/b*"], &[])), paths(&["/a", "/b*"], &[]));
        assert!(either(&paths(&["/a"], &[]), &paths(&[], &[])).is_any());
        assert_eq!(either(&paths(&[], &["/a*"]), &paths(&[], &["/a/b", "/c"])), paths(&[], &["/a/b"]));
    }
}
