//! What the sensor has to show in a cluster, step by step: each is a sentence, a verdict, and what was seen.
//!
//! A step goes on where the one before ended, so the first that fails is the last that is tried. How the cluster came to be is
//! not known here.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cluster::{Cluster, NODE};
use super::ground;

/// The namespace of the sensor, and its DaemonSet.
const OURS: &str = "vedette";
const SET: &str = "daemonset/vedette";

/// The pod that is attacked, and its namespace.
const POD: &str = "web";
const SHOP: &str = "shop";

/// What `cat /etc/shadow` is to the built-in rules.
const ATTACK: &str = "Password hashes read";

/// The rule that comes with the changed ConfigMap, and the word that makes it fire.
const SITE: &str = "Site rule";
const WORD: &str = "e2e-word";

/// Longest time for the cluster to do something, as `kubectl` takes it and as a number.
const LIMIT: &str = "--timeout=180s";
const PATIENCE: Duration = Duration::from_secs(180);

/// How often the cluster is asked.
const POLL: Duration = Duration::from_millis(500);

/// How one step ended.
pub(super) struct Verdict {
    pub(super) step: &'static str,
    /// What was seen, or why it failed.
    pub(super) outcome: Result<String>,
    pub(super) seconds: f64,
}

/// What the steps are about.
pub(super) struct Subject<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) manifests: &'a Path,
    /// The image in the manifests, and another name that it gets for the update.
    pub(super) image: &'a str,
    pub(super) updated: &'a str,
    /// What the pod that is attacked runs.
    pub(super) neighbour: &'a str,
}

/// A step: its sentence and what it does.
type Step<'a> = (&'static str, fn(&Subject<'a>) -> Result<String>);

/// Takes all steps up to the first that fails.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Verdict> {
    let steps: [Step<'_>; 6] = [
        ("the node is ready", node),
        ("the manifests are applied, the DaemonSet becomes ready", applied),
        ("an attack in a pod alerts with its names", attacked),
        ("a changed ConfigMap of rules is taken over", reloaded),
        ("a rolling update ends with another ready pod", updated),
        ("deleting leaves nothing running", deleted),
    ];
    let mut verdicts = Vec::new();
    for (step, take) in steps {
        let start = Instant::now();
        let outcome = take(subject);
        let failed = outcome.is_err();
        verdicts.push(Verdict { step, outcome, seconds: start.elapsed().as_secs_f64() });
        if failed {
            break;
        }
    }
    verdicts
}

fn node(subject: &Subject<'_>) -> Result<String> {
    let node = subject.cluster.get(&["node", NODE])?;
    let info = |name: &str| text(&node, &format!("/status/nodeInfo/{name}"));
    Ok(format!("{}, {}", info("kubeletVersion"), info("containerRuntimeVersion")))
}

fn applied(subject: &Subject<'_>) -> Result<String> {
    let cluster = subject.cluster;
    cluster.kubectl(&["apply", "--filename", &subject.manifests.display().to_string()])?;
    rolled_out(cluster)?;
    let pod = sensor(cluster)?;
    let no = |at: &str| pod.pointer(at) == Some(&Value::Bool(false));
    ensure!(no("/spec/containers/0/securityContext/privileged"), "the pod is privileged");
    ensure!(no("/spec/automountServiceAccountToken"), "the pod has a token");
    Ok(format!("{}, not privileged, without a token", name(&pod)))
}

fn attacked(subject: &Subject<'_>) -> Result<String> {
    let cluster = subject.cluster;
    cluster.kubectl(&["create", "namespace", SHOP])?;
    // The controllers make it in their own time, and no pod is taken without.
    until("the account of a namespace", || {
        Ok(cluster.get(&["serviceaccount", "default", "--namespace", SHOP]).ok())
    })?;
    let image = format!("--image={}", subject.neighbour);
    let plain = r#"--overrides={"spec":{"automountServiceAccountToken":false}}"#;
    cluster.kubectl(&["run", POD, "--namespace", SHOP, &image, "--image-pull-policy=Never", plain])?;
    let pod = format!("pod/{POD}");
    cluster.kubectl(&["wait", "--for=condition=Ready", "--namespace", SHOP, LIMIT, &pod])?;
    let alert = attack(cluster)?;
    let names = ["/kubernetes/namespace", "/kubernetes/pod_name", "/container/name", "/hostname"];
    let names = names.map(|at| alert.pointer(at).and_then(Value::as_str).unwrap_or("-"));
    ensure!(names == [SHOP, POD, POD, NODE], "the alert has other names: {}", names.join(" "));
    Ok(format!("{ATTACK}: namespace {SHOP}, pod {POD}, container {POD}, host {NODE}"))
}

fn reloaded(subject: &Subject<'_>) -> Result<String> {
    let cluster = subject.cluster;
    let before = name(&sensor(cluster)?);
    let rule = format!(
        "- rule: {SITE}\n  desc: The word was said.\n  condition: evt.type = execve and proc.args = {WORD}\n  \
         output: said | pod=%k8s.pod.name\n  priority: NOTICE\n"
    );
    let patch = serde_json::json!({"data": {"site.yaml": rule}}).to_string();
    cluster.kubectl(&["patch", "configmap", "vedette-rules", "--namespace", OURS, "--patch", &patch])?;
    let start = Instant::now();
    // The kubelet hands the files on in its own time.
    let alert = until("the alert of the new rule", || {
        exec(cluster, &["/bin/true", WORD])?;
        alert(cluster, SITE)
    })?;
    ensure!(alert.pointer("/kubernetes/pod_name").is_some_and(|name| name == POD), "no pod: {alert}");
    let after = sensor(cluster)?;
    let restarts = after.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64);
    ensure!(name(&after) == before && restarts == Some(0), "the pod was started anew");
    Ok(format!("its first alert after {:.0} s, in the same pod", start.elapsed().as_secs_f64()))
}

fn updated(subject: &Subject<'_>) -> Result<String> {
    let cluster = subject.cluster;
    let before = name(&sensor(cluster)?);
    cluster.ctr(&["image", "tag", subject.image, subject.updated])?;
    let set = format!("sensor={}", subject.updated);
    cluster.kubectl(&["set", "image", SET, &set, "--namespace", OURS])?;
    rolled_out(cluster)?;
    let after = sensor(cluster)?;
    ensure!(name(&after) != before, "it is the same pod");
    ensure!(text(&after, "/spec/containers/0/image") == subject.updated, "it has the old image");
    attack(cluster)?;
    Ok(format!("{before} → {}, which alerts", name(&after)))
}

fn deleted(subject: &Subject<'_>) -> Result<String> {
    let cluster = subject.cluster;
    let start = Instant::now();
    let manifests = subject.manifests.display().to_string();
    cluster.kubectl(&["delete", "--filename", &manifests, "--wait=false"])?;
    let sensors = || -> Result<Vec<i32>> {
        let all = ground::processes()?;
        Ok(all.into_iter().filter(|process| ground::program(*process) == "vedette").collect())
    };
    until("the end of the sensors", || Ok(sensors()?.is_empty().then_some(())))?;
    let seconds = start.elapsed().as_secs_f64();
    let namespace = format!("namespace/{OURS}");
    cluster.kubectl(&["wait", "--for=delete", &namespace, LIMIT])?;
    Ok(format!("the sensor ended after {seconds:.0} s, and its namespace is gone"))
}

fn rolled_out(cluster: &Cluster) -> Result<()> {
    let rolled = cluster.kubectl(&["rollout", "status", SET, "--namespace", OURS, LIMIT]);
    rolled.map(drop).map_err(|error| {
        // What the pod says of itself is the reason.
        let events = cluster.kubectl(&["describe", "pods", "--namespace", OURS]).unwrap_or_default();
        let said = cluster.kubectl(&["logs", SET, "--namespace", OURS, "--tail=20"]).unwrap_or_default();
        error.context(format!("{events}\n{said}\n{}", cluster.kubelet_tail()))
    })
}

/// The pod of the sensor; there is one node, and one that is ending does not count.
fn sensor(cluster: &Cluster) -> Result<Value> {
    let list = cluster.get(&["pods", "--namespace", OURS])?;
    let pods = list.get("items").and_then(Value::as_array).context("no list of pods")?;
    let mut there = pods.iter().filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
    match (there.next(), there.next()) {
        (Some(pod), None) => Ok(pod.clone()),
        (None, _) => bail!("the DaemonSet has no pod"),
        (Some(_), Some(_)) => bail!("the DaemonSet has more than one pod"),
    }
}

fn name(object: &Value) -> String {
    text(object, "/metadata/name")
}

/// What stands at a place of an object.
fn text(object: &Value, at: &str) -> String {
    object.pointer(at).and_then(Value::as_str).unwrap_or("?").to_owned()
}

/// Reads what no program in the pod reads, and waits for the alert.
fn attack(cluster: &Cluster) -> Result<Value> {
    exec(cluster, &["/bin/cat", "/etc/shadow"])?;
    until("the alert", || alert(cluster, ATTACK))
}

fn exec(cluster: &Cluster, command: &[&str]) -> Result<String> {
    cluster.kubectl(&[&["exec", POD, "--namespace", SHOP, "--"], command].concat())
}

/// The first alert of a rule about the pod in what the sensor has written.
fn alert(cluster: &Cluster, rule: &str) -> Result<Option<Value>> {
    let pod = name(&sensor(cluster)?);
    let said = cluster.kubectl(&["logs", &pod, "--namespace", OURS])?;
    let alerts = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut wanted = alerts.filter(|alert| {
        let is = |at: &str, text: &str| alert.pointer(at).is_some_and(|value| value == text);
        is("/rule", rule) && is("/kubernetes/pod_name", POD)
    });
    Ok(wanted.next())
}

fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "{what} did not come within {} s", PATIENCE.as_secs());
        std::thread::sleep(POLL);
    }
}
