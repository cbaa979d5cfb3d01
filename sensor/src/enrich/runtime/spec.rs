//! `config.json` of an OCI bundle → facts. It lies there before the container's first process runs. Whatever it holds, this
//! is a bounded piece of JSON with a bounded depth; what has an unexpected type makes it unreadable, never half-read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Ask, kubernetes};
use crate::event::{Facts, Labels, Mount, Runtime};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    annotations: Option<Labels>,
    mounts: Option<Vec<SpecMount>>,
    process: Option<SpecProcess>,
    root: Option<SpecRoot>,
    linux: Option<SpecLinux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpecMount {
    destination: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    options: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpecProcess {
    capabilities: Option<SpecCapabilities>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpecCapabilities {
    bounding: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpecRoot {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecLinux {
    masked_paths: Option<Vec<String>>,
    uid_mappings: Option<Vec<IdMap>>,
    gid_mappings: Option<Vec<IdMap>>,
}

/// A range of ids of a user namespace, and where it lies outside.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct IdMap {
    #[serde(rename = "containerID")]
    pub(super) inside: u32,
    #[serde(rename = "hostID")]
    pub(super) outside: u32,
    pub(super) size: u32,
}

/// Where a container's own user files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// What is mounted over the two files.
    pub(super) passwd: Option<PathBuf>,
    pub(super) group: Option<PathBuf>,
    pub(super) uids: Vec<IdMap>,
    pub(super) gids: Vec<IdMap>,
}

impl Spec {
    /// # Errors
    /// Where it is no JSON of this form; a file that is just being written is none either.
    pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        // A list would do for a struct of which nothing is required.
        let object = bytes.trim_ascii_start().first() == Some(&b'{');
        serde_json::from_slice(if object { bytes } else { b"" })
    }

    pub(super) fn facts(&self, ask: &Ask) -> Facts {
        let mut facts = Facts {
            privileged: Some(self.is_privileged()),
            mounts: self.mounts.iter().flatten().filter_map(SpecMount::of_host).collect(),
            ..Facts::default()
        };
        if let Some(annotations) = &self.annotations {
            kubernetes::read(annotations, &mut facts);
        }
        let plain = ask.runtime == Runtime::Containerd && ask.namespace() != Some("moby");
        if facts.name.is_none() && plain && ask.namespace() != Some("k8s.io") {
            // containerd itself has no names besides ids, and `ctr` lets people choose them.
            facts.name = Some(ask.id.clone());
        }
        facts
    }

    /// Nothing is masked and everything is allowed: that is what runtimes make of "privileged".
    fn is_privileged(&self) -> bool {
        const TELLING: [&str; 3] = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"];
        let capabilities =
            self.process.as_ref().and_then(|process| process.capabilities.as_ref()?.bounding.as_ref());
        let all = capabilities.is_some_and(|all| {
            TELLING.iter().all(|telling| all.iter().any(|capability| capability == telling))
        });
        let masked = self.linux.as_ref().and_then(|linux| linux.masked_paths.as_ref());
        all && masked.is_none_or(Vec::is_empty)
    }

    /// `bundle`: the directory of the file.
    pub(super) fn root(&self, bundle: &Path) -> Option<Root> {
        let path = self.root.as_ref().map(|root| root.path.as_str()).filter(|path| !path.is_empty())?;
        let over = |destination: &str| {
            let mut mounts = self.mounts.iter().flatten();
            let mount = mounts.find(|mount| mount.destination == destination && mount.is_bind())?;
            Some(PathBuf::from(&mount.source))
        };
        let maps = |maps: fn(&SpecLinux) -> Option<&Vec<IdMap>>| {
            self.linux.as_ref().and_then(maps).cloned().unwrap_or_default()
        };
        Some(Root {
            path: bundle.join(path),
            passwd: over("/etc/passwd"),
            group: over("/etc/group"),
            uids: maps(|linux| linux.uid_mappings.as_ref()),
            gids: maps(|linux| linux.gid_mappings.as_ref()),
        })
    }
}

impl SpecMount {
    fn is_bind(&self) -> bool {
        self.kind == "bind" || self.has("bind") || self.has("rbind")
    }

    fn has(&self, option: &str) -> bool {
        self.options.iter().flatten().any(|has| has == option)
    }

    /// The mount, where it shows something of the host.
    fn of_host(&self) -> Option<Mount> {
        if !self.is_bind() {
            return None;
        }
        const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
        let options = self.options.iter().flatten().map(String::as_str);
        let propagation = options.clone().find(|option| PROPAGATIONS.contains(option)).unwrap_or_default();
        Some(Mount {
            source: self.source.as_str().into(),
            destination: self.destination.as_str().into(),
            mode: options.filter(|option| *option != propagation).collect::<Vec<_>>().join(",").into(),
            writable: !self.has("ro"),
            propagation: propagation.into(),
        })
    }
}

#[cfg(test)]
mod tests;
