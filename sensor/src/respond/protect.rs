//! What is never touched, whatever a rule says. It looks at what an event says of its process and container; what may have
//! changed since then is looked at once more at the moment of action.

use super::{
    outcome::Reason,
    request::{Action, Request},
};
use crate::{
    config::ProtectConfig,
    event::{Container, Layer, Process},
    rule::fits,
};

/// Programs of the host without which its containers cannot live.
const RUNTIMES: [&str; 20] = [
    "containerd",
    "containerd-shim*",
    "dockerd",
    "docker-init",
    "docker-proxy",
    "podman",
    "conmon",
    "conmonrs",
    "crio",
    "cri-o",
    "runc",
    "crun",
    "youki",
    "runsc",
    "kata-*",
    "kubelet",
    "k3s*",
    "k0s",
    "rke2",
    "microk8s",
];

/// Where programs of the host lie that were installed. Elsewhere (a home, `/tmp`) anybody can give a file any name.
const INSTALLED: [&str; 8] = [
    "/usr/*",
    "/bin/*",
    "/sbin/*",
    "/opt/*",
    "/snap/*",
    "/var/lib/rancher/*",
    "/var/lib/k0s/*",
    "/home/kubernetes/bin/*",
];

/// The protected list.
#[derive(Clone, Debug)]
pub(super) struct Protected {
    config: ProtectConfig,
    own: u32,
}

impl Protected {
    /// The configured list, and what always belongs to it. `own`: the sensor's process.
    pub(super) fn new(config: &ProtectConfig, own: u32) -> Self {
        Self { config: config.clone(), own }
    }

    /// Why the target of a request must not be touched; `None`: it may.
    pub(super) fn refuses(&self, request: &Request, action: Action) -> Option<Reason> {
        if action.is_of_container() {
            return request.container.as_deref().and_then(|container| self.container(container));
        }
        let process = request.process.as_deref()?;
        if self.is_vital(process) {
            return Some(Reason::Protected);
        }
        let container = request.container.as_deref();
        let installed = match container {
            None => self.is_installed_runtime(&process.exe.to_string()),
            Some(_) => process.runtime_init,
        };
        if installed || self.exe(process, container.is_some()) {
            return Some(Reason::Protected);
        }
        container.and_then(|container| self.container(container))
    }

    /// Process 1, kernel threads, the sensor and what it started.
    fn is_vital(&self, process: &Process) -> bool {
        let own = |pid: u32| pid == self.own;
        let pid = process.key.pid;
        // The kernel's threads are children of process 2; also its helpers have no executable.
        let of_kernel = pid == 2 || process.ppid == 2;
        pid <= 1 || of_kernel || own(pid) || process.ancestors().any(|ancestor| own(ancestor.key.pid))
    }

    /// Whether an executable of the host is a runtime's.
    pub(super) fn is_installed_runtime(&self, exe: &str) -> bool {
        let name = exe.rsplit('/').next().unwrap_or(exe);
        INSTALLED.iter().any(|place| fits(place, exe)) && RUNTIMES.iter().any(|runtime| fits(runtime, name))
    }

    /// Whether the executable is on the configured list.
    fn exe(&self, process: &Process, in_container: bool) -> bool {
        let of_image = process.exe_file.is_some_and(|exe| exe.file.layer == Layer::Lower);
        (!in_container || of_image) && self.exe_path(&process.exe.to_string())
    }

    /// Whether the configured list names programs, which the kernel half cannot tell apart.
    pub(super) fn names_programs(&self) -> bool {
        !self.config.exes.is_empty()
    }

    /// Whether a path is on the configured list.
    pub(super) fn exe_path(&self, exe: &str) -> bool {
        any(&self.config.exes, exe)
    }

    pub(super) fn container(&self, container: &Container) -> Option<Reason> {
        let ProtectConfig { cgroups, namespaces, images, .. } = &self.config;
        let below = |pattern: &String| {
            fits(pattern, &container.cgroup) || fits(&format!("{pattern}/*"), &container.cgroup)
        };
        if cgroups.iter().any(below) {
            return Some(Reason::Protected);
        }
        let in_pod = container.pod_uid().is_some() || container.pod().is_some();
        if in_pod && !namespaces.is_empty() {
            match container.pod().and_then(|pod| pod.namespace.as_deref()) {
                Some(namespace) if any(namespaces, namespace) => return Some(Reason::Protected),
                Some(_) => {}
                None => return Some(Reason::Unidentified),
            }
        }
        if !images.is_empty() {
            match container.image() {
                Some(image) if any(images, &image.name) => return Some(Reason::Protected),
                Some(image) if image.repository().is_some_and(|name| any(images, name)) => {
                    return Some(Reason::Protected);
                }
                Some(_) => {}
                None => return Some(Reason::Unidentified),
            }
        }
        None
    }

    /// The sensor's own process.
    pub(super) const fn own(&self) -> u32 {
        self.own
    }
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, text))
}
