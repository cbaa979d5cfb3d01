//! Fields of the container and the pod.

use super::{fields, not_carried};

fields! {
    FIELDS;
    /// First 12 characters of the container's id; `host` outside any container.
    "container.id" Text None CALLS => |event, _, out| {
        out.text(event.container.as_ref().map_or(b"host".as_slice(), |container| container.id.as_bytes()))
    };
    /// The container's whole id; `host` outside any container.
    "container.full_id" Text None CALLS => |event, _, out| {
        out.text(event.container.as_ref().map_or(b"host".as_slice(), |container| container.full_id.as_bytes()))
    };
    /// Who runs the container: `containerd`, `docker`, `cri-o`, `podman`, …; `host` outside any container.
    "container.type" Text None CALLS => |event, _, out| {
        let name = event.container.as_ref().map_or("host", |container| container.runtime.name());
        out.text(name.as_bytes())
    };
    /// The pod's uid.
    "k8s.pod.uid" Text None CALLS => |event, _, out| {
        out.maybe(event.container.as_ref().and_then(|c| c.pod_uid.as_deref()).map(str::as_bytes))
    };
    /// The pod's uid, under its older name.
    "k8s.pod.id" Text None CALLS => |event, _, out| {
        out.maybe(event.container.as_ref().and_then(|c| c.pod_uid.as_deref()).map(str::as_bytes))
    };
}

not_carried! {
    NOT_CARRIED;
    /// The container's name.
    "container.name" Text None;
    /// Image as the runtime was given it.
    "container.image" Text None;
    /// Image id.
    "container.image.id" Text None;
    /// Image repository.
    "container.image.repository" Text None;
    /// Image tag.
    "container.image.tag" Text None;
    /// Image digest.
    "container.image.digest" Text None;
    /// Whether the container is privileged.
    "container.privileged" Bool None;
    /// All mounts.
    "container.mounts" Text None;
    /// One mount, by place or source.
    "container.mount" Text Name;
    /// Source of a mount, by place or destination.
    "container.mount.source" Text Name;
    /// Destination of a mount, by place or source.
    "container.mount.dest" Text Name;
    /// Mode of a mount.
    "container.mount.mode" Text Name;
    /// Whether a mount is writable.
    "container.mount.rdwr" Text Name;
    /// Propagation of a mount.
    "container.mount.propagation" Text Name;
    /// Start of the container, nanoseconds since 1970.
    "container.start_ts" Number None;
    /// Nanoseconds since the container was started.
    "container.duration" Number None;
    /// The container's address.
    "container.ip" Text None;
    /// The network plugin's result.
    "container.cni.json" Text None;
    /// The health check's command.
    "container.healthcheck" Text None;
    /// The liveness probe's command.
    "container.liveness_probe" Text None;
    /// The readiness probe's command.
    "container.readiness_probe" Text None;
    /// A label of the container.
    "container.label" Text Name;
    /// All labels of the container.
    "container.labels" Text None;
    /// Whether the process is the container's health check.
    "proc.is_container_healthcheck" Bool None;
    /// Whether the process is the container's liveness probe.
    "proc.is_container_liveness_probe" Bool None;
    /// Whether the process is the container's readiness probe.
    "proc.is_container_readiness_probe" Bool None;
    /// The pod's namespace.
    "k8s.ns.name" Text None;
    /// The pod's name.
    "k8s.pod.name" Text None;
    /// First 12 characters of the sandbox's id.
    "k8s.pod.sandbox_id" Text None;
    /// The sandbox's whole id.
    "k8s.pod.full_sandbox_id" Text None;
    /// A label of the pod.
    "k8s.pod.label" Text Name;
    /// All labels of the pod.
    "k8s.pod.labels" Text None;
    /// The pod's address.
    "k8s.pod.ip" Text None;
    /// The pod's network plugin result.
    "k8s.pod.cni.json" Text None;
}
