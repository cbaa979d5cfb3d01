//! Fields of the container and the pod.

use super::{Arg, fields, mount, not_carried};
use crate::{
    event::{Container, Event, Image, Labels, Pod},
    rule::value::Out,
};

fn container(event: &Event) -> Option<&Container> {
    event.container.as_deref()
}

fn image(event: &Event) -> Option<&Image> {
    container(event)?.image()
}

fn pod(event: &Event) -> Option<&Pod> {
    container(event)?.pod()
}

/// Text that is missing where nobody knows it.
fn maybe(text: Option<&str>, out: &mut Out<'_>) -> bool {
    out.maybe(text.map(str::as_bytes))
}

fn pod_uid(event: &Event, out: &mut Out<'_>) -> bool {
    maybe(container(event).and_then(Container::pod_uid), out)
}

/// One label.
fn label(labels: Option<&Labels>, arg: &Arg, out: &mut Out<'_>) -> bool {
    let Arg::Key(key) = arg else { return false };
    maybe(labels.and_then(|labels| labels.get(key)).map(|value| &**value), out)
}

/// All labels but the kubelet's own: `key:value, key:value`.
fn all(labels: Option<&Labels>, out: &mut Out<'_>) -> bool {
    let Some(labels) = labels else { return false };
    out.rendered(|to| {
        for (key, value) in labels.iter().filter(|(key, _)| !key.starts_with("io.kubernetes.")) {
            if !to.is_empty() {
                to.extend_from_slice(b", ");
            }
            to.extend_from_slice(key.as_bytes());
            if !value.is_empty() {
                to.push(b':');
                to.extend_from_slice(value.as_bytes());
            }
        }
    })
}

fn first_12(id: &str) -> &str {
    id.char_indices().nth(12).and_then(|(end, _)| id.get(..end)).unwrap_or(id)
}

/// When the container was started, nanoseconds since 1970.
fn started(event: &Event) -> Option<u64> {
    Some(container(event)?.started? + event.time.saturating_sub(event.boot_time))
}

fields! {
    FIELDS;
    /// First 12 characters of the container's id; `host` outside any container.
    "container.id" Text None CALLS => |event, _, out| {
        out.text(container(event).map_or(b"host", |container| container.id.as_bytes()))
    };
    /// The container's whole id; `host` outside any container.
    "container.full_id" Text None CALLS => |event, _, out| {
        out.text(container(event).map_or(b"host", |container| container.full_id.as_bytes()))
    };
    /// Who runs the container: `containerd`, `docker`, `cri-o`, `podman`, …; `host` outside any container.
    "container.type" Text None CALLS => |event, _, out| {
        out.text(container(event).map_or("host", |container| container.runtime.name()).as_bytes())
    };
    /// The container's name; `host` outside any container.
    "container.name" Text None CALLS => |event, _, out| match container(event) {
        Some(container) => maybe(container.facts.name.as_deref(), out),
        None => out.text(b"host"),
    };
    /// Image as the runtime was asked for it.
    "container.image" Text None CALLS => |event, _, out| {
        out.maybe(image(event).filter(|image| !image.name.is_empty()).map(|image| image.name.as_bytes()))
    };
    /// Digest of the image's configuration, without `sha256:`.
    "container.image.id" Text None CALLS => |event, _, out| {
        maybe(image(event).and_then(|image| image.id.as_deref()), out)
    };
    /// The image's name without tag and digest.
    "container.image.repository" Text None CALLS => |event, _, out| {
        maybe(image(event).and_then(Image::repository), out)
    };
    /// The image's tag; `latest` where it was asked for without tag and digest.
    "container.image.tag" Text None CALLS => |event, _, out| maybe(image(event).and_then(Image::tag), out);
    /// Digest under which a registry knows the image, with `sha256:`.
    "container.image.digest" Text None CALLS => |event, _, out| {
        maybe(image(event).and_then(|image| image.digest.as_deref()), out)
    };
    /// Whether the container is privileged: nothing of the host is kept from it.
    "container.privileged" Bool None CALLS => |event, _, out| {
        container(event).and_then(|container| container.facts.privileged).is_some_and(|is| out.bool(is))
    };
    /// Whether this is a container runtime's own first step inside the container, before the container's own program.
    "container.runtime_init" Bool None CALLS => |event, _, out| {
        container(event).is_some() && out.bool(event.process.runtime_init)
    };
    /// What of the host is mounted in the container: `source:destination:mode:writable:propagation`, joined by commas.
    "container.mounts" Text None CALLS => |event, _, out| container(event).is_some_and(|container| {
        out.rendered(|to| mount::write_all(&container.facts.mounts, to))
    });
    /// One mount, by its number or its source (a shell pattern): `source:destination:mode:writable:propagation`.
    "container.mount" Text Name CALLS => |event, arg, out| {
        mount::show(event, arg, out, |mount| &mount.source, mount::write)
    };
    /// Source of a mount, by its number or its destination (a shell pattern); `N/A` where there is none.
    "container.mount.source" Text Name CALLS => |event, arg, out| {
        mount::show(event, arg, out, |mount| &mount.destination, |mount, to| {
            to.extend_from_slice(mount.source.as_bytes());
        })
    };
    /// Destination of a mount, by its number or its source (a shell pattern); `N/A` where there is none.
    "container.mount.dest" Text Name CALLS => |event, arg, out| {
        mount::show(event, arg, out, |mount| &mount.source, |mount, to| {
            to.extend_from_slice(mount.destination.as_bytes());
        })
    };
    /// Options of a mount, by its number or its source (a shell pattern); `N/A` where there is none.
    "container.mount.mode" Text Name CALLS => |event, arg, out| {
        mount::show(event, arg, out, |mount| &mount.source, |mount, to| {
            to.extend_from_slice(mount.mode.as_bytes());
        })
    };
    /// Whether a mount is writable, by its number or its source (a shell pattern); `N/A` where there is none.
    "container.mount.rdwr" Text Name CALLS => |event, arg, out| {
        mount::show(event, arg, out, |mount| &mount.source, |mount, to| {
            to.extend_from_slice(if mount.writable { b"true" } else { b"false" });
        })
    };
    /// Propagation of a mount, by its number or its source (a shell pattern); `N/A` where there is none.
    "container.mount.propagation" Text Name CALLS => |event, arg, out| {
        mount::show(event, arg, out, |mount| &mount.source, |mount, to| {
            to.extend_from_slice(mount.propagation.as_bytes());
        })
    };
    /// Start of the container, nanoseconds since 1970: the moment in which its control group was made.
    "container.start_ts" Number None CALLS => |event, _, out| {
        started(event).is_some_and(|started| out.wide(started))
    };
    /// Nanoseconds since the container was started.
    "container.duration" Number None CALLS => |event, _, out| {
        started(event).is_some_and(|started| out.wide(event.time.saturating_sub(started)))
    };
    /// The container's address, or its pod's.
    "container.ip" Text None CALLS => |event, _, out| {
        let own = container(event).and_then(|container| container.facts.ip.as_deref());
        maybe(own.or_else(|| pod(event).and_then(|pod| pod.ip.as_deref())), out)
    };
    /// A label of the container.
    "container.label" Text Name CALLS => |event, arg, out| {
        label(container(event).map(|container| &container.facts.labels), arg, out)
    };
    /// All labels of the container, as `key:value, key:value`.
    "container.labels" Text None CALLS => |event, _, out| {
        all(container(event).map(|container| &container.facts.labels), out)
    };
    /// The pod's namespace.
    "k8s.ns.name" Text None CALLS => |event, _, out| {
        maybe(pod(event).and_then(|pod| pod.namespace.as_deref()), out)
    };
    /// The pod's name.
    "k8s.pod.name" Text None CALLS => |event, _, out| maybe(pod(event).and_then(|pod| pod.name.as_deref()), out);
    /// The pod's uid.
    "k8s.pod.uid" Text None CALLS => |event, _, out| pod_uid(event, out);
    /// The pod's uid, under its older name.
    "k8s.pod.id" Text None CALLS => |event, _, out| pod_uid(event, out);
    /// First 12 characters of the sandbox's id.
    "k8s.pod.sandbox_id" Text None CALLS => |event, _, out| {
        maybe(pod(event).and_then(|pod| pod.sandbox_id.as_deref()).map(first_12), out)
    };
    /// The sandbox's whole id.
    "k8s.pod.full_sandbox_id" Text None CALLS => |event, _, out| {
        maybe(pod(event).and_then(|pod| pod.sandbox_id.as_deref()), out)
    };
    /// A label of the pod.
    "k8s.pod.label" Text Name CALLS => |event, arg, out| label(pod(event).map(|pod| &pod.labels), arg, out);
    /// All labels of the pod, as `key:value, key:value`.
    "k8s.pod.labels" Text None CALLS => |event, _, out| all(pod(event).map(|pod| &pod.labels), out);
    /// An annotation of the pod.
    "k8s.pod.annotation" Text Name CALLS => |event, arg, out| {
        label(pod(event).map(|pod| &pod.annotations), arg, out)
    };
    /// All annotations of the pod, as `key:value, key:value`.
    "k8s.pod.annotations" Text None CALLS => |event, _, out| all(pod(event).map(|pod| &pod.annotations), out);
    /// The pod's address.
    "k8s.pod.ip" Text None CALLS => |event, _, out| maybe(pod(event).and_then(|pod| pod.ip.as_deref()), out);
    /// What made the pod, as its labels say: `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `ReplicaSet`, `Node`.
    "k8s.owner.kind" Text None CALLS => |event, _, out| {
        maybe(pod(event).and_then(|pod| pod.owner.as_ref()).map(|owner| &*owner.kind), out)
    };
    /// Name of what made the pod.
    "k8s.owner.name" Text None CALLS => |event, _, out| {
        maybe(pod(event).and_then(|pod| pod.owner.as_ref()).map(|owner| &*owner.name), out)
    };
    /// The systemd unit of a process that is in no container.
    "host.unit" Text None CALLS => |event, _, out| maybe(event.task.unit.as_deref(), out);
}

not_carried! {
    NOT_CARRIED;
    /// The network plugin's result.
    "container.cni.json" Text None;
    /// The health check's command.
    "container.healthcheck" Text None;
    /// The liveness probe's command.
    "container.liveness_probe" Text None;
    /// The readiness probe's command.
    "container.readiness_probe" Text None;
    /// Whether the process is the container's health check.
    "proc.is_container_healthcheck" Bool None;
    /// Whether the process is the container's liveness probe.
    "proc.is_container_liveness_probe" Bool None;
    /// Whether the process is the container's readiness probe.
    "proc.is_container_readiness_probe" Bool None;
    /// The pod's network plugin result.
    "k8s.pod.cni.json" Text None;
}
