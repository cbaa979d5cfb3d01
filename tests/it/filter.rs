//! What no rule can match is dropped in the kernel, and nothing else: a sensor with filters and one without them see the
//! same work and must alert alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, Permissions},
    io,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::Path,
    process::Command,
    thread,
};

use sensor_tests::{Act, alerts::Watcher, exclusive, needs_kernel};
use serde_json::Value;

/// Opens that no rule asks for.
const NOISE: u64 = 2000;
const NOBODY: u32 = 65534;

/// Rules that ask for every property that the kernel can tell, each in one way or another.
fn rules(dir: &Path) -> String {
    let dir = dir.display();
    // The beginning of the test's name, which is the name of its thread.
    let own = "filter::filter_";
    let conditions = [
        ("exact", format!("evt.type = openat and fd.name = {dir}/exact")),
        ("list", format!("evt.type in (open, openat) and fd.name in ({dir}/exact, {dir}/deep/er/file)")),
        ("prefix", format!("evt.type = openat and evt.failed = false and fd.name startswith {dir}/de")),
        (
            "prefix but one",
            format!(
                "evt.type = openat and proc.name = {own} and fd.name startswith {dir}/de and not fd.name pmatch ({dir}/deep/er)"
            ),
        ),
        ("directory", format!("evt.type = openat and evt.is_open_read = true and fd.directory = {dir}/deep")),
        ("name", "evt.type = openat and fd.num >= 0 and fd.filename in (token, exact)".to_owned()),
        ("end", "evt.type = openat and fd.num >= 0 and fd.name endswith /er/file".to_owned()),
        ("long name", format!("evt.type = openat and fd.num >= 0 and fd.filename = {}", "n".repeat(60))),
        (
            "long path",
            format!("evt.type = openat and fd.num >= 0 and fd.name = {dir}/{}/token", "p".repeat(150)),
        ),
        ("bound", format!("evt.type = openat and evt.failed = false and fd.name = {dir}/bound")),
        ("written", format!("evt.type = openat and evt.is_open_write = true and fd.name startswith {dir}")),
        (
            "made to run",
            format!("evt.type = openat and evt.is_open_exec = true and fd.name startswith {dir}"),
        ),
        (
            "not there",
            format!(
                "evt.type = openat and evt.res = ENOENT and proc.name = {own} and fd.name startswith {dir}"
            ),
        ),
        (
            "denied",
            format!(
                "evt.type = openat and evt.res = ENOTDIR and proc.name = {own} and fd.name startswith {dir}"
            ),
        ),
        (
            "shell",
            format!(
                "evt.type = openat and evt.failed = false and proc.name = sh and fd.name startswith {dir}"
            ),
        ),
        ("root", format!("evt.type = openat and user.uid = 0 and fd.name = {dir}/exact")),
        ("nobody", format!("evt.type = openat and user.uid != 0 and fd.name = {dir}/exact")),
        ("host", format!("evt.type = openat and container.id = host and fd.name = {dir}/exact")),
        ("container", format!("evt.type = openat and container.id != host and fd.name = {dir}/exact")),
        ("made", format!("evt.type in (mkdir, mkdirat) and fs.path.name startswith {dir}")),
        (
            "removed",
            format!(
                "evt.type in (unlink, unlinkat, rmdir) and evt.failed = false and fs.path.name startswith {dir}"
            ),
        ),
        ("done", format!("evt.type = execve and proc.cmdline endswith {dir}/done")),
    ];
    yaml(&conditions)
}

fn yaml(conditions: &[(&str, String)]) -> String {
    let rule = |(name, condition): &(&str, String)| {
        format!(
            "- rule: {name}\n  desc: d\n  condition: '{condition}'\n  output: '%fd.name %fs.path.name'\n  priority: INFO\n"
        )
    };
    conditions.iter().map(rule).collect()
}

fn work(dir: &Path) {
    let long = dir.join("p".repeat(150));
    fs::create_dir_all(dir.join("deep/er")).unwrap();
    fs::create_dir_all(&long).unwrap();
    let paths = ["exact", "deep/file", "deep/er/file", "token", "other"].map(|name| dir.join(name));
    for path in
        paths.iter().chain([&long.join("token"), &dir.join("n".repeat(60)), &dir.join("n".repeat(61))])
    {
        fs::write(path, "x").unwrap();
        fs::read(path).unwrap();
    }
    symlink(dir.join("deep/er/file"), dir.join("other_name")).unwrap();
    fs::read(dir.join("other_name")).unwrap();
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(dir.join("program")).unwrap();
    File::open(dir.join("missing")).unwrap_err();
    File::open(dir.join("exact/x")).unwrap_err();
    let shell = format!("cat '{0}/exact' > '{0}/out'; cd '{0}/deep' && cat < er/file", dir.display());
    assert!(Command::new("sh").args(["-c", &shell]).status().unwrap().success());
    assert!(Command::new("cat").arg(dir.join("exact")).uid(NOBODY).status().unwrap().success());
    // A file that is mounted over another has that one's path and its own name.
    let (from, to) = (dir.join("other"), dir.join("bound"));
    fs::write(&to, "").unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let steps =
        ["own-mounts", "--", "mount", from, to, "", "4096", "0", "--", "openat", "-100", to, "0", "0"];
    let bound = Act::new(steps).run();
    assert!(bound.result(1) == 0 && bound.result(2) >= 0, "{:?}", bound.steps);
    for _ in 0..NOISE {
        fs::read(dir.join("other")).unwrap();
    }
    fs::remove_file(dir.join("deep/file")).unwrap();
    assert!(Command::new("/bin/echo").arg(dir.join("done")).status().unwrap().success());
}

fn by_rule(alerts: &[Value]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for alert in alerts {
        let text = |key: &str| alert[key].as_str().unwrap().to_owned();
        *counts.entry((text("rule"), text("output"))).or_default() += 1;
    }
    counts
}

/// What a sensor with filters and one without them counted of this work, about which they alert alike: every rule but one.
fn alike(rules: &str, work: impl FnOnce()) -> (Value, Value) {
    let _alone = exclusive();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("rules.yaml");
    fs::write(&file, rules).unwrap();
    let on = Watcher::start(&file, &[]);
    let off = Watcher::start(&file, &["--set", "kernel.filters=false"]);
    work();
    for watcher in [&on, &off] {
        let _ = watcher.alert("done", 1);
    }
    let ((on, on_stats), (off, off_stats)) = (on.stop(), off.stop());
    let (on, off) = (by_rule(&on), by_rule(&off));
    assert_eq!(on, off);
    let alerted: BTreeSet<_> = on.keys().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(alerted.len(), rules.matches("- rule:").count() - 1, "{alerted:?}");
    (on_stats, off_stats)
}

#[test]
fn filter_on_and_off_alert_alike() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    // Others must be able to read what they are to open.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    // All but the one for containers, which there are none of, alert.
    let (on_stats, off_stats) = alike(&rules(dir.path()), || work(dir.path()));
    let opens = |stats: &Value, what: &str| stats["kinds"]["file_open"][what].as_u64().unwrap();
    assert!(opens(&on_stats, "filtered") >= NOISE, "{on_stats}");
    let passed = opens(&on_stats, "submitted");
    assert!(passed < NOISE / 4, "{passed} of {}", opens(&on_stats, "seen"));
    assert!(opens(&off_stats, "submitted") >= NOISE, "{off_stats}");
    for stats in [&on_stats, &off_stats] {
        let sum: u64 = ["submitted", "filtered", "limited", "ring_full", "failed"]
            .iter()
            .map(|what| opens(stats, what))
            .sum();
        assert_eq!(opens(stats, "seen"), sum, "{stats}");
    }
}

/// What listens and who calls: bound before there are rules about their ports.
struct Sockets {
    tcp: TcpListener,
    tcp6: TcpListener,
    udp: UdpSocket,
    caller: UdpSocket,
    /// Where nobody listens.
    closed: u16,
    /// Of a socket that is yet to be bound.
    late: u16,
}

impl Sockets {
    fn bind() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            tcp6: TcpListener::bind("[::1]:0").unwrap(),
            udp: udp(),
            caller: udp(),
            closed: free(),
            late: free(),
        }
    }

    /// Rules that ask for every property of a socket that the kernel can tell.
    fn rules(&self, dir: &Path) -> String {
        let port = |at: io::Result<SocketAddr>| at.unwrap().port();
        let (tcp, tcp6) = (port(self.tcp.local_addr()), port(self.tcp6.local_addr()));
        let (udp, caller) = (port(self.udp.local_addr()), port(self.caller.local_addr()));
        let (closed, late) = (self.closed, self.late);
        let own = "filter::filter_";
        let conditions = [
            ("port", format!("evt.type = connect and fd.sport = {tcp}")),
            ("ports", format!("evt.type = connect and fd.rport in ({tcp}, {tcp6}) and proc.name = {own}")),
            ("net", format!("evt.type = connect and fd.snet = 127.0.0.0/8 and fd.sport = {tcp}")),
            ("address", format!("evt.type = connect and fd.rip = \"::1\" and fd.sport = {tcp6}")),
            (
                "not",
                format!(
                    "evt.type = connect and not fd.snet = 10.0.0.0/8 and fd.sport != {closed} and proc.name = {own}"
                ),
            ),
            ("v6", format!("evt.type = connect and fd.typechar = 6 and fd.sport = {tcp6}")),
            (
                "v4",
                format!("evt.type = connect and fd.type = ipv4 and fd.l4proto = tcp and fd.sport = {tcp}"),
            ),
            (
                "outside",
                format!(
                    "evt.type = connect and proc.name = {own} and fd.typechar in (4, 6) and \
                     not fd.snet in (127.0.0.0/8, \"::1/128\")"
                ),
            ),
            ("datagram", format!("evt.type = connect and fd.l4proto = udp and fd.sport = {udp}")),
            ("unix", format!("evt.type = connect and fd.typechar = u and fd.name = {}/s", dir.display())),
            ("refused", format!("evt.type = connect and evt.failed = true and fd.sport = {closed}")),
            (
                "accepted",
                format!("evt.type in (accept, accept4) and fd.sport = {tcp} and fd.cip = 127.0.0.1"),
            ),
            ("bound", format!("evt.type = bind and fd.sport = {late} and fd.lnet = 127.0.0.0/8")),
            ("listens", format!("evt.type = listen and fd.lport = {late} and fd.sip = 127.0.0.1")),
            ("sent", format!("evt.type = sendto and fd.rport = {udp} and fd.l4proto = udp")),
            ("received", format!("evt.type = recvfrom and fd.rport = {caller} and fd.rip = 127.0.0.1")),
            (
                "packets",
                "evt.type = socket and evt.failed = false and evt.arg.domain contains AF_PACKET".to_owned(),
            ),
            ("elsewhere", format!("evt.type = connect and fd.sport = {tcp} and fd.snet = 10.0.0.0/8")),
            ("done", format!("evt.type = execve and proc.cmdline endswith {}/done", dir.display())),
        ];
        yaml(&conditions)
    }

    fn work(&self, dir: &Path) {
        let tcp = self.tcp.local_addr().unwrap();
        let of_tcp = TcpStream::connect(tcp).unwrap();
        self.tcp.accept().unwrap();
        drop(of_tcp);
        // A socket of version 6 that speaks to an address of version 4.
        drop(TcpStream::connect(("::ffff:127.0.0.1", tcp.port())).unwrap());
        self.tcp.accept().unwrap();
        drop(TcpStream::connect(self.tcp6.local_addr().unwrap()).unwrap());
        TcpStream::connect(("127.0.0.1", self.closed)).unwrap_err();
        drop(TcpListener::bind(("127.0.0.1", self.late)).unwrap());
        let listener = UnixListener::bind(dir.join("s")).unwrap();
        drop(UnixStream::connect(dir.join("s")).unwrap());
        drop(listener);
        let udp = self.udp.local_addr().unwrap();
        self.caller.send_to(b"x", udp).unwrap();
        self.udp.recv_from(&mut [0; 8]).unwrap();
        let other = || UdpSocket::bind("0.0.0.0:0").unwrap();
        other().connect(udp).unwrap();
        // Wherever that leads, nothing is sent.
        let _ = other().connect("203.0.113.9:9");
        // The old way to ask for packets names the family of another.
        let made = Act::new(["socket", "17", "3", "768", "--", "socket", "2", "10", "768"]).run();
        assert!(made.result(0) >= 0 && made.result(1) >= 0);
        // By another name: that of this thread is a rule's business.
        let noise = thread::Builder::new().name("noise".to_owned());
        let noise = noise.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            (0..NOISE).for_each(|_| socket.connect("127.0.0.1:9").unwrap());
        });
        noise.unwrap().join().unwrap();
        assert!(Command::new("/bin/echo").arg(dir.join("done")).status().unwrap().success());
    }
}

#[test]
fn filter_of_sockets_on_and_off_alert_alike() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let sockets = Sockets::bind();
    // All but the one for a network where nothing is.
    let (on_stats, off_stats) = alike(&sockets.rules(dir.path()), || sockets.work(dir.path()));
    let connects = |stats: &Value, what: &str| stats["kinds"]["net_connect"][what].as_u64().unwrap();
    assert!(connects(&on_stats, "filtered") >= NOISE, "{on_stats}");
    assert!(connects(&off_stats, "submitted") >= NOISE, "{off_stats}");
    let made = |stats: &Value| stats["kinds"]["net_socket"]["submitted"].as_u64().unwrap();
    assert!(made(&on_stats) < made(&off_stats), "{on_stats}");
}

#[test]
fn filter_holds_back_what_one_group_sends_too_much_of() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("rules.yaml");
    let rules = [
        ("noisy", format!("evt.type = openat and fd.name = {}/noisy", dir.path().display())),
        ("done", format!("evt.type = execve and proc.cmdline endswith {}/done", dir.path().display())),
    ];
    fs::write(&file, yaml(&rules)).unwrap();
    let pace = ["--set", "kernel.records_per_second=100", "--set", "kernel.burst=50"];
    let watcher = Watcher::start(&file, &pace);
    let noisy = dir.path().join("noisy");
    fs::write(&noisy, "x").unwrap();
    for _ in 0..NOISE {
        fs::read(&noisy).unwrap();
    }
    let done = || Command::new("/bin/echo").arg(dir.path().join("done")).status().unwrap().success();
    // Records about processes are never held back.
    (0..200).for_each(|_| assert!(done()));
    let _ = watcher.alert("done", 200);
    let lost = watcher.alert("Events lost", 1);
    let (alerts, stats) = watcher.stop();
    let opens = |what: &str| stats["kinds"]["file_open"][what].as_u64().unwrap();
    assert!(opens("limited") > NOISE / 4, "{stats}");
    let parts = ["submitted", "filtered", "limited", "ring_full", "failed"].map(opens);
    assert_eq!(opens("seen"), parts.iter().sum::<u64>(), "{stats}");
    for kind in ["proc_exec", "proc_fork", "proc_exit"] {
        assert_eq!(stats["kinds"][kind]["limited"], 0, "{stats}");
    }
    // Whose they were, to the last one.
    let said = alerts.iter().filter(|alert| alert["rule"] == "Events lost");
    let told: u64 = said
        .flat_map(|alert| alert["loss"]["limited"].as_array().cloned().unwrap_or_default())
        .map(|limited| {
            assert_ne!(limited["cgroup"], 0, "{limited}");
            limited["count"].as_u64().unwrap()
        })
        .sum();
    let all: u64 =
        stats["kinds"].as_object().unwrap().values().map(|kind| kind["limited"].as_u64().unwrap()).sum();
    assert_eq!((told, stats["limited"].as_u64().unwrap()), (all, all), "{stats}");
    assert!(lost["output"].as_str().unwrap().contains("held back"), "{lost}");
    assert!(lost["output_fields"]["loss.blind_rules"].to_string().contains("noisy"), "{lost}");
}
