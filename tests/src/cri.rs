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

/// `NamespaceOption`: 0 is the pod's, 2 is the node's.
#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    /// `network`
    #[prost(int32, tag = "1")]
    pub network: i32,
    /// `pid`
    #[prost(int32, tag = "2")]
    pub pid: i32,
}

/// `KeyValue`
#[derive(Clone, PartialEq, Message)]
pub struct Variable {
    /// `key`
    #[prost(string, tag = "1")]
    pub key: String,
    /// `value`
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `Mount`
#[derive(Clone, PartialEq, Message)]
pub struct Mount {
    /// `container_path`
    #[prost(string, tag = "1")]
    pub inside: String,
    /// `host_path`
    #[prost(string, tag = "2")]
    pub host: String,
    /// `readonly`
    #[prost(bool, tag = "3")]
    pub readonly: bool,
    /// `propagation`: 1 is the host's to the container.
    #[prost(int32, tag = "5")]
    pub propagation: i32,
}

/// `LinuxContainerConfig`
#[derive(Clone, PartialEq, Message)]
pub struct ContainerLinux {
    /// `security_context`
    #[prost(message, optional, tag = "2")]
    pub security_context: Option<ContainerSecurity>,
}

/// `LinuxContainerSecurityContext`
#[derive(Clone, PartialEq, Message)]
pub struct ContainerSecurity {
    /// `capabilities`
    #[prost(message, optional, tag = "1")]
    pub capabilities: Option<Capabilities>,
    /// `privileged`
    #[prost(bool, tag = "2")]
    pub privileged: bool,
    /// `namespace_options`
    #[prost(message, optional, tag = "3")]
    pub namespaces: Option<Namespaces>,
    /// `readonly_rootfs`
    #[prost(bool, tag = "7")]
    pub readonly_root: bool,
    /// `no_new_privs`
    #[prost(bool, tag = "11")]
    pub no_new_privileges: bool,
}

/// `Capability`
#[derive(Clone, PartialEq, Message)]
pub struct Capabilities {
    /// `add_capabilities`
    #[prost(string, repeated, tag = "1")]
    pub add: Vec<String>,
    /// `drop_capabilities`
    #[prost(string, repeated, tag = "2")]
    pub drop: Vec<String>,
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

/// `ContainerConfig`
#[derive(Clone, PartialEq, Message)]
pub struct ContainerConfig {
    /// `metadata`
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ContainerName>,
    /// `image`
    #[prost(message, optional, tag = "2")]
    pub image: Option<ImageSpec>,
    /// `command`
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
    /// `args`
    #[prost(string, repeated, tag = "4")]
    pub args: Vec<String>,
    /// `envs`
    #[prost(message, repeated, tag = "6")]
    pub envs: Vec<Variable>,
    /// `mounts`
    #[prost(message, repeated, tag = "7")]
    pub mounts: Vec<Mount>,
    /// `labels`
    #[prost(map = "string, string", tag = "9")]
    pub labels: Labels,
    /// `log_path`, below the pod's directory for them.
    #[prost(string, tag = "11")]
    pub log_path: String,
    /// `linux`
    #[prost(message, optional, tag = "15")]
    pub linux: Option<ContainerLinux>,
}

/// `ContainerMetadata`
#[derive(Clone, PartialEq, Message)]
pub struct ContainerName {
    /// `name`
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `ImageSpec`
#[derive(Clone, PartialEq, Message)]
pub struct ImageSpec {
    /// `image`
    #[prost(string, tag = "1")]
    pub image: String,
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
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        self.run_as(pod, pod_config, (name, image), ContainerConfig { command, ..ContainerConfig::default() })
    }

    /// The same with all that a container can be told. Its name, its image and its labels are filled in.
    ///
    /// # Errors
    /// The runtime's words.
    pub fn run_as(
        &self,
        pod: &str,
        pod_config: &PodConfig,
        (name, image): (&str, &str),
        config: ContainerConfig,
    ) -> Result<String, Status> {
        let mut labels = pod_config.labels.clone();
        labels.retain(|key, _| key.starts_with("io.kubernetes."));
        labels.insert("io.kubernetes.container.name".to_owned(), name.to_owned());
        let config = ContainerConfig {
            metadata: Some(ContainerName { name: name.to_owned() }),
            image: Some(ImageSpec { image: image.to_owned() }),
            labels,
            ..config
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
