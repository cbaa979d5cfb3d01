//! How facts come together and stay small.

use super::*;
use crate::event::Owner;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

#[test]
fn image_names_are_taken_apart() {
    let parts = |name: &str| {
        let image = Image::named(name);
        let owned = |text: Option<&str>| text.unwrap_or("-").to_owned();
        [
            owned(image.repository()),
            owned(image.tag()),
            owned(image.digest.as_deref()),
            owned(image.id.as_deref()),
        ]
    };
    assert_eq!(parts("nginx"), ["nginx", "latest", "-", "-"]);
    assert_eq!(parts("docker.io/library/nginx:1.27"), ["docker.io/library/nginx", "1.27", "-", "-"]);
    assert_eq!(parts("reg.local:5000/a/b"), ["reg.local:5000/a/b", "latest", "-", "-"]);
    assert_eq!(parts("reg.local:5000/a/b:2"), ["reg.local:5000/a/b", "2", "-", "-"]);
    assert_eq!(parts("a/b@sha256:00ff"), ["a/b", "-", "sha256:00ff", "-"]);
    assert_eq!(parts("a/b:3@sha256:00ff"), ["a/b", "3", "sha256:00ff", "-"]);
    assert_eq!(parts("sha256:00ff"), ["-", "-", "-", "00ff"]);
    assert_eq!(parts(""), ["-", "-", "-", "-"]);
}

#[test]
fn the_better_source_wins_and_the_other_fills_in() {
    let bundle = Facts {
        name: Some("from-bundle".into()),
        image: Some(Image::named("sha256:aa")),
        labels: labels(&[("a", "bundle"), ("b", "bundle")]),
        pod: Some(Arc::new(Pod { name: Some("p".into()), sandbox_id: Some("s".into()), ..Pod::default() })),
        ..Facts::default()
    };
    let runtime = Facts {
        name: Some("from-runtime".into()),
        image: Some(Image { digest: Some("sha256:dd".into()), ..Image::named("nginx:1") }),
        labels: labels(&[("a", "runtime")]),
        pod: Some(Arc::new(Pod { name: Some("q".into()), ..Pod::default() })),
        ..Facts::default()
    };
    let merged = |first: &Facts, second: &Facts, better: bool| {
        let mut facts = first.clone();
        facts.merge(second.clone(), better);
        facts
    };
    // Whichever comes first.
    assert_eq!(merged(&bundle, &runtime, true), merged(&runtime, &bundle, false));
    let facts = merged(&bundle, &runtime, true);
    assert_eq!(facts.name.as_deref(), Some("from-runtime"));
    let image = facts.image.unwrap();
    assert_eq!(
        (&*image.name, image.id.as_deref(), image.digest.as_deref()),
        ("nginx:1", Some("aa"), Some("sha256:dd"))
    );
    assert_eq!(facts.labels, labels(&[("a", "runtime"), ("b", "bundle")]));
    let pod = facts.pod.unwrap();
    assert_eq!((pod.name.as_deref(), pod.sandbox_id.as_deref()), (Some("q"), Some("s")));
}

#[test]
fn ten_thousand_labels_are_cut_to_what_is_allowed() {
    let many: Labels =
        (0..10_000).map(|n| (format!("label-{n:05}").into(), "v".repeat(100).into())).collect();
    let pod = Pod { name: Some("p".into()), labels: many.clone(), ..Pod::default() };
    let mut facts = Facts {
        name: Some("n".into()),
        labels: many,
        pod: Some(Arc::new(pod)),
        mounts: vec![Mount::default(); 3],
        ..Facts::default()
    };
    facts.trim(64 << 10);
    assert!(facts.cut && facts.heap_bytes() <= 64 << 10);
    assert_eq!((facts.name.as_deref(), facts.mounts.len()), (Some("n"), 3), "what identifies it stays");
    assert_eq!(facts.pod.unwrap().name.as_deref(), Some("p"));
}

#[test]
fn owners_are_read_from_labels() {
    let owner = |name: &str, pairs: &[(&str, &str)]| {
        Owner::of(name, &labels(pairs), &Labels::new()).map(|owner| format!("{}/{}", owner.kind, owner.name))
    };
    assert_eq!(
        owner("web-5d9c7b8f4-x2x7k", &[("pod-template-hash", "5d9c7b8f4")]).as_deref(),
        Some("Deployment/web")
    );
    assert_eq!(owner("set-abcde", &[("pod-template-hash", "zz")]).as_deref(), Some("ReplicaSet/set"));
    assert_eq!(
        owner("db-0", &[("controller-revision-hash", "x"), ("statefulset.kubernetes.io/pod-name", "db-0")])
            .as_deref(),
        Some("StatefulSet/db")
    );
    assert_eq!(
        owner("agent-k2v9z", &[("controller-revision-hash", "x")]).as_deref(),
        Some("DaemonSet/agent")
    );
    assert_eq!(owner("once-7x2", &[("job-name", "once")]).as_deref(), Some("Job/once"));
    assert_eq!(owner("alone", &[]), None);
    let file = labels(&[("kubernetes.io/config.source", "file")]);
    assert_eq!(Owner::of("etcd-node1", &Labels::new(), &file).unwrap().name, "node1".into());
}

#[test]
fn facts_survive_a_recording() {
    let names =
        Names { users: [(0, Arc::new(User::named("root")))].into(), groups: [(7, "g".into())].into() };
    let pod = Pod {
        name: Some("p".into()),
        uid: Some("u".into()),
        owner: Some(Owner { kind: "Job".into(), name: "j".into() }),
        ..Pod::default()
    };
    let facts = Facts {
        name: Some("n\u{1b}[2J".into()),
        image: Some(Image::named("a:1")),
        users: Some(Arc::new(names)),
        pod: Some(Arc::new(pod)),
        ..Facts::default()
    };
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts);
}
