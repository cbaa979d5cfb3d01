//! Responses to what happens in containers of dockerd and of podman, and what those say of them afterwards.

use std::{fs, path::PathBuf, time::Instant};

use sensor_tests::{
    cgroup::{legacy, unified},
    deadline,
    engine::{Engine, missing},
    needs_kernel,
    require::skip,
    test_name,
};
use serde_json::{Value, json};

use crate::respond::{Responding, mark, rule};

/// What both programs call a container that its first process left by `SIGKILL`.
const KILLED: &str = "exited 137";
const STATE: &str = "{{.State.Status}} {{.State.ExitCode}}";

/// Ends the test as skipped where the program is not there or does not work, else has it take the image in.
macro_rules! engine {
    (docker) => {
        engine!(["dockerd", "docker"], Engine::docker())
    };
    (podman) => {
        engine!(["podman", "conmon"], Engine::podman())
    };
    ($programs:expr, $start:expr) => {{
        needs_kernel!();
        if let Some(missing) = missing(&$programs) {
            return skip(test_name!(), &missing);
        }
        match $start {
            Ok(engine) => engine,
            Err(why) => return skip(test_name!(), &why),
        }
    }};
}

/// A container that runs a script as soon as it is told to, and a sensor that responds to a mark in it.
struct Place<'e> {
    engine: &'e Engine,
    sensor: Responding,
    name: String,
    go: PathBuf,
}

impl<'e> Place<'e> {
    /// The container begins, and waits. `Err`: why it does not start.
    fn new(
        engine: &'e Engine,
        name: &str,
        response: &str,
        (more, flags): (&[&str], &[&str]),
        script: &str,
    ) -> Result<Self, String> {
        let (mark, name) = (mark(&format!("{name}-mark")), mark(name));
        // The tools on the host that order it have the mark among their arguments, too.
        let rule = rule("In a container", &mark, response);
        let rule = rule.replacen("proc.args", "container.id != host and proc.args", 1);
        let sets = engine.sets();
        let sets: Vec<&str> = sets
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .flat_map(|set| ["--set", set])
            .collect();
        let sensor = Responding::start(&rule, &sets);
        let go = engine.at(&name);
        fs::create_dir(&go).unwrap();
        let mount = format!("{}:/go", go.display());
        let all = ["-v", &mount, "-e", &format!("MARK={mark}")];
        let script = format!("until [ -e /go/go ]; do sleep 0.01; done; {script}");
        engine.start(&name, &[&all, flags].concat(), &script)?;
        Ok(Self { engine, sensor, name, go })
    }

    fn go(&self) {
        fs::write(self.go.join("go"), "").unwrap();
    }

    fn response(&self, times: usize) -> Value {
        self.sensor.watcher.alert("In a container", times)["response"].clone()
    }

    fn is(&self, template: &str) -> String {
        self.engine.inspect(&self.name, template)
    }

    /// Waits until the program says this of the container.
    #[track_caller]
    fn becomes(&self, template: &str, wanted: &str) {
        let end = Instant::now() + deadline();
        let mut said = self.is(template);
        while said != wanted {
            assert!(Instant::now() < end, "it is {said}, not {wanted}");
            said = self.is(template);
        }
    }

    /// The processes of the container, by its groups in every hierarchy that the sensor may look at.
    fn members(&self, parent: &str) -> usize {
        let id = self.is("{{.Id}}");
        let tops = unified().into_iter().chain(legacy());
        let lists = tops.map(|top| {
            let file = top.join(format!("{parent}{id}/cgroup.procs"));
            fs::read_to_string(file).unwrap_or_default().lines().count()
        });
        lists.max().unwrap_or_default()
    }
}

/// Starts a place, or ends the test as skipped.
macro_rules! place {
    ($($argument:expr),+) => {
        match Place::new($($argument),+) {
            Ok(place) => place,
            Err(why) => return skip(test_name!(), &why),
        }
    };
}

#[track_caller]
fn done(response: &Value, mechanisms: &[&str]) {
    assert_eq!(
        (&response["decision"], &response["result"], &response["error"]),
        (&json!("act"), &json!("done"), &Value::Null),
        "{response}"
    );
    assert!(mechanisms.contains(&response["mechanism"].as_str().unwrap()), "{response}");
}

const DOCKER: &str = "docker/";
const PODMAN: &str = "libpod_parent/libpod-";
const KERNEL: [&str; 2] = ["cgroup-kill", "cgroup-signals"];
const SCRIPT: &str = "/bin/true $MARK; sleep 1000";

#[test]
fn respond_kill_container_by_dockerd_ends_one_that_always_restarts() {
    let engine = engine!(docker);
    let place = place!(&engine, "docker", "kill-container", (&[], &["--restart", "always"]), SCRIPT);
    assert!(place.members(DOCKER) > 0);
    place.go();
    let response = place.response(1);
    done(&response, &["docker"]);
    assert_eq!(response["target"]["container"], place.is("{{.Id}}"));
    // Told by its own order, it does not start what it was told to end.
    place.becomes(STATE, KILLED);
    assert_eq!((place.members(DOCKER), place.is("{{.RestartCount}}").as_str()), (0, "0"));
    let (_, _, records) = place.sensor.stop();
    let record = records.iter().find(|record| record["record"] == "response").unwrap();
    assert_eq!((&record["mechanism"], &record["result"]), (&json!("docker"), &json!("done")));
}

#[test]
fn respond_kill_container_of_a_dockerd_that_does_not_answer() {
    let engine = engine!(docker);
    let place = place!(&engine, "mute", "kill-container", (&[], &[]), SCRIPT);
    engine.signal(libc::SIGSTOP);
    place.go();
    let response = place.response(1);
    engine.signal(libc::SIGCONT);
    assert!(KERNEL.contains(&response["mechanism"].as_str().unwrap()), "{response}");
    assert_eq!((&response["result"], &response["error"]), (&json!("done"), &json!("no answer in time")));
    place.becomes(STATE, KILLED);
    assert_eq!(place.members(DOCKER), 0);
    let _ = place.sensor.stop();
}

/// A container that is started anew whenever it ends is killed as often as the limit allows, and then alerted on.
fn again_and_again(place: Place<'_>, parent: &str) {
    place.go();
    for times in 1..=3 {
        done(&place.response(times), &KERNEL);
    }
    let response = place.response(4);
    assert_eq!(
        (&response["decision"], &response["reason"]),
        (&json!("refuse"), &json!("fuse-open")),
        "{response}"
    );
    let _ = place.sensor.watcher.alert("Response fuse open", 1);
    place.becomes("{{.State.Status}}", "running");
    assert!(place.members(parent) > 0, "from then on it runs");
    let (alerts, stats, _) = place.sensor.stop();
    assert_eq!(alerts.iter().filter(|alert| alert["rule"] == "In a container").count(), 4);
    assert_eq!(stats["respond"]["decisions"]["act"], 3, "{}", stats["respond"]);
}

const LIMIT: &str = "respond.limit.per_workload_per_minute=3";

#[test]
fn respond_kill_container_that_docker_starts_again_is_limited() {
    let engine = engine!(docker);
    // Nobody can tell dockerd that the end was meant.
    let more = [LIMIT, "docker.socket=/nowhere"];
    again_and_again(
        place!(&engine, "docker-again", "kill-container", (&more, &["--restart", "always"]), SCRIPT),
        DOCKER,
    );
}

#[test]
fn respond_kill_container_of_podman_is_known_to_podman() {
    let engine = engine!(podman);
    let place = place!(&engine, "podman", "kill-container", (&[], &[]), SCRIPT);
    assert!(place.members(PODMAN) > 0);
    place.go();
    done(&place.response(1), &KERNEL);
    place.becomes(STATE, KILLED);
    assert_eq!(place.members(PODMAN), 0);
    let _ = place.sensor.stop();
}

#[test]
fn respond_kill_container_that_podman_starts_again_is_limited() {
    let engine = engine!(podman);
    again_and_again(
        place!(&engine, "podman-again", "kill-container", (&[LIMIT], &["--restart", "always"]), SCRIPT),
        PODMAN,
    );
}

/// Held by its own program, a container can be killed all the same, and the program knows it as ended.
fn paused_by_its_program(place: Place<'_>, parent: &str, mechanisms: &[&str]) {
    // The sensor hears of the mark only when nothing in the container runs any more.
    place.sensor.watcher.signal(libc::SIGSTOP);
    place.go();
    let end = Instant::now() + deadline();
    while !place.go.join("marked").exists() {
        assert!(Instant::now() < end, "it does not go on");
        std::thread::yield_now();
    }
    let paused = place.engine.command(&["pause", &place.name]);
    assert!(paused.status.success(), "{}", String::from_utf8_lossy(&paused.stderr));
    place.sensor.watcher.signal(libc::SIGCONT);
    done(&place.response(1), mechanisms);
    place.becomes(STATE, KILLED);
    assert_eq!(place.members(parent), 0);
    let _ = place.sensor.stop();
}

const MARKED: &str = "/bin/true $MARK; touch /go/marked; sleep 1000";

#[test]
fn respond_kill_container_that_docker_paused() {
    let engine = engine!(docker);
    let place = place!(&engine, "docker-held", "kill-container", (&[], &[]), MARKED);
    paused_by_its_program(place, DOCKER, &["docker"]);
}

#[test]
fn respond_kill_container_that_podman_paused() {
    let engine = engine!(podman);
    let place = place!(&engine, "podman-held", "kill-container", (&[], &[]), MARKED);
    paused_by_its_program(place, PODMAN, &KERNEL);
}

/// It writes for as long as it runs.
const WRITES: &str = "/bin/true $MARK; while true; do echo x >> /go/x; sleep 0.01; done";

/// Paused by the sensor, it stands still, and its own program calls it running; resumed, it goes on.
fn pause_and_resume(place: Place<'_>) {
    place.go();
    done(&place.response(1), &["freezer", "cgroup-freeze"]);
    let length = || fs::metadata(place.go.join("x")).map_or(0, |file| file.len());
    let before = length();
    assert_eq!(place.is("{{.State.Status}}"), "running");
    let again = place.sensor.watcher.order(&["pause", &place.is("{{.Id}}")]);
    assert_eq!(String::from_utf8_lossy(&again.stdout).trim(), "already");
    assert_eq!(length(), before);
    let resumed = place.sensor.watcher.order(&["resume", &place.is("{{.Id}}")]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let end = Instant::now() + deadline();
    while length() <= before {
        assert!(Instant::now() < end, "it does not go on");
        std::thread::yield_now();
    }
    let _ = place.sensor.stop();
}

#[test]
fn respond_pause_holds_a_container_of_docker() {
    let engine = engine!(docker);
    pause_and_resume(place!(&engine, "docker-pause", "pause", (&[], &[]), WRITES));
}

#[test]
fn respond_pause_holds_a_container_of_podman() {
    let engine = engine!(podman);
    pause_and_resume(place!(&engine, "podman-pause", "pause", (&[], &[]), WRITES));
}
