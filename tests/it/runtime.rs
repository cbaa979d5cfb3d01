//! Who containers are, of real ones: names, images and pods are there with the first program that runs in them.

use std::{process::Output, thread, time::Instant};

use sensor_tests::{
    Act, Event, Sensor,
    cgroup::{Group, unified},
    container::{Containerd, IMAGE, ROOT, missing},
    needs_kernel,
    recorded::{play, record},
    require::skip,
    test_name,
};
use serde_json::{Value, json};

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

fn name(what: &str) -> String {
    format!("vedette-{what}-{}", std::process::id())
}

#[track_caller]
fn fine(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The exec of a program that was given a mark, which nothing else has.
fn marked(sensor: &Sensor, mark: &str) -> Event {
    sensor.event(mark, |event| {
        event.is_exec() && event.result() == 0 && event.args().len() == 2 && event.args()[1] == mark
    })
}

/// Runs `true` in a container, every other one as the container of a pod, and looks at what is said of it.
fn runs_and_is_known(containerd: &Containerd, sensor: &Sensor, id: &str, pod: bool) -> bool {
    let labels = [
        format!("io.kubernetes.pod.name=pod-{id}"),
        "io.kubernetes.pod.namespace=shop".to_owned(),
        "io.kubernetes.pod.uid=7bb0d1f4-2a51-4b6c-9d39-0a9f1b1f1b1f".to_owned(),
        format!("io.kubernetes.container.name=app-{id}"),
    ];
    let flags: Vec<&str> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
    let (namespace, flags) = if pod { ("k8s.io", &flags[..]) } else { ("default", &[][..]) };
    fine(&containerd.run_with(namespace, flags, id, &["/bin/true", id]));
    let exec = marked(sensor, id);
    let (container, kubernetes) = (&exec["container"], &exec["kubernetes"]);
    let known = container["full_id"] == id
        && container["image"]["name"] == IMAGE
        && container["image"]["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:"))
        && exec["/task/user"] == ROOT
        && if pod {
            container["name"] == format!("app-{id}")
                && kubernetes["pod_name"] == format!("pod-{id}")
                && kubernetes["namespace"] == "shop"
        } else {
            container["name"] == id && *kubernetes == Value::Null
        };
    if !known {
        println!("{id}: {container} {kubernetes} {}", exec["task"]);
    }
    known
}

#[test]
fn runtime_names_the_first_process_of_every_container() {
    let containerd = containerd!();
    let stats = containerd.at("stats").display().to_string();
    let sensor = containerd.sensor(&[
        "--kinds",
        "proc_exec,proc_fork,proc_exit",
        "--set",
        &format!("stats_file={stats}"),
    ]);
    let count =
        std::env::var("VEDETTE_TEST_CONTAINERS").ok().and_then(|count| count.parse().ok()).unwrap_or(60);
    let begin = Instant::now();
    let known = (0..count)
        .filter(|n| runs_and_is_known(&containerd, &sensor, &name(&format!("one-{n}")), n % 2 == 1))
        .count();
    let seconds = begin.elapsed().as_secs_f64();
    let together = thread::scope(|scope| {
        let (containerd, sensor) = (&containerd, &sensor);
        let runs: Vec<_> = (0..50)
            .map(|n| {
                scope.spawn(move || {
                    runs_and_is_known(containerd, sensor, &name(&format!("many-{n}")), n % 2 == 1)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).filter(|known| *known).count()
    });
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    println!(
        "first processes with full identity: {known} of {count} one after another ({seconds:.0} s), {together} of 50 in \
         parallel; accounts: {} {}",
        stats["identity"], stats
    );
    assert_eq!((known, together), (count, 50));
}

#[test]
fn runtime_exec_and_nested_groups_belong_to_the_container() {
    let containerd = containerd!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let sensor = containerd.sensor(&[]);
    let id = name("exec");
    fine(&containerd.ctr(&["run", "-d", IMAGE, &id, "/bin/sleep", "1000"]));
    let mark = format!("{id}-exec");
    fine(&containerd.ctr(&["task", "exec", "--exec-id", "e1", &id, "/bin/true", &mark]));
    let exec = marked(&sensor, &mark);
    // A group that something in the container made, and that containerd knows nothing of.
    let group = Group::new(&unified, &format!("/default/{id}/inner/most"));
    let (done, events) = group.join(Act::new(["exit", "0"])).seen_by(&sensor);
    let nested = events.iter().rfind(|event| event.is_exec()).unwrap();
    assert_eq!(done.code, 0);
    for event in [&exec, nested] {
        assert_eq!(event["/container/full_id"], id);
        assert_eq!(event["/container/name"], id);
        assert_eq!(event["/container/image/name"], IMAGE);
        assert_eq!(event["/container/cgroup"], format!("/default/{id}"));
    }
    drop(group);
    let _ = containerd.ctr(&["task", "kill", "-s", "SIGKILL", &id]);
    let _ = containerd.ctr(&["task", "rm", "-f", &id]);
    let _ = containerd.ctr(&["container", "rm", &id]);
}

#[test]
fn runtime_that_restarts_loses_nothing() {
    let mut containerd = containerd!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let sensor = containerd.sensor(&[]);
    let (before, after) = (name("before"), name("after"));
    fine(&containerd.ctr(&["run", "-d", IMAGE, &before, "/bin/sleep", "1000"]));
    containerd.stop();
    sensor.says("lost");
    // What ran before is known as ever.
    let group = Group::new(&unified, &format!("/default/{before}/inner"));
    let (_, events) = group.join(Act::new(["exit", "0"])).seen_by(&sensor);
    let meanwhile = events.iter().rfind(|event| event.is_exec()).unwrap();
    assert_eq!(meanwhile["/container/image/name"], IMAGE);
    drop(group);
    containerd.start_again();
    sensor.follow(containerd.pid());
    fine(&containerd.run_with("default", &[], &after, &["/bin/true", &after]));
    let exec = marked(&sensor, &after);
    assert_eq!((&exec["/container/name"], &exec["/container/image/name"]), (&json!(after), &json!(IMAGE)));
    sensor.says("connected again");
    let _ = containerd.ctr(&["task", "kill", "-s", "SIGKILL", &before]);
    let _ = containerd.ctr(&["task", "rm", "-f", &before]);
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    assert_eq!(sensor.stderr().matches("connected again").count(), 1, "{}", sensor.stderr());
}

#[test]
fn runtime_details_users_and_the_first_step() {
    let containerd = containerd!();
    let sensor = containerd.sensor(&[]);
    let id = name("details");
    let flags =
        ["--privileged", "--mount", "type=bind,src=/usr,dst=/host,options=rbind:ro", "--label", "team=a"];
    fine(&containerd.run_with("default", &flags, &id, &["/bin/true", &id]));
    let exec = marked(&sensor, &id);
    let container = &exec["container"];
    assert_eq!((&container["privileged"], &container["labels"]["team"]), (&json!(true), &json!("a")));
    let mount = &container["mounts"].as_array().unwrap()[0];
    assert_eq!(
        (&mount["source"], &mount["destination"], &mount["writable"]),
        (&json!("/usr"), &json!("/host"), &json!(false))
    );
    assert!(container["image"]["id"].as_str().is_some_and(|id| id.len() == 64), "{}", container["image"]);
    assert_eq!((&exec["/task/user"], &exec["/task/group"]), (&json!(ROOT), &json!(format!("{ROOT}s"))));
    assert_eq!(exec["/process/runtime_init"], Value::Null);
    // What runc does in the container's group before that is runc's.
    let others = sensor
        .so_far(|event| event.is_exec() && event["/container/full_id"] == *id && event.args() != exec.args());
    println!("{} execs of the runtime in the container's group", others.len());
    for other in others {
        assert_eq!(other["/process/runtime_init"], true, "{}", other["process"]);
    }
}

#[test]
fn runtime_names_are_in_a_recording() {
    let containerd = containerd!();
    let id = name("recorded");
    let file = containerd.at("recording");
    let sets = containerd.sets();
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    record(&file, &sets, || fine(&containerd.run_with("default", &[], &id, &["/bin/true", &id])));
    let (events, stats) = play(&file);
    let played: Vec<_> = events
        .iter()
        .filter(|event| {
            event.process.args.iter().nth(1) == Some(id.as_bytes()) && event.task.pid == event.process.key.pid
        })
        .filter(|event| event.container.is_some())
        .collect();
    assert!(!played.is_empty());
    for event in &played {
        let container = event.container.as_ref().unwrap();
        assert!(container.lack.is_none(), "{container:?}");
        assert_eq!(
            (container.facts.name.as_deref(), &*container.image().unwrap().name),
            (Some(id.as_str()), IMAGE)
        );
        assert_eq!(event.task.user.as_deref().map(|user| &*user.name), Some(ROOT));
    }
    // Other containers of this machine may be in it, too, of which this recorder was told nothing.
    assert!(stats.identity.complete >= played.len() as u64, "{:?}", stats.identity);
}
