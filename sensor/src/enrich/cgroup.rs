//! The path of a control group → the container or the systemd unit that it is.

use crate::event::{Container, Runtime};

/// Namespaces under which containerd puts the groups of containers that nobody gave another parent.
const CONTAINERD_NAMESPACES: [&str; 4] = ["default", "k8s.io", "moby", "buildkit"];

/// What a group's path says of the container, if it is one: the innermost for nested ones, and also for groups that a
/// container made inside its own. A name that merely looks like an id is none; its parent or its form must be a runtime's.
#[must_use]
pub fn container_of(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (at, (runtime, full_id)) =
        (0..parts.len()).rev().find_map(|at| Some((at, runtime_of(&parts, at)?)))?;
    // The slice in front of a colon is the container's own component.
    let slice = parts.get(at).and_then(|part| part.split_once(':')).map(|(slice, _)| slice);
    let above = parts.iter().take(at).rev().copied();
    let pod_uid = slice.into_iter().chain(above).find_map(pod_uid);
    let in_group = parts.get(..=at).unwrap_or_default().join("/");
    Some(Container::new(full_id, runtime, &format!("/{in_group}"), pod_uid.as_deref()))
}

/// The systemd unit of a group that is no container's: the innermost, also for groups that a service made below its own.
#[must_use]
pub fn unit_of(path: &str) -> Option<&str> {
    const KINDS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    path.rsplit('/').find(|part| KINDS.iter().any(|kind| part.len() > kind.len() && part.ends_with(kind)))
}

fn runtime_of<'a>(parts: &[&'a str], at: usize) -> Option<(Runtime, &'a str)> {
    let part = *parts.get(at)?;
    let parent = at.checked_sub(1).and_then(|at| parts.get(at)).copied().unwrap_or_default();
    if let Some(found) = scope(part) {
        return Some(found);
    }
    // `slice:prefix:name`, which runc makes of a systemd path when it manages groups itself.
    if let Some((_, rest)) = part.split_once(':')
        && let Some((prefix, id)) = rest.split_once(':')
    {
        let runtime = prefix_runtime(prefix)?;
        return is_id(id).then_some((runtime, id));
    }
    if let Some(id) = part.strip_prefix("libpod-").filter(|id| is_id(id)) {
        return Some((Runtime::Podman, id));
    }
    if let Some(id) = part.strip_prefix("crio-").filter(|id| is_id(id)) {
        return Some((Runtime::CriO, id));
    }
    let above = at.checked_sub(2).and_then(|at| parts.get(at)).copied().unwrap_or_default();
    match parent {
        "docker" if is_id(part) => Some((Runtime::Docker, part)),
        // The agent of Amazon's ECS gives dockerd the task's group as parent.
        _ if above == "ecs" && is_id(part) => Some((Runtime::Docker, part)),
        _ if pod_uid(parent).is_some() && is_id(part) => Some((Runtime::Kubernetes, part)),
        // `ctr` takes any name.
        _ if at == 1 && CONTAINERD_NAMESPACES.contains(&parent) => Some((Runtime::Containerd, part)),
        _ => None,
    }
}

/// `docker-ID.scope` and its like.
fn scope(part: &str) -> Option<(Runtime, &str)> {
    if let Some(name) = part.strip_prefix("machine-").and_then(|name| name.strip_suffix(".scope")) {
        return Some((Runtime::SystemdNspawn, name));
    }
    if let Some(name) = part.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service")) {
        return Some((Runtime::SystemdNspawn, name));
    }
    let (prefix, id) = part.strip_suffix(".scope")?.rsplit_once('-')?;
    let runtime = prefix_runtime(prefix)?;
    is_id(id).then_some((runtime, id))
}

fn prefix_runtime(prefix: &str) -> Option<Runtime> {
    Some(match prefix {
        "docker" => Runtime::Docker,
        "cri-containerd" => Runtime::Kubernetes,
        "nerdctl" | "containerd" => Runtime::Containerd,
        "crio" => Runtime::CriO,
        "libpod" => Runtime::Podman,
        _ => return None,
    })
}

/// 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `podUID`, `kubepods-burstable-podUID.slice`, `kubelet-kubepods-podUID.slice` (kind): with the systemd driver the uid's
/// dashes are underscores.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = if let Some(uid) = name.strip_prefix("pod") {
        uid
    } else {
        name.rsplit_once("-pod").filter(|(front, _)| front.contains("kubepods"))?.1
    };
    let uid = uid.replace('_', "-");
    // A uid, or the hash of a static pod's manifest.
    let plain = uid.bytes().filter(|byte| *byte != b'-').count();
    (plain == 32 && uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())).then_some(uid)
}

#[cfg(test)]
mod tests;
