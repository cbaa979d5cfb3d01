//! Every case of a decision.

use std::sync::Arc;

use super::*;
use crate::{
    config::{LimitConfig, ProtectConfig, RespondConfig},
    event::{Container, Enforced, ExeFile, Facts, File, Image, Layer, Pod, Process, ProcessKey, Runtime},
    respond::request::Evidence,
    rule::{Options, RuleInfo, RuleSet, Source},
};

const OWN: u32 = 4242;

fn rule(file: &str) -> Arc<RuleInfo> {
    let text =
        "- {rule: r, desc: d, condition: evt.type = execve, output: o, priority: INFO, response: kill}\n";
    let source = Source { name: file.to_owned(), text: text.to_owned() };
    let (set, _) = RuleSet::compile(&[source], &Options::default());
    Arc::clone(&set.unwrap().rules()[0])
}

fn process(pid: u32, exe: &str) -> Process {
    Process { key: ProcessKey { pid, start: 5 }, ppid: 100, exe: exe.into(), ..Process::default() }
}

fn container(image: &str, namespace: Option<&str>) -> Container {
    let mut container = Container::new(&"c".repeat(64), Runtime::Kubernetes, "/kubepods/pod1/c", None);
    let pod = namespace
        .map(|it| Arc::new(Pod { namespace: Some(it.into()), name: Some("p".into()), ..Pod::default() }));
    container.facts = Facts { image: Some(Image::named(image)), pod, ..Facts::default() };
    container
}

fn request(action: Action, process: Process, container: Option<Container>) -> Request {
    Request {
        action,
        or: None,
        asker: Asker::Rule(rule("/etc/vedette/rules.d/a.yaml")),
        evidence: Evidence::default(),
        time: 0,
        boot_time: 1_000_000_000,
        asked: 1_000_000_000,
        enforced: None,
        process: Some(Arc::new(process)),
        container: container.map(Arc::new),
        cgroup: 0,
        unit: None,
    }
}

fn verdict_with(config: RespondConfig, request: &Request) -> Verdict {
    let mut fuse = Fuse::new(&config);
    decide(request, &Policy::new(&config, OWN), &mut fuse).verdict
}

fn verdict_of(request: &Request) -> Verdict {
    verdict_with(RespondConfig::default(), request)
}

const PROTECTED: Verdict = Verdict::Refused(Reason::Protected);

#[test]
fn what_the_host_needs_is_never_touched() {
    let kill = |process| verdict_of(&request(Action::Kill, process, None));
    assert_eq!(kill(process(50, "/usr/bin/nc")), Verdict::Act);
    assert_eq!(kill(process(1, "/usr/lib/systemd/systemd")), PROTECTED);
    assert_eq!(kill(process(OWN, "/usr/bin/vedette")), PROTECTED);
    assert_eq!(kill(Process { ppid: 2, ..process(77, "") }), PROTECTED, "a kernel thread");
    let child =
        Process { parent: Some(Arc::new(process(OWN, "/usr/bin/vedette"))), ..process(78, "/bin/sh") };
    assert_eq!(kill(child), PROTECTED, "a child of the sensor");
    for exe in [
        "/usr/bin/containerd",
        "/usr/local/bin/containerd-shim-runc-v2",
        "/usr/bin/kubelet",
        "/usr/sbin/runc",
        "/var/lib/rancher/k3s/data/x/bin/k3s",
        "/usr/bin/conmon",
        "/usr/bin/dockerd",
    ] {
        assert_eq!(kill(process(50, exe)), PROTECTED, "{exe}");
        assert_eq!(verdict_of(&request(Action::KillTree, process(50, exe), None)), PROTECTED, "{exe}");
    }
    // A name alone protects nobody: neither in a place where anybody can put a file, nor in a container.
    for exe in ["/tmp/containerd", "/home/eve/kubelet", "/dev/shm/runc", "/usr/bin/runc-exploit"] {
        assert_eq!(kill(process(50, exe)), Verdict::Act, "{exe}");
    }
    let inside = request(Action::Kill, process(50, "/usr/bin/kubelet"), Some(container("i", Some("shop"))));
    assert_eq!(verdict_of(&inside), Verdict::Act);
}

#[test]
fn the_configured_list_holds_for_every_action() {
    let list = |text: &str| vec![text.to_owned()];
    let protect = ProtectConfig {
        sensor: true,
        cgroups: list("/kubepods/pod9"),
        exes: list("/usr/bin/postgres"),
        namespaces: list("kube-*"),
        images: list("docker.io/library/redis"),
    };
    let config = RespondConfig { protect, ..RespondConfig::default() };
    let with = |container: Container| {
        let actions = [Action::Kill, Action::KillTree, Action::KillContainer, Action::Pause, Action::Isolate];
        let mut verdicts = actions.map(|action| {
            verdict_with(config.clone(), &request(action, process(50, "/bin/sh"), Some(container.clone())))
        });
        verdicts.sort_by_key(|verdict| verdict.name());
        assert_eq!(verdicts[0], verdicts[4], "{container:?}");
        verdicts[0]
    };
    assert_eq!(with(container("nginx", Some("shop"))), Verdict::Act);
    assert_eq!(with(container("nginx", Some("kube-system"))), PROTECTED);
    assert_eq!(with(container("docker.io/library/redis:7", Some("shop"))), PROTECTED);
    let mut moved = container("nginx", Some("shop"));
    moved.cgroup = "/kubepods/pod9/c".into();
    assert_eq!(with(moved), PROTECTED);
    let mut unknown = container("nginx", None);
    unknown.pod_uid = Some("u".into());
    assert_eq!(with(unknown), Verdict::Refused(Reason::Unidentified));
    let mut nameless = container("nginx", Some("shop"));
    nameless.facts.image = None;
    assert_eq!(with(nameless), Verdict::Refused(Reason::Unidentified));
    // An executable counts as the image brought it; what was put there later does not.
    let kill = |layer, place| {
        let exe_file = Some(ExeFile { file: File { layer, ..File::default() }, ..ExeFile::default() });
        let process = Process { exe_file, ..process(50, "/usr/bin/postgres") };
        verdict_with(config.clone(), &request(Action::Kill, process, place))
    };
    assert_eq!(kill(Layer::Other, None), PROTECTED);
    assert_eq!(kill(Layer::Lower, Some(container("nginx", Some("shop")))), PROTECTED);
    assert_eq!(kill(Layer::Upper, Some(container("nginx", Some("shop")))), Verdict::Act);
}

#[test]
fn only_trusted_rules_respond() {
    let config = RespondConfig {
        trusted_rules: vec!["/etc/vedette/rules.d/*".to_owned()],
        ..RespondConfig::default()
    };
    let by = |file: &str| {
        let asker = Asker::Rule(rule(file));
        verdict_with(
            config.clone(),
            &Request { asker, ..request(Action::Kill, process(50, "/bin/sh"), None) },
        )
    };
    assert_eq!(by("/etc/vedette/rules.d/a.yaml"), Verdict::Act);
    assert_eq!(by("rules/macros.yaml"), Verdict::Act, "a built-in one");
    assert_eq!(by("/srv/rules/a.yaml"), Verdict::Refused(Reason::UntrustedRule));
    assert_eq!(by("rules/not-built-in.yaml"), Verdict::Refused(Reason::UntrustedRule));
}

#[test]
fn what_cannot_be_done_is_refused_and_what_is_done_is_left() {
    let shell = || process(50, "/bin/sh");
    let verdict = |action, or, enforced| {
        let request = Request { or, enforced, ..request(action, shell(), None) };
        let decision = decide(
            &request,
            &Policy::new(&RespondConfig::default(), OWN),
            &mut Fuse::new(&RespondConfig::default()),
        );
        (decision.action, decision.verdict)
    };
    let killed = Some(Enforced::Killed);
    let refused = Some(Enforced::Refused);
    assert_eq!(verdict(Action::Kill, None, killed), (Action::Kill, Verdict::DoneInKernel));
    assert_eq!(verdict(Action::Block, None, refused), (Action::Block, Verdict::DoneInKernel));
    assert_eq!(verdict(Action::Block, Some(Action::Kill), killed), (Action::Block, Verdict::DoneInKernel));
    assert_eq!(verdict(Action::Block, Some(Action::Kill), None), (Action::Kill, Verdict::Act));
    assert_eq!(verdict(Action::Kill, None, refused), (Action::Kill, Verdict::Act), "another rule's refusal");
    assert_eq!(verdict(Action::Block, None, None), (Action::Block, Verdict::Refused(Reason::NotPossible)));
    for action in [Action::KillContainer, Action::Pause, Action::Isolate] {
        assert_eq!(verdict(action, None, None).1, Verdict::Refused(Reason::NoContainer));
    }
}

#[test]
fn switches_limits_and_operators() {
    let kill = request(Action::Kill, process(50, "/bin/sh"), None);
    let off = RespondConfig { enabled: false, ..RespondConfig::default() };
    let dry = RespondConfig { dry_run: true, ..RespondConfig::default() };
    assert_eq!(verdict_with(off.clone(), &kill), Verdict::Refused(Reason::Disabled));
    assert_eq!(verdict_with(dry.clone(), &kill), Verdict::Rehearsed);
    let limit = LimitConfig { per_minute: 2, per_workload_per_minute: 2 };
    let config = RespondConfig { limit, ..RespondConfig::default() };
    let (policy, mut fuse) = (Policy::new(&config, OWN), Fuse::new(&config));
    let mut verdicts = (0..4).map(|_| decide(&kill, &policy, &mut fuse).verdict);
    assert_eq!(
        [verdicts.next(), verdicts.next(), verdicts.next()],
        [Some(Verdict::Act), Some(Verdict::Act), Some(Verdict::Refused(Reason::FuseOpen))]
    );
    drop(verdicts);
    // An operator knows what he does: neither switch nor limit nor list binds him, only a rehearsal does.
    let asker = Asker::Operator { uid: 0, pid: 9 };
    let protected = container("nginx", Some("kube-system"));
    let order = Request { asker, ..request(Action::Pause, process(50, "/bin/sh"), Some(protected)) };
    assert_eq!(decide(&order, &Policy::new(&off, OWN), &mut fuse).verdict, Verdict::Act);
    assert_eq!(verdict_with(dry, &order), Verdict::Rehearsed);
}
