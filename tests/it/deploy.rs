//! What is shipped, put to work as its documents say. It takes what `cargo xtask dist` and `image` leave behind, and is skipped
//! where that is not there.

mod containerd;
mod debian;
mod pipeline;
mod typed;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use sensor_tests::{
    alerts::flags,
    cgroup::{Group, unified},
    container::{Containerd, IMAGE, missing},
    cri::{
        Capabilities, ContainerConfig, ContainerLinux, ContainerSecurity, Cri, Mount, Namespaces, PodConfig,
        PodLinux, PodMetadata, PodSecurity, Variable,
    },
    deadline, needs_kernel,
    require::skip,
    test_name, vedette,
};
use serde_json::Value;

/// The folder with the archives: `VEDETTE_TEST_PACKAGES`, else where xtask leaves them.
fn package(end: &str) -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/package");
    let folder = std::env::var_os("VEDETTE_TEST_PACKAGES").unwrap_or_else(|| usual.into());
    let mut found: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.to_str().is_some_and(|path| path.ends_with(end)));
    found.sort();
    found.pop()
}

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// The plain manifests, by kind and name.
struct Manifests(Vec<Value>);

impl Manifests {
    fn read() -> Self {
        let text = fs::read_to_string(top("deploy/manifests/vedette.yaml")).unwrap();
        Self(serde_saphyr::from_multiple(&text).unwrap())
    }

    fn named(&self, kind: &str, name: &str) -> &Value {
        let found = self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }
}

/// What this process may do, as `/proc` tells it.
fn capabilities(status: &Path) -> u64 {
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

const SYS_ADMIN: u64 = 1 << 21;
const SYS_RESOURCE: u64 = 1 << 24;

/// A pod as the kubelet would make it of the DaemonSet, but that it has the node's network: no cluster has to give it one.
struct Pod {
    config: PodConfig,
    container: ContainerConfig,
    logs: PathBuf,
    dir: tempfile::TempDir,
}

impl Pod {
    fn of(manifests: &Manifests, containerd: &Containerd, rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let set = manifests.named("DaemonSet", "vedette");
        let spec = &set["spec"]["template"]["spec"];
        assert_eq!(spec["hostPID"], true);
        let sensor = &spec["containers"][0];
        // As with the chart's values `config` and `hostDirectories`, for a runtime at an unusual place.
        let bundles = containerd.at("state/io.containerd.runtime.v2.task/*/{id}");
        let mut config = manifests.named("ConfigMap", "vedette-config")["data"]["vedette.yaml"]
            .as_str()
            .unwrap()
            .to_owned();
        // On the node's network the port may be somebody else's.
        config = config.replace("0.0.0.0:9464", "127.0.0.1:0");
        config += &format!(
            "containerd:\n  socket: {}\nidentity:\n  bundles: [\"{}\"]\n",
            containerd.socket().display(),
            bundles.display()
        );
        let place = |volume: &str| {
            let source = spec["volumes"].as_array().unwrap().iter().find(|source| source["name"] == volume);
            let source = source.unwrap_or_else(|| panic!("no volume {volume}"));
            let own = dir.path().join(volume);
            match (volume, source["hostPath"]["path"].as_str()) {
                // The machine's own sensor may be at work.
                ("run" | "state" | "log", Some(_)) | (_, None) => {
                    fs::create_dir_all(&own).unwrap();
                    own
                }
                (_, Some(path)) => PathBuf::from(path),
            }
        };
        // Where systemd made none of the mounts a shared one, nothing can be handed on.
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let shared = mountinfo.lines().any(|line| line.contains(" / / ") && line.contains(" shared:"));
        if !shared {
            println!("mounts of this machine are not shared: the pod does not get later ones");
        }
        let mut mounts = vec![Mount {
            inside: containerd.at("").display().to_string(),
            host: containerd.at("").display().to_string(),
            readonly: true,
            propagation: i32::from(shared),
        }];
        for mount in sensor["volumeMounts"].as_array().unwrap() {
            mounts.push(Mount {
                inside: mount["mountPath"].as_str().unwrap().to_owned(),
                host: place(mount["name"].as_str().unwrap()).display().to_string(),
                readonly: mount["readOnly"] == true,
                propagation: i32::from(shared && mount["mountPropagation"] == "HostToContainer"),
            });
        }
        fs::write(dir.path().join("config/vedette.yaml"), config).unwrap();
        fs::write(dir.path().join("rules/site.yaml"), rules).unwrap();
        let security = &sensor["securityContext"];
        // What this machine does not have itself it cannot give.
        let held = capabilities(Path::new("/proc/self/status"));
        let mut add = strings(&security["capabilities"]["add"]);
        if held & SYS_RESOURCE == 0 {
            println!("this machine has no CAP_SYS_RESOURCE to give");
            add.retain(|name| name != "SYS_RESOURCE");
        }
        let uid = format!("3c7cf1d8-7a77-4d4c-8f5e-{:012x}", std::process::id());
        let logs = dir.path().join("logs");
        fs::create_dir_all(&logs).unwrap();
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let namespaces = Some(Namespaces { network: 2, pid: 2 });
        Self {
            config: PodConfig {
                metadata: Some(PodMetadata {
                    name: "vedette-x1".into(),
                    uid: uid.clone(),
                    namespace: "vedette".into(),
                }),
                hostname: String::new(),
                log_directory: logs.display().to_string(),
                labels: owned(&[
                    ("io.kubernetes.pod.name", "vedette-x1"),
                    ("io.kubernetes.pod.namespace", "vedette"),
                    ("io.kubernetes.pod.uid", &uid),
                ]),
                annotations: owned(&[]),
                linux: Some(PodLinux {
                    cgroup_parent: format!("/kubepods/burstable/pod{uid}"),
                    security_context: Some(PodSecurity { namespaces: namespaces.clone() }),
                }),
            },
            container: ContainerConfig {
                args: strings(&sensor["args"]),
                envs: vec![Variable { key: "VEDETTE_HOSTNAME".into(), value: "node-1".into() }],
                mounts,
                log_path: "sensor.log".into(),
                linux: Some(ContainerLinux {
                    security_context: Some(ContainerSecurity {
                        capabilities: Some(Capabilities {
                            add,
                            drop: strings(&security["capabilities"]["drop"]),
                        }),
                        privileged: security["privileged"] == true,
                        namespaces,
                        readonly_root: security["readOnlyRootFilesystem"] == true,
                        no_new_privileges: security["allowPrivilegeEscalation"] == false,
                    }),
                }),
                ..ContainerConfig::default()
            },
            logs: logs.join("sensor.log"),
            dir,
        }
    }

    /// The lines that the container wrote, without what the runtime puts before them.
    fn said(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.logs).unwrap_or_default();
        text.lines().filter_map(|line| line.splitn(4, ' ').nth(3).map(str::to_owned)).collect()
    }

    /// Waits for a line.
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + deadline();
        loop {
            if let Some(line) = self.said().into_iter().find(|line| wanted(line)) {
                return line;
            }
            assert!(Instant::now() < end, "{what} never comes; the pod said:\n{}", self.said().join("\n"));
            std::thread::yield_now();
        }
    }
}

/// A pod that ends with the test, also where that fails.
struct Running<'a>(&'a Cri, String);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.remove_pod(&self.1);
    }
}

/// What is answered to a request, with its head.
fn fetch(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The threads of the process of that container that runs this program.
fn threads(container: &str, comm: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let read = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
        if read("cgroup").contains(container) && read("comm").trim() == comm {
            let tasks = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
            found.extend(tasks.map(|task| task.path().join("status")));
        }
    }
    found
}

#[test]
fn deploy_pod_of_the_manifests_names_what_its_neighbour_does() {
    needs_kernel!();
    if let Some(missing) = missing() {
        return skip(test_name!(), &missing);
    }
    let Some(image) = package(".oci.tar") else {
        return skip(test_name!(), "there is no image: `cargo xtask image` makes one");
    };
    let containerd = Containerd::start();
    containerd.import_pause();
    containerd.import("k8s.io", &image.display().to_string());
    let mark = format!("vedette-neighbour-{}", std::process::id());
    let rules = format!(
        "- rule: Neighbour\n  desc: The neighbour did it.\n  condition: evt.type = execve and container.name = app and proc.args = {mark}\n  \
         output: it ran | pod=%k8s.pod.name command=%proc.cmdline\n  priority: WARNING\n"
    );
    let manifests = Manifests::read();
    let pod = Pod::of(&manifests, &containerd, &rules);
    // The kubelet makes the pod's own group, and the folder that the DaemonSet asks for.
    let parent = pod.config.linux.as_ref().unwrap().cgroup_parent.clone();
    let _group = unified().map(|unified| Group::new(&unified, &parent));
    fs::create_dir_all("/run/vedette").unwrap();
    let cri = Cri::connect(&containerd.socket());
    let sandbox = match cri.run_pod(&pod.config) {
        Ok(sandbox) => sandbox,
        Err(status) => return skip(test_name!(), &format!("no pod can be made: {}", status.message())),
    };
    let sandbox = Running(&cri, sandbox);
    let name = manifests.named("DaemonSet", "vedette")["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap();
    let id = cri
        .run_as(&sandbox.1, &pod.config, ("sensor", name), pod.container.clone())
        .expect("the sensor's container");
    let watching = pod.wait("watching", |line| line.contains("watching"));
    let address = watching.split_whitespace().find_map(|word| word.strip_prefix("metrics=")).unwrap();
    let sensor = &manifests.named("DaemonSet", "vedette")["spec"]["template"];
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = sensor["spec"]["containers"][0][probe]["httpGet"]["path"].as_str().unwrap();
        // Ready is what it is with its first accounts.
        let end = Instant::now() + deadline();
        while !fetch(address, path).starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < end, "{probe}: {}", fetch(address, path));
        }
    }
    let scraped = fetch(address, sensor["metadata"]["annotations"]["prometheus.io/path"].as_str().unwrap());
    assert!(scraped.contains("# TYPE vedette_"), "{scraped}");
    let labels = ["--label", "io.kubernetes.pod.name=web-1", "--label", "io.kubernetes.pod.namespace=shop"];
    let more = ["--label", "io.kubernetes.container.name=app"];
    let flags = [&labels[..], &more[..]].concat();
    let ran = containerd.run_with(
        "k8s.io",
        &flags,
        &format!("neighbour-{}", std::process::id()),
        &["/bin/true", &mark],
    );
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let alert = pod.wait("the alert", |line| line.contains("\"Neighbour\"") && line.contains(&mark));
    let alert: Value = serde_json::from_str(&alert).unwrap();
    println!("{alert}");
    assert_eq!(alert["hostname"], "node-1");
    assert_eq!(alert["kubernetes"]["pod_name"], "web-1");
    assert_eq!(alert["kubernetes"]["namespace"], "shop");
    assert_eq!(alert["container"]["name"], "app");
    assert_eq!(alert["container"]["image"]["name"], IMAGE);
    // What only the start took is gone, in every thread.
    let threads = threads(&id, "vedette");
    let held: BTreeSet<u64> = threads.iter().map(|status| capabilities(status)).collect();
    println!("{} threads of {:?} hold {held:x?}", threads.len(), pod.dir.path());
    assert!(held.iter().all(|held| held & (SYS_ADMIN | SYS_RESOURCE) == 0));
    assert!(held.iter().any(|held| *held != 0), "the reader of events keeps what it needs");
    drop(sandbox);
}

#[test]
fn deploy_service_says_when_it_watches_and_that_it_still_does() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(deadline())).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).expect("the sensor says something");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut sensor = Command::new(vedette())
        .args(["run", "--json", "--set", "dns.resolve=false"])
        .args(flags(dir.path(), ""))
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ready = hear();
    // It watches: what it says with every second comes after that.
    let alive = [hear(), hear()];
    // SAFETY: a child that is not waited for yet.
    unsafe { libc::kill(sensor.id().cast_signed(), libc::SIGTERM) };
    let mut last = hear();
    while last == alive[0] {
        last = hear();
    }
    assert!(sensor.wait().unwrap().success());
    assert_eq!((ready.as_str(), alive[0].as_str()), ("READY=1\nSTATUS=watching", "WATCHDOG=1"));
    assert_eq!((alive[1].as_str(), last.as_str()), ("WATCHDOG=1", "STOPPING=1"));
}
