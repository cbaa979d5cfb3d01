//! docs/containerd.md, typed as it stands there: on this machine, with mounts and a network of its own.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use sensor_tests::{
    container::{image, missing},
    needs_kernel,
    require::{has_program, skip},
    test_name,
};

use super::{package, top};

/// Makes the place: what containerd and the sensor write by default goes into folders of the test. `$1`: its folder; `$2`:
/// the archive of the neighbour's image.
const BEFORE: &str = r#"
set -eu
mount --make-rshared /
for folder in run var/lib var/log; do
    mkdir -p "$1/node/$folder"
    mount --bind "$1/node/$folder" "/$folder"
    mount --make-rshared "/$folder"
done
ip link set lo up
cd "$1"
containerd > containerd.log 2>&1 &
containerd=$!
sensor=
leave() {
    code=$?
    # The client hands the signal on and takes the container away.
    [ -z "$sensor" ] || { kill "$sensor" && wait "$sensor" || true; }
    kill "$containerd" && wait "$containerd" || true
    exit $code
}
trap leave EXIT
wait_for() {
    left=1200
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || { cat containerd.log; return 1; }
        sleep 0.05
    done
}
answers() { ctr version > /dev/null 2>&1; }
wait_for answers
ctr image import "$2"
said() { grep -q "$1" sensor.log; }
watching() { said watching || ! kill -0 "$sensor" 2> /dev/null; }
alerted() { said '"Password hashes read"' && grep -q neighbour sensor.log; }
"#;

/// Behind the first block, which ends with the sensor in the foreground.
const BETWEEN: &str = " > sensor.log 2>&1 &\nsensor=$!\nwait_for watching || { cat sensor.log; exit 1; }\n";

/// Behind the second.
const AFTER: &str = "\nwait_for alerted || { cat sensor.log; exit 1; }\ncat sensor.log\n";

fn typed(folder: &Path, neighbour: &str) -> Output {
    let text = fs::read_to_string(top("docs/containerd.md")).unwrap();
    let mut blocks = text.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0.trim_end());
    let (start, attack) = (blocks.next().unwrap(), blocks.next().unwrap());
    // The image has been made.
    let (first, start) = start.split_once('\n').unwrap();
    assert_eq!(first, "cargo xtask image");
    let script = format!("{BEFORE}{start}{BETWEEN}{attack}{AFTER}");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--propagation", "private", "sh", "-c", &script, "sh"]);
    unshare.arg(folder).arg(neighbour).output().unwrap()
}

#[test]
fn deploy_docs_of_containerd_do_what_they_say() {
    needs_kernel!();
    if let Some(missing) = missing() {
        return skip(test_name!(), &missing);
    }
    for program in ["unshare", "ip"] {
        if !has_program(program) {
            return skip(test_name!(), &format!("not installed: {program}"));
        }
    }
    let Some(archive) = package(".oci.tar") else {
        return skip(test_name!(), "there is no image: `cargo xtask image` makes one");
    };
    let dir = tempfile::tempdir().unwrap();
    let packages = dir.path().join("target/package");
    fs::create_dir_all(&packages).unwrap();
    fs::copy(&archive, packages.join(archive.file_name().unwrap())).unwrap();
    let neighbour = image(&dir.path().join("neighbour"), "docker.io/library/busybox:latest");
    let output = typed(dir.path(), &neighbour);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    let alerts = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut alerts = alerts.filter(|alert| alert["rule"] == "Password hashes read");
    let alert = alerts.find(|alert| alert["container"]["id"] == "neighbour").expect("the neighbour's alert");
    assert_eq!(alert["container"]["image"]["name"], "docker.io/library/busybox:latest");
    assert_eq!(alert["process"]["args"], serde_json::json!(["cat", "/etc/shadow"]));
}
