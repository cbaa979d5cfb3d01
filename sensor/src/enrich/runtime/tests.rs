//! The threads, with files that come late.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::*;

fn sources(root: &Path) -> Sources {
    let options = Options {
        bundles: vec![format!("{}/*/{{id}}", root.display())],
        storage: vec![root.join("storage")],
        answer_bytes: 10_000,
        ..Options::default()
    };
    Sources::start(&options).unwrap()
}

/// Waits for an answer as the pipeline does: by the bell.
fn answer(sources: &Sources) -> Option<Found> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if let Some(found) = sources.answer() {
            return Some(found);
        }
        let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
        let bell = sources.bell();
        poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&wait)).unwrap();
    }
    None
}

fn ask(id: &str, runtime: Runtime, cgroup: &str) -> Ask {
    Ask { instance: 7, id: id.into(), runtime, cgroup: cgroup.into(), pid: None }
}

#[test]
fn a_half_written_bundle_is_read_when_it_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("default/t1");
    fs::create_dir_all(dir.join("rootfs/etc")).unwrap();
    fs::write(dir.join("rootfs/etc/passwd"), "me:x:0:0\n").unwrap();
    let whole = "{\"annotations\": {\"nerdctl/name\": \"web\"}, \"root\": {\"path\": \"rootfs\"}}";
    fs::write(dir.join("config.json"), &whole[..20]).unwrap();
    let sources = sources(root.path());
    assert!(sources.ask(ask("t1", Runtime::Containerd, "/default/t1")));
    assert!(sources.answer().is_none());
    fs::write(dir.join("config.json"), whole).unwrap();
    let mut found = [answer(&sources).unwrap(), answer(&sources).unwrap()];
    found.sort_by_key(|found| found.source.name());
    assert_eq!((found[0].source, found[0].facts.name.as_deref()), (Source::Bundle, Some("web")));
    assert_eq!((found[1].source, found[1].instance), (Source::Users, 7));
    assert_eq!(found[1].facts.users.as_ref().unwrap().users[&0], "me".into());
}

#[test]
fn podmans_state_names_the_image() {
    let root = tempfile::tempdir().unwrap();
    let id = "ab".repeat(32);
    let storage = root.path().join("storage");
    fs::create_dir_all(storage.join("overlay-containers")).unwrap();
    fs::create_dir_all(storage.join("overlay-images")).unwrap();
    let sources = sources(root.path());
    assert!(sources.ask(ask(&id, Runtime::Podman, &format!("/libpod_parent/libpod-{id}"))));
    fs::write(
        storage.join("overlay-images/images.json"),
        r#"[{"id": "1mage", "digest": "sha256:d1", "names": ["localhost/a:1"]}]"#,
    )
    .unwrap();
    let metadata = r#"{\"image-name\":\"localhost/a:1\",\"image-id\":\"1mage\",\"name\":\"web\"}"#;
    let list = format!(r#"[{{"id": "{id}", "names": ["web"], "image": "1mage", "metadata": "{metadata}"}}]"#);
    fs::write(storage.join("overlay-containers/containers.json"), list).unwrap();
    let found = answer(&sources).unwrap();
    let image = found.facts.image.unwrap();
    assert_eq!((found.source, found.facts.name.as_deref()), (Source::Storage, Some("web")));
    assert_eq!(
        (&*image.name, image.id.as_deref(), image.digest.as_deref()),
        ("localhost/a:1", Some("1mage"), Some("sha256:d1"))
    );
}

#[test]
fn answers_are_cut_before_they_wait() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("default/t1");
    fs::create_dir_all(&dir).unwrap();
    let mounts: Vec<_> = (0..10_000)
        .map(|n| format!("{{\"destination\": \"/m{n}\", \"type\": \"bind\", \"source\": \"/s{n}\"}}"))
        .collect();
    fs::write(dir.join("config.json"), format!("{{\"mounts\": [{}]}}", mounts.join(","))).unwrap();
    let sources = sources(root.path());
    sources.ask(ask("t1", Runtime::Containerd, "/default/t1"));
    let facts = answer(&sources).unwrap().facts;
    assert!(facts.cut && facts.heap_bytes() <= 10_000);
    assert_eq!((&*facts.mounts[0].source, facts.name.as_deref()), ("/s0", Some("t1")));
}
