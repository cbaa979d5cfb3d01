//! Sets of values of which some may lie in others: paths in directories, addresses in networks.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use crate::rule::Path;

/// A word.
pub type Word = Box<[u8]>;

/// A value that may stand for several: two of them lie in each other or apart.
pub trait Covers: Ord + Clone {
    /// Whether all that the other stands for lies in this one.
    fn covers(&self, other: &Self) -> bool;
}

impl Covers for Word {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

impl Covers for u16 {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

impl Covers for Path {
    fn covers(&self, other: &Self) -> bool {
        Self::covers(self, other)
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
        Self { only: None, except: BTreeSet::new() }
    }
}

impl<T: Covers> Sets<T> {
    /// One of these, or (where `demanded` is not set) none of them.
    pub(super) fn new(values: BTreeSet<T>, demanded: bool) -> Self {
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
        let within = |values: &BTreeSet<T>| values.iter().any(|named| named.covers(value));
        self.only.as_ref().is_none_or(within) && !within(&self.except)
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
                    these.iter().filter(|value| those.iter().any(|set| set.covers(value))).cloned().collect()
                };
                Some(&inside(ours, theirs) | &inside(theirs, ours))
            }
        };
        let except = &self.except | &other.except;
        let left = only.map(|only| -> BTreeSet<T> {
            only.into_iter().filter(|value| !except.iter().any(|set| set.covers(value))).collect()
        });
        left.as_ref().is_none_or(|only| !only.is_empty()).then_some(Self { only: left, except })
    }
}
