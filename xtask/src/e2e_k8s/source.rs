//! Debian's source package of Kubernetes → the four programs of a small cluster, kept in the cache.
//!
//! No registry has such programs that a build can do without: the last Debian release with the whole source has 1.20, whose
//! service accounts, DaemonSets, ConfigMaps and probes are those of today. Nothing here knows how they are run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::child;
use crate::place::Place;
use crate::setup::{debian, packages};

/// What is built, as the programs say it.
pub(super) const VERSION: &str = "1.20.2";

/// The release of Debian that has its source, and the name of that.
const SOURCE: (&str, &str) = ("bookworm", "kubernetes");

/// What is built of it.
const PROGRAMS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// The tree's place below `GOPATH`: its module file is inconsistent, so that it is built the way of before modules.
const TREE: &str = "src/k8s.io/kubernetes";

/// A library that Debian has a newer copy of: the one in the tree, built with Go 1.18 or later, crashes after some seconds.
const REPLACED: (&str, &str) =
    ("vendor/github.com/modern-go/reflect2", "/usr/share/gocode/src/github.com/modern-go/reflect2");

/// The comment of packages whose types are part of the interface.
const MARK: &str = "// +k8s:openapi-gen=true";

/// Where those are, and parts of names that are none of the product.
const INTERFACES: [&str; 3] = ["pkg", "staging/src/k8s.io", "vendor/k8s.io"];
const OTHERS: [&str; 3] = ["/test", "testdata", "sample-"];

/// The folder with the programs, which are built where they are not there yet.
pub(super) fn ensure(place: &Place) -> Result<PathBuf> {
    let folder = place.cache.join("kubernetes");
    let kept = folder.join(VERSION);
    if PROGRAMS.iter().all(|program| kept.join(program).is_file()) {
        return Ok(kept);
    }
    packages::ensure_go(place)?;
    ensure!(packages::in_path("go"), "building Kubernetes needs Go: install the package golang-go");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Two gigabytes while it is built, so it is in the cache and not in memory.
    let work = tempfile::Builder::new().prefix("build-").tempdir_in(&folder);
    let work = work.context("cannot make a folder in the cache")?;
    println!(
        "setup: building Kubernetes {VERSION} out of Debian's source: about 11 minutes on two processors"
    );
    let start = Instant::now();
    let programs = Build::unpack(place, work.path())?.run()?;
    fs::rename(&programs, &kept).with_context(|| format!("cannot keep {}", kept.display()))?;
    println!("setup: built Kubernetes in {:.0} s", start.elapsed().as_secs_f64());
    Ok(kept)
}

/// An unpacked source.
struct Build {
    work: PathBuf,
    tree: PathBuf,
    /// Where Go's own library is: a program that was built without paths does not find it by itself.
    goroot: String,
}

impl Build {
    fn unpack(place: &Place, work: &Path) -> Result<Build> {
        let (suite, package) = SOURCE;
        let archive = debian::download_source(place, suite, package, work)?;
        let tree = work.join("go").join(TREE);
        fs::create_dir_all(&tree).with_context(|| format!("cannot create {}", tree.display()))?;
        let mut tar = child::command("tar", work);
        tar.arg("--extract").arg("--file").arg(archive).args(["--strip-components=1", "--directory"]);
        child::run(tar.arg(&tree), "unpacking the source")?;
        let (inside, newer) = REPLACED;
        let inside = tree.join(inside);
        fs::remove_dir_all(&inside).with_context(|| format!("cannot remove {}", inside.display()))?;
        child::run(child::command("cp", work).args(["-r", newer]).arg(&inside), "copying reflect2")?;
        for file in files(&inside)? {
            if file.to_string_lossy().ends_with("_test.go") {
                fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
            }
        }
        let goroot = child::output(child::command("go", work).args(["env", "GOROOT"]), "asking Go")?;
        Ok(Build { work: work.to_owned(), tree, goroot: goroot.trim().to_owned() })
    }

    /// Builds, and says where the programs are.
    fn run(&self) -> Result<PathBuf> {
        self.interfaces()?;
        let out = self.work.join("out");
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let version = "k8s.io/kubernetes/vendor/k8s.io/component-base/version";
        let set = format!(
            "-s -w -X {version}.gitVersion=v{VERSION} -X {version}.gitMajor=1 -X {version}.gitMinor=20"
        );
        for program in PROGRAMS {
            println!("setup: building {program}");
            let mut go = self.go();
            go.args(["build", "-trimpath", "-ldflags", &set, "-o"]).arg(&out).arg(format!("./cmd/{program}"));
            child::run(&mut go, "go build")?;
        }
        Ok(out)
    }

    /// Writes the one generated file that Debian's archive lacks.
    fn interfaces(&self) -> Result<()> {
        let generator = self.work.join("openapi-gen");
        let mut go = self.go();
        go.args(["build", "-trimpath", "-o"]).arg(&generator);
        child::run(go.arg("./vendor/k8s.io/kube-openapi/cmd/openapi-gen"), "go build")?;
        let mut packages = Vec::new();
        for folder in INTERFACES {
            for file in files(&self.tree.join(folder))? {
                let is_marked = file.extension().is_some_and(|end| end == "go")
                    && fs::read_to_string(&file)
                        .is_ok_and(|text| text.lines().any(|line| line.starts_with(MARK)));
                let name = file.parent().and_then(|folder| folder.strip_prefix(&self.tree).ok());
                if let Some(name) = name.filter(|_| is_marked) {
                    packages.push(package(&name.display().to_string()));
                }
            }
        }
        packages.retain(|name| !OTHERS.iter().any(|other| name.contains(other)));
        packages.sort();
        packages.dedup();
        let mut generate = self.in_tree(&generator);
        generate.args(["-h", "/dev/null", "-O", "zz_generated.openapi"]);
        generate.args(["-p", "k8s.io/kubernetes/pkg/generated/openapi", "-i", &packages.join(",")]);
        generate.arg("-r").arg(self.work.join("violations"));
        child::run(&mut generate, "generating the interfaces")
    }

    fn go(&self) -> Command {
        let mut nice = self.in_tree(Path::new("nice"));
        nice.args(["-n", "10", "go"]);
        nice
    }

    fn in_tree(&self, program: &Path) -> Command {
        let mut command = child::command(program, &self.tree);
        command.env("GO111MODULE", "off").env("GOFLAGS", "").env("CGO_ENABLED", "0");
        command.env("GOPATH", self.work.join("go")).env("GOROOT", &self.goroot);
        // Somebody's own cache is left alone unless it was given to this on purpose.
        if std::env::var_os("GOCACHE").is_none() {
            command.env("GOCACHE", self.work.join("cache"));
        }
        command
    }
}

/// A folder of the tree as Go names its package: what is staged is imported by where it is linked to.
fn package(folder: &str) -> String {
    let folder =
        folder.strip_prefix("staging/src/").map_or(folder.to_owned(), |rest| format!("vendor/{rest}"));
    format!("k8s.io/kubernetes/{folder}")
}

/// All files below a folder; links are not followed.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let kind = entry.file_type().with_context(|| format!("cannot read {}", folder.display()))?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::package;

    #[test]
    fn what_is_staged_has_the_name_that_it_is_imported_by() {
        assert_eq!(package("staging/src/k8s.io/api/core/v1"), "k8s.io/kubernetes/vendor/k8s.io/api/core/v1");
        assert_eq!(package("pkg/apis/abac/v0"), "k8s.io/kubernetes/pkg/apis/abac/v0");
    }
}
