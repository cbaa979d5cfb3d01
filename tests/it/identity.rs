//! Who a process is: ids, credentials, namespaces, terminal, against what `/proc` says of it.

use std::{collections::HashMap, ffi::CStr, fs, io, os::unix::fs::MetadataExt};

use sensor_tests::{Act, Event, act::finish, needs_kernel, shared};
use serde_json::json;

use crate::exec::{execs, steps};

/// What `/proc/PID/status` says, by field.
fn status(pid: u32) -> HashMap<String, Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, rest)| (name.to_owned(), rest.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

/// Runs a helper that waits at its end, and looks at it and at the event of its last exec while it does.
fn while_it_waits(act: Act, look: impl FnOnce(&Event, u32)) {
    let sensor = shared();
    let child = act.start();
    let exec = sensor.event_of(child.id(), "the helper starts", |event| {
        event.is_exec() && event.args().ends_with(&["wait-for-input"]) && event.args().len() == 2
    });
    look(&exec, child.id());
    let done = finish(child);
    assert_eq!(sensor.until_exit(done.pid).iter().filter(|event| event.is_exit()).count(), 1);
}

fn number(fields: &HashMap<String, Vec<String>>, name: &str, at: usize) -> u64 {
    fields[name][at].parse().unwrap()
}

fn caps(fields: &HashMap<String, Vec<String>>, name: &str) -> u64 {
    u64::from_str_radix(&fields[name][0], 16).unwrap()
}

fn namespace(pid: u32, name: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{name}")).unwrap().ino()
}

/// Everything that `/proc` knows, too.
#[track_caller]
fn assert_identity(exec: &Event, pid: u32) {
    let fields = &status(pid);
    let task = &exec["task"];
    for (name, field, at) in [("uid", "Uid", 0), ("euid", "Uid", 1), ("gid", "Gid", 0), ("egid", "Gid", 1)] {
        assert_eq!(task[name], number(fields, field, at), "{name}");
    }
    assert_eq!(task["cap_effective"], caps(fields, "CapEff"));
    assert_eq!(exec["/process/cap_permitted"], caps(fields, "CapPrm"));
    assert_eq!(exec["/process/cap_inheritable"], caps(fields, "CapInh"));
    assert_eq!(task["ppid"], number(fields, "PPid", 0));
    let login = fs::read_to_string(format!("/proc/{pid}/loginuid"))
        .ok()
        .and_then(|id| id.parse().ok())
        .filter(|id: &u32| *id != u32::MAX);
    assert_eq!(task["loginuid"], json!(login));
    assert_eq!(exec["/process/loginuid"], json!(login));
    assert_eq!(exec["/process/uid"], number(fields, "Uid", 0));
    assert_eq!(task["mnt_ns"], namespace(pid, "mnt"));
    let namespaces = json!({
        "pid": namespace(pid, "pid"), "net": namespace(pid, "net"), "user": namespace(pid, "user"),
    });
    assert_eq!(exec["/process/namespaces"], namespaces);
    let last = |name: &str| json!(fields[name].last().unwrap().parse::<u64>().unwrap());
    assert_eq!(exec["/process/vpid"], last("NSpid"));
    assert_eq!(exec["/process/vpgid"], last("NSpgid"));
    assert_eq!(exec["/process/vsid"], last("NSsid"));
    assert_eq!(exec["/process/pgid"], number(fields, "NSpgid", 0));
    assert_eq!(exec["/process/sid"], number(fields, "NSsid", 0));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let tty: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(4).unwrap().parse().unwrap();
    assert_eq!(exec["/process/tty"], tty);
}

#[test]
fn proc_exec_credentials_of_root() {
    needs_kernel!();
    while_it_waits(Act::new(["wait-for-input"]), |exec, pid| {
        assert_identity(exec, pid);
        assert_eq!(exec["/task/pid"], pid);
        assert_eq!(exec["/task/user"], "root");
        assert_eq!(exec["/task/group"], "root");
    });
}

#[test]
fn proc_exec_credentials_of_another_user() {
    needs_kernel!();
    // The user `nobody`, in a session of its own, with one capability that every new image keeps.
    const NOBODY: u32 = 65534;
    const CAP: u32 = 10;
    while_it_waits(Act::new(["wait-for-input"]).before(|| become_nobody(NOBODY, CAP)), |exec, pid| {
        assert_identity(exec, pid);
        assert_eq!(exec["/task/uid"], NOBODY);
        assert_eq!(exec["/task/egid"], NOBODY);
        assert_eq!(exec["/task/user"], "nobody");
        assert_eq!(exec["/task/cap_effective"], 1_u64 << CAP);
        assert_eq!(exec["/process/cap_inheritable"], 1_u64 << CAP);
        assert_eq!((&exec["/process/sid"], &exec["/process/pgid"]), (&json!(pid), &json!(pid)));
    });
}

fn become_nobody(id: u32, cap: u32) -> io::Result<()> {
    // `_LINUX_CAPABILITY_VERSION_3`: effective, permitted, inheritable, each in two halves.
    let header = [0x2008_0522_u32, 0];
    let data = [[1_u32 << cap; 3], [0; 3]];
    // SAFETY: numbers, and structs of the version that the header says.
    let done = unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_KEEPCAPS, 1);
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(id, id, id) == 0
            && libc::setresuid(id, id, id) == 0
            && libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) == 0
            && libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn proc_exec_terminal() {
    needs_kernel!();
    let mut names = [0; 64];
    // SAFETY: plain calls; the buffer has the length that is given.
    let (terminal, other_end) = unsafe {
        let terminal = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(terminal >= 0 && libc::grantpt(terminal) == 0 && libc::unlockpt(terminal) == 0);
        assert_eq!(libc::ptsname_r(terminal, names.as_mut_ptr(), names.len()), 0);
        (terminal, CStr::from_ptr(names.as_ptr()).to_str().unwrap().to_owned())
    };
    let device = fs::metadata(&other_end).unwrap().rdev();
    let list = steps(&["setsid", "--", "tty", &other_end, "--", "exec", "ACT", "ACT", "wait-for-input"]);
    while_it_waits(Act::new(list), |exec, pid| {
        assert_identity(exec, pid);
        assert_eq!(exec["/process/tty"], device, "small numbers of terminals are encoded as devices are");
        assert_eq!(exec["/process/sid"], pid);
    });
    // SAFETY: opened above.
    unsafe { libc::close(terminal) };
}

#[test]
fn proc_exec_in_namespaces_of_its_own() {
    needs_kernel!();
    let flags = (libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWNS).to_string();
    let list = steps(&["unshare", &flags, "--", "fork-exec", "ACT", "inside", "exit", "4"]);
    let sensor = shared();
    let done = Act::new(list).run();
    let child = done.result(1) as u32;
    let outer = sensor.until_exit(done.pid);
    let (first, fork) =
        (execs(&outer)[0].clone(), outer.iter().find(|event| event.is_fork()).unwrap().clone());
    assert_eq!(fork.child(), Some(child));
    assert_eq!(fork["/detail/child_vpid"], 1);
    let events = sensor.until_exit(child);
    let exec = execs(&events)[0];
    assert_eq!(exec["/process/vpid"], 1);
    // Its creator is outside.
    assert_eq!(exec["/process/vppid"], 0);
    assert_eq!(exec["/process/ppid"], done.pid);
    for (name, same) in [("pid", false), ("net", false), ("user", true)] {
        let path = format!("/process/namespaces/{name}");
        assert_eq!(exec[path.as_str()] == first[path.as_str()], same, "{name}");
    }
    assert_ne!(exec["/task/mnt_ns"], first["/task/mnt_ns"]);
    assert_eq!(events.last().unwrap()["/detail/status"], 4 << 8);
}

#[test]
fn proc_exec_by_a_thread_in_a_pid_namespace() {
    needs_kernel!();
    let flags = libc::CLONE_NEWPID.to_string();
    let list =
        steps(&["unshare", &flags, "--", "fork-exec", "ACT", "inside", "thread-exec", "/nothing", "x"]);
    let sensor = shared();
    let done = Act::new(list).run();
    let outer = sensor.until_exit(done.pid);
    let fork = outer.iter().find(|event| event.is_fork()).unwrap();
    let events = sensor.until_exit(fork.child().unwrap());
    let execs = execs(&events);
    let ids = |event: &Event| [event["/task/vtid"].clone(), event["/task/threads"].clone()];
    assert_eq!((ids(execs[0]), ids(execs[1])), ([json!(1), json!(1)], [json!(2), json!(2)]));
    assert_ne!(execs[0]["/task/tid"], execs[1]["/task/tid"]);
    assert_eq!(execs[0]["/task/pid"], execs[1]["/task/pid"]);
}

#[test]
fn proc_fork_into_a_pid_namespace() {
    needs_kernel!();
    let flags = libc::CLONE_NEWPID.to_string();
    let sensor = shared();
    let done = Act::new(["clone3", &flags, "4", "--", "clone", "0", "5"]).run();
    let (inside, beside) =
        (sensor.until_exit(done.result(0) as u32), sensor.until_exit(done.result(1) as u32));
    let first = execs(&sensor.until_exit(done.pid))[0].clone();
    // Without an exec, too: the first of its namespace, whose creator is not in it.
    let (inside, beside) = (inside.last().unwrap(), beside.last().unwrap());
    assert_eq!((&inside["/process/vpid"], &inside["/process/vppid"]), (&json!(1), &json!(0)));
    let pid_ns = |event: &Event| event["/process/namespaces/pid"].clone();
    assert_ne!(pid_ns(inside), pid_ns(&first));
    assert_eq!(pid_ns(beside), pid_ns(&first));
    assert_eq!(beside["/process/vppid"], done.pid);
}
