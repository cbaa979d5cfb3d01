//! What the documents tell a reader to type to `vedette`, typed beside a sensor that runs as its package has it: on this
//! machine, with mounts and a network of its own.

use std::{fs, process::Command};

use sensor_tests::{
    needs_kernel,
    require::{has_program, skip},
    test_name, vedette,
};

use super::top;

/// The documents with such commands; how many each has at least. docs/systemd.md is typed in a machine with systemd.
const DOCUMENTS: [(&str, usize); 3] = [("docs/delivery.md", 1), ("docs/falco.md", 3), ("docs/tuning.md", 1)];

/// What the sensor of docs/delivery.md is told besides its defaults.
const CONFIGURATION: &str = "sinks:
  archive:
    to: {file: {path: /var/log/vedette/alerts.jsonl}}
    checkpoint: {every_s: 1}
";

/// A rule as Falco's users have them.
const FALCO: &str = "\
- list: shells
  items: [sh, bash]
- macro: container
  condition: container.id != host
- macro: spawned
  condition: evt.type in (execve, execveat) and evt.dir = <
- rule: Shell in container
  desc: A shell was started in a container.
  condition: spawned and container and proc.name in (shells)
  output: \"Shell (user=%user.name command=%proc.cmdline)\"
  priority: NOTICE
";

/// Makes the place and starts the sensor. `$1`: a folder, `$2`: the daemon's folder.
const BEFORE: &str = r#"
set -eu
for folder in run var/lib var/log; do
    mkdir -p "$1/node/$folder"
    mount --bind "$1/node/$folder" "/$folder"
done
mkdir "$1/work" "$1/bin"
mount -t tmpfs scratch "$1/work"
mkdir "$1/work/upper" "$1/work/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/work/upper,workdir=$1/work/work" /etc
ip link set lo up
mkdir -p /etc/vedette /run/vedette /var/lib/vedette /var/log/vedette
cp "$1/vedette.yaml" /etc/vedette/vedette.yaml
ln -s "$2" "$1/bin/vedette"
PATH=$1/bin:$PATH
cd "$1"
vedette run > sensor.log 2>&1 &
sensor=$!
trap 'code=$?; kill $sensor 2> /dev/null || true; wait; exit $code' EXIT
until_said() {
    left=1200
    until grep -q "$1" "$2" 2> /dev/null; do
        left=$((left - 1))
        if [ $left = 0 ] || ! kill -0 $sensor; then cat "$2"; return 1; fi
        sleep 0.05
    done
}
until_said watching sensor.log
cat /etc/shadow > /dev/null
until_said 'Password hashes read' sensor.log
# Its accounts come every few seconds.
until_said 'Password hashes read' /run/vedette/stats.json
"#;

/// Ends the sensor: what follows is about what it has left, and about others.
const ENDED: &str = "kill $sensor && wait $sensor\n";

/// Types a command that goes on until it is ended: it has to come to its point.
const GOES_ON: &str = "rm -f other.log
COMMAND > other.log 2>&1 &
sensor=$!
until_said watching other.log
kill $sensor && wait $sensor
";

#[test]
fn deploy_docs_commands_of_the_daemon_do_what_they_say() {
    needs_kernel!();
    for program in ["unshare", "ip"] {
        if !has_program(program) {
            return skip(test_name!(), &format!("not installed: {program}"));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("vedette.yaml"), CONFIGURATION).unwrap();
    fs::write(dir.path().join("falco_rules.yaml"), FALCO).unwrap();
    let (mut script, mut last) = (BEFORE.to_owned(), ENDED.to_owned());
    for (document, least) in DOCUMENTS {
        let text = fs::read_to_string(top(document)).unwrap();
        let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("vedette ")).collect();
        assert!(commands.len() >= least, "{document}");
        for command in commands {
            let say = format!("echo '$ {command}'\n");
            if command.starts_with("vedette run") {
                last += &(say + &GOES_ON.replace("COMMAND", command));
            } else if command.starts_with("vedette verify") {
                // It is about a stream that the sensor has closed.
                last += &format!("{say}{command}\n");
            } else {
                script += &format!("{say}{command}\n");
            }
        }
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--propagation", "private", "sh", "-c", &(script + &last), "sh"]);
    let output = unshare.arg(dir.path()).arg(vedette()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    // The rules of the running sensor, with what they cost.
    assert!(said.contains("Password hashes read"));
}
