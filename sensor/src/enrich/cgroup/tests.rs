//! Paths as they are found on real hosts.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "7bb0d1f4-2a51-4b6c-9d39-0a9f1b1f1b1f";

#[track_caller]
fn found(path: &str, runtime: Runtime, full_id: &str, pod: Option<&str>) {
    let path = path.replace("UID", UID).replace("U_D", &UID.replace('-', "_")).replace("ID", ID);
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
    found("/kubepods/burstable/podU-D/ID".replace("U-D", UID).as_str(), Runtime::Kubernetes, ID, Some(UID));
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
        Some(UID),
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
    found("/kubelet/kubepods/besteffort/podUID/ID", Runtime::Kubernetes, ID, Some(UID));
    found(
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
         kubelet-kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
        Runtime::Kubernetes,
        ID,
        Some(UID),
    );
    found("/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope", Runtime::Docker, ID, Some(UID));
    found("/kubepods/podUID/crio-ID", Runtime::CriO, ID, Some(UID));
    found(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
        Runtime::Docker,
        ID,
        None,
    );
    found("/machine.slice/machine-libpod_pod_ID.slice/libpod-ID.scope/container", Runtime::Podman, ID, None);
    found("/ecs/6a7f3a3c4b5e4f6c9d390a9f1b1f1b1f/ID", Runtime::Docker, ID, None);
    found("/ecstasks.slice/ecstasks-6a7f.slice/docker-ID.scope", Runtime::Docker, ID, None);
    found("/moby/ID", Runtime::Containerd, ID, None);
    found("/default/t1", Runtime::Containerd, "t1", None);
    found("/k8s.io/ID", Runtime::Containerd, ID, None);
    found("/system.slice/nerdctl-ID.scope", Runtime::Containerd, ID, None);
}

#[test]
fn nested_groups_belong_to_the_innermost_container() {
    let inner = "f".repeat(64);
    found(&format!("/docker/ID/docker/{inner}/init.scope"), Runtime::Docker, &inner, None);
    found("/docker/ID/system.slice/nginx.service", Runtime::Docker, ID, None);
    // Kubernetes in docker: the node is a container, and so are its pods' containers inside it.
    let pod = format!("/docker/{inner}/kubelet/kubepods/burstable/podUID/ID");
    found(&pod, Runtime::Kubernetes, ID, Some(UID));
    found(&format!("/system.slice/docker-{inner}.scope/k8s.io/ID"), Runtime::Docker, &inner, None);
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
        "/kubepods.slice/kubepods-podU_D.slice/crio-conmon-ID.scope",
        "/ecs/ID",
    ] {
        let path = path.replace("ID", ID);
        assert_eq!(container_of(&path), None, "{path}");
    }
}

#[test]
fn host_groups_are_their_units() {
    assert_eq!(unit_of("/system.slice/ssh.service"), Some("ssh.service"));
    assert_eq!(unit_of("/system.slice/system-getty.slice/getty@tty1.service"), Some("getty@tty1.service"));
    assert_eq!(unit_of("/user.slice/user-0.slice/session-1.scope"), Some("session-1.scope"));
    assert_eq!(unit_of("/user.slice/user-1.slice/user@1.service/app.slice/a.service"), Some("a.service"));
    assert_eq!(unit_of("/system.slice/kubelet.service/worker"), Some("kubelet.service"));
    assert_eq!(unit_of("/system.slice/.service"), None);
    assert_eq!(unit_of("/system.slice"), None);
    assert_eq!(unit_of("/"), None);
}
