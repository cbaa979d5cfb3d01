//! What is done to the sensor itself is told like anything else.

use std::fs::File;

use sensor_tests::{alerts::Watcher, needs_kernel};

#[test]
fn own_process_is_no_target_in_silence() {
    needs_kernel!();
    // With the shield its memory could not be opened at all.
    let watcher = Watcher::builtin_with(&["--set", "respond.protect.sensor=false"]);
    let pid = watcher.pid();
    watcher.signal(libc::SIGSTOP);
    watcher.signal(libc::SIGCONT);
    let alert = watcher.alert("Sensor signalled", 1);
    assert_eq!(alert["process"]["pid"], std::process::id());
    assert!(alert["output"].as_str().unwrap().contains(&format!("signal=SIGSTOP target={pid}")), "{alert}");
    // Opened only: nothing is written.
    drop(File::options().write(true).open(format!("/proc/{pid}/mem")).unwrap());
    let alert = watcher.alert("Sensor's memory touched", 1);
    assert_eq!(alert["event"]["type"], "openat", "{alert}");
    // Other processes are not meant.
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(File::options().write(true).open("/proc/self/mem").unwrap());
    let (alerts, _) = watcher.stop();
    let named = |rule: &str| alerts.iter().filter(|alert| alert["rule"] == rule).count();
    // The one that ends it is of our own, too.
    assert_eq!((named("Sensor signalled"), named("Sensor's memory touched")), (2, 1), "{alerts:#?}");
}
