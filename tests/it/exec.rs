//! Execs that go well: what the new image is, against what it says of itself.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt, fs::MetadataExt, fs::symlink},
};

use sensor_tests::{
    Act, Event,
    act::{copy_program, program},
    needs_32_bit_calls, needs_kernel,
    recorded::{play, record},
    shared,
};
use serde_json::{Value, json};

/// The execs among events.
pub(crate) fn execs(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| event.is_exec()).collect()
}

/// Steps, with the helper's path in place of `ACT`.
pub(crate) fn steps(list: &[&str]) -> Vec<String> {
    let act = program().display().to_string();
    list.iter().map(|step| if *step == "ACT" { act.clone() } else { (*step).to_owned() }).collect()
}

#[test]
fn proc_exec_arguments_stay_as_they_are() {
    needs_kernel!();
    let list = ["exit", "0", "", "a b", "", "\"'$x\n\ttab", "ünï", "--flag=1", ""];
    let (done, events) = Act::new(list).seen_by(&shared());
    let exec = execs(&events)[0];
    let act = program().display().to_string();
    assert_eq!(exec.args(), [&[act.as_str()], &list[..]].concat());
    assert_eq!(exec.kind(), "execve");
    assert_eq!(exec.result(), 0);
    assert_eq!(exec["/process/exe"], act);
    assert_eq!(exec["/detail/filename"], act);
    assert_eq!(exec["/detail/interpreter"], Value::Null);
    assert_eq!(exec["/process/pid"], done.pid);
    assert_eq!(exec["/task/ppid"], std::process::id());
    assert_eq!(exec["/process/ppid"], std::process::id());
    assert_eq!(exec["/process/partial"], Value::Null);
}

#[test]
fn proc_exec_arguments_that_are_not_utf8() {
    needs_kernel!();
    let list =
        ["exit", "0"].map(OsString::from).into_iter().chain([OsString::from_vec(vec![b'a', 0xff, 0x80])]);
    let (_, events) = Act::new(list).seen_by(&shared());
    assert_eq!(execs(&events)[0].args()[3], "a\\xff\\x80");
}

#[test]
fn proc_exec_without_any_argument() {
    needs_kernel!();
    // Since 5.18 the kernel puts an empty one there.
    let (_, events) = Act::new(["exec", "/bin/true"]).seen_by(&shared());
    let args = execs(&events)[1].args();
    assert!(args.is_empty() || args == [""], "{args:?}");
}

#[test]
fn proc_exec_long_arguments() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rec");
    // Inline, in pieces, exactly at the limit, and beyond it.
    let sizes = [100, 2048, 2049, 9000, 32 * 1024, 32 * 1024 + 1, 100_000];
    let fixed = program().as_os_str().len() + 1 + "exit\0".len() + "0\0".len() + 1;
    let arg = |size: usize| "x".repeat(size - fixed);
    let (pids, _) = record(&file, &[], || sizes.map(|size| Act::new(["exit", "0", &arg(size)]).run().pid));
    let (events, stats) = play(&file);
    assert_eq!(stats.enrich.lost_args, 0);
    for (pid, size) in pids.into_iter().zip(sizes) {
        let is_exec = |event: &&sensor::event::Event| {
            event.task.pid == pid && matches!(event.detail, sensor::event::Detail::Exec(_))
        };
        let args = &events.iter().find(is_exec).expect("the exec is recorded").process.args;
        assert_eq!(args.full_len() as usize, size);
        assert_eq!(args.as_bytes().len(), size.min(32 * 1024));
        assert_eq!(args.is_truncated(), size > 32 * 1024);
        let list: Vec<&[u8]> = args.iter().collect();
        assert_eq!(list[..3], [program().as_os_str().as_encoded_bytes(), b"exit", b"0"]);
        assert!(arg(size).as_bytes().starts_with(list[3]) && list.len() == 4, "{size}");
    }
}

#[test]
fn proc_exec_environment_only_on_demand() {
    needs_kernel!();
    let act = || {
        Act::new(["exit", "0"]).with(|act| {
            let _ = act.env_clear().env("A", "1").env("EMPTY", "").env("LONG", "y".repeat(5000));
        })
    };
    let (_, events) = act().seen_by(&shared());
    assert_eq!(execs(&events)[0]["/process/env"], Value::Null);
    let sensor = sensor_tests::Sensor::start(&["--env", "--kinds", "proc_exec"]);
    let (_, events) = act().seen_by(&sensor);
    let env = execs(&events)[0]["/process/env"].clone();
    assert_eq!(env, json!(["A=1", "EMPTY=", format!("LONG={}", "y".repeat(5000))]));
}

#[test]
fn proc_exec_path_behind_a_symlink() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    symlink(program(), &link).unwrap();
    let asked = format!("/proc/self/root{}", link.display());
    let list =
        steps(&["chdir", &dir.path().display().to_string(), "--", "exec", &asked, "other-name", "exit", "0"]);
    let (_, events) = Act::new(list).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec["/process/exe"], program().display().to_string());
    assert_eq!(exec["/detail/filename"], asked);
    assert_eq!(exec.args()[0], "other-name");
    assert_eq!(exec["/process/cwd"], dir.path().display().to_string());
    // The name of a process is that of the file it asked for.
    assert_eq!(exec["/process/comm"], "link");
    assert_eq!(exec["/task/comm"], "link");
}

#[test]
fn proc_exec_script_says_its_interpreter() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script").display().to_string();
    let act = program().display().to_string();
    // What the kernel makes of it is `act wait-for-input SCRIPT 7`.
    fs::write(&script, format!("#!{act} wait-for-input\n")).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (_, events) = Act::new(["exec", &script, "name", "7"]).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec["/process/exe"], act);
    assert_eq!(exec["/detail/filename"], script);
    assert_eq!(exec["/detail/interpreter"], act);
    assert_eq!(exec.args(), [act.as_str(), "wait-for-input", &script, "7"]);
    assert_eq!(exec["/process/comm"], "script");
}

#[test]
fn proc_exec_file() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    copy_program(program(), &copy);
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o4711)).unwrap();
    let meta = fs::metadata(&copy).unwrap();
    let list = steps(&["exec", &copy.display().to_string(), "copy", "exit", "0"]);
    let (_, events) = Act::new(list).seen_by(&shared());
    let file = &execs(&events)[1]["/process/exe_file"];
    let dev = u64::from(libc::major(meta.dev())) << 20 | u64::from(libc::minor(meta.dev()));
    let time = |seconds: i64, rest: i64| seconds.cast_unsigned() * 1_000_000_000 + rest.cast_unsigned();
    let expected = json!({
        "ino": meta.ino(), "dev": dev, "mode": meta.mode(), "nlink": 1, "uid": meta.uid(), "gid": meta.gid(),
        "layer": "other", "memfd": false,
        "ctime": time(meta.ctime(), meta.ctime_nsec()), "mtime": time(meta.mtime(), meta.mtime_nsec()),
    });
    assert_eq!(file, &expected);
}

#[test]
fn proc_exec_of_memory_and_of_deleted_files() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("gone").display().to_string();
    copy_program(program(), &copy);
    let (_, events) = Act::new(steps(&["memfd-exec", "ACT", "[kworker]", "exit", "3"])).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec["/process/exe_file/memfd"], true);
    assert_eq!(exec["/process/exe_file/nlink"], 0);
    assert!(exec["/process/exe"].as_str().unwrap().contains("memfd:hidden"), "{}", exec["/process/exe"]);
    assert_eq!(exec.args()[0], "[kworker]");
    let (_, events) = Act::new(["deleted-exec", &copy, "x", "exit", "0"]).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec["/process/exe_file/memfd"], false);
    assert_eq!(exec["/process/exe_file/nlink"], 0);
    assert_eq!(exec["/process/exe"], copy);
}

#[test]
fn proc_exec_execveat() {
    needs_kernel!();
    let act = program();
    let dir = act.parent().unwrap().display().to_string();
    let (_, events) = Act::new(["execveat", &dir, "act", "by-dir", "exit", "0"]).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec["/process/exe"], act.display().to_string());
    assert_eq!(exec.args(), ["by-dir", "exit", "0"]);
    assert_eq!(exec.kind(), "execveat");
    let (_, events) = Act::new(steps(&["fd-exec", "ACT", "by-fd", "exit", "0"])).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec["/process/exe"], act.display().to_string());
    assert_eq!(exec.kind(), "execveat");
}

#[test]
fn proc_exec_by_a_thread_keeps_the_process() {
    needs_kernel!();
    let (done, events) =
        Act::new(steps(&["thread-exec", "ACT", "from-thread", "exit", "5"])).seen_by(&shared());
    let exec = execs(&events)[1];
    assert_eq!(exec.args(), ["from-thread", "exit", "5"]);
    assert_eq!(exec["/task/pid"], done.pid);
    // The thread takes the number of the main one over.
    assert_eq!(exec["/task/tid"], done.pid);
    assert_eq!(exec["/process/start"], execs(&events)[0]["/process/start"]);
    assert_eq!(events.iter().filter(|event| event.is_exit()).count(), 1);
    assert_eq!(done.code, 5);
}

#[test]
fn proc_exec_failed_says_what_was_tried() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::write(at("plain"), "no program").unwrap();
    fs::write(at("junk"), "\u{1}\u{2}junk").unwrap();
    fs::set_permissions(at("junk"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (none, plain, junk) = (at("none"), at("plain"), at("junk"));
    let folder = at("");
    let list = [
        &["exec", &none, "name", "", "an arg", "--", "exec", &plain, "x", "--"][..],
        &["exec", &junk, "y", "--", "execveat", &folder, "absent", "z", "1", "--"],
        &["thread-exec", &none, "in-thread"],
    ]
    .concat();
    let (done, events) = Act::new(list).seen_by(&shared());
    let failed = &execs(&events)[1..];
    let said: Vec<_> = failed.iter().map(|event| (event.kind(), event.path(), event.result())).collect();
    assert_eq!(
        said,
        [
            ("execve", none.as_str(), -2),
            ("execve", &plain, -13),
            ("execve", &junk, -8),
            ("execveat", "absent", -2),
            ("execve", &none, -2),
        ]
    );
    for (step, event) in failed.iter().enumerate() {
        assert_eq!(event.result(), done.result(step));
        // The process is still the caller.
        assert_eq!(event["/process/exe"], program().display().to_string());
        assert_eq!(event["/process/comm"], "act");
    }
    assert_eq!(failed[0]["/detail/attempted_args"], json!(["name", "", "an arg"]));
    assert_eq!(failed[3]["/detail/attempted_args"], json!(["z", "1"]));
    assert_ne!(failed[4]["/task/tid"], done.pid, "a thread tried");
    assert_eq!((&failed[3]["/task/threads"], &failed[4]["/task/threads"]), (&json!(1), &json!(2)));
    assert_eq!(failed[4]["/task/pid"], done.pid);
}

#[test]
fn proc_exec_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (done, events) =
        Act::new(steps(&["exec32", "/nowhere/x", "a", "b c", "--", "exec32", "ACT", "32", "exit", "6"]))
            .seen_by(&shared());
    let execs = execs(&events);
    assert_eq!((execs[1].kind(), execs[1].path(), execs[1].result()), ("execve", "/nowhere/x", -2));
    assert_eq!(execs[1]["compat"], true);
    assert_eq!(execs[1]["/detail/attempted_args"], json!(["a", "b c"]));
    assert_eq!((execs[2].kind(), execs[2].result()), ("execve", 0));
    assert_eq!(execs[2].args(), ["32", "exit", "6"]);
    assert_eq!(done.code, 6);
}
