//! Responses to what happens in containers, on those of a real containerd.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Output, Stdio},
    time::Instant,
};

use sensor_tests::{
    cgroup::{Group, controller, legacy},
    container::{Containerd, IMAGE, missing},
    deadline, needs_kernel,
    require::skip,
    test_name,
};
use serde_json::{Value, json};

use crate::{
    respond::{Responding, mark, rule},
    verdict::Container as Place,
};

/// Ends the test as skipped where there is no containerd, else starts one.
macro_rules! containerd {
    () => {{
        needs_kernel!();
        if let Some(missing) = missing() {
            return skip(test_name!(), &missing);
        }
        Containerd::start()
    }};
}

#[track_caller]
fn fine(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn responding(containerd: &Containerd, mark: &str, response: &str) -> Responding {
    let sets = containerd.sets();
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    // The tools on the host that order it have the mark among their arguments, too.
    let rule =
        rule("In a container", mark, response).replacen("proc.args", "container.id != host and proc.args", 1);
    let sensor = Responding::start(&rule, &sets);
    sensor.watcher.says("connected");
    sensor
}

/// A container that waits, and in which a program may be run.
fn start(containerd: &Containerd, id: &str) {
    fine(&containerd.ctr(&["run", "-d", IMAGE, id, "/bin/sleep", "1000"]));
}

/// A folder that a container has as `/go`.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(containerd: &Containerd, name: &str) -> Self {
        let path = containerd.at(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str) {
        fs::write(self.0.join(name), "").unwrap();
    }
}

/// A container that runs a script; the mark is not among the shell's own arguments.
fn start_script(containerd: &Containerd, id: &str, folder: &Folder, mark: &str, script: &str) {
    let mount = format!("type=bind,src={},dst=/go,options=rbind:rw", folder.0.display());
    let mark = format!("MARK={mark}");
    fine(
        &containerd
            .ctr(&["run", "-d", "--mount", &mount, "--env", &mark, IMAGE, id, "/bin/sh", "-c", script]),
    );
}

fn run_in(containerd: &Containerd, id: &str, mark: &str) {
    let _ = containerd.ctr(&["task", "exec", "--exec-id", mark, id, "/bin/true", mark]);
}

/// What containerd says of a container's task.
fn state(containerd: &Containerd, id: &str) -> String {
    let list = String::from_utf8(containerd.ctr(&["task", "ls"]).stdout).unwrap();
    let line = list.lines().find(|line| line.starts_with(&format!("{id} "))).unwrap_or_default().to_owned();
    line.split_whitespace().last().unwrap_or("none").to_owned()
}

fn remove(containerd: &Containerd, id: &str) {
    let _ = containerd.ctr(&["task", "kill", "-s", "SIGKILL", id]);
    let _ = containerd.ctr(&["task", "rm", "-f", id]);
    let _ = containerd.ctr(&["container", "rm", id]);
}

/// The processes of a container, by its groups in every hierarchy.
fn members(id: &str) -> usize {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let tops =
        mounts.lines().filter(|line| line.contains(" cgroup")).map(|line| line.split(' ').nth(1).unwrap());
    let lists =
        tops.map(|top| fs::read_to_string(format!("{top}/default/{id}/cgroup.procs")).unwrap_or_default());
    lists.map(|list| list.lines().count()).max().unwrap_or_default()
}

fn part(response: &Value, keys: [&str; 3]) -> [Value; 3] {
    keys.map(|key| response[key].clone())
}

#[test]
fn respond_kill_container_by_its_runtime_and_without_it() {
    let mut containerd = containerd!();
    let (id, mark) = (mark("whole"), mark("whole-mark"));
    let sensor = responding(&containerd, &mark, "kill-container");
    start(&containerd, &id);
    run_in(&containerd, &id, &mark);
    let response = sensor.watcher.alert("In a container", 1)["response"].clone();
    assert_eq!(
        part(&response, ["decision", "mechanism", "result"]),
        [json!("act"), json!("containerd"), json!("done")],
        "{response}"
    );
    assert_eq!(
        (members(&id), state(&containerd, &id).as_str()),
        (0, "none"),
        "its task is taken away: {response}"
    );
    assert_eq!(response["target"]["container"], id);
    // The same container again, at once: it is another one, and what is said of the old one is no reason to kill it.
    fine(&containerd.ctr(&["task", "start", "-d", &id]));
    assert!(members(&id) > 0);
    run_in(&containerd, &id, &mark);
    let again = sensor.watcher.alert("In a container", 2)["response"].clone();
    assert_eq!((&again["result"], members(&id)), (&json!("done"), 0), "{again}");
    remove(&containerd, &id);
    // Without containerd: the process that runs the container lives on, and so would the container.
    let other = format!("{id}-down");
    let go = Folder::new(&containerd, "go");
    let script = "while ! [ -e /go/go ]; do sleep 0.01; done; /bin/true $MARK; sleep 1000";
    start_script(&containerd, &other, &go, &mark, script);
    containerd.stop();
    go.put("go");
    let response = sensor.watcher.alert("In a container", 3)["response"].clone();
    assert_eq!(
        part(&response, ["decision", "result", "reason"]),
        [json!("act"), json!("done"), Value::Null],
        "{response}"
    );
    assert!(
        ["cgroup-kill", "cgroup-signals"].contains(&response["mechanism"].as_str().unwrap()),
        "{response}"
    );
    assert_eq!(members(&other), 0);
    containerd.start_again();
    remove(&containerd, &other);
    let _ = sensor.stop();
}

#[test]
fn respond_pause_holds_a_container_and_resume_lets_it_go() {
    let containerd = containerd!();
    let (id, mark) = (mark("pause"), mark("pause-mark"));
    let sensor = responding(&containerd, &mark, "pause");
    let count = Folder::new(&containerd, "count");
    // It writes for as long as it runs.
    let script = "/bin/true $MARK; while true; do echo x >> /go/x; sleep 0.01; done";
    start_script(&containerd, &id, &count, &mark, script);
    let response = sensor.watcher.alert("In a container", 1)["response"].clone();
    assert_eq!(
        part(&response, ["decision", "result", "reason"]),
        [json!("act"), json!("done"), Value::Null],
        "{response}"
    );
    let length = || fs::metadata(count.0.join("x")).map_or(0, |file| file.len());
    // Frozen, nothing changes any more, however long one looks.
    let before = length();
    let again = sensor.watcher.order(&["pause", &id]);
    assert_eq!(
        String::from_utf8_lossy(&again.stdout).trim(),
        "already",
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    assert_eq!(length(), before);
    let status = String::from_utf8(sensor.watcher.order(&["status"]).stdout).unwrap();
    assert!(status.contains(&id) && status.contains("paused"), "{status}");
    fine(&sensor.watcher.order(&["resume", &id[..id.len() - 1]]));
    let end = Instant::now() + deadline();
    while length() <= before {
        assert!(Instant::now() < end, "it does not go on");
        std::thread::yield_now();
    }
    let twice = sensor.watcher.order(&["resume", &id]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("not paused by this sensor"));
    let nobody = sensor.watcher.order(&["pause", "vedette-nobody"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no container"));
    remove(&containerd, &id);
    let (alerts, _, records) = sensor.stop();
    let ordered = alerts.iter().filter(|alert| alert["rule"] == "Response by operator").count();
    let by: Vec<_> = records.iter().filter(|record| record["asked_by"]["operator"]["uid"] == 0).collect();
    assert_eq!((ordered, by.len()), (3, 3), "pause, resume, resume");
}

#[test]
fn respond_fork_bomb_in_a_container_ends() {
    let containerd = containerd!();
    let (id, mark) = (mark("bomb"), mark("bomb-mark"));
    let sensor = responding(&containerd, &mark, "kill-container");
    let go = Folder::new(&containerd, "go");
    // It begins when its limit stands, and gives itself away when it is at its height.
    // What watches over it forks nothing: a shell that cannot fork ends.
    let script = "until [ -e /go/go ]; do :; done; b() { b & b & sleep 1000; }; b & \
                  until [ -e /go/mark ]; do :; done; exec /bin/sh -c 'while :; do :; done' $MARK";
    start_script(&containerd, &id, &go, &mark, script);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let tops =
        mounts.lines().filter(|line| line.contains(" cgroup")).map(|line| line.split(' ').nth(1).unwrap());
    let mut limits = tops.map(|top| format!("{top}/default/{id}/pids.max"));
    if !limits.any(|file| fs::write(file, "100").is_ok()) {
        remove(&containerd, &id);
        return skip(test_name!(), "no controller limits processes here");
    }
    go.put("go");
    let end = Instant::now() + deadline();
    // Who cannot fork ends: how many there are goes up and down.
    while members(&id) < 30 {
        assert!(Instant::now() < end, "the bomb does not go off: {}", members(&id));
        std::thread::yield_now();
    }
    go.put("mark");
    while members(&id) > 0 {
        assert!(Instant::now() < end, "the bomb does not end: {}", members(&id));
        std::thread::yield_now();
    }
    let response = sensor.watcher.alert("In a container", 1)["response"].clone();
    assert_eq!(response["result"], "done", "{response}");
    assert!(response["processes"].as_u64().is_some_and(|count| count > 20), "{response}");
    remove(&containerd, &id);
    let _ = sensor.stop();
}

/// A program that starts itself and ends: whoever is listed is gone before he gets a signal. It ends with its file.
const HOPS: &str = "#!/bin/sh\n\"$0\" &\n";
const SOME_HOP: &str = "for i in 1 2 3 4 5 6 7 8; do \"$0\" & done; exec sh -c 'while :; do :; done' $MARK";

/// In version 1 nothing kills a whole group: it stands still while all in it get their signals.
#[test]
fn respond_kill_container_without_cgroup_kill_ends_who_forks_and_exits() {
    needs_kernel!();
    let (Some(known), Some(freezer)) = (legacy(), controller("freezer")) else {
        return skip(test_name!(), "no control groups of version 1 are mounted");
    };
    let mark = mark("hops");
    let condition = rule("In a container", &mark, "kill-container");
    let condition = condition.replacen("proc.args", "container.id != host and proc.args", 1);
    let sensor = Responding::start(&condition, &["--set", "docker.socket=/nowhere"]);
    let container = Place::new(&known);
    let path = format!("docker/{}", container.id);
    let _freezer = Group::new(&freezer, &path);
    let hops = container.path("hops");
    fs::write(&hops, HOPS).unwrap();
    fs::set_permissions(&hops, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = container.command("sh".as_ref(), &["-c", SOME_HOP, &hops.display().to_string()]);
    let list = freezer.join(&path).join("cgroup.procs");
    command.env("MARK", &mark).stdout(Stdio::null());
    // SAFETY: system calls only.
    unsafe { command.pre_exec(move || fs::write(&list, "0")) };
    let mut first = command.spawn().unwrap();
    let response = sensor.watcher.alert("In a container", 1)["response"].clone();
    let left = [known, freezer].map(|top| fs::read_to_string(top.join(&path).join("cgroup.procs")).unwrap());
    // Whatever came of it, nothing goes on.
    fs::remove_file(&hops).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(
        part(&response, ["decision", "mechanism", "result"]),
        [json!("act"), json!("cgroup-signals"), json!("done")],
        "{response}"
    );
    assert_eq!(left, ["", ""], "nobody is left");
    let _ = sensor.stop();
}

/// The bug: what holds in a container was told again only when it took too long to find out who it is.
#[test]
fn respond_refuses_in_the_kernel_by_what_is_learned_of_a_container() {
    let containerd = containerd!();
    let id = mark("known");
    let known = format!("container.full_id = {id} and container.name = {id} and container.image = {IMAGE}");
    let rule = format!(
        "- {{rule: Refused, desc: d, condition: 'evt.type = connect and {known} and fd.sport = 9', output: o, priority: INFO, \
         response: block}}\n"
    );
    let sets = containerd.sets();
    // Who it is, is known long before anybody stops to wait for that.
    let sets = sets.iter().map(String::as_str).chain(["identity.wait_ms=60000"]);
    let sets: Vec<&str> = sets.flat_map(|set| ["--set", set]).collect();
    let sensor = Responding::start(&rule, &sets);
    sensor.watcher.says("connected");
    // Nobody listens there: refused by the other end until it is refused here.
    let script = "i=0; while [ $i -lt 5000 ]; do busybox nc 127.0.0.1 9 2>&1 | busybox grep -q permitted && exit 0; i=$((i+1)); done; exit 1";
    let output = containerd.run_with("default", &["--net-host"], &id, &["/bin/sh", "-c", script]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "never refused: {errors}{}", sensor.watcher.stderr());
    let _ = sensor.stop();
}
