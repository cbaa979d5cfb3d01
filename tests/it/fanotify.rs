//! Refusals by fanotify: in real containers nothing of what is forbidden runs, and nobody waits for a sensor that does not
//! answer.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use sensor::probe::fanotify::{Answering, Asked, Judge, LetGo, Questions, can_ask};
use sensor_tests::{
    container::{Containerd, IMAGE, missing},
    deadline, needs_kernel,
    require::skip,
    test_name,
};
use serde_json::{Value, json};

use crate::respond::{Responding, mark};

/// How often something forbidden is tried; `VEDETTE_TEST_TRIES` says otherwise.
fn tries() -> usize {
    std::env::var("VEDETTE_TEST_TRIES").map_or(50, |tries| tries.parse().expect("a number"))
}

/// Ends the test as skipped where fanotify asks nobody, or where there is no containerd; else starts one.
macro_rules! containerd {
    () => {{
        needs_kernel!();
        if let Err(why) = can_ask() {
            return skip(test_name!(), &why);
        }
        if sensor::probe::can_refuse(0).is_ok() {
            return skip(test_name!(), "the kernel half can refuse execs here, so fanotify is not asked to");
        }
        if let Some(missing) = missing() {
            return skip(test_name!(), &missing);
        }
        Containerd::start()
    }};
}

mod opens;

/// What the shell of an image can copy anywhere, and run by that name.
const FORBIDDEN: &str = "/busybox-forbidden";

/// `id`: of the container that is meant. Sensors of other tests see it, too.
fn responding(containerd: &Containerd, id: &str, condition: &str) -> Responding {
    blocking(containerd, &format!("evt.type = execve and container.id = {} and {condition}", &id[..12]))
}

/// A sensor that blocks what this condition says.
fn blocking(containerd: &Containerd, condition: &str) -> Responding {
    let sets = containerd.sets();
    let mut args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let limits = ["respond.limit.per_minute=0", "respond.limit.per_workload_per_minute=0"];
    // Who a container is, is known long before anybody stops to wait for that.
    let own = ["respond.fanotify=true", "respond.fanotify_answer_ms=10000", "identity.wait_ms=60000"];
    args.extend(limits.into_iter().chain(own).flat_map(|set| ["--set", set]));
    let rule = format!(
        "- rule: Refused\n  desc: a test\n  condition: {condition}\n  output: seen %proc.exepath\n  priority: CRITICAL\n  \
         response: block\n"
    );
    let sensor = Responding::start(&rule, &args);
    sensor.watcher.says("connected");
    assert!(sensor.watcher.stderr().contains("refused by fanotify"), "{}", sensor.watcher.stderr());
    sensor
}

/// A script that runs what is forbidden until that is refused, and then so often again: it says how often it went well before,
/// and how often after.
fn script(program: &str) -> String {
    format!(
        "busybox cp /bin/busybox {program}; before=0; while [ $before -lt 5000 ] && {program} true 2>/dev/null; do before=$((before+1)); done; \
         i=0; ran=0; while [ $i -lt {} ]; do {program} touch /mark 2>/dev/null && ran=$((ran+1)); [ $? = 126 ] || ran=$((ran+1)); \
         i=$((i+1)); done; [ -e /mark ] && ran=$((ran+1)); echo before $before after $ran; {program} true",
        tries()
    )
}

/// Stops the sensor that was told of so many that went well before it refused in this container, and so many refusals: each of
/// them is one alert, of which this is the last.
fn told(sensor: Responding, id: &str, before: usize, refusals: usize) -> Value {
    let alert = sensor.watcher.alert("Refused", before + refusals);
    assert_eq!(alert["container"]["full_id"], *id);
    let response = &alert["response"];
    assert_eq!(
        (&response["decision"], &response["mechanism"], &response["result"]),
        (&json!("done-in-kernel"), &json!("fanotify"), &json!("done")),
        "{response}"
    );
    let (alerts, stats, _) = sensor.stop();
    let (refused, others): (Vec<_>, Vec<_>) =
        alerts.iter().partition(|alert| alert["response"]["mechanism"] == "fanotify");
    assert_eq!(refused.len(), refusals, "each refusal is one alert");
    assert_eq!(others.len(), before, "and its failure is not told of once more: {others:#?}");
    assert_eq!(stats["fanotify"]["refused"], refusals, "{}", stats["fanotify"]);
    assert_eq!(stats["fanotify"]["let_go"], 0);
    alert
}

#[test]
fn fanotify_refuses_a_program_by_its_path() {
    let containerd = containerd!();
    let id = mark("fanotify");
    let sensor = responding(&containerd, &id, &format!("proc.exepath = {FORBIDDEN}"));
    let output = containerd.run(&id, &script(FORBIDDEN));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("after 0\n"), "{said}{errors}{}", sensor.watcher.stderr());
    assert!(errors.contains("Operation not permitted"), "{errors}");
    // One refusal ended the first loop, and one is the last.
    let before: usize = said.split(' ').nth(1).unwrap().parse().unwrap();
    let alert = told(sensor, &id, before, tries() + 2);
    assert_eq!(alert["process"]["exe"], FORBIDDEN);
    assert!(!alert["process"]["ancestors"].as_array().unwrap().is_empty(), "{alert}");
}

#[test]
fn fanotify_refuses_what_was_written_in_the_container() {
    let containerd = containerd!();
    let id = mark("drift");
    let sensor = responding(&containerd, &id, "proc.is_exe_upper_layer = true");
    let output = containerd.run(&id, &script("/busybox-drift"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The shell itself is of the image, and ran all this.
    assert!(said.ends_with("after 0\n"), "{said}{errors}{}", sensor.watcher.stderr());
    let before: usize = said.split(' ').nth(1).unwrap().parse().unwrap();
    let alert = sensor.watcher.alert("Refused", before + tries() + 2);
    assert_eq!(alert["process"]["exe_file"]["layer"], "upper", "{alert}");
    let _ = sensor.stop();
}

/// The bug: what holds in a container was told again only when it took too long to find out who it is.
#[test]
fn fanotify_refuses_by_what_is_learned_of_a_container() {
    let containerd = containerd!();
    let id = mark("learned");
    let known = format!("container.full_id = {id} and container.name = {id} and container.image = {IMAGE}");
    let sensor = responding(&containerd, &id, &format!("{known} and proc.exepath = {FORBIDDEN}"));
    let output = containerd.run(&id, &script(FORBIDDEN));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("after 0\n"), "{said}{errors}{}", sensor.watcher.stderr());
    let _ = sensor.stop();
}

#[test]
fn fanotify_lets_go_when_the_sensor_dies() {
    let containerd = containerd!();
    let id = mark("dies");
    let sensor = responding(&containerd, &id, &format!("proc.exepath = {FORBIDDEN}"));
    let started = containerd.ctr(&["run", "-d", IMAGE, &id, "/bin/sleep", "1000"]);
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    sensor.watcher.says("fanotify asks before programs run");
    sensor.watcher.signal(libc::SIGSTOP);
    let mut child = Command::new("ctr")
        .args(["-a", &containerd.socket().display().to_string()])
        .args(["task", "exec", "--exec-id", "waits", &id, "/bin/true"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_one_who_waits(&mut child);
    sensor.watcher.signal(libc::SIGKILL);
    assert!(child.wait().unwrap().success(), "it went on");
    let _ = containerd.ctr(&["task", "kill", "-s", "SIGKILL", &id]);
    let _ = containerd.ctr(&["task", "rm", "-f", &id]);
}

/// Waits until some process waits for an answer of fanotify's.
fn wait_for_one_who_waits(child: &mut Child) {
    let end = Instant::now() + deadline();
    let waits = |entry: fs::DirEntry| {
        fs::read_to_string(entry.path().join("wchan")).is_ok_and(|place| place.contains("fanotify"))
    };
    while !fs::read_dir("/proc").unwrap().flatten().any(waits) {
        assert!(child.try_wait().unwrap().is_none(), "nobody was asked");
        assert!(Instant::now() < end, "nobody waits");
    }
}

/// A judge that says nothing until it is told to.
struct Stalled {
    until: Receiver<()>,
    late: Sender<()>,
}

impl Judge for Stalled {
    fn allows(&mut self, _: &Asked) -> bool {
        // It ends when the other end does.
        let _ = self.until.recv();
        false
    }

    fn refused(&mut self) {
        panic!("somebody waited for this");
    }

    fn late(&mut self) {
        let _ = self.late.send(());
    }
}

/// A filesystem that nobody else uses.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(dir.path()).status().unwrap();
        assert!(mounted.success());
        Self(dir)
    }

    /// Under its own name, by which a busybox knows what it is.
    fn program(&self) -> std::path::PathBuf {
        let program = self.0.path().join("true");
        sensor_tests::act::copy_program("/bin/true", &program);
        program
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn ask_of(answering: &Answering, path: &Path) {
    let at = fs::File::open(path).unwrap();
    let execs = Questions { execs: true, ..Questions::default() };
    answering.gate().unwrap().ask(execs, at.as_fd(), true).unwrap();
}

#[test]
fn fanotify_that_does_not_answer_in_time_lets_everybody_go() {
    needs_kernel!();
    if let Err(why) = can_ask() {
        return skip(test_name!(), &why);
    }
    let place = Mounted::new();
    let program = place.program();
    let (go, until) = channel();
    let (late, was_late) = channel();
    let (tell, told) = channel();
    let let_go = move |why: LetGo| drop(tell.send(why));
    let answering = Answering::start(Stalled { until, late }, Duration::from_millis(50), let_go).unwrap();
    ask_of(&answering, place.0.path());
    // Several wait: one whose question is looked at, and those behind it.
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            let program = program.clone();
            std::thread::spawn(move || Command::new(program).status())
        })
        .collect();
    let why: LetGo = told.recv_timeout(deadline()).unwrap();
    for child in children.drain(..) {
        assert!(child.join().unwrap().unwrap().success(), "it went on");
    }
    assert!(why.waiting >= 1 && why.why.contains("50 ms"), "{why:?}");
    assert!(answering.gate().is_none(), "nothing is asked any more");
    assert!(Command::new(&program).status().unwrap().success());
    drop(go);
    was_late.recv_timeout(deadline()).unwrap();
    assert_eq!(answering.counts().1, 0);
}
