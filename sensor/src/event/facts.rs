//! What is found out about a container elsewhere than in its control group: the vocabulary between those who look and those
//! who put it together. It knows no runtime.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer};

use super::pod::Pod;

/// Labels or annotations.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// What one source says of a container; what it does not know is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The name that people gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// What it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Whether nothing is kept from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Box<str>>,
    /// What of the host is mounted in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The pod that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Arc<Pod>>,
    /// Its own users and groups; empty where it has no such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Arc<Names>>,
    /// Whether labels or mounts were left out because they were too many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Who says something about a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Its own files.
    Users,
    /// The OCI bundle.
    Bundle,
    /// The state files that podman and CRI-O share.
    Storage,
    /// dockerd.
    Docker,
    /// containerd.
    Containerd,
}

impl Source {
    /// The word by which its answers are counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Bundle => "bundle",
            Self::Storage => "storage",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
        }
    }

    /// Where two contradict each other, the higher one is believed: who runs a container knows best what it is called.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Users => 0,
            Self::Bundle => 1,
            Self::Containerd => 2,
            // dockerd runs its containers by containerd, which does not know their names.
            Self::Storage | Self::Docker => 3,
        }
    }
}

/// An image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// As the runtime was asked for it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Box<str>,
    /// Digest of its configuration, without the algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// Digest under which a registry knows it, with the algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Box<str>>,
}

impl Image {
    /// An image of this name; a digest in the name counts, and a bare digest is an id.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if let Some(id) = name.strip_prefix("sha256:") {
            return Self { name: name.into(), id: Some(id.into()), digest: None };
        }
        let digest = name.rsplit_once('@').map(|(_, digest)| digest.into());
        Self { name: name.into(), id: None, digest }
    }

    /// Name without tag and digest; `None` where there is only an id.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        let name = self.plain()?;
        Some(name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name))
    }

    /// The tag: `latest` where neither tag nor digest was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let name = self.plain()?;
        let tag = name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
        tag.or_else(|| (!self.name.contains('@')).then_some("latest"))
    }

    fn plain(&self) -> Option<&str> {
        let name = self.name.split_once('@').map_or(&*self.name, |(name, _)| name);
        (!name.is_empty() && !name.starts_with("sha256:")).then_some(name)
    }
}

/// Something of the host that is mounted in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Where it lies on the host.
    pub source: Box<str>,
    /// Where it lies in the container.
    pub destination: Box<str>,
    /// Options as the runtime was given them.
    pub mode: Box<str>,
    /// Whether the container may write.
    pub writable: bool,
    /// `rprivate`, `rslave`, …
    pub propagation: Box<str>,
}

/// A user, as `passwd` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// What it is called.
    pub name: Box<str>,
    /// Home directory; empty: unknown.
    pub home: Box<str>,
    /// Shell; empty: unknown.
    pub shell: Box<str>,
}

/// A user in an event: by name.
pub(super) fn name<S: Serializer>(user: &Option<Arc<User>>, serializer: S) -> Result<S::Ok, S::Error> {
    user.as_deref().map(|user| &user.name).serialize(serializer)
}

/// Numbers → a container's users and groups. The numbers are the kernel's, as the host sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Users.
    pub users: HashMap<u32, Arc<User>>,
    /// Names of groups.
    pub groups: HashMap<u32, Arc<str>>,
}

/// What of a container's identity is not known: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lack(u8);

impl Lack {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The name.
    pub const NAME: Self = Self(1);
    /// The image.
    pub const IMAGE: Self = Self(2);
    /// Name and namespace of the pod that it is in.
    pub const POD: Self = Self(4);
    /// Its own users.
    pub const USERS: Self = Self(8);
    /// Each, with the word by which it is counted.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::NAME, "name"), (Self::IMAGE, "image"), (Self::POD, "pod"), (Self::USERS, "users")];

    /// The same, and `other` where `lacking`.
    #[must_use]
    pub const fn with(self, other: Self, lacking: bool) -> Self {
        if lacking { Self(self.0 | other.0) } else { self }
    }

    /// Whether all of `other` is lacking.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

pub(super) fn len(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

/// What an entry of a map costs besides its texts.
const ENTRY: usize = 48;

pub(super) fn labels_bytes(labels: &Labels) -> usize {
    labels.iter().map(|(key, value)| key.len() + value.len() + ENTRY).sum()
}

impl Mount {
    fn bytes(&self) -> usize {
        let texts = [&self.source, &self.destination, &self.mode, &self.propagation];
        size_of::<Self>() + texts.into_iter().map(|text| text.len()).sum::<usize>()
    }
}

impl User {
    /// One of whom only the name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.home.len() + self.shell.len()
    }
}

impl Names {
    fn bytes(&self) -> usize {
        let users = self.users.values().map(|user| user.heap_bytes() + ENTRY);
        let groups = self.groups.values().map(|name| name.len() + ENTRY);
        users.chain(groups).sum()
    }
}

impl Facts {
    /// Bytes that they hold on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let image = self
            .image
            .as_ref()
            .map_or(0, |image| image.name.len() + len(image.id.as_deref()) + len(image.digest.as_deref()));
        len(self.name.as_deref())
            + len(self.ip.as_deref())
            + image
            + self.mounts.iter().map(Mount::bytes).sum::<usize>()
            + labels_bytes(&self.labels)
            + self.pod.as_ref().map_or(0, |pod| pod.bytes())
            + self.users.as_ref().map_or(0, |users| users.bytes())
    }

    /// Adds what `other` knows. Where both know something, `other` wins where it is the `better` source.
    pub fn merge(&mut self, other: Self, better: bool) {
        fn one<T>(own: &mut Option<T>, other: Option<T>, better: bool) {
            if own.is_none() || better && other.is_some() {
                *own = other;
            }
        }
        one(&mut self.name, other.name, better);
        one(&mut self.privileged, other.privileged, better);
        one(&mut self.ip, other.ip, better);
        one(&mut self.users, other.users, better);
        match (&mut self.image, other.image) {
            (Some(own), Some(other)) => own.merge(other, better),
            (own, other) => one(own, other, better),
        }
        match (&mut self.pod, other.pod) {
            (Some(own), Some(other)) => Arc::make_mut(own).merge(Arc::unwrap_or_clone(other), better),
            (own, other) => one(own, other, better),
        }
        if self.mounts.is_empty() || better && !other.mounts.is_empty() {
            self.mounts = other.mounts;
        }
        merge_labels(&mut self.labels, other.labels, better);
        self.cut |= other.cut;
    }

    /// Leaves out labels and mounts, the last first, until the rest is at most `limit` bytes.
    pub fn trim(&mut self, limit: usize) {
        let mut bytes = self.heap_bytes();
        if bytes <= limit {
            return;
        }
        self.cut = true;
        let mut drop_last = |labels: &mut Labels| {
            while bytes > limit
                && let Some((key, value)) = labels.pop_last()
            {
                bytes -= key.len() + value.len() + ENTRY;
            }
        };
        drop_last(&mut self.labels);
        if let Some(pod) = &mut self.pod {
            let pod = Arc::make_mut(pod);
            drop_last(&mut pod.annotations);
            drop_last(&mut pod.labels);
        }
        while bytes > limit
            && let Some(mount) = self.mounts.pop()
        {
            bytes -= mount.bytes();
        }
        if bytes > limit {
            self.users = Some(Arc::default());
        }
    }
}

impl Image {
    fn merge(&mut self, other: Self, better: bool) {
        // An id is no name where another source has one.
        let named = |image: &Self| image.repository().is_some();
        if !named(self) && named(&other) || better && named(&other) {
            self.name = other.name;
        }
        if self.id.is_none() || better && other.id.is_some() {
            self.id = other.id;
        }
        if self.digest.is_none() || better && other.digest.is_some() {
            self.digest = other.digest;
        }
    }
}

pub(super) fn merge_labels(own: &mut Labels, other: Labels, better: bool) {
    for (key, value) in other {
        if better || !own.contains_key(&key) {
            own.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests;
