//! The keys under which runtimes write Kubernetes' names, and other names, into labels and annotations.

use std::sync::Arc;

use serde::Deserialize;

use crate::event::{Facts, Image, Labels, Owner, Pod};

/// The kubelet's name for what holds a pod's namespaces.
const SANDBOX: &str = "POD";

const CONTAINER_NAME: [&str; 4] = [
    "io.kubernetes.container.name",
    "io.kubernetes.cri.container-name",
    "io.kubernetes.cri-o.ContainerName",
    "nerdctl/name",
];
const KIND: [&str; 3] =
    ["io.kubernetes.cri.container-type", "io.cri-containerd.kind", "io.kubernetes.cri-o.ContainerType"];
const IMAGE: [&str; 2] = ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];
const POD_NAME: [&str; 2] = ["io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"];
const POD_NAMESPACE: [&str; 2] = ["io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"];
const POD_UID: [&str; 2] = ["io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"];
const SANDBOX_ID: [&str; 3] =
    ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID", "io.kubernetes.sandbox.id"];

/// Takes out of labels or annotations what they say of the container and its pod.
pub(super) fn read(all: &Labels, facts: &mut Facts) {
    let get =
        |keys: &[&str]| keys.iter().find_map(|key| all.get(*key)).filter(|value| !value.is_empty()).cloned();
    let sandbox = get(&KIND).is_some_and(|kind| &*kind == "sandbox");
    if facts.name.is_none() {
        facts.name = if sandbox { Some(SANDBOX.into()) } else { get(&CONTAINER_NAME) };
    }
    if let Some(image) = get(&IMAGE).filter(|_| facts.image.is_none()) {
        facts.image = Some(Image::named(&image));
    }
    if facts.privileged.is_none() {
        facts.privileged = get(&["io.kubernetes.cri-o.PrivilegedRuntime"]).map(|value| &*value == "true");
    }
    let pod = Pod {
        name: get(&POD_NAME),
        namespace: get(&POD_NAMESPACE),
        uid: get(&POD_UID),
        sandbox_id: get(&SANDBOX_ID),
        ip: get(&["io.kubernetes.cri-o.IP.0"]),
        ..Pod::default()
    };
    if pod != Pod::default() {
        let mut whole = facts.pod.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        merge(&mut whole, pod);
        facts.pod = Some(Arc::new(whole));
    }
    let inner = |key: &str| all.get(key).and_then(|json| serde_json::from_str::<Labels>(json).ok());
    if let Some(labels) = inner("io.kubernetes.cri-o.Labels") {
        read(&labels, facts);
        if sandbox {
            of_pod(facts, &labels, &inner("io.kubernetes.cri-o.Annotations").unwrap_or_default());
        } else {
            facts.labels.extend(own(&labels));
        }
    }
}

fn merge(pod: &mut Pod, other: Pod) {
    let texts = [
        (&mut pod.name, other.name),
        (&mut pod.namespace, other.namespace),
        (&mut pod.uid, other.uid),
        (&mut pod.sandbox_id, other.sandbox_id),
        (&mut pod.ip, other.ip),
    ];
    for (own, other) in texts {
        if own.is_none() {
            *own = other;
        }
    }
}

/// Puts labels and annotations of the pod to what is known of the container.
pub(super) fn of_pod(facts: &mut Facts, labels: &Labels, annotations: &Labels) {
    let pod = Arc::make_mut(facts.pod.get_or_insert_default());
    pod.owner = pod.name.as_deref().and_then(|name| Owner::of(name, labels, annotations));
    pod.labels = own(labels).collect();
    pod.annotations = own(annotations)
        // What `kubectl apply` remembers: as large as the whole manifest, and no property of the pod.
        .filter(|(key, _)| &**key != "kubectl.kubernetes.io/last-applied-configuration")
        .collect();
}

/// Labels without those by which the runtime and the kubelet find their way.
pub(super) fn own(labels: &Labels) -> impl Iterator<Item = (Box<str>, Box<str>)> {
    const INTERNAL: [&str; 3] = ["io.kubernetes.", "io.cri-containerd.", "io.containerd."];
    labels
        .iter()
        .filter(|(key, _)| !INTERNAL.iter().any(|internal| key.starts_with(internal)))
        .map(|(key, value)| (key.clone(), value.clone()))
}

/// What containerd's CRI plugin keeps of a container or a sandbox, as JSON beside its own record of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct CriRecord {
    metadata: CriMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CriMetadata {
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    #[serde(rename = "ImageRef")]
    image_ref: String,
    #[serde(rename = "IP")]
    ip: String,
    #[serde(rename = "Config")]
    config: Option<CriConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CriConfig {
    labels: Option<Labels>,
    annotations: Option<Labels>,
    image: Option<CriImage>,
    linux: Option<CriLinux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CriImage {
    user_specified_image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CriLinux {
    security_context: Option<CriSecurity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CriSecurity {
    privileged: bool,
}

impl CriRecord {
    /// Id of the sandbox, of a container's record.
    pub(super) fn sandbox_id(&self) -> Option<&str> {
        Some(self.metadata.sandbox_id.as_str()).filter(|id| !id.is_empty())
    }

    /// What a container's record says of it.
    pub(super) fn container(&self, facts: &mut Facts) {
        let config = self.metadata.config.as_ref();
        let security = config.and_then(|config| config.linux.as_ref()?.security_context.as_ref());
        facts.privileged = Some(security.is_some_and(|security| security.privileged));
        let asked_for =
            config.and_then(|config| config.image.as_ref()).map(|image| &image.user_specified_image);
        if let Some(name) = asked_for.filter(|name| !name.is_empty()) {
            facts.image.get_or_insert_default().name = name.as_str().into();
        }
        if let Some(id) = self.metadata.image_ref.strip_prefix("sha256:") {
            facts.image.get_or_insert_default().id = Some(id.into());
        }
        if let Some(id) = self.sandbox_id() {
            Arc::make_mut(facts.pod.get_or_insert_default()).sandbox_id = Some(id.into());
        }
    }

    /// What a sandbox's record says of the pod, for each of the pod's containers.
    pub(super) fn sandbox(&self, facts: &mut Facts) {
        let config = self.metadata.config.as_ref();
        let none = Labels::new();
        let labels = config.and_then(|config| config.labels.as_ref()).unwrap_or(&none);
        let annotations = config.and_then(|config| config.annotations.as_ref()).unwrap_or(&none);
        if !labels.is_empty() || !annotations.is_empty() {
            of_pod(facts, labels, annotations);
        }
        if !self.metadata.ip.is_empty() {
            Arc::make_mut(facts.pod.get_or_insert_default()).ip = Some(self.metadata.ip.as_str().into());
        }
    }
}
