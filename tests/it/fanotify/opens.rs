//! Opens that fanotify refuses.

use super::*;

const SECRET: &str = "/secret";
/// A file that may be run, and not be read.
const PROGRAM: &str = "/busybox-hidden";

/// Any open of a file for reading in this container that also is as `more` says.
fn reads(id: &str, more: &str) -> String {
    format!(
        "evt.type in (open, openat, openat2) and evt.is_open_read = true and container.id = {} and {more}",
        &id[..12]
    )
}

/// Reads what is forbidden until that is refused, and then so often again; writes it, runs it, and reads other files.
fn script() -> String {
    format!(
        "busybox cp /bin/busybox {PROGRAM}; echo x > {SECRET}; before=0; \
         while [ $before -lt 100000 ] && {{ true < {SECRET}; }} 2>/dev/null; do before=$((before+1)); done; \
         i=0; read=0; others=0; ran=0; while [ $i -lt {} ]; do \
         {{ true < {SECRET}; }} 2>/dev/null && read=$((read+1)); {{ true < /etc/passwd; }} && others=$((others+1)); i=$((i+1)); done; \
         {{ true < {PROGRAM}; }} 2>/dev/null && read=$((read+1)); {PROGRAM} true && ran=1; echo y >> {SECRET} && ran=$((ran+1)); \
         echo before $before after $read others $others ran $ran; cat {SECRET}",
        tries()
    )
}

#[test]
fn fanotify_refuses_opens_in_a_container() {
    let containerd = containerd!();
    let id = mark("opens");
    let sensor =
        blocking(&containerd, &reads(&id, &format!("fd.typechar = f and fd.name in ({SECRET}, {PROGRAM})")));
    let output = containerd.run(&id, &script());
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let after = format!("after 0 others {} ran 2\n", tries());
    assert!(said.ends_with(&after), "{said}{errors}{}", sensor.watcher.stderr());
    assert!(errors.contains("Operation not permitted"), "{errors}");
    let before: usize = said.split(' ').nth(1).unwrap().parse().unwrap();
    // One refusal ends the wait; the program and the last one are read once.
    let alert = told(sensor, &id, before, tries() + 3);
    assert!(alert["event"]["type"].as_str().unwrap().starts_with("open"), "{alert}");
}

#[test]
fn fanotify_refuses_opens_by_the_name_of_a_thread_and_of_a_file() {
    let containerd = containerd!();
    let id = mark("names");
    let sensor =
        blocking(&containerd, &reads(&id, "proc.name = cat and fd.filename = token and user.uid = 0"));
    let script = "busybox mkdir /a; echo x > /a/token; i=0; while [ $i -lt 5000 ] && cat /a/token 2>/dev/null; do i=$((i+1)); done; \
                  busybox mv /a/token /a/other && cat /a/other && busybox mv /a/other /a/token && { true < /a/token; } && echo shell; \
                  cat /a/token";
    let output = containerd.run(&id, script);
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("x\nshell\n"), "{said}{errors}{}", sensor.watcher.stderr());
    assert!(errors.contains("Operation not permitted"), "{errors}");
    let _ = sensor.stop();
}

#[test]
fn fanotify_does_not_ask_of_opens_where_no_rule_is_about_them() {
    let containerd = containerd!();
    let (id, other) = (mark("rule"), mark("none"));
    let sensor = blocking(&containerd, &reads(&id, &format!("fd.name = {SECRET}")));
    let script = "i=0; while [ $i -lt 300 ]; do true < /etc/passwd; i=$((i+1)); done; cat /etc/passwd";
    assert!(containerd.run(&other, script).status.success());
    let (_, stats, _) = sensor.stop();
    assert_eq!(stats["fanotify"]["asked"], 0, "{}", stats["fanotify"]);
}

/// The bug: a container that was started anew was taken for the one before, whose mounts had had the same numbers.
#[test]
fn fanotify_asks_again_of_a_container_that_starts_anew() {
    let containerd = containerd!();
    let id = mark("anew");
    let sensor = blocking(&containerd, &reads(&id, &format!("fd.name = {SECRET}")));
    let script = format!(
        "echo x > {SECRET}; i=0; while [ $i -lt 20000 ] && {{ true < {SECRET}; }} 2>/dev/null; do i=$((i+1)); done; [ $i -lt 20000 ]"
    );
    for time in 0..6 {
        let output = containerd.run(&id, &script);
        assert!(output.status.success(), "never refused, time {time}: {}", sensor.watcher.stderr());
    }
    let _ = sensor.stop();
}

/// Says no to every open of a file of this name.
struct Doorman(&'static str);

impl Judge for Doorman {
    fn allows(&mut self, asked: &Asked) -> bool {
        let path = fs::read_link(format!("/proc/self/fd/{}", asked.file().unwrap().as_raw_fd())).unwrap();
        asked.is_exec() || path.file_name().unwrap() != self.0
    }

    fn refused(&mut self) {}

    fn late(&mut self) {}
}

fn errno(result: std::io::Result<fs::File>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap())
}

const OPENS: Questions = Questions { execs: false, opens: true, directories: false };

#[test]
fn fanotify_is_asked_of_opens_no_more_when_nobody_wants_it() {
    needs_kernel!();
    if let Err(why) = can_ask() {
        return skip(test_name!(), &why);
    }
    let place = Mounted::new();
    let program = place.program();
    let answering = Answering::start(Doorman("true"), deadline(), drop).unwrap();
    let gate = answering.gate().unwrap();
    let at = fs::File::open(place.0.path()).unwrap();
    gate.ask(Questions { execs: true, ..OPENS }, at.as_fd(), true).unwrap();
    assert_eq!(errno(fs::File::open(&program)), Some(libc::EPERM));
    fs::write(place.0.path().join("other"), "x").unwrap();
    let asked = answering.counts().0;
    gate.ask_no_more(OPENS, at.as_fd()).unwrap();
    assert_eq!(errno(fs::File::open(&program)), None);
    assert_eq!(answering.counts().0, asked);
    assert!(Command::new(&program).status().unwrap().success());
    assert_eq!(answering.counts().0, asked + 1, "of execs it still is");
}

/// `fcntl`: by which signal it is told that somebody wants the lease.
const F_SETSIG: i32 = 10;

/// The bug: with each question the kernel opened the file for the sensor, and where somebody had a lease on it, that waited for
/// him, with everybody who asked behind it, and nobody noticed.
#[test]
fn fanotify_waits_for_nobody_who_has_a_lease() {
    needs_kernel!();
    if let Err(why) = can_ask() {
        return skip(test_name!(), &why);
    }
    let place = Mounted::new();
    let (leased, other) = (place.0.path().join("leased"), place.0.path().join("other"));
    fs::write(&other, "x").unwrap();
    let file = fs::File::create(&leased).unwrap();
    // SAFETY: numbers only. Who breaks the lease is told of by a signal that does nothing.
    unsafe {
        assert_eq!(libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG), 0);
        assert_eq!(libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK), 0);
    }
    let answering = Answering::start(Doorman("none"), Duration::from_secs(5), drop).unwrap();
    let at = fs::File::open(place.0.path()).unwrap();
    answering.gate().unwrap().ask(OPENS, at.as_fd(), true).unwrap();
    assert_eq!(errno(fs::File::open(&leased)), Some(libc::EPERM), "unseen is refused");
    assert_eq!(errno(fs::File::open(&other)), None);
    assert!(answering.gate().is_some(), "nobody was let go");
}
