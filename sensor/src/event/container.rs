//! The container that a process belongs to.

use serde::Serialize;

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// First 12 characters of [`Container::full_id`].
    pub id: Box<str>,
    /// The runtime's id (a name where the runtime uses names).
    pub full_id: Box<str>,
    /// Who runs it.
    #[serde(rename = "type")]
    pub runtime: Runtime,
    /// Its control group, from the root of the hierarchy.
    pub cgroup: Box<str>,
    /// The pod's uid, where the control group names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<Box<str>>,
}
