//! docs/ci.md: the steps of a pipeline, run as a runner runs them, around a job that behaves and one that does not.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use sensor_tests::{
    needs_kernel,
    require::{has_program, skip},
    test_name, vedette,
};
use serde_json::Value;

use super::top;

/// Makes the runner. `$1`: a folder with programs of the test; `$2`: what the runner runs.
const RUNNER: &str = r#"
set -eu
for folder in run var/lib var/log; do
    mkdir -p "$1/node/$folder"
    mount --bind "$1/node/$folder" "/$folder"
done
mkdir -p /run/vedette /var/lib/vedette /var/log/vedette
ip link set lo up
export PATH=$1/bin:$PATH
mkdir -p "$1/checkout"
cd "$1/checkout"
# However the steps end, no sensor stays.
trap 'code=$?; kill -9 $(cat vedette.pid) 2> /dev/null || true; exit $code' EXIT
bash -e "$2"
"#;

/// The word that the job says that does not behave.
const WORD: &str = "vedette-ci-word";

/// Other tests run on this machine at the same time, and the sensor watches all of it: only the job can break this rule.
const RULE: &str = "- rule: Probe\n  desc: The job misbehaved.\n  condition: evt.type = execve and proc.args = vedette-ci-word\n  \
                    output: probe\n  priority: WARNING\n";

/// What each of the two pipelines runs.
fn pipelines() -> [Vec<String>; 2] {
    let text = fs::read_to_string(top("docs/ci.md")).unwrap();
    let mut blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let mut next = || serde_saphyr::from_str::<Value>(blocks.next().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let steps = next()["jobs"]["test"]["steps"].as_array().unwrap().clone();
    let lines = next()["test"]["script"].as_array().unwrap().clone();
    [steps.iter().filter_map(|step| text(&step["run"])).collect(), lines.iter().filter_map(text).collect()]
}

fn run(steps: &[String], folder: &Path, behaves: bool) -> Output {
    let program = |name: &str, text: &str| {
        let file = folder.join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        Command::new("chmod").arg("755").arg(&file).status().unwrap();
    };
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("probe.yaml"), RULE).unwrap();
    let rules = folder.join("probe.yaml");
    let (daemon, rules) = (vedette(), rules.display().to_string());
    program("vedette", &format!("exec {} \"$@\" --no-builtin-rules --rules {rules}", daemon.display()));
    program("sudo", "exec \"$@\"");
    program("make", &format!("/bin/true {}", if behaves { "well" } else { WORD }));
    fs::write(folder.join("steps"), steps.join("\n")).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--propagation", "private", "sh", "-c", RUNNER, "sh"]);
    unshare.arg(folder).arg(folder.join("steps")).output().unwrap()
}

#[test]
fn deploy_docs_of_ci_fail_the_job_that_alerts_and_no_other() {
    needs_kernel!();
    for program in ["unshare", "ip", "bash"] {
        if !has_program(program) {
            return skip(test_name!(), &format!("not installed: {program}"));
        }
    }
    for steps in pipelines() {
        assert!(steps.iter().any(|step| step == "make test"), "{steps:?}");
        for behaves in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let output = run(&steps, dir.path(), behaves);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("behaves: {behaves}\n{said}{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.success(), behaves);
            assert_eq!(said.contains("\"rule\":\"Probe\""), !behaves);
            let log = fs::read_to_string(dir.path().join("checkout/vedette.log")).unwrap();
            assert!(log.contains("watching"), "{log}");
        }
    }
}
