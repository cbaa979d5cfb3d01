//! Pods, made through containerd's CRI plugin as a kubelet makes them; no API server is asked for anything.

use std::fs;

use sensor_tests::{
    cgroup::{Group, unified},
    container::{Containerd, IMAGE, ROOT, missing},
    cri::{Cri, Namespaces, PodConfig, PodLinux, PodMetadata, PodSecurity},
    needs_kernel,
    require::skip,
    test_name,
};
use serde_json::json;

#[test]
fn pod_of_the_kubelets_interface_is_named() {
    needs_kernel!();
    if let Some(missing) = missing() {
        return skip(test_name!(), &missing);
    }
    let containerd = Containerd::start();
    containerd.import_pause();
    let sensor = containerd.sensor(&[]);
    let mark = format!("vedette-pod-{}", std::process::id());
    let uid = format!("7bb0d1f4-2a51-4b6c-9d39-{:012x}", std::process::id());
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let name = "web-5d9c7b8f4-x2x7k";
    let config = PodConfig {
        metadata: Some(PodMetadata { name: name.into(), uid: uid.clone(), namespace: "shop".into() }),
        // With the network of the node a pod has its name, too.
        hostname: String::new(),
        log_directory: containerd.at("logs").display().to_string(),
        labels: owned(&[
            ("app", "web"),
            ("pod-template-hash", "5d9c7b8f4"),
            ("io.kubernetes.pod.name", name),
            ("io.kubernetes.pod.namespace", "shop"),
            ("io.kubernetes.pod.uid", &uid),
        ]),
        annotations: owned(&[("team", "a")]),
        linux: Some(PodLinux {
            cgroup_parent: format!("/kubepods/burstable/pod{uid}"),
            security_context: Some(PodSecurity { namespaces: Some(Namespaces { network: 2, pid: 0 }) }),
        }),
    };
    fs::create_dir_all(containerd.at("logs")).unwrap();
    // The kubelet makes the pod's own group, and removes it.
    let _group = unified().map(|unified| Group::new(&unified, &format!("/kubepods/burstable/pod{uid}")));
    let cri = Cri::connect(&containerd.socket());
    let pod = match cri.run_pod(&config) {
        Ok(pod) => pod,
        Err(status) => return skip(test_name!(), &format!("no pod can be made: {}", status.message())),
    };
    let id = cri.run_container(&pod, &config, "app", IMAGE, &["/bin/true", &mark]).expect("a container");
    let exec = sensor
        .event("the pod's program", |event| event.is_exec() && event.args().ends_with(&[mark.as_str()]));
    let (container, kubernetes) = (&exec["container"], &exec["kubernetes"]);
    println!("{container} {kubernetes}");
    assert_eq!((&container["full_id"], &container["name"]), (&json!(id), &json!("app")));
    assert_eq!(container["image"]["name"], IMAGE);
    assert_eq!(container["privileged"], false);
    assert_eq!((&kubernetes["pod_name"], &kubernetes["namespace"]), (&json!(name), &json!("shop")));
    assert_eq!((&kubernetes["pod_uid"], &kubernetes["sandbox_id"]), (&json!(uid), &json!(pod)));
    assert_eq!(kubernetes["labels"], json!({"app": "web", "pod-template-hash": "5d9c7b8f4"}));
    assert_eq!(kubernetes["annotations"], json!({"team": "a"}));
    assert_eq!(kubernetes["owner"], json!({"kind": "Deployment", "name": "web"}));
    assert_eq!(exec["/task/user"], ROOT);
    let sandbox = sensor.event("the sandbox's program", |event| {
        event.is_exec() && event["/container/full_id"] == *pod && event["/process/runtime_init"].is_null()
    });
    assert_eq!(
        (&sandbox["/container/name"], &sandbox["/kubernetes/pod_name"]),
        (&json!("POD"), &json!(name))
    );
    cri.remove_pod(&pod);
}
