//! What bundles of real runtimes say, and what hostile ones must not do.

use super::*;

fn ask(runtime: Runtime, cgroup: &str) -> Ask {
    Ask { instance: 1, id: "t1".into(), runtime, cgroup: cgroup.into(), pid: None }
}

fn facts(json: &str) -> Facts {
    Spec::parse(json.as_bytes()).unwrap().facts(&ask(Runtime::Kubernetes, "/k8s.io/t1"))
}

#[test]
fn a_container_of_containerds_cri() {
    let facts = facts(
        r#"{"annotations": {"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
             "io.kubernetes.cri.image-name": "docker.io/library/nginx:1", "io.kubernetes.cri.sandbox-id": "ssss",
             "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-namespace": "shop"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                       {"destination": "/host", "type": "bind", "source": "/", "options": ["rbind", "rslave", "ro"]}],
            "process": {"capabilities": {"bounding": ["CAP_CHOWN"]}}, "linux": {"maskedPaths": ["/proc/kcore"]}}"#,
    );
    let pod = facts.pod.unwrap();
    assert_eq!(facts.name.as_deref(), Some("app"));
    assert_eq!(&*facts.image.unwrap().name, "docker.io/library/nginx:1");
    assert_eq!((pod.name.as_deref(), pod.namespace.as_deref()), (Some("web-0"), Some("shop")));
    assert_eq!((pod.sandbox_id.as_deref(), facts.privileged), (Some("ssss"), Some(false)));
    let mount = Mount {
        source: "/".into(),
        destination: "/host".into(),
        mode: "rbind,ro".into(),
        writable: false,
        propagation: "rslave".into(),
    };
    assert_eq!(facts.mounts, [mount], "only what shows something of the host");
}

#[test]
fn a_container_and_a_sandbox_of_crio() {
    let container = facts(
        r#"{"annotations": {"io.kubernetes.container.name": "app", "io.kubernetes.cri-o.ImageName": "quay.io/a/b:2",
             "io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n", "io.kubernetes.pod.uid": "u",
             "io.kubernetes.cri-o.SandboxID": "s", "io.kubernetes.cri-o.ContainerType": "container",
             "io.kubernetes.cri-o.PrivilegedRuntime": "true"},
            "process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"]}}}"#,
    );
    assert_eq!((container.name.as_deref(), container.privileged), (Some("app"), Some(true)));
    assert_eq!(container.pod.unwrap().uid.as_deref(), Some("u"));
    let sandbox = facts(
        r#"{"annotations": {"io.kubernetes.cri-o.ContainerType": "sandbox", "io.kubernetes.cri-o.IP.0": "10.0.0.9",
             "io.kubernetes.pod.name": "web-5d9c7b8f4-x2x7k", "io.kubernetes.pod.namespace": "n",
             "io.kubernetes.cri-o.Labels": "{\"app\":\"web\",\"pod-template-hash\":\"5d9c7b8f4\",\"io.kubernetes.pod.uid\":\"u\"}",
             "io.kubernetes.cri-o.Annotations": "{\"team\":\"a\"}"}}"#,
    );
    let pod = sandbox.pod.unwrap();
    assert_eq!((sandbox.name.as_deref(), pod.ip.as_deref()), (Some("POD"), Some("10.0.0.9")));
    assert_eq!(pod.labels.keys().map(|key| &**key).collect::<Vec<_>>(), ["app", "pod-template-hash"]);
    assert_eq!(pod.annotations.get("team").map(|value| &**value), Some("a"));
    assert_eq!(pod.owner.as_ref().map(|owner| (&*owner.kind, &*owner.name)), Some(("Deployment", "web")));
}

#[test]
fn containerd_itself_has_ids_for_names() {
    let name = |runtime, cgroup: &str| Spec::parse(b"{}").unwrap().facts(&ask(runtime, cgroup)).name;
    assert_eq!(name(Runtime::Containerd, "/default/t1").as_deref(), Some("t1"));
    assert_eq!(name(Runtime::Containerd, "/k8s.io/t1"), None, "the kubelet has");
    assert_eq!(name(Runtime::Docker, "/docker/t1"), None, "dockerd has");
}

#[test]
fn what_is_hostile_is_refused_as_a_whole() {
    let refused =
        |json: &str| assert!(Spec::parse(json.as_bytes()).is_err(), "{}", &json[..json.len().min(60)]);
    refused("");
    refused("{\"annotations\": {\"a\": \"b\"");
    refused("{\"annotations\": 7}");
    refused("{\"mounts\": {\"destination\": \"/\"}}");
    refused("[]");
    refused("\u{0}\u{0}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&format!("{{\"annotations\": {deep}}}"));
    // What nobody reads is passed over without going down into it.
    assert!(Spec::parse(format!("{{\"x\": {deep}}}").as_bytes()).is_ok());
    // Nulls are what Go writes for nothing.
    assert!(
        Spec::parse(
            br#"{"annotations": null, "mounts": null, "process": null, "root": null, "linux": null}"#
        )
        .is_ok()
    );
}

#[test]
fn names_with_control_characters_stay_what_they_are() {
    let facts = facts(r#"{"annotations": {"io.kubernetes.container.name": "a\u001b[2Jb\nc\u0000"}}"#);
    assert_eq!(facts.name.as_deref(), Some("a\u{1b}[2Jb\nc\0"));
}

#[test]
fn the_root_and_what_is_mounted_over_its_files() {
    let spec = Spec::parse(
        br#"{"root": {"path": "rootfs"}, "linux": {"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]},
            "mounts": [{"destination": "/etc/passwd", "type": "bind", "source": "/run/x/passwd"}]}"#,
    );
    let root = spec.unwrap().root(Path::new("/bundle")).unwrap();
    assert_eq!((root.path, root.passwd), ("/bundle/rootfs".into(), Some("/run/x/passwd".into())));
    assert_eq!(
        (root.group, root.uids, root.gids.len()),
        (None, vec![IdMap { inside: 0, outside: 1000, size: 10 }], 0)
    );
    let absolute =
        Spec::parse(br#"{"root": {"path": "/merged"}}"#).unwrap().root(Path::new("/bundle")).unwrap();
    assert_eq!(absolute.path, Path::new("/merged"));
}
