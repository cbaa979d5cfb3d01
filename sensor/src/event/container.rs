//! The container that a process belongs to: what its control group says, and what was found out about it elsewhere.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    facts::{Facts, Image, Labels, Lack, Mount},
    pod::Pod,
};

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// containerd, used by itself.
    Containerd,
    /// containerd or CRI-O through the kubelet; which of the two, the control group does not say.
    Kubernetes,
    /// CRI-O.
    CriO,
    /// dockerd.
    Docker,
    /// podman.
    Podman,
    /// systemd-nspawn and machines of systemd-machined.
    SystemdNspawn,
}

impl Runtime {
    /// The value of `container.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd | Self::Kubernetes => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::SystemdNspawn => "systemd-nspawn",
        }
    }
}

/// What is known of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// First 12 characters of [`Container::full_id`].
    pub id: Box<str>,
    /// The runtime's id (a name where the runtime uses names).
    pub full_id: Box<str>,
    /// Who runs it.
    pub runtime: Runtime,
    /// Its control group, from the root of the hierarchy.
    pub cgroup: Box<str>,
    /// The pod's uid, where the control group names one.
    pub pod_uid: Option<Box<str>>,
    /// Tells it from every other container of this run, also from one that used its id before.
    pub instance: u64,
    /// Nanoseconds since boot at which it was started.
    pub started: Option<u64>,
    /// What runtimes, bundles and state files said of it.
    pub facts: Facts,
    /// What of its identity is not known.
    pub lack: Lack,
    /// Whether events no longer wait for what is not known.
    pub settled: bool,
}

impl Container {
    /// A container of which only the control group is known. `id`: cut to its 12 characters here.
    #[must_use]
    pub fn new(full_id: &str, runtime: Runtime, cgroup: &str, pod_uid: Option<&str>) -> Self {
        let end = full_id.char_indices().nth(12).map_or(full_id.len(), |(end, _)| end);
        let mut container = Self {
            id: full_id.get(..end).unwrap_or(full_id).into(),
            full_id: full_id.into(),
            runtime,
            cgroup: cgroup.into(),
            pod_uid: pod_uid.map(Into::into),
            instance: 0,
            started: None,
            facts: Facts::default(),
            lack: Lack::NONE,
            settled: false,
        };
        if runtime == Runtime::SystemdNspawn {
            container.facts.name = Some(full_id.into());
        }
        container.look();
        container
    }

    /// Finds out anew what is lacking, after [`Container::facts`] changed.
    pub fn look(&mut self) {
        let facts = &self.facts;
        let machine = self.runtime == Runtime::SystemdNspawn;
        let in_pod = self.pod_uid.is_some() || facts.pod.is_some();
        let named = facts.pod.as_ref().is_some_and(|pod| pod.name.is_some() && pod.namespace.is_some());
        self.lack = Lack::NONE
            .with(Lack::NAME, facts.name.is_none())
            .with(Lack::IMAGE, facts.image.is_none() && !machine)
            .with(Lack::POD, in_pod && !named)
            .with(Lack::USERS, facts.users.is_none() && !machine);
    }

    /// Whether nobody waits for more to be known of it: all is known, or it took too long.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled || self.lack.is_none()
    }

    /// The image, where it is known.
    #[must_use]
    pub const fn image(&self) -> Option<&Image> {
        self.facts.image.as_ref()
    }

    /// The pod, where it is in one that has a name.
    #[must_use]
    pub fn pod(&self) -> Option<&Pod> {
        self.facts.pod.as_deref()
    }

    /// The pod's uid, whoever said it.
    #[must_use]
    pub fn pod_uid(&self) -> Option<&str> {
        self.pod().and_then(|pod| pod.uid.as_deref()).or(self.pod_uid.as_deref())
    }

    /// Bytes that it holds on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.full_id.len() + self.cgroup.len() + self.facts.heap_bytes()
    }
}

impl Serialize for Container {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'c> {
            id: &'c str,
            full_id: &'c str,
            #[serde(rename = "type")]
            runtime: &'c str,
            cgroup: &'c str,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'c str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            image: Option<&'c Image>,
            #[serde(skip_serializing_if = "Option::is_none")]
            privileged: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            ip: Option<&'c str>,
            #[serde(skip_serializing_if = "<[Mount]>::is_empty")]
            mounts: &'c [Mount],
            #[serde(skip_serializing_if = "Labels::is_empty")]
            labels: &'c Labels,
        }
        let facts = &self.facts;
        let view = View {
            id: &self.id,
            full_id: &self.full_id,
            runtime: self.runtime.name(),
            cgroup: &self.cgroup,
            name: facts.name.as_deref(),
            image: facts.image.as_ref(),
            privileged: facts.privileged,
            ip: facts.ip.as_deref(),
            mounts: &facts.mounts,
            labels: &facts.labels,
        };
        view.serialize(serializer)
    }
}

/// Writes a container as two members of an object: `container`, `null` on the host, and `kubernetes`, where it is in a pod.
///
/// # Errors
/// The serializer's.
#[allow(clippy::ref_option, reason = "serde asks for this form")]
pub fn place<S: Serializer>(container: &Option<Arc<Container>>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Place<'c> {
        container: Option<&'c Container>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kubernetes: Option<PodView<'c>>,
    }
    #[derive(Serialize)]
    struct PodView<'c> {
        #[serde(skip_serializing_if = "Option::is_none")]
        pod_uid: Option<&'c str>,
        #[serde(flatten)]
        pod: Option<&'c Pod>,
    }
    let container = container.as_deref();
    let in_pod = container.filter(|container| container.pod_uid().is_some() || container.pod().is_some());
    let kubernetes = in_pod.map(|it| {
        let said = it.pod().is_some_and(|pod| pod.uid.is_some());
        PodView { pod_uid: it.pod_uid.as_deref().filter(|_| !said), pod: it.pod() }
    });
    Place { container, kubernetes }.serialize(serializer)
}
