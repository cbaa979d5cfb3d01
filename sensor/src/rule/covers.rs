//! Sets of values of which some may lie in others: paths in directories, addresses in networks.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

/// A word.
pub type Word = Box<[u8]>;

/// A value that may stand for several: two of them lie in each other or apart.
pub trait Covers: Ord + Clone {
    /// Whether all that the other stands for lies in this one.
    fn covers(&self, other: &Self) -> bool;

    /// Whether it lies in one of these.
    fn is_within(&self, values: &BTreeSet<Self>) -> bool {
        values.iter().any(|value| value.covers(self))
    }
}

impl Covers for Word {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }

    fn is_within(&self, values: &BTreeSet<Self>) -> bool {
        values.contains(self)
    }
}

impl Covers for u16 {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }

    fn is_within(&self, values: &BTreeSet<Self>) -> bool {
        values.contains(self)
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

impl Covers for Path {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(ours), Self::Exact(theirs)) => ours == theirs,
            (Self::Exact(_), Self::Prefix(_)) => false,
            (Self::Prefix(ours), Self::Exact(theirs) | Self::Prefix(theirs)) => theirs.starts_with(ours),
        }
    }
}

/// A network, those of version 4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    /// The first address, host byte order.
    pub first: u128,
    /// Bits that are the same in all of them.
    pub bits: u8,
}

impl Net {
    fn mask(bits: u8) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
    }
}

impl From<IpNet> for Net {
    fn from(net: IpNet) -> Self {
        match net.network() {
            IpAddr::V4(first) => {
                Self { first: first.to_ipv6_mapped().to_bits(), bits: net.prefix_len() + 96 }
            }
            IpAddr::V6(first) => Self { first: first.to_bits(), bits: net.prefix_len() },
        }
    }
}

impl Covers for Net {
    fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && other.first & Self::mask(self.bits) == self.first
    }
}

/// Values of which one must fit, and none of the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sets<T: Ord> {
    /// `None`: whatever it is.
    pub only: Option<BTreeSet<T>>,
    /// None of these.
    pub except: BTreeSet<T>,
}

impl<T: Ord> Default for Sets<T> {
    fn default() -> Self {
        Self::any()
    }
}

impl<T: Ord> Sets<T> {
    /// Whatever it is.
    #[must_use]
    pub const fn any() -> Self {
        Self { only: None, except: BTreeSet::new() }
    }
}

impl<T: Covers> Sets<T> {
    /// One of these, or (where `demanded` is not set) none of them.
    pub(crate) fn new(values: BTreeSet<T>, demanded: bool) -> Self {
        if demanded {
            Self { only: Some(values), except: BTreeSet::new() }
        } else {
            Self { only: None, except: values }
        }
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// Every value that it names.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.only.iter().flatten().chain(&self.except)
    }

    /// Whether what lies in `value`, and in no narrower one that is named, fits.
    #[must_use]
    pub fn fits(&self, value: &T) -> bool {
        self.only.as_ref().is_none_or(|only| value.is_within(only)) && !value.is_within(&self.except)
    }

    /// Whether what lies in none that is named fits.
    #[must_use]
    pub fn fits_others(&self) -> bool {
        self.only.is_none()
    }

    /// What is in both; `None` where nothing is.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let only = match (&self.only, &other.only) {
            (None, only) | (only, None) => only.clone(),
            (Some(ours), Some(theirs)) => {
                let inside = |these: &BTreeSet<T>, those: &BTreeSet<T>| -> BTreeSet<T> {
                    these.iter().filter(|value| value.is_within(those)).cloned().collect()
                };
                Some(&inside(ours, theirs) | &inside(theirs, ours))
            }
        };
        let except = &self.except | &other.except;
        let left = only.map(|only| -> BTreeSet<T> {
            only.into_iter().filter(|value| !value.is_within(&except)).collect()
        });
        left.as_ref().is_none_or(|only| !only.is_empty()).then_some(Self { only: left, except })
    }

    /// What either lets in, and perhaps more.
    pub(super) fn or(&self, other: &Self) -> Self {
        let only = self.only.as_ref().zip(other.only.as_ref()).map(|(ours, theirs)| ours | theirs);
        // Excepted is what neither lets in.
        let inside = |these: &Self, those: &Self| -> BTreeSet<T> {
            these.except.iter().filter(|value| value.is_within(&those.except)).cloned().collect()
        };
        Self { only, except: &inside(self, other) | &inside(other, self) }
    }

    /// Whether [`Sets::or`] is exactly what one of both lets in.
    pub(super) fn joins(&self, other: &Self) -> bool {
        self.except == other.except
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(only: &[&str], except: &[&str]) -> Sets<Path> {
        let set = |texts: &[&str]| -> BTreeSet<Path> {
            texts
                .iter()
                .map(|text| match text.strip_suffix('*') {
                    Some(prefix) => Path::Prefix(prefix.as_bytes().into()),
                    None => Path::Exact(text.as_bytes().into()),
                })
                .collect()
        };
        Sets { only: (!only.is_empty()).then(|| set(only)), except: set(except) }
    }

    #[test]
    fn what_is_in_both_sets_is_that_of_the_narrower_one() {
        let both = |left: &Sets<Path>, right: &Sets<Path>| left.and(right);
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
        let either = |left: &Sets<Path>, right: &Sets<Path>| left.or(right);
        assert_eq!(either(&paths(&["/a"], &[]), &paths(&["/b*"], &[])), paths(&["/a", "/b*"], &[]));
        assert!(either(&paths(&["/a"], &[]), &paths(&[], &[])).is_any());
        assert_eq!(either(&paths(&[], &["/a*"]), &paths(&[], &["/a/b", "/c"])), paths(&[], &["/a/b"]));
    }
}
