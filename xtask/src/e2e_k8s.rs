//! `cargo xtask e2e-k8s`: the sensor in a real Kubernetes, as its manifests have it.
//!
//! This process builds what is needed, and starts itself a second time in a mount and a network namespace: there the node is,
//! with etcd, containerd, the control plane and a kubelet. When that has ended, however it did, this one clears up. It is no
//! part of `cargo xtask test`: it takes root, minutes, and settings of the kernel that the kubelet makes for a while.

mod cluster;
mod ground;
mod service;
mod source;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::cluster::Cluster;
use self::ground::Ground;
use self::steps::{Subject, Verdict};
use crate::arch::Arch;
use crate::child::{self, Exit};
use crate::dist::Release;
use crate::dist::tree::Tree;
use crate::image::{self, Image};
use crate::place::Place;
use crate::setup::packages;
use crate::{chart, dist};

/// What it needs of the machine.
const NEEDED: [&str; 9] =
    ["busybox", "containerd", "ctr", "etcd", "ip", "kubectl", "openssl", "runc", "unshare"];

/// Files in the run's folder that both processes know.
const SENSOR: &str = "sensor.tar";
const PAUSE: &str = "pause.tar";
const NEIGHBOUR: &str = "neighbour.tar";
const MANIFESTS: &str = "vedette.yaml";

/// The bit of `CAP_SYS_RESOURCE`, and how the manifests name it.
const SYS_RESOURCE: (u64, &str) = (1 << 24, "- SYS_RESOURCE");

/// How often the one that waits looks.
const POLL: Duration = Duration::from_millis(200);

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An OCI archive of the sensor instead of the one that `cargo xtask image` leaves, and makes where it is missing
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The folder of a run: this is the process that is the node
    #[arg(long, hide = true, value_name = "FOLDER")]
    inside: Option<PathBuf>,
}

/// Does the outer or the inner half.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    match &args.inside {
        Some(folder) => inside(place, folder),
        None => outside(place, args),
    }
}

fn outside(place: &Place, args: &Args) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Exit::new(3, "a node of Kubernetes needs root").into());
    }
    packages::ensure(place)?;
    packages::ensure_cluster(place)?;
    for program in NEEDED {
        ensure!(packages::in_path(program), "{program} is not installed");
    }
    source::ensure(place)?;
    // Each run clears away what it takes for the rest of one that was killed.
    let lock = place.cache.join("kubernetes/lock");
    let lock = fs::File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.try_lock().context("another run of this is at work")?;
    let folder = tempfile::Builder::new().prefix("vedette-e2e-").tempdir();
    let folder = folder.context("cannot make a temporary folder")?;
    prepare(place, args, folder.path())?;
    // An interrupt ends the inner process; this one has to live on, to clear up.
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).context("cannot watch for signals")?;
    }
    let ground = Ground::note()?;
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut unshare = child::command("unshare", &place.top);
    unshare.args(["--mount", "--net", "--propagation", "private", "--"]).arg(own);
    unshare.args(["e2e-k8s", "--inside"]).arg(folder.path());
    let mut node = unshare.spawn().context("cannot start unshare")?;
    let status = loop {
        if let Some(status) = node.try_wait().context("cannot wait for the node")? {
            break status;
        }
        if interrupted.load(Ordering::Relaxed) {
            // It may not have heard of it, and is not waited for: its processes end with its groups.
            ground.clear()?;
            let _ = node.kill();
        }
        std::thread::sleep(POLL);
    };
    ground.clear()?;
    folder.close().context("cannot remove the folder of the run")?;
    if status.success() { Ok(()) } else { Err(Exit::silent(child::code(status)).into()) }
}

/// Writes what the node needs into its folder.
fn prepare(place: &Place, args: &Args, folder: &Path) -> Result<()> {
    let release = Release::of(place)?;
    let sensor = match &args.image {
        Some(file) => file.clone(),
        None => image::ensure(place, &release)?,
    };
    println!("image: {}", sensor.display());
    fs::copy(&sensor, folder.join(SENSOR)).with_context(|| format!("cannot copy {}", sensor.display()))?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.is_file());
    let busybox = dist::read(busybox.context("no busybox here: install the package busybox-static")?)?;
    let mut pause = Tree::default();
    pause.file("busybox", 0o755, busybox.clone());
    let mut neighbour = Tree::default();
    for name in ["bin/cat", "bin/sleep", "bin/true"] {
        neighbour.file(name, 0o755, busybox.clone());
    }
    neighbour.file("etc/shadow", 0o600, "root:*:19000:0:99999:7:::\n");
    let images: [(&str, &Tree, &[&str]); 2] =
        [(PAUSE, &pause, &["/busybox", "sleep", "86400"]), (NEIGHBOUR, &neighbour, &["/bin/sleep", "86400"])];
    for (file, root, runs) in images {
        let image = Image { root, arch: Arch::HERE, name: name_of(file), entrypoint: runs, command: &[] };
        let archive = image::archive(&image, &release)?;
        fs::write(folder.join(file), archive).with_context(|| format!("cannot write {file}"))?;
    }
    let manifests = match chart::render(place, source::VERSION) {
        Ok(text) => {
            println!("manifests: what Helm makes of the chart");
            text
        }
        Err(why) => {
            println!("manifests: {}, because {why:#}", chart::MANIFESTS);
            String::from_utf8_lossy(&dist::read(&place.top.join(chart::MANIFESTS))?).into_owned()
        }
    };
    fs::write(folder.join(MANIFESTS), given(&manifests)?).context("cannot write the manifests")
}

/// The manifests without a capability that this machine does not have itself and therefore cannot give.
fn given(manifests: &str) -> Result<String> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read what this process may do")?;
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let held = u64::from_str_radix(held.trim(), 16).context("cannot read what this process may do")?;
    let (bit, line) = SYS_RESOURCE;
    if held & bit != 0 {
        return Ok(manifests.to_owned());
    }
    println!("manifests: without SYS_RESOURCE, which this machine does not have to give");
    Ok(manifests
        .lines()
        .filter(|text| text.trim() != line)
        .fold(String::new(), |all, text| all + text + "\n"))
}

/// The name of an image that is made here, without a tag.
fn name_of(file: &str) -> &'static str {
    if file == PAUSE { "localhost/pause" } else { "localhost/neighbour" }
}

/// The node and all that is tried on it.
fn inside(place: &Place, folder: &Path) -> Result<()> {
    let programs = source::ensure(place)?;
    ground::enter(folder)?;
    let tagged = |name: &str| format!("{name}:{}", env!("CARGO_PKG_VERSION"));
    let images = [SENSOR, PAUSE, NEIGHBOUR].map(|name| folder.join(name));
    let cluster = Cluster::start(folder, &programs, &tagged(name_of(PAUSE)), &images)?;
    let verdicts = steps::all(&Subject {
        cluster: &cluster,
        manifests: &folder.join(MANIFESTS),
        image: &tagged(image::NAME),
        updated: &format!("{}:next", image::NAME),
        neighbour: &tagged(name_of(NEIGHBOUR)),
    });
    drop(cluster);
    print!("{}", table(&verdicts));
    if verdicts.iter().all(|verdict| verdict.outcome.is_ok()) { Ok(()) } else { Err(Exit::silent(1).into()) }
}

fn table(verdicts: &[Verdict]) -> String {
    let width = verdicts.iter().map(|verdict| verdict.step.len()).max().unwrap_or_default();
    let mut text = format!("\n{:width$}  verdict  seconds  seen\n", "");
    for Verdict { step, outcome, seconds } in verdicts {
        let (verdict, seen) = match outcome {
            Ok(seen) => ("ok", seen.clone()),
            Err(why) => ("FAILED", format!("{why:#}")),
        };
        text += &format!("{step:width$}  {verdict:7}  {seconds:>7.1}  {seen}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Verdict, table};

    #[test]
    fn the_table_says_of_every_step_how_it_ended() {
        let verdict = |step, outcome| Verdict { step, outcome, seconds: 1.25 };
        let text = table(&[
            verdict("it starts", Ok("node-1".to_owned())),
            verdict("it sees", Err(anyhow::anyhow!("no alert"))),
        ]);
        assert!(text.contains("it starts  ok           1.2  node-1\n"), "{text}");
        assert!(text.contains("it sees    FAILED       1.2  no alert\n"), "{text}");
    }
}
