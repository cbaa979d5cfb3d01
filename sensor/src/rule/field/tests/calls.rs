//! Mounts, descriptors that become another, and calls whose arguments are numbers.

use super::*;

#[test]
fn mounts_have_two_paths_and_roots_one() {
    let mount = event(
        "{evt.type: mount, evt.arg.dev: /dev/sda1, evt.arg.dir: /mnt, evt.arg.type: ext4, evt.arg.flags: RDONLY|BIND}",
    );
    all_are(
        &mount,
        &[
            ("evt.args", "res=SUCCESS dev=/dev/sda1 dir=/mnt type=ext4 flags=RDONLY|BIND"),
            ("fs.path.source", "/dev/sda1"),
            ("fs.path.target", "/mnt"),
            ("fs.path.name", "<NA>"),
            ("evt.category", "file"),
        ],
    );
    let umount = event("{evt.type: umount2, evt.arg.name: /mnt, evt.arg.flags: DETACH}");
    all_are(&umount, &[("evt.args", "res=SUCCESS name=/mnt flags=DETACH"), ("fs.path.name", "/mnt")]);
    let chroot = event("{evt.type: chroot, evt.arg.path: /new}");
    all_are(&chroot, &[("evt.arg[1]", "/new"), ("fs.path.name", "/new")]);
}

#[test]
fn descriptors_that_become_another_are_what_they_are_then() {
    let dup = event("{evt.type: dup2, fd.num: 0, evt.arg.oldfd: 5, fd.name: '10.0.0.2:4->203.0.113.9:443'}");
    all_are(
        &dup,
        &[
            ("fd.num", "0"),
            ("fd.type", "ipv4"),
            ("fd.sip", "203.0.113.9"),
            ("fd.l4proto", "tcp"),
            ("evt.args", "res=SUCCESS oldfd=5 newfd=0"),
            ("fd.directory", "<NA>"),
        ],
    );
    let file = event("{evt.type: dup3, fd.num: 1, fd.name: /tmp/log}");
    all_are(&file, &[("fd.typechar", "f"), ("fd.name", "/tmp/log"), ("fd.sip", "<NA>")]);
    let failed = event("{evt.type: dup2, evt.arg.oldfd: 77, evt.res: EBADF}");
    all_are(&failed, &[("fd.num", "-9"), ("fd.type", "<NA>"), ("evt.args", "res=EBADF oldfd=77 newfd=0")]);
}

#[test]
fn calls_of_numbers_say_what_they_stand_for() {
    for (text, args) in [
        ("{evt.type: setresuid, evt.arg.ruid: 1, evt.arg.suid: 0}", "res=SUCCESS ruid=1 euid=0 suid=0"),
        (
            "{evt.type: capset, evt.arg.cap_permitted: CAP_SYS_ADMIN, evt.res: EPERM}",
            "res=EPERM cap_inheritable=0 cap_permitted=CAP_SYS_ADMIN cap_effective=0",
        ),
        ("{evt.type: unshare, evt.arg.flags: CLONE_NEWUSER}", "res=SUCCESS flags=CLONE_NEWUSER"),
        (
            "{evt.type: ptrace, evt.arg.request: PTRACE_ATTACH, evt.arg.pid: 77}",
            "res=SUCCESS addr=0 data=0 request=PTRACE_ATTACH pid=77",
        ),
        ("{evt.type: kill, evt.arg.pid: -1, evt.arg.sig: SIGKILL}", "res=SUCCESS pid=-1 sig=SIGKILL"),
        ("{evt.type: tkill, evt.arg.tid: 5, evt.arg.sig: 40}", "res=SUCCESS tid=5 sig=40"),
        (
            "{evt.type: pidfd_send_signal, evt.arg.pid_fd: 3, evt.arg.sig: SIGKILL, evt.arg.pid: 77}",
            "res=SUCCESS pid_fd=3 sig=SIGKILL flags=0 pid=77",
        ),
        ("{evt.type: bpf, evt.rawres: 7, evt.arg.cmd: BPF_PROG_LOAD}", "fd=7(<b>) cmd=BPF_PROG_LOAD"),
        ("{evt.type: bpf, evt.rawres: 7, evt.arg.cmd: 99}", "fd=7(<b>) cmd=99"),
        (
            "{evt.type: finit_module, evt.arg.fd: 3, fd.name: /x.ko, evt.arg.uargs: a=b}",
            "res=SUCCESS fd=3(<f>/x.ko) uargs=a=b flags=0",
        ),
        (
            "{evt.type: memfd_create, evt.rawres: 5, evt.arg.name: x, evt.arg.flags: MFD_CLOEXEC}",
            "fd=5(<m>x) name=x flags=MFD_CLOEXEC",
        ),
        (
            "{evt.type: mprotect, evt.arg.prot: PROT_READ|PROT_EXEC}",
            "res=SUCCESS addr=0 length=0 prot=PROT_READ|PROT_EXEC",
        ),
    ] {
        assert_eq!(value(&event(text), "evt.args"), args, "{text}");
    }
    let socket = event("{evt.type: socket, evt.rawres: 3, evt.arg.domain: AF_PACKET, evt.arg.type: 3}");
    all_are(
        &socket,
        &[("evt.arg.domain", "AF_PACKET"), ("evt.arg.type", "3"), ("evt.arg.fd", "3"), ("fd.type", "<NA>")],
    );
    let received = event("{evt.type: recvfrom, fd.name: '10.0.0.9:5353->10.0.0.2:53'}");
    all_are(
        &received,
        &[("fd.is_server", "true"), ("fd.cip", "10.0.0.9"), ("evt.arg.tuple", "10.0.0.9:5353->10.0.0.2:53")],
    );
}
