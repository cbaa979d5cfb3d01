//! Containers of podman and of dockerd: named by their state files and by the daemon's socket.

use sensor_tests::{
    container::{IMAGE, ROOT},
    engine::{Engine, missing},
    needs_kernel,
    require::skip,
    test_name,
};
use serde_json::json;

/// Runs a container, and looks at what is said of its first program.
fn runs_and_is_known(engine: &Engine, kind: &str) {
    let sensor = engine.sensor();
    let name = format!("vedette-{kind}-{}", std::process::id());
    let output = engine.run(&name, &["/bin/true", &name]);
    if !output.status.success() {
        return skip(kind, &String::from_utf8_lossy(&output.stderr));
    }
    let exec = sensor.event("the first program", |event| {
        event.is_exec() && event.result() == 0 && event.args().len() == 2 && event.args()[1] == name
    });
    let container = &exec["container"];
    assert_eq!((&container["type"], &container["name"]), (&json!(kind), &json!(name)), "{container}");
    assert_eq!(container["image"]["name"], IMAGE);
    assert!(container["image"]["id"].as_str().is_some_and(|id| id.len() == 64), "{}", container["image"]);
    assert_eq!(exec["/task/user"], ROOT);
    assert_eq!(exec["/process/runtime_init"], serde_json::Value::Null);
}

#[test]
fn engine_podman_names_its_containers() {
    needs_kernel!();
    if let Some(missing) = missing(&["podman", "conmon"]) {
        return skip(test_name!(), &missing);
    }
    match Engine::podman() {
        Ok(engine) => runs_and_is_known(&engine, "podman"),
        Err(why) => skip(test_name!(), &why),
    }
}

#[test]
fn engine_docker_names_its_containers() {
    needs_kernel!();
    if let Some(missing) = missing(&["dockerd", "docker"]) {
        return skip(test_name!(), &missing);
    }
    match Engine::docker() {
        Ok(engine) => runs_and_is_known(&engine, "docker"),
        Err(why) => skip(test_name!(), &why),
    }
}
