//! Sets of event types, and of event types with an outcome. They know nothing else.

use std::fmt;

use sensor_common::Kind;

use crate::event::{Category, Event, EventType};

/// A set of event types, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TypeSet(u128);

// One bit for each type: a list that outgrows the word must not compile.
const _: () = assert!(EventType::ALL.len() <= 128);

const fn of(wanted: &[EventType]) -> TypeSet {
    let mut set = 0;
    let mut rest = wanted;
    while let [first, behind @ ..] = rest {
        set |= 1 << *first as u8;
        rest = behind;
    }
    TypeSet(set)
}

impl TypeSet {
    /// No type.
    pub const NONE: Self = Self(0);
    /// Every type.
    pub const ALL: Self = of(EventType::ALL);
    /// Every type but the sensor's own.
    pub const CALLS: Self = Self(Self::ALL.0 & !of(&[EventType::Loss]).0);
    pub(crate) const OPEN: Self = of(&[
        EventType::Open,
        EventType::Openat,
        EventType::Openat2,
        EventType::Creat,
        EventType::OpenByHandleAt,
    ]);
    pub(crate) const REMOVE: Self = of(&[EventType::Unlink, EventType::Unlinkat, EventType::Rmdir]);
    pub(crate) const MOVE: Self = of(&[EventType::Rename, EventType::Renameat, EventType::Renameat2]);
    pub(crate) const LINK: Self = of(&[EventType::Link, EventType::Linkat]);
    pub(crate) const SOCKET: Self = of(&[
        EventType::Connect,
        EventType::Accept,
        EventType::Accept4,
        EventType::Bind,
        EventType::Listen,
        EventType::Sendto,
        EventType::Sendmsg,
        EventType::Sendmmsg,
        EventType::Dns,
        EventType::Socket,
        EventType::Recvfrom,
        EventType::Recvmsg,
        EventType::Recvmmsg,
        EventType::Dup,
        EventType::Dup2,
        EventType::Dup3,
        EventType::Fcntl,
    ]);
    pub(crate) const DNS: Self = of(&[EventType::Dns]);
    /// What acts on a descriptor that is not one of an open or a socket.
    const DESCRIPTOR: Self = of(&[
        EventType::Fchmod,
        EventType::Fchown,
        EventType::Dup,
        EventType::Dup2,
        EventType::Dup3,
        EventType::Fcntl,
        EventType::MemfdCreate,
        EventType::Bpf,
        EventType::Userfaultfd,
        EventType::IoUringSetup,
        EventType::PerfEventOpen,
        EventType::PidfdGetfd,
        EventType::Read,
        EventType::Write,
        EventType::FinitModule,
        EventType::Setns,
    ]);
    /// What changes names and files.
    const CHANGE: Self = of(&[
        EventType::Unlink,
        EventType::Unlinkat,
        EventType::Rmdir,
        EventType::Rename,
        EventType::Renameat,
        EventType::Renameat2,
        EventType::Mkdir,
        EventType::Mkdirat,
        EventType::Link,
        EventType::Linkat,
        EventType::Symlink,
        EventType::Symlinkat,
        EventType::Chmod,
        EventType::Fchmod,
        EventType::Fchmodat,
        EventType::Fchmodat2,
        EventType::Chown,
        EventType::Lchown,
        EventType::Fchown,
        EventType::Fchownat,
        EventType::Mknod,
        EventType::Mknodat,
    ]);
    /// What has two paths.
    pub(crate) const TWO_PATHS: Self = of(&[
        EventType::Rename,
        EventType::Renameat,
        EventType::Renameat2,
        EventType::Link,
        EventType::Linkat,
        EventType::Symlink,
        EventType::Symlinkat,
        EventType::Mount,
        EventType::MoveMount,
        EventType::PivotRoot,
    ]);
    /// What has one path.
    pub(crate) const PATH: Self = Self(
        Self::OPEN.0
            | Self::CHANGE.0 & !Self::TWO_PATHS.0
            | of(&[EventType::Umount, EventType::Umount2, EventType::Chroot]).0,
    );
    pub(crate) const FD: Self = Self(Self::OPEN.0 | Self::SOCKET.0 | Self::DESCRIPTOR.0);
    pub(crate) const FILE: Self = Self(Self::OPEN.0 | Self::DESCRIPTOR.0);

    /// The types of which `wanted` is true.
    pub fn filter(wanted: impl Fn(EventType) -> bool) -> Self {
        EventType::ALL.iter().filter(|event_type| wanted(**event_type)).copied().collect()
    }

    /// The types that the sensor produces.
    #[must_use]
    pub fn seen() -> Self {
        Self::filter(EventType::is_seen)
    }

    /// Whether the type is in it.
    #[must_use]
    pub const fn contains(self, event_type: EventType) -> bool {
        self.0 & 1 << event_type as u8 != 0
    }

    /// Whether records of this kind become one of the types.
    #[must_use]
    pub fn has_kind(self, kind: Kind) -> bool {
        self.iter().any(|event_type| event_type.kind() == Some(kind))
    }

    /// The types of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The types of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The types that are not in it.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    /// Whether no type is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |event_type| self.contains(*event_type))
    }

    /// The types of one family.
    #[must_use]
    pub fn category(category: Category) -> Self {
        Self::filter(|event_type| event_type.category() == category)
    }
}

/// A type of events and how they ended: what can be known of an event without looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) event_type: EventType,
    pub(crate) failed: bool,
}

impl Class {
    /// Number of classes.
    pub(crate) const COUNT: usize = 2 * EventType::ALL.len();

    /// Every class, in the order of [`Class::index`].
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        EventType::ALL
            .iter()
            .flat_map(|event_type| [false, true].map(|failed| Self { event_type: *event_type, failed }))
    }

    pub(crate) const fn of(event: &Event) -> Self {
        Self { event_type: event.event_type, failed: event.failed() }
    }

    pub(crate) const fn index(self) -> usize {
        2 * self.event_type as usize + self.failed as usize
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    done: TypeSet,
    failed: TypeSet,
}

impl Classes {
    pub(crate) const NONE: Self = Self::both(TypeSet::NONE);
    pub(crate) const ALL: Self = Self::both(TypeSet::ALL);

    /// These types, whatever the outcome.
    pub(crate) const fn both(types: TypeSet) -> Self {
        Self { done: types, failed: types }
    }

    pub(crate) fn insert(&mut self, class: Class) {
        let set = if class.failed { &mut self.failed } else { &mut self.done };
        *set = set.union([class.event_type].into_iter().collect());
    }

    pub(crate) const fn contains(self, class: Class) -> bool {
        let set = if class.failed { self.failed } else { self.done };
        set.contains(class.event_type)
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self { done: self.done.union(other.done), failed: self.failed.union(other.failed) }
    }

    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self { done: self.done.intersection(other.done), failed: self.failed.intersection(other.failed) }
    }

    /// The types, whatever the outcome.
    pub(crate) const fn types(self) -> TypeSet {
        self.done.union(self.failed)
    }

    /// The types whose failed events are in the set.
    pub(crate) const fn failed(self) -> TypeSet {
        self.failed
    }
}

impl FromIterator<EventType> for TypeSet {
    fn from_iter<T: IntoIterator<Item = EventType>>(types: T) -> Self {
        Self(types.into_iter().fold(0, |set, event_type| set | 1 << event_type as u8))
    }
}

impl fmt::Debug for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(EventType::name)).finish()
    }
}

impl serde::Serialize for TypeSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(EventType::name))
    }
}
