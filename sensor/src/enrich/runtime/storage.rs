//! The state files of containers/storage, which podman and CRI-O share: names and images of containers. They are whole
//! lists, rewritten and renamed by whoever changes something, so they are parsed again only when they changed.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Ask, bundle::read_beneath};
use crate::event::{Facts, Image};

/// Largest list: about 30,000 containers.
const FILE_LIMIT: u64 = 16 << 20;
/// Lists of containers, and of images, below a root; the first part of the name is the storage driver.
const DRIVERS: [&str; 3] = ["overlay", "vfs", "btrfs"];
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

#[derive(Debug)]
pub(super) struct Storage {
    containers: Vec<List<Entry>>,
    images: Vec<List<ImageEntry>>,
}

#[derive(Debug)]
struct List<T> {
    path: PathBuf,
    seen: Option<(u64, i64, i64, u64)>,
    by_id: HashMap<String, T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    metadata: String,
}

/// The JSON inside [`Entry::metadata`].
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    image_name: String,
    image_id: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageEntry {
    id: String,
    names: Option<Vec<String>>,
    digest: Option<String>,
}

trait Listed: DeserializeOwned {
    fn id(&self) -> &str;
}

impl Listed for Entry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for ImageEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T: Listed> List<T> {
    fn new(path: PathBuf) -> Self {
        Self { path, seen: None, by_id: HashMap::new() }
    }

    fn get(&mut self, id: &str) -> Option<&T> {
        let metadata = fs::metadata(&self.path).ok()?;
        let seen = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len());
        if self.seen != Some(seen) {
            // A list that is half written is read again, since it will have changed by then.
            self.by_id = self.read().unwrap_or_default();
            self.seen = Some(seen);
        }
        self.by_id.get(id)
    }

    fn read(&self) -> Option<HashMap<String, T>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, self.path.parent()?, flags, Mode::empty()).ok()?;
        let bytes = read_beneath(&dir, Path::new(self.path.file_name()?), FILE_LIMIT).ok()?;
        let list: Vec<T> = serde_json::from_slice(&bytes).ok()?;
        Some(list.into_iter().map(|entry| (entry.id().to_owned(), entry)).collect())
    }
}

impl Storage {
    /// The lists below these roots.
    pub(super) fn new(roots: &[PathBuf]) -> Self {
        let below = |folder: &'static str| {
            roots.iter().flat_map(move |root| {
                DRIVERS.iter().map(move |driver| root.join(format!("{driver}-{folder}")))
            })
        };
        let containers = below("containers").flat_map(|dir| LISTS.iter().map(move |list| dir.join(list)));
        Self {
            containers: containers.map(List::new).collect(),
            images: below("images").map(|dir| List::new(dir.join("images.json"))).collect(),
        }
    }

    /// Whether any of the lists is there.
    pub(super) fn is_there(roots: &[PathBuf]) -> bool {
        Self::new(roots).containers.iter().any(|list| list.path.exists())
    }

    pub(super) fn find(&mut self, ask: &Ask) -> Option<Facts> {
        let entry = self.containers.iter_mut().find_map(|list| list.get(&ask.id))?;
        let metadata: Metadata = serde_json::from_str(&entry.metadata).unwrap_or_default();
        let text = |text: &str| Some(Box::<str>::from(text)).filter(|text| !text.is_empty());
        let id = text(&metadata.image_id).or_else(|| text(&entry.image));
        let first = entry.names.iter().flatten().next().map(String::as_str);
        // CRI-O's names are made up of the pod's; the bundle has the container's own.
        let name =
            text(&metadata.name).or_else(|| first.and_then(text)).filter(|name| !name.starts_with("k8s_"));
        let image = id.as_deref().and_then(|id| self.images.iter_mut().find_map(|list| list.get(id)));
        let image_name = text(&metadata.image_name).or_else(|| {
            image.and_then(|image| image.names.iter().flatten().next()).and_then(|name| text(name))
        });
        let image = Image {
            name: image_name.unwrap_or_default(),
            digest: image.and_then(|image| image.digest.as_deref()).and_then(text),
            id,
        };
        Some(Facts { name, image: Some(image).filter(|image| image.id.is_some()), ..Facts::default() })
    }
}
