//! Installs the distribution packages that tests and cross-builds use, on Debian and Ubuntu as root; else names them.
//!
//! A missing package is never an error here: the tests that need it skip themselves and say so, a linker is named by cargo.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::child;
use crate::place::Place;

/// A package of the distribution.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// The program by which it is recognised where there is no dpkg.
    pub(crate) program: &'static str,
    /// What it is for.
    pub(crate) why: &'static str,
}

/// All of them, with Debian's names.
const PACKAGES: [Package; 11] = [
    Package {
        name: "containerd",
        program: "containerd",
        why: "containers with identity, metadata and events",
    },
    Package { name: "runc", program: "runc", why: "starts the containers" },
    Package { name: "busybox-static", program: "busybox", why: "the programs inside the test image" },
    Package { name: "umoci", program: "umoci", why: "builds the test image without a registry" },
    Package { name: "podman", program: "podman", why: "containers that no daemon knows" },
    Package { name: "docker.io", program: "dockerd", why: "containers behind dockerd's socket" },
    Package { name: "prometheus", program: "prometheus", why: "scrapes the sensor; promtool is in it" },
    Package { name: "skopeo", program: "skopeo", why: "gives the test image its name and its digest" },
    Package { name: "nats-server", program: "nats-server", why: "receives records by JetStream" },
    Package { name: "rsyslog", program: "rsyslogd", why: "receives records by syslog" },
    // A module without a program of its own: where there is no dpkg, the daemon stands for it.
    Package { name: "rsyslog-gnutls", program: "rsyslogd", why: "receives them within TLS" },
];

/// What a cluster of one machine takes besides what it is built of.
const CLUSTER: [Package; 5] = [
    Package { name: "etcd-server", program: "etcd", why: "keeps the objects of the cluster" },
    Package {
        name: "containernetworking-plugins",
        program: "/usr/lib/cni/bridge",
        why: "gives pods addresses",
    },
    Package { name: "iproute2", program: "ip", why: "gives the node an address" },
    Package { name: "openssl", program: "openssl", why: "makes the key of service accounts" },
    Package { name: "kubernetes-client", program: "kubectl", why: "speaks with the cluster" },
];

/// What makes a Debian of its own for a machine.
const DEBIAN: [Package; 2] = [
    Package { name: "mmdebstrap", program: "mmdebstrap", why: "makes a Debian with systemd" },
    Package { name: "cpio", program: "cpio", why: "packs it" },
];

/// What the cluster is built with.
const GO: [Package; 2] = [
    Package { name: "golang-go", program: "go", why: "builds Kubernetes" },
    Package { name: "golang-github-modern-go-reflect2-dev", program: "go", why: "a library of Kubernetes" },
];

/// Debian's hook that is asked before a service is started; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// What the hook contains while packages are installed. It is recognised by its text, so that one that was
/// left behind by a killed run is removed by the next.
const POLICY_TEXT: &str = "#!/bin/sh\n# Written by `cargo xtask test` while it installs packages; safe to remove.\n\
                           exit 101\n";

/// Installs or names what is missing, and is silent where nothing is.
pub(crate) fn ensure(place: &Place) -> Result<()> {
    ensure_all(place, &PACKAGES)
}

/// The same for what emulated machines need besides; too large to be put on machines that do not ask for it.
pub(crate) fn ensure_machines(place: &Place, arch: Arch) -> Result<()> {
    ensure_all(place, &[arch.qemu()])?;
    if arch == Arch::HERE { Ok(()) } else { ensure_cross(place, arch) }
}

/// The same for what building for another machine needs.
pub(crate) fn ensure_cross(place: &Place, arch: Arch) -> Result<()> {
    ensure_all(place, &arch.packages())
}

/// The same for a cluster of one machine; what is there from elsewhere than the distribution will do.
pub(crate) fn ensure_cluster(place: &Place) -> Result<()> {
    let missing: Vec<Package> = CLUSTER.into_iter().filter(|package| !in_path(package.program)).collect();
    ensure_all(place, &missing)
}

/// The same for making a Debian.
pub(crate) fn ensure_debian(place: &Place) -> Result<()> {
    ensure_all(place, &DEBIAN)
}

/// The same for building that cluster.
pub(crate) fn ensure_go(place: &Place) -> Result<()> {
    ensure_all(place, &GO)
}

/// Whether a program is in the `PATH`, or at its place where that is said.
pub(crate) fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn ensure_all(place: &Place, packages: &[Package]) -> Result<()> {
    let debian = Path::new("/etc/debian_version").is_file();
    let missing: Vec<&Package> = packages.iter().filter(|package| !is_installed(package, debian)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = debian && rustix::process::geteuid().is_root();
    for package in &missing {
        let verb = if install { "installing" } else { "missing" };
        println!("setup: {verb} the package {} ({})", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !install {
        let hint = if debian { "as root: apt-get install " } else { "install the equivalents of " };
        println!("setup: what needs them is skipped or fails; {hint}{}", names.join(" "));
        return Ok(());
    }
    if let Err(error) = apt_install(place, &names) {
        println!("setup: {error:#}; what needs these packages is skipped or fails");
    }
    Ok(())
}

fn is_installed(package: &Package, debian: bool) -> bool {
    if debian {
        let mut query = Command::new("dpkg-query");
        query.args(["--show", "--showformat", "${db:Status-Status}", package.name]);
        return query.output().is_ok_and(|output| output.stdout == b"installed");
    }
    in_path(package.program)
}

fn apt_install(place: &Place, names: &[&str]) -> Result<()> {
    let _policy = Policy::refuse_services()?;
    let apt = |args: &[&str]| {
        let mut apt = child::command("apt-get", &place.top);
        // Another apt may be at work, such as the daily update; two minutes are more than it holds the lock.
        apt.args(args)
            .args(["--quiet", "-oDPkg::Lock::Timeout=120"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    let install = || {
        let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
        let mut log = Vec::new();
        let status = child::lines(install.args(names), |line| log.push(line.to_owned()))?;
        Ok::<_, anyhow::Error>((status, log))
    };
    // Lists that were never read know no package, and old ones name files that the mirror no longer has. In
    // both cases the first attempt fails within a second.
    let (mut status, mut log) = install()?;
    if !status.success() {
        println!("setup: reading the package lists");
        child::run(apt(&["update"]).stdout(std::process::Stdio::null()), "apt-get update")?;
        (status, log) = install()?;
    }
    if !status.success() {
        for line in log {
            println!("{line}");
        }
    }
    anyhow::ensure!(status.success(), "apt-get install failed ({status})");
    Ok(())
}

/// Keeps packages from starting their services, for as long as it lives: the tests start their own, and
/// this is somebody's machine.
struct Policy {
    ours: bool,
}

impl Policy {
    fn refuse_services() -> Result<Policy> {
        let leftover = fs::read_to_string(POLICY).is_ok_and(|text| text == POLICY_TEXT);
        let new = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        match new {
            Ok(mut file) => {
                file.write_all(POLICY_TEXT.as_bytes()).with_context(|| format!("cannot write {POLICY}"))?;
                Ok(Policy { ours: true })
            }
            // Where the machine has a policy of its own, that one holds.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Policy { ours: leftover }),
            Err(error) => Err(error).with_context(|| format!("cannot create {POLICY}")),
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            println!("setup: cannot remove {POLICY}: {error}");
        }
    }
}
