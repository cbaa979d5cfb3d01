//! Keys about containers: where to look for their names, and how long and how much may wait for them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Who containers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// How long a new container's events wait for its identity, in milliseconds.
    pub wait_ms: u64,
    /// Bytes of all events that wait.
    pub hold_bytes: usize,
    /// Bytes of what is known of one container.
    pub container_bytes: usize,
    /// Bytes of what is known of all containers.
    pub limit_bytes: usize,
    /// Where OCI bundles lie: paths with `{id}`, and `*` for a namespace before it.
    pub bundles: Vec<String>,
    /// Roots of containers/storage, where podman and CRI-O keep their state.
    pub storage: Vec<PathBuf>,
}

/// containerd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerdConfig {
    /// Its socket; empty: every usual place.
    pub socket: PathBuf,
}

/// dockerd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerConfig {
    /// Its socket; empty: the usual place.
    pub socket: PathBuf,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        let bundles = [
            "/run/containerd/io.containerd.runtime.v2.task/*/{id}",
            "/run/containerd/io.containerd.runtime.v1.linux/*/{id}",
            "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/*/{id}",
            "/run/k3s/containerd/io.containerd.runtime.v2.task/*/{id}",
            "/run/containers/storage/overlay-containers/{id}/userdata",
            "/var/lib/containers/storage/overlay-containers/{id}/userdata",
            "/run/containers/storage/vfs-containers/{id}/userdata",
            "/var/lib/containers/storage/vfs-containers/{id}/userdata",
        ];
        Self {
            wait_ms: 250,
            hold_bytes: 4 << 20,
            container_bytes: 64 << 10,
            limit_bytes: 16 << 20,
            bundles: bundles.map(str::to_owned).to_vec(),
            storage: vec!["/var/lib/containers/storage".into(), "/run/containers/storage".into()],
        }
    }
}

impl ContainerdConfig {
    /// The sockets to try.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        const USUAL: [&str; 3] = [
            "/run/containerd/containerd.sock",
            "/run/k3s/containerd/containerd.sock",
            "/run/docker/containerd/containerd.sock",
        ];
        or_usual(&self.socket, &USUAL)
    }
}

impl DockerConfig {
    /// The sockets to try.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        or_usual(&self.socket, &["/run/docker.sock"])
    }
}

fn or_usual(socket: &Path, usual: &[&str]) -> Vec<PathBuf> {
    if socket.as_os_str().is_empty() {
        usual.iter().map(PathBuf::from).collect()
    } else {
        vec![socket.to_owned()]
    }
}
