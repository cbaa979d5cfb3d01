//! `cargo metadata` and `Cargo.lock` → the crates that end up in the daemon, with their licences.
//!
//! Crates that only build others (build scripts, macros) are not in it. It writes no file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::arch::Arch;
use crate::child;
use crate::place::Place;

/// What the daemon is made of: itself, and the kernel half that it carries.
const ROOTS: [&str; 2] = ["sensor", "sensor-ebpf"];

/// What names of files with a licence begin with, in capitals.
const LICENCES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// A crate.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An expression of SPDX, as the crate declares it.
    pub(crate) licence: String,
    /// The SHA-256 of its archive; ours have none.
    pub(crate) checksum: Option<String>,
    /// What it depends on itself, as `name@version`.
    pub(crate) needs: BTreeSet<String>,
    /// The texts of its licences.
    texts: Vec<String>,
}

impl Crate {
    /// `name@version`.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// All crates of the daemon for a machine, sorted, ours among them.
pub(crate) fn of(place: &Place, arch: Arch) -> Result<Vec<Crate>> {
    let mut cargo = child::cargo(&place.top);
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", arch.triple()]);
    let text = child::output(&mut cargo, "asking cargo for the crates")?;
    let metadata: Value = serde_json::from_str(&text).context("cargo's answer is not JSON")?;
    let lock = place.top.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let packages = by_id(metadata.pointer("/packages"));
    let nodes = by_id(metadata.pointer("/resolve/nodes"));
    let mut wanted: Vec<&str> = packages
        .iter()
        .filter(|(_, package)| {
            package["source"].is_null() && ROOTS.contains(&package["name"].as_str().unwrap_or_default())
        })
        .map(|(id, _)| *id)
        .collect();
    ensure!(wanted.len() == ROOTS.len(), "cargo does not name the crates {}", ROOTS.join(" and "));
    let mut found = BTreeMap::new();
    while let Some(id) = wanted.pop() {
        let package = packages.get(id).with_context(|| format!("cargo does not describe {id}"))?;
        if found.contains_key(id) || is_macro(package) {
            continue;
        }
        let needs: Vec<&str> = nodes.get(id).map(|node| linked(node).collect()).unwrap_or_default();
        wanted.extend(&needs);
        let needs = needs.iter().filter_map(|id| packages.get(id)).filter(|package| !is_macro(package));
        let needs =
            needs.map(|package| format!("{}@{}", text_of(package, "name"), text_of(package, "version")));
        let mut found_crate = describe(package, &lock)?;
        found_crate.needs = needs.collect();
        found.insert(id, found_crate);
    }
    let mut crates: Vec<Crate> = found.into_values().collect();
    crates.sort_by_key(Crate::id);
    Ok(crates)
}

/// The licences of all crates that are not ours, each text once with the crates that it holds for.
pub(crate) fn licences(crates: &[Crate]) -> Result<String> {
    let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut page = String::from(
        "Vedette contains the following crates of others, each under the licence that stands behind its name. The texts \
         follow.\nIt is linked statically with the GNU C Library, which is under the LGPL, version 2.1 or later: its source is \
         the\ndistribution's package glibc, and the daemon can be linked anew with another version from its own source.\n\n",
    );
    for one in crates.iter().filter(|one| one.checksum.is_some()) {
        writeln!(page, "{} {}: {}", one.name, one.version, one.licence)?;
        for text in &one.texts {
            texts.entry(text).or_default().push(format!("{} {}", one.name, one.version));
        }
    }
    // By the first crate that has the text, so that a new crate moves as little as possible.
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (text, of) in texts {
        write!(page, "\n{}\n{}\n\n{}\n", "-".repeat(78), of.join(", "), text.trim_end())?;
    }
    Ok(page)
}

fn describe(package: &Value, lock: &str) -> Result<Crate> {
    let (name, version) = (text_of(package, "name"), text_of(package, "version"));
    let licence = match (package["license"].as_str(), package["license_file"].as_str()) {
        // An old way to write OR.
        (Some(licence), _) => licence.replace('/', " OR "),
        (None, Some(_)) => "LicenseRef-file".to_owned(),
        (None, None) => anyhow::bail!("the crate {name} {version} declares no licence"),
    };
    let folder = Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent();
    let folder = folder.context("cargo does not say where a crate is")?;
    let checksum = checksum(lock, name, version);
    let texts = if checksum.is_some() { texts(folder)? } else { Vec::new() };
    let (name, version) = (name.to_owned(), version.to_owned());
    Ok(Crate { name, version, licence, checksum, needs: BTreeSet::new(), texts })
}

/// What stands in the files of a crate's own folder that are named for a licence.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if LICENCES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    };
    files.iter().map(read).collect()
}

/// The checksum that `Cargo.lock` has of a crate.
fn checksum(lock: &str, name: &str, version: &str) -> Option<String> {
    let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let (_, rest) = lock.split_once(&entry)?;
    let (own, _) = rest.split_once("\n[[package]]").unwrap_or((rest, ""));
    let line = own.lines().find_map(|line| line.strip_prefix("checksum = \""))?;
    Some(line.trim_end_matches('"').to_owned())
}

/// The ids of what a node is linked with.
fn linked(node: &Value) -> impl Iterator<Item = &str> {
    let normal = |dependency: &&Value| {
        let kinds = dependency["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let dependencies = node["deps"].as_array().into_iter().flatten();
    dependencies.filter(normal).filter_map(|dependency| dependency["pkg"].as_str())
}

fn is_macro(package: &Value) -> bool {
    let kinds = package["targets"].as_array().into_iter().flatten();
    kinds.flat_map(|target| target["kind"].as_array().into_iter().flatten()).any(|kind| kind == "proc-macro")
}

fn by_id(list: Option<&Value>) -> BTreeMap<&str, &Value> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|value| Some((value["id"].as_str()?, value))).collect()
}

fn text_of<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn a_checksum_is_that_of_its_own_entry() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n\
                    source = \"x\"\nchecksum = \"beef\"\n";
        assert_eq!(checksum(lock, "a", "1.0.0"), None);
        assert_eq!(checksum(lock, "b", "2.0.0"), Some("beef".to_owned()));
        assert_eq!(checksum(lock, "b", "2.0.1"), None);
    }
}
