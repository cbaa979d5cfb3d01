//! Control groups → containers: which path belongs to which key, and what the path says of the container.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::event::{Container, Runtime};

/// Groups known at most; beyond that new ones are looked up each time. A group costs about 300 bytes.
const LIMIT: usize = 65_536;

/// Every control group that is there, by key.
#[derive(Debug, Default)]
pub struct Cgroups {
    by_key: HashMap<u64, Option<Arc<Container>>>,
}

impl Cgroups {
    /// A group was made or found.
    pub fn insert(&mut self, key: u64, path: &str) {
        if self.by_key.len() < LIMIT {
            self.by_key.insert(key, container_of(path).map(Arc::new));
        }
    }

    /// A group is gone. Its key will not come back: the kernel counts generations in it.
    pub fn remove(&mut self, key: u64) {
        self.by_key.remove(&key);
    }

    /// The container of a group: `None` where the group is unknown, `Some(None)` where it is the host's.
    #[must_use]
    #[allow(clippy::option_option, reason = "unknown and host are two answers")]
    pub fn get(&self, key: u64) -> Option<Option<&Arc<Container>>> {
        self.by_key.get(&key).map(Option::as_ref)
    }

    /// Groups known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// Namespaces under which containerd puts the groups of containers that nobody gave another parent.
const CONTAINERD_NAMESPACES: [&str; 4] = ["default", "k8s.io", "moby", "buildkit"];

/// What a group's path says of the container, if it is one: the innermost for nested ones, and also for groups that a
/// container made inside its own. A name that merely looks like an id is none; its parent or its form must be a runtime's.
#[must_use]
pub fn container_of(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (at, (runtime, full_id)) =
        (0..parts.len()).rev().find_map(|at| Some((at, runtime_of(&parts, at)?)))?;
    let pod_uid = parts.iter().take(at).rev().find_map(|part| pod_uid(part));
    let id = full_id.char_indices().nth(12).map_or(full_id, |(end, _)| full_id.get(..end).unwrap_or(full_id));
    let in_group = parts.get(..=at).unwrap_or_default().join("/");
    Some(Container {
        id: id.into(),
        full_id: full_id.into(),
        runtime,
        cgroup: format!("/{in_group}").into(),
        pod_uid: pod_uid.map(Into::into),
    })
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
    match parent {
        "docker" if is_id(part) => Some((Runtime::Docker, part)),
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

/// `podUID`, `kubepods-burstable-podUID.slice`: with the systemd driver the uid's dashes are underscores.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = if let Some(uid) = name.strip_prefix("pod") {
        uid
    } else {
        name.strip_prefix("kubepods")?.rsplit_once("-pod")?.1
    };
    let uid = uid.replace('_', "-");
    // A uid, or the hash of a static pod's manifest.
    let plain = uid.bytes().filter(|byte| *byte != b'-').count();
    (plain == 32 && uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "7bb0d1f4-2a51-4b6c-9d39-0a9f1b1f1b1f";

    #[track_caller]
    fn found(path: &str, runtime: Runtime, full_id: &str, pod: Option<&str>) {
        let path = path.replace("ID", ID).replace("U_D", &UID.replace('-', "_")).replace("UID", UID);
        let container = container_of(&path).unwrap_or_else(|| panic!("{path}: no container"));
        assert_eq!(
            (container.runtime, &*container.full_id, container.pod_uid.as_deref()),
            (runtime, full_id, pod),
            "{path}"
        );
    }

    #[test]
    fn paths_of_every_runtime_and_driver() {
        found("/docker/ID", Runtime::Docker, ID, None);
        found("/system.slice/docker-ID.scope", Runtime::Docker, ID, None);
        found(
            "/kubepods/burstable/podU-D/ID".replace("U-D", UID).as_str(),
            Runtime::Kubernetes,
            ID,
            Some(UID),
        );
        found(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            Runtime::Kubernetes,
            ID,
            Some(UID),
        );
        found("/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope/container", Runtime::CriO, ID, Some(UID));
        found(
            "/system.slice/containerd.service/kubepods-podU_D.slice:cri-containerd:ID",
            Runtime::Kubernetes,
            ID,
            None,
        );
        found("/libpod_parent/libpod-ID", Runtime::Podman, ID, None);
        found(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            Runtime::Podman,
            ID,
            None,
        );
        found("/machine.slice/machine-web.scope/payload", Runtime::SystemdNspawn, "web", None);
        found(
            "/machine.slice/systemd-nspawn@web.service/payload/init.scope",
            Runtime::SystemdNspawn,
            "web",
            None,
        );
        found("/default/t1", Runtime::Containerd, "t1", None);
        found("/k8s.io/ID", Runtime::Containerd, ID, None);
        found("/system.slice/nerdctl-ID.scope", Runtime::Containerd, ID, None);
    }

    #[test]
    fn nested_groups_belong_to_the_innermost_container() {
        let inner = "f".repeat(64);
        found(&format!("/docker/ID/docker/{inner}/init.scope"), Runtime::Docker, &inner, None);
        found("/docker/ID/system.slice/nginx.service", Runtime::Docker, ID, None);
    }

    #[test]
    fn a_name_that_looks_like_an_id_is_no_container() {
        for path in [
            "/",
            "/system.slice/ssh.service",
            "/user.slice/user-0.slice/session-1.scope",
            "/process_api/cd3d89853a3d17175ea431ee10c03961",
            "/somewhere/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "/docker",
            "/docker/buildx",
            "/kubepods/burstable/pod7bb0d1f4-2a51-4b6c-9d39-0a9f1b1f1b1f",
            "/machine.slice/libpod-conmon-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
            "/default",
        ] {
            assert_eq!(container_of(path), None, "{path}");
        }
    }
}
