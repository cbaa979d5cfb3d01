//! Every field of one event of each family, and how names lead to them.

mod calls;
mod changes;

use super::*;
use crate::rule::testing::event;

fn value(event: &Event, name: &str) -> String {
    let (name, arg) = name.split_once('[').map_or((name, None), |(name, arg)| (name, arg.strip_suffix(']')));
    let mut to = Vec::new();
    let known = Reading::resolve(name, arg).unwrap().write(event, &mut to);
    if known { String::from_utf8(to).unwrap() } else { "<NA>".into() }
}

fn all_are(event: &Event, table: &[(&str, &str)]) {
    for (name, wanted) in table {
        assert_eq!(value(event, name), *wanted, "{name}");
    }
}

#[test]
fn an_exec() {
    let exec = event(
        "{evt.type: execve, proc.name: cat, proc.exepath: /usr/bin/cat, proc.cmdline: cat -n /etc/shadow, \
         'proc.aname[1]': bash, 'proc.aname[2]': sshd, 'proc.acmdline[1]': bash -l, 'proc.aexepath[1]': /usr/bin/bash, \
         proc.cwd: /root, proc.env: [A=1, PATH=/bin], user.name: root, user.uid: 0, user.loginuid: 1000, \
         container.id: 0123456789ab, thread.cap_effective: CAP_CHOWN CAP_SYS_ADMIN, proc.tty: 34816, \
         proc.is_exe_upper_layer: true, evt.arg.filename: /bin/cat}",
    );
    all_are(
        &exec,
        &[
            ("evt.type", "execve"),
            ("evt.dir", "<"),
            ("evt.res", "SUCCESS"),
            ("evt.rawres", "0"),
            ("evt.failed", "false"),
            ("evt.is_io_uring", "false"),
            ("evt.category", "process"),
            ("proc.name", "cat"),
            ("proc.exe", "cat"),
            ("proc.exepath", "/usr/bin/cat"),
            ("proc.cmdline", "cat -n /etc/shadow"),
            ("proc.args", "-n /etc/shadow"),
            ("proc.pname", "bash"),
            ("proc.pcmdline", "bash -l"),
            ("proc.pexepath", "/usr/bin/bash"),
            ("proc.aname", "bash"),
            ("proc.aname[0]", "cat"),
            ("proc.aname[1]", "bash"),
            ("proc.aname[2]", "sshd"),
            ("proc.aname[3]", "<NA>"),
            ("proc.acmdline[1]", "bash -l"),
            ("proc.cwd", "/root/"),
            ("proc.env[PATH]", "/bin"),
            ("proc.env[P]", "<NA>"),
            ("proc.env", "A=1 PATH=/bin"),
            ("proc.aenv[A]", "<NA>"),
            ("proc.tty", "34816"),
            ("proc.is_exe_upper_layer", "true"),
            ("proc.is_exe_from_memfd", "false"),
            ("user.name", "root"),
            ("user.uid", "0"),
            ("user.loginuid", "1000"),
            ("user.loginname", "<NA>"),
            ("thread.cap_effective", "CAP_CHOWN CAP_SYS_ADMIN"),
            ("thread.cap_permitted", "<NA>"),
            ("container.id", "0123456789ab"),
            ("container.image.repository", "<NA>"),
            ("evt.arg.filename", "/bin/cat"),
            ("evt.arg[0]", "SUCCESS"),
            ("evt.arg.comm", "cat"),
            ("evt.arg.flags", "EXE_WRITABLE|EXE_UPPER_LAYER"),
            ("evt.is_open_write", "<NA>"),
            ("fd.name", "<NA>"),
        ],
    );
}

#[test]
fn an_open() {
    let open = event(
        "{evt.type: openat, fd.name: /etc/cron.d/job, evt.arg.flags: O_WRONLY|O_CREAT, fd.num: 3, \
         evt.is_open_exec: false, proc.name: sh}",
    );
    all_are(
        &open,
        &[
            ("fd.name", "/etc/cron.d/job"),
            ("fd.directory", "/etc/cron.d"),
            ("fd.filename", "job"),
            ("fd.typechar", "f"),
            ("fd.type", "file"),
            ("fd.num", "3"),
            ("fd.sip", "<NA>"),
            ("evt.is_open_write", "true"),
            ("evt.is_open_read", "false"),
            ("evt.arg.flags", "O_WRONLY|O_CREAT"),
            ("evt.arg[flags]", "O_WRONLY|O_CREAT"),
            ("evt.arg.name", "/etc/cron.d/job"),
            ("evt.arg[2]", "/etc/cron.d/job"),
            ("evt.arg.dirfd", "AT_FDCWD"),
            ("container.id", "host"),
        ],
    );
    assert!(
        value(&open, "evt.args")
            .starts_with("fd=3(<f>/etc/cron.d/job) dirfd=AT_FDCWD name=/etc/cron.d/job flags=")
    );
    let refused = event(
        "{evt.type: openat, fd.name: /etc/shadow, evt.res: EACCES, evt.arg.flags: O_RDWR, evt.is_io_uring: true}",
    );
    all_are(
        &refused,
        &[
            ("evt.res", "EACCES"),
            ("evt.rawres", "-13"),
            ("fd.num", "-13"),
            ("evt.failed", "true"),
            ("evt.is_io_uring", "true"),
            ("evt.is_open_write", "false"),
            ("fd.name", "/etc/shadow"),
        ],
    );
}

#[test]
fn sockets() {
    let connect = event("{evt.type: connect, fd.name: '10.0.0.2:40000->1.2.3.4:443', evt.res: EINPROGRESS}");
    all_are(
        &connect,
        &[
            ("fd.name", "10.0.0.2:40000->1.2.3.4:443"),
            ("fd.sip", "1.2.3.4"),
            ("fd.cip", "10.0.0.2"),
            ("fd.lip", "10.0.0.2"),
            ("fd.rip", "1.2.3.4"),
            ("fd.sport", "443"),
            ("fd.cport", "40000"),
            ("fd.rport", "443"),
            ("fd.typechar", "4"),
            ("fd.type", "ipv4"),
            ("fd.l4proto", "tcp"),
            ("fd.sockfamily", "ip"),
            ("fd.is_server", "false"),
            ("fd.connected", "false"),
            ("evt.res", "EINPROGRESS"),
            ("evt.arg.addr", "1.2.3.4:443"),
            ("evt.arg.tuple", "10.0.0.2:40000->1.2.3.4:443"),
        ],
    );
    let accept = event("{evt.type: accept4, fd.name: '2001:db8::1:5000->::1:80'}");
    all_are(
        &accept,
        &[
            ("fd.name", "2001:db8::1:5000->::1:80"),
            ("fd.sip", "::1"),
            ("fd.lip", "::1"),
            ("fd.rip", "2001:db8::1"),
            ("fd.lport", "80"),
            ("fd.typechar", "6"),
            ("fd.is_server", "true"),
        ],
    );
    let bind = event("{evt.type: bind, fd.name: '0.0.0.0:8080'}");
    all_are(
        &bind,
        &[("fd.name", "0.0.0.0:8080"), ("fd.sport", "8080"), ("fd.cip", "<NA>"), ("fd.lport", "8080")],
    );
    let unix = event("{evt.type: connect, fd.name: /run/docker.sock, fd.typechar: u}");
    all_are(&unix, &[("fd.name", "/run/docker.sock"), ("fd.type", "unix"), ("fd.sip", "<NA>")]);
}

#[test]
fn dns_and_the_names_of_addresses() {
    let dns = event(
        "{evt.type: dns, dns.question: a.example, dns.type: AAAA, dns.rcode: NOERROR, dns.addresses: '::1', \
         dns.names: b.example, dns.id: 7, fd.name: '10.0.0.2:40000->10.0.0.1:53'}",
    );
    let args = "question=a.example type=AAAA answer=true rcode=NOERROR names=b.example addresses=::1 id=7 \
                tuple=10.0.0.2:40000->10.0.0.1:53";
    all_are(
        &dns,
        &[
            ("evt.category", "net"),
            ("dns.answer", "true"),
            ("dns.malformed", "false"),
            ("fd.sip", "10.0.0.1"),
            ("fd.sport", "53"),
            ("fd.l4proto", "udp"),
            ("fd.typechar", "4"),
            ("fd.num", "<NA>"),
            ("evt.args", args),
        ],
    );
    let connect = event("{evt.type: connect, fd.sip: 1.2.3.4, fd.sip.name: a.example}");
    all_are(&connect, &[("fd.rip.name", "a.example"), ("fd.cip.name", "<NA>"), ("dns.question", "<NA>")]);
    let accept = event("{evt.type: accept4, fd.lip: 1.2.3.4, fd.sip.name: a.example}");
    all_are(&accept, &[("fd.lip.name", "a.example"), ("fd.rip.name", "<NA>")]);
}

#[test]
fn names_lead_to_fields_and_wrong_ones_to_a_near_one() {
    let unknown = |name, arg| Reading::resolve(name, arg).unwrap_err();
    assert_eq!(unknown("proc.nmae", None), Unknown::Field { near: Some("proc.name") });
    assert_eq!(unknown("completely.different", None), Unknown::Field { near: None });
    assert!(matches!(unknown("proc.name", Some("1")), Unknown::Argument { .. }));
    assert!(matches!(unknown("proc.aname", Some("x")), Unknown::Argument { .. }));
    assert!(matches!(unknown("evt.arg", None), Unknown::Argument { .. }));
    assert!(matches!(unknown("evt.arg.flagz", None), Unknown::Argument { near: Some("flags"), .. }));
    assert_eq!(Reading::resolve("evt.arg.flags", None), Reading::resolve("evt.arg", Some("flags")));
}

#[test]
fn every_name_is_declared_once_with_a_sentence() {
    let mut names: Vec<_> = all().map(|field| field.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for field in all() {
        let doc = field.doc.trim();
        assert!(doc.len() > 5, "{}", field.name);
        assert_eq!(crate::rule::syntax::field_name(field.name), Some(field.name));
    }
}

/// The fields that the language promises.
#[test]
fn every_field_of_the_specification_is_there() {
    let list = "evt: type num time time.iso8601 rawtime dir res rawres failed is_open_read is_open_write is_open_exec
        buffer args hostname info
        proc: name exe exepath cmdline args cwd env tty pid ppid vpid vppid sid sname pgid vpgid is_vpgid_leader
        is_sid_leader pname pexe pexepath pcmdline aname aexe aexepath apid acmdline duration ppid.duration
        is_exe_writable is_exe_upper_layer is_exe_from_memfd exe_ino exe_ino.ctime exe_ino.mtime
        exe_ino.ctime_duration_proc_start nthreads aenv
        thread: tid vtid cap_permitted cap_effective cap_inheritable
        user: name uid loginuid loginname homedir shell
        group: gid name
        fd: num type typechar name nameraw directory filename ip sip cip lip rip port sport cport lport rport net
        snet cnet rnet lnet l4proto sockfamily is_server connected name_changed sip.name cip.name lip.name rip.name
        dev ino
        container: id full_id name image image.id image.repository image.tag image.digest type privileged mounts
        mount.dest start_ts duration ip cni.json healthcheck
        k8s: ns.name pod.name pod.id pod.uid pod.sandbox_id pod.label pod.labels pod.ip";
    let mut class = "";
    for word in list.split_whitespace() {
        match word.strip_suffix(':') {
            Some(name) => class = name,
            None => assert!(find(&format!("{class}.{word}")).is_some(), "{class}.{word}"),
        }
    }
    let args = "flags name path filename oldpath newpath target linkpath mode uid request domain cmd fd";
    for arg in args.split(' ') {
        assert!(Reading::resolve(&format!("evt.arg.{arg}"), None).is_ok(), "evt.arg.{arg}");
    }
}

#[test]
fn container_fields_have_the_values_that_other_tools_give() {
    let event = event(
        "{evt.type: execve, container.id: 0123456789ab, container.name: web, container.image: 'reg:5000/a/web:2',
          container.image.id: 00ff, container.image.digest: 'sha256:11', container.privileged: true,
          container.mounts: '/proc:/host/proc:ro:false:rprivate', 'container.label[app]': x,
          k8s.pod.name: web-0, k8s.ns.name: shop, k8s.pod.uid: u-1, 'k8s.pod.label[tier]': front,
          'k8s.pod.annotation[team]': a, k8s.owner.kind: StatefulSet, k8s.owner.name: web, container.duration: 5}",
    );
    all_are(
        &event,
        &[
            ("container.name", "web"),
            ("container.image", "reg:5000/a/web:2"),
            ("container.image.repository", "reg:5000/a/web"),
            ("container.image.tag", "2"),
            ("container.image.id", "00ff"),
            ("container.image.digest", "sha256:11"),
            ("container.privileged", "true"),
            ("container.runtime_init", "false"),
            ("container.label[app]", "x"),
            ("container.label[none]", "<NA>"),
            ("container.labels", "app:x"),
            ("container.duration", "5"),
            ("k8s.pod.name", "web-0"),
            ("k8s.ns.name", "shop"),
            ("k8s.pod.id", "u-1"),
            ("k8s.pod.labels", "tier:front"),
            ("k8s.pod.annotation[team]", "a"),
            ("k8s.owner.name", "web"),
            ("host.unit", "<NA>"),
        ],
    );
}

#[test]
fn mounts_are_found_by_pattern_and_absent_ones_say_so() {
    let mounts = "/proc:/host/proc:ro:false:rprivate,/srv/data:/data::true:";
    let event = event(&format!("{{evt.type: execve, container.id: a, container.mounts: '{mounts}'}}"));
    all_are(
        &event,
        &[
            ("container.mounts", mounts),
            ("container.mount[0]", "/proc:/host/proc:ro:false:rprivate"),
            ("container.mount[/srv/*]", "/srv/data:/data::true:"),
            ("container.mount[7]", "N/A"),
            ("container.mount.dest[/proc*]", "/host/proc"),
            ("container.mount.dest[/etc]", "N/A"),
            ("container.mount.source[/data]", "/srv/data"),
            ("container.mount.rdwr[/srv/data]", "true"),
            ("container.mount.mode[0]", "ro"),
            ("container.mount.propagation[0]", "rprivate"),
        ],
    );
    let on_host = self::event("{evt.type: execve}");
    all_are(
        &on_host,
        &[
            ("container.mount.dest[/proc*]", "<NA>"),
            ("container.name", "host"),
            ("container.image", "<NA>"),
            ("container.runtime_init", "<NA>"),
        ],
    );
    let unit = self::event("{evt.type: execve, host.unit: ssh.service}");
    all_are(&unit, &[("host.unit", "ssh.service"), ("container.id", "host")]);
}
