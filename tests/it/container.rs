//! Real containers, made by containerd and runc: who runs in them, and what was written in them.

use sensor_tests::{
    Event,
    container::{Containerd, missing},
    needs_kernel,
    require::skip,
    shared, test_name,
};
use serde_json::Value;

#[test]
fn container_id_and_layers() {
    needs_kernel!();
    if let Some(missing) = missing() {
        return skip(test_name!(), &missing);
    }
    let sensor = shared();
    let containerd = Containerd::start();
    let name = format!("vedette-test-{}", std::process::id());
    let output = containerd.run(
        &name,
        "cp /bin/busybox /written && /written cat /bin/busybox > /new-file; \
         touch /bin/cat-was-here; \
         busybox mv /new-file /moved && cd /bin && busybox chmod 4755 ../moved; exec /bin/true the-end",
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let inside = |event: &Event| event["/container/full_id"] == *name;
    let end = sensor.event("the container's last exec", |event| {
        event.is_exec() && event.args().contains(&"the-end") && event.args().len() == 2
    });
    assert!(inside(&end), "{}", end["container"]);
    let container = &end["container"];
    assert_eq!(container["type"], "containerd");
    assert_eq!(container["id"], name[..12]);
    assert_eq!(container["cgroup"], format!("/default/{name}"));
    // The image's own program, by its path inside the container.
    assert_eq!(end["/process/exe"], "/bin/busybox");
    assert_eq!(end["/process/exe_file/layer"], "lower");
    assert_ne!(end["/process/vpid"], end["/process/pid"]);
    // One that was written in the container.
    let written = sensor.event("the written program", |event| {
        event.is_exec() && event["/process/exe"] == "/written" && inside(event)
    });
    assert_eq!(written["/process/exe_file/layer"], "upper");
    assert_eq!(written.args(), ["/written", "cat", "/bin/busybox"]);
    let open = |path: &str, created: bool| {
        sensor.event(&format!("{path} is opened"), |event| {
            event.is_open() && event.path() == path && inside(event) && event["/detail/created"] == created
        })
    };
    assert_eq!(open("/bin/busybox", false)["/detail/file/layer"], "lower");
    assert_eq!(open("/new-file", true)["/detail/file/layer"], "upper");
    assert_eq!(open("/written", true)["/detail/file/layer"], "upper");
    let change = |what: &str, path: &str| {
        sensor.event(what, |event| event.is_change() && event.path() == path && inside(event))
    };
    let moved = change("a file is moved", "/new-file");
    assert_eq!((&moved["/detail/new_path"], moved.result()), (&Value::from("/moved"), 0));
    assert_eq!(change("its mode is changed", "/moved")["/detail/mode"], 0o4755);
    // Whoever started it is of the host: runc, before it is inside.
    let runc = sensor.event("runc starts", |event| {
        event.is_exec() && event["/process/comm"] == "runc" && event.args().contains(&"create")
    });
    assert_eq!(runc["container"], Value::Null);
}
