//! A pod of Kubernetes, and what made it, as the runtime's labels tell. It knows no API server.

use serde::{Deserialize, Serialize};

use super::facts::{Labels, labels_bytes, len, merge_labels};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its name.
    #[serde(rename = "pod_name", skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// Its uid.
    #[serde(rename = "pod_uid", skip_serializing_if = "Option::is_none")]
    pub uid: Option<Box<str>>,
    /// Id of the sandbox that its containers share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<Box<str>>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Box<str>>,
    /// Its labels, without the runtime's own.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Its annotations, without the runtime's own.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// What made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// What made a pod, as its labels give it away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `Node`.
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl Owner {
    /// The owner of the pod `name`. Controllers leave labels on their pods and build the pods' names from their own.
    #[must_use]
    pub fn of(name: &str, labels: &Labels, annotations: &Labels) -> Option<Self> {
        let owner = |kind: &str, name: &str| Some(Self { kind: kind.into(), name: name.into() });
        let label = |key: &str| labels.get(key).map(|value| &**value);
        let without_last = name.rsplit_once('-').map_or(name, |(front, _)| front);
        if let Some(job) = label("batch.kubernetes.io/job-name").or_else(|| label("job-name")) {
            return owner("Job", job);
        }
        if label("statefulset.kubernetes.io/pod-name").is_some() {
            return owner("StatefulSet", without_last);
        }
        if let Some(hash) = label("pod-template-hash") {
            let set = without_last;
            let deployment = set.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
            return deployment.map_or_else(|| owner("ReplicaSet", set), |name| owner("Deployment", name));
        }
        if label("controller-revision-hash").is_some() {
            return owner("DaemonSet", without_last);
        }
        let file = annotations.get("kubernetes.io/config.source").is_some_and(|source| &**source == "file");
        let node = name.rsplit_once('-').map(|(_, node)| node);
        node.filter(|_| file).and_then(|node| owner("Node", node))
    }
}

impl Pod {
    /// Bytes that it holds on the heap.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.name, &self.namespace, &self.uid, &self.sandbox_id, &self.ip];
        size_of::<Self>()
            + texts.into_iter().map(|text| len(text.as_deref())).sum::<usize>()
            + labels_bytes(&self.labels)
            + labels_bytes(&self.annotations)
    }

    /// As [`super::Facts::merge`].
    pub(super) fn merge(&mut self, other: Self, better: bool) {
        let texts = [
            (&mut self.name, other.name),
            (&mut self.namespace, other.namespace),
            (&mut self.uid, other.uid),
            (&mut self.sandbox_id, other.sandbox_id),
            (&mut self.ip, other.ip),
        ];
        for (own, other) in texts {
            if own.is_none() || better && other.is_some() {
                *own = other;
            }
        }
        merge_labels(&mut self.labels, other.labels, better);
        merge_labels(&mut self.annotations, other.annotations, better);
        if self.owner.is_none() || other.owner.is_some() {
            self.owner = other.owner;
        }
    }
}
