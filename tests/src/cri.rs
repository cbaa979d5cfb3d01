//! The part of Kubernetes' runtime interface (CRI v1) that makes a pod: what a kubelet would send, field by field.

use std::{collections::HashMap, path::Path};

use containerd_client::tonic::{
    self, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use prost::Message;
use tonic_prost::ProstCodec;

type Labels = HashMap<String, String>;

/// `PodSandboxConfig`
#[derive(Clone, PartialEq, Message)]
pub struct PodConfig {
    /// Who it is.
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<PodMetadata>,
    /// `hostname`
    #[prost(string, tag = "2")]
    pub hostname: String,
    /// `log_directory`
    #[prost(string, tag = "3")]
    pub log_directory: String,
    /// `labels`
    #[prost(map = "string, string", tag = "6")]
    pub labels: Labels,
    /// `annotations`
    #[prost(map = "string, string", tag = "7")]
    pub annotations: Labels,
    /// `linux`
    #[prost(message, optional, tag = "8")]
    pub linux: Option<PodLinux>,
}

/// `PodSandboxMetadata`
#[derive(Clone, PartialEq, Message)]
pub struct PodMetadata {
    /// `name`
    #[prost(string, tag = "1")]
    pub name: String,
    /// `uid`
    #[prost(string, tag = "2")]
    pub uid: String,
    /// `namespace`
    #[prost(string, tag = "3")]
    pub namespace: String,
}

/// `LinuxPodSandboxConfig`
#[derive(Clone, PartialEq, Message)]
pub struct PodLinux {
    /// `cgroup_parent`
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
    /// `security_context`
    #[prost(message, optional, tag = "2")]
    pub security_context: Option<PodSecurity>,
}

/// `LinuxSandboxSecurityContext`
#[derive(Clone, PartialEq, Message)]
pub struct PodSecurity {
    /// `namespace_options`
    #[prost(message, optional, tag = "1")]
    pub namespaces: Option<Namespaces>,
}

/// `NamespaceOption`: 2 is the node's.
#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    /// `network`
    #[prost(int32, tag = "1")]
    pub network: i32,
}

#[derive(Clone, PartialEq, Message)]
struct RunPod {
    #[prost(message, optional, tag = "1")]
    config: Option<PodConfig>,
}

/// An answer that is an id, or a request about one.
#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<PodConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerName>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(map = "string, string", tag = "9")]
    labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerName {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

/// A client of one runtime.
pub struct Cri {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
}

impl Cri {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody listens.
    #[must_use]
    pub fn connect(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let channel = runtime.block_on(containerd_client::connect(socket)).expect("a connection");
        Self { runtime, channel }
    }

    fn call<Q: Message + 'static, A: Message + Default + 'static>(
        &self,
        method: &str,
        request: Q,
    ) -> Result<A, Status> {
        let path: PathAndQuery = format!("/runtime.v1.RuntimeService/{method}").parse().expect("a path");
        self.runtime.block_on(async {
            let mut grpc = Grpc::new(self.channel.clone());
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            Ok(grpc.unary(tonic::Request::new(request), path, codec).await?.into_inner())
        })
    }

    /// Makes a pod; gives the id of its sandbox.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn run_pod(&self, config: &PodConfig) -> Result<String, Status> {
        Ok(self.call::<_, Id>("RunPodSandbox", RunPod { config: Some(config.clone()) })?.id)
    }

    /// Makes and starts a container in a pod; gives its id.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn run_container(
        &self,
        pod: &str,
        pod_config: &PodConfig,
        name: &str,
        image: &str,
        command: &[&str],
    ) -> Result<String, Status> {
        let mut labels = pod_config.labels.clone();
        labels.retain(|key, _| key.starts_with("io.kubernetes."));
        labels.insert("io.kubernetes.container.name".to_owned(), name.to_owned());
        let config = ContainerConfig {
            metadata: Some(ContainerName { name: name.to_owned() }),
            image: Some(ImageSpec { image: image.to_owned() }),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            labels,
        };
        let request = CreateContainer {
            pod: pod.to_owned(),
            config: Some(config),
            pod_config: Some(pod_config.clone()),
        };
        let id = self.call::<_, Id>("CreateContainer", request)?.id;
        self.call::<_, Nothing>("StartContainer", Id { id: id.clone() })?;
        Ok(id)
    }

    /// Ends a pod and everything in it.
    pub fn remove_pod(&self, id: &str) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            let _ = self.call::<_, Nothing>(method, Id { id: id.to_owned() });
        }
    }
}
