//! The programs of a cluster with one node, and a way to speak with it. They are started in the order in which they need one
//! another and ended the other way round.
//!
//! What is put into the cluster is not known here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::ground::{ADDRESS, GROUP};
use super::service::Service;
use crate::child;

/// The node's name.
pub(super) const NODE: &str = "node-1";

/// Where containerd is by default, which is where sensors look for it.
const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Where Debian puts the programs that give pods addresses.
const CNI: &str = "/usr/lib/cni";

/// The pods' network; nothing leads out of it.
const NETWORK: &str = "10.88.78.0/24";

const ETCD: &str = "http://127.0.0.1:2379";
const PEERS: &str = "http://127.0.0.1:2380";
const SERVER: &str = "https://127.0.0.1:6443";

/// Who may do everything. The server is in a network that ends with the run and that nothing else is in.
const TOKEN: &str = "e2e";

/// Longest time for one of the programs to be ready.
const START: Duration = Duration::from_secs(120);

/// A cluster at work.
pub(super) struct Cluster {
    folder: PathBuf,
    /// The last one started first.
    services: Vec<Service>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        while let Some(service) = self.services.pop() {
            drop(service);
        }
    }
}

impl Cluster {
    /// Starts it and waits until the node is ready. `programs`: where Kubernetes' are; `images`: archives of what pods run.
    pub(super) fn start(folder: &Path, programs: &Path, pause: &str, images: &[PathBuf]) -> Result<Cluster> {
        let mut cluster = Cluster { folder: folder.to_owned(), services: Vec::new() };
        cluster.write_all(pause)?;
        cluster.etcd()?;
        cluster.containerd(images)?;
        cluster.control(programs)?;
        cluster.kubelet(programs, pause)?;
        Ok(cluster)
    }

    /// What the kubelet said last, for whoever looks for a reason.
    pub(super) fn kubelet_tail(&self) -> String {
        self.services.last().map(Service::tail).unwrap_or_default()
    }

    /// Asks the cluster for something; what it says is the error where it refuses.
    pub(super) fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut kubectl = self.client();
        let output = kubectl.args(args).output().context("cannot start kubectl")?;
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), errors.trim());
        }
        Ok(said.into_owned())
    }

    /// Asks for an object.
    pub(super) fn get(&self, args: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[&["get", "--output", "json"], args].concat())?;
        serde_json::from_str(&text).context("kubectl wrote no JSON")
    }

    /// Asks the container runtime for something.
    pub(super) fn ctr(&self, args: &[&str]) -> Result<String> {
        let mut ctr = child::command("ctr", &self.folder);
        ctr.args(["--namespace", "k8s.io"]).args(args);
        child::output(&mut ctr, &format!("ctr {}", args.join(" ")))
    }

    fn client(&self) -> Command {
        let mut kubectl = child::command("kubectl", &self.folder);
        kubectl.arg("--kubeconfig").arg(self.at("kubeconfig"));
        // Its caches, too, are in this folder and nowhere else.
        kubectl.env("HOME", &self.folder);
        kubectl
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    fn write_all(&self, pause: &str) -> Result<()> {
        fs::create_dir_all(self.at("cni")).context("cannot create a folder")?;
        self.write("tokens.csv", &format!("{TOKEN},admin,1,\"system:masters\"\n"))?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
            "clusters": [{"name": "e2e", "cluster": {"server": SERVER, "insecure-skip-tls-verify": true}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "admin"}}],
        });
        self.write("kubeconfig", &config.to_string())?;
        let kubelet = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{GROUP}"), "enforceNodeAllocatable": [],
            "failSwapOn": false, "resolvConf": "", "registerNode": true,
            // A machine without CAP_SYS_RESOURCE gives no process a smaller one.
            "oomScoreAdj": 0,
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            // Seconds instead of a minute, so that a changed ConfigMap arrives in seconds.
            "syncFrequency": "2s", "nodeStatusUpdateFrequency": "2s",
            "evictionHard": {"memory.available": "16Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
        });
        self.write("kubelet.json", &kubelet.to_string())?;
        let network = json!({
            "cniVersion": "0.4.0", "name": "pods",
            "plugins": [{"type": "bridge", "bridge": "pods0", "isGateway": true,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": NETWORK}]]}}],
        });
        self.write("cni/10-pods.conflist", &network.to_string())?;
        let containerd = format!(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{pause}\"\n\
             restrict_oom_score_adj = true\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"{CNI}\"\n\
             conf_dir = \"{}\"\n",
            self.at("cni")
        );
        self.write("containerd.toml", &containerd)?;
        let mut openssl = child::command("openssl", &self.folder);
        child::run(
            openssl.args(["genrsa", "-out", "accounts.key", "2048"]).stderr(Stdio::null()),
            "making a key",
        )
    }

    fn spawn(&mut self, command: Command) -> Result<&mut Service> {
        let service = Service::start(command, &self.folder)?;
        self.services.push(service);
        self.services.last_mut().context("nothing was started")
    }

    fn etcd(&mut self) -> Result<()> {
        let mut etcd = child::command("etcd", &self.folder);
        etcd.args(["--data-dir", &self.at("etcd")]);
        etcd.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]);
        etcd.args(["--listen-peer-urls", PEERS, "--initial-advertise-peer-urls", PEERS]);
        etcd.args(["--initial-cluster", &format!("default={PEERS}")]);
        let answers = || std::net::TcpStream::connect("127.0.0.1:2379").is_ok();
        self.spawn(etcd)?.until("etcd's start", START, answers)
    }

    fn containerd(&mut self, images: &[PathBuf]) -> Result<()> {
        let mut containerd = child::command("containerd", &self.folder);
        containerd.args(["--config", &self.at("containerd.toml")]);
        let answers =
            || Path::new(CONTAINERD).exists() && child::succeeds(Command::new("ctr").arg("version"));
        self.spawn(containerd)?.until("containerd's start", START, answers)?;
        for image in images {
            self.ctr(&["image", "import", &image.display().to_string()])?;
        }
        Ok(())
    }

    fn control(&mut self, programs: &Path) -> Result<()> {
        let key = self.at("accounts.key");
        let kubeconfig = format!("--kubeconfig={}", self.at("kubeconfig"));
        let mut server = child::command(programs.join("kube-apiserver"), &self.folder);
        server.args([
            &format!("--etcd-servers={ETCD}"),
            "--secure-port=6443",
            "--bind-address=127.0.0.1",
            &format!("--advertise-address={ADDRESS}"),
            &format!("--cert-dir={}", self.at("certificates")),
            "--service-account-issuer=https://kubernetes.default.svc",
            &format!("--service-account-key-file={key}"),
            &format!("--service-account-signing-key-file={key}"),
            &format!("--token-auth-file={}", self.at("tokens.csv")),
            // No name of a node leads anywhere.
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/24",
        ]);
        let asked = self.at("kubeconfig");
        let ready = || {
            let mut kubectl = child::command("kubectl", Path::new("/"));
            child::succeeds(kubectl.args(["--kubeconfig", &asked, "get", "--raw", "/readyz"]))
        };
        self.spawn(server)?.until("the API server's start", START, ready)?;
        let mut manager = child::command(programs.join("kube-controller-manager"), &self.folder);
        manager.args([&kubeconfig, "--leader-elect=false", "--port=0", "--secure-port=0"]);
        self.spawn({
            manager.arg(format!("--service-account-private-key-file={key}"));
            manager
        })?;
        let mut scheduler = child::command(programs.join("kube-scheduler"), &self.folder);
        scheduler.args([&kubeconfig, "--leader-elect=false", "--port=0", "--secure-port=0"]);
        self.spawn(scheduler)?;
        Ok(())
    }

    fn kubelet(&mut self, programs: &Path, pause: &str) -> Result<()> {
        let mut kubelet = child::command(programs.join("kubelet"), &self.folder);
        kubelet.args([
            &format!("--config={}", self.at("kubelet.json")),
            &format!("--kubeconfig={}", self.at("kubeconfig")),
            "--container-runtime=remote",
            &format!("--container-runtime-endpoint=unix://{CONTAINERD}"),
            &format!("--pod-infra-container-image={pause}"),
            &format!("--hostname-override={NODE}"),
            &format!("--node-ip={ADDRESS}"),
        ]);
        let asked = self.at("kubeconfig");
        let ready = || {
            let mut kubectl = child::command("kubectl", Path::new("/"));
            let wait = ["wait", "--for=condition=Ready", "--timeout=1s", "node", NODE];
            child::succeeds(kubectl.args(["--kubeconfig", &asked]).args(wait))
        };
        self.spawn(kubelet)?.until("the node", START, ready)
    }
}
