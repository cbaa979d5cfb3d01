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
    assert_eq!(found[1].facts.users.as_ref().unwrap().users[&0].name, "me".into());
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

/// A socket whose owner behaves badly.
fn bad(at: &Path, behaviour: fn(std::os::unix::net::UnixStream)) {
    let listener = std::os::unix::net::UnixListener::bind(at).unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(behaviour));
}

#[test]
fn bad_sockets_hold_nobody_up() {
    use std::io::{Read, Write};
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let dir = at("bundles/default/t1");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.json"), "{}").unwrap();
    // Left behind by one that is gone.
    drop(std::os::unix::net::UnixListener::bind(at("refused")).unwrap());
    fs::write(at("a-file"), "").unwrap();
    bad(&at("silent"), std::mem::forget);
    bad(&at("closes"), drop);
    bad(&at("garbage"), |mut stream| {
        let _ = stream.write_all(&[0xff; 1 << 16]);
        std::mem::forget(stream);
    });
    bad(&at("half"), |mut stream| {
        let _ = stream.read(&mut [0; 24]);
        // The beginning of a frame of HTTP/2 settings, or of an answer of HTTP/1.
        let _ = stream.write_all(b"\0\0\x12\x04\0\0\0");
    });
    bad(&at("endless"), |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n[");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    let names = ["missing", "refused", "a-file", "silent", "closes", "garbage", "half", "endless"];
    let sockets: Vec<_> = names.iter().map(|name| at(name)).collect();
    let options = Options {
        bundles: vec![format!("{}/*/{{id}}", at("bundles").display())],
        containerd: sockets.clone(),
        docker: sockets,
        answer_bytes: 10_000,
        ..Options::default()
    };
    let sources = Sources::start(&options).unwrap();
    let id = "ab".repeat(32);
    for instance in 0..100 {
        assert!(sources.ask(Ask { instance, ..ask(&id, Runtime::Docker, &format!("/docker/{id}")) }));
    }
    let begin = Instant::now();
    assert!(sources.ask(ask("t1", Runtime::Containerd, "/default/t1")));
    assert_eq!(answer(&sources).unwrap().facts.name.as_deref(), Some("t1"));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // They are still talked to when everything ends.
    thread::sleep(Duration::from_millis(100));
    assert!(sources.answer().is_none());
    let states: Vec<_> = places(&options).into_iter().map(|place| place.state).collect();
    assert_eq!(
        (states[0].as_str(), states[3].as_str(), states.last().unwrap().as_str()),
        ("absent", "answers", "there")
    );
}

#[test]
fn dockerds_list_names_a_container() {
    use std::io::{Read, Write};
    let root = tempfile::tempdir().unwrap();
    let socket = root.path().join("docker.sock");
    bad(&socket, |mut stream| {
        let mut asked = [0; 1024];
        let len = stream.read(&mut asked).unwrap();
        let asked = String::from_utf8_lossy(&asked[..len]).into_owned();
        let body = if asked.starts_with("GET /containers/json?all=1&filters=%7B%22id%22%3A%5B%22abab") {
            r#"[{"Names": ["/web"], "Image": "nginx:1", "ImageID": "sha256:00ff", "Labels": {"a": "b"},
                "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}}]"#
        } else if asked.starts_with("GET /images/00ff/json") {
            r#"{"RepoDigests": ["nginx@sha256:d1"]}"#
        } else {
            "nothing"
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
    });
    let sources =
        Sources::start(&Options { docker: vec![socket], answer_bytes: 10_000, ..Options::default() })
            .unwrap();
    let id = "ab".repeat(32);
    assert!(sources.ask(ask(&id, Runtime::Docker, &format!("/docker/{id}"))));
    let facts = answer(&sources).unwrap().facts;
    let image = facts.image.unwrap();
    assert_eq!((facts.name.as_deref(), facts.ip.as_deref()), (Some("web"), Some("172.17.0.2")));
    assert_eq!(
        (&*image.name, image.id.as_deref(), image.digest.as_deref()),
        ("nginx:1", Some("00ff"), Some("sha256:d1"))
    );
    assert_eq!(facts.labels.len(), 1);
}
