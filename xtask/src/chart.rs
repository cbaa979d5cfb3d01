//! `cargo xtask chart`: checks the Helm chart, and writes what follows from it: the plain manifests and the packed chart.
//!
//! The chart is the one source; the manifests are what Helm makes of it with no value changed. Helm is the machine's, else one
//! out of a package of npm, where that can be had. Every object is held against the schemas that Kubernetes publishes.

mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::child::{self, Exit};
use crate::dist::tree::{Tree, gzip};
use crate::dist::{self, Release};
use crate::place::Place;
use crate::test::table::Row;

/// Where the chart is.
const CHART: &str = "deploy/helm/vedette";

/// What Helm makes of it.
pub(crate) const MANIFESTS: &str = "deploy/manifests/vedette.yaml";

/// The release of Kubernetes that they are made for.
const KUBERNETES: &str = "1.35.0";

/// Files of others that the chart carries, where they are there.
const FILES: [(&str, &str); 2] = [
    ("files/vedette.rules.yml", "deploy/prometheus/vedette.rules.yml"),
    ("files/vedette.json", "deploy/grafana/vedette.json"),
];

/// What stands above the manifests.
const HEAD: &str = "\
# Vedette on every node of a cluster, for `kubectl apply -f`. Written by `cargo xtask chart` out of deploy/helm/vedette: change
# that, not this. The image has to be on the nodes, or in a registry that you name here: docs/kubernetes.md.
---
apiVersion: v1
kind: Namespace
metadata:
  name: vedette
  labels:
    # It needs the host's processes and paths, which the other levels of Pod Security forbid.
    pod-security.kubernetes.io/enforce: privileged
";

/// Sets of values that must all give valid objects: what each switches on is rendered nowhere else.
const VARIANTS: [(&str, &[&str]); 5] = [
    ("as it comes", &[]),
    (
        "everything",
        &[
            "metrics.podMonitor.enabled=true",
            "metrics.rules.enabled=true",
            "metrics.dashboard.enabled=true",
            "secret=sinks",
            "config.respond.keep_enforcing=true",
            "hostDirectories={/var/lib/containers/storage}",
            "rules.site\\.yaml=[]",
            "imagePullSecrets[0].name=pull",
            "nodeSelector.a=b",
            "podLabels.a=b",
            "podAnnotations.a=b",
            "seLinuxOptions.type=spc_t",
            "networkPolicy.from[0].namespaceSelector.matchLabels.a=b",
        ],
    ),
    ("alerts alone", &["respond=false", "metrics.enabled=false", "networkPolicy.enabled=true"]),
    ("privileged", &["privileged=true"]),
    (
        "another name",
        &["image.repository=registry.example/a/b", "image.tag=x", "networkPolicy.enabled=false"],
    ),
];

/// Values that must be refused, each for one rule of the schema.
const REFUSED: [&str; 6] = [
    "bogus=1",
    "respond=maybe",
    "metrics.port=0",
    "capabilities={ALL}",
    "rules.notes\\.txt=x",
    "stateDirectory=relative",
];

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail where the manifests are not what the chart would give now
    #[arg(long)]
    check: bool,
}

/// Checks, then writes or compares.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    let helm = tools::helm(place)?;
    let staged = Staged::make(place)?;
    if !args.check {
        let file = place.top.join(MANIFESTS);
        let text = staged.manifests(&helm)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let row = checked(place, &helm, &staged)?;
    for failure in &row.failures {
        println!("{failure}");
    }
    if row.failed > 0 {
        return Err(Exit::new(1, "the chart is not as it should be").into());
    }
    dist::finish(&place.packages(), &[pack(place, &Release::of(place)?)?])
}

/// The same as a suite of tests; where there is no Helm, it is skipped.
pub(crate) fn suite(place: &Place) -> Result<Row> {
    const NAME: &str = "Helm chart";
    match tools::helm(place) {
        Ok(helm) => checked(place, &helm, &Staged::make(place)?),
        Err(why) => Ok(Row::skipped(NAME, format!("{why:#}"))),
    }
}

/// What Helm makes of the chart as it comes, for a release of Kubernetes, with the namespace that it goes into.
pub(crate) fn render(place: &Place, kubernetes: &str) -> Result<String> {
    let rendered = Staged::make(place)?.render_for(&tools::helm(place)?, &[], kubernetes)?;
    Ok(HEAD.to_owned() + &rendered.map_err(anyhow::Error::msg).context("helm template")?)
}

/// The packed chart: its name and its bytes.
pub(crate) fn pack(place: &Place, release: &Release) -> Result<(String, Vec<u8>)> {
    let chart = files(place)?;
    let stated = chart.get("Chart.yaml").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let version = format!("\nversion: {}\n", release.version);
    ensure!(
        stated.is_some_and(|text| text.contains(&version)),
        "{CHART}/Chart.yaml does not say{}",
        version.trim_end()
    );
    let mut tree = Tree::default();
    for (name, bytes) in chart {
        tree.file(&name, 0o644, bytes);
    }
    Ok((format!("vedette-chart-{}.tgz", release.version), gzip(&tree.tar("vedette/", release.epoch)?)?))
}

/// A copy of the chart with the files of others in it.
struct Staged {
    folder: tempfile::TempDir,
}

impl Staged {
    fn make(place: &Place) -> Result<Staged> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        for (name, bytes) in files(place)? {
            let file = folder.path().join("vedette").join(name);
            let above = file.parent().context("a file without a folder")?;
            fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
            fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Staged { folder })
    }

    /// What Helm makes of it, or what it says against it.
    fn render(&self, helm: &Path, sets: &[&str]) -> Result<Result<String, String>> {
        self.render_for(helm, sets, KUBERNETES)
    }

    /// The same for another release of Kubernetes.
    fn render_for(&self, helm: &Path, sets: &[&str], kubernetes: &str) -> Result<Result<String, String>> {
        let mut template = child::command(helm, self.folder.path());
        template.args([
            "template",
            "vedette",
            "vedette",
            "--namespace",
            "vedette",
            "--kube-version",
            kubernetes,
        ]);
        template.args(sets.iter().flat_map(|set| ["--set", set]));
        let output = template.output().with_context(|| format!("cannot start {}", helm.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    }

    fn manifests(&self, helm: &Path) -> Result<String> {
        let rendered = self.render(helm, &[])?.map_err(anyhow::Error::msg).context("helm template")?;
        // Where each object comes from says nothing here.
        let lines = rendered.lines().filter(|line| !line.starts_with("# Source: "));
        Ok(lines.fold(HEAD.to_owned(), |text, line| text + line + "\n"))
    }
}

fn checked(place: &Place, helm: &Path, staged: &Staged) -> Result<Row> {
    let mut row = Row::new("Helm chart");
    let start = Instant::now();
    let mut count = |name: &str, problem: Option<String>| match problem {
        None => row.passed += 1,
        Some(problem) => {
            row.failed += 1;
            row.failures.push(format!("{name}: {}", problem.trim()));
        }
    };
    let manifests = fs::read_to_string(place.top.join(MANIFESTS)).unwrap_or_default();
    let stale = manifests != staged.manifests(helm)?;
    count(MANIFESTS, stale.then(|| "stale: run `cargo xtask chart`".to_owned()));
    let schemas = tools::validator(place);
    if let Err(why) = &schemas {
        println!("skipped: the schemas of Kubernetes: {why:#}");
    }
    // A program that lets everything pass would look the same.
    if let Ok(schemas) = &schemas {
        let passed = schemas.problem(place, &manifests.replace("hostPID: true", "hostPID: maybe"))?.is_none();
        count("the schemas", passed.then(|| "they let a wrong object pass".to_owned()));
    }
    for (name, sets) in VARIANTS {
        let problem = match (staged.render(helm, sets)?, &schemas) {
            (Err(problem), _) => Some(problem),
            (Ok(text), Ok(schemas)) => schemas.problem(place, &text)?,
            (Ok(_), Err(_)) => None,
        };
        count(name, problem);
    }
    for set in REFUSED {
        let taken = staged.render(helm, &[set])?.is_ok();
        count(set, taken.then(|| "the schema of the values lets it pass".to_owned()));
    }
    row.seconds = start.elapsed().as_secs_f64();
    Ok(row)
}

/// The files of the chart, by their paths in it.
fn files(place: &Place) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let top = place.top.join(CHART);
    let mut left: Vec<PathBuf> = vec![top.clone()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(&top).unwrap_or(&path).display().to_string();
            found.insert(name, dist::read(&path)?);
        }
    }
    for (name, source) in FILES {
        let source = place.top.join(source);
        if source.is_file() {
            found.insert(name.to_owned(), dist::read(&source)?);
        }
    }
    Ok(found)
}
