//! Fields of calls that change names and files.

use super::*;

#[test]
fn changes_of_names() {
    let rename = event(
        "{evt.type: renameat2, evt.arg.oldpath: /tmp/a, evt.arg.newpath: /usr/bin/b, evt.arg.newdirfd: 5, \
         evt.arg.flags: RENAME_EXCHANGE, fs.path.sourceraw: a, fs.path.targetraw: ../b}",
    );
    all_are(
        &rename,
        &[
            ("evt.arg[0]", "SUCCESS"),
            ("evt.arg[1]", "AT_FDCWD"),
            ("evt.arg[2]", "/tmp/a"),
            ("evt.arg[3]", "5"),
            ("evt.arg[4]", "/usr/bin/b"),
            ("evt.arg[5]", "RENAME_EXCHANGE"),
            ("evt.category", "file"),
            ("fs.path.source", "/tmp/a"),
            ("fs.path.sourceraw", "a"),
            ("fs.path.target", "/usr/bin/b"),
            ("fs.path.targetraw", "../b"),
            ("fs.path.name", "<NA>"),
            ("fd.name", "<NA>"),
            ("fd.num", "<NA>"),
            ("evt.is_open_write", "<NA>"),
        ],
    );
    let symlink = event("{evt.type: symlink, evt.arg.target: ../etc/shadow, evt.arg.linkpath: /tmp/x}");
    all_are(
        &symlink,
        &[
            ("evt.arg[1]", "../etc/shadow"),
            ("evt.arg[2]", "/tmp/x"),
            ("fs.path.source", "/tmp/x"),
            ("fs.path.target", "../etc/shadow"),
        ],
    );
    let unlink = event(
        "{evt.type: unlinkat, evt.arg.name: /var/log/x, fs.path.nameraw: x, evt.arg.flags: AT_REMOVEDIR}",
    );
    all_are(
        &unlink,
        &[
            ("fs.path.name", "/var/log/x"),
            ("fs.path.nameraw", "x"),
            ("evt.arg.path", "<NA>"),
            ("evt.arg.mode", "<NA>"),
            ("fs.path.target", "<NA>"),
        ],
    );
    assert_eq!(value(&unlink, "evt.args"), "res=SUCCESS dirfd=AT_FDCWD name=/var/log/x flags=AT_REMOVEDIR");
}

#[test]
fn changes_of_files() {
    let fchmod = event("{evt.type: fchmod, evt.arg.fd: 4, fd.name: /tmp/sh, evt.arg.mode: S_IXOTH|S_ISUID}");
    all_are(
        &fchmod,
        &[
            ("fd.num", "4"),
            ("fd.name", "/tmp/sh"),
            ("fd.directory", "/tmp"),
            ("fd.filename", "sh"),
            ("fd.typechar", "f"),
            ("fs.path.name", "/tmp/sh"),
            ("evt.args", "res=SUCCESS fd=4(<f>/tmp/sh) mode=S_IXOTH|S_ISUID"),
        ],
    );
    let chown = event("{evt.type: chown, evt.arg.path: /x, evt.arg.uid: 0, evt.res: EPERM}");
    all_are(
        &chown,
        &[
            ("evt.args", "res=EPERM path=/x uid=0 gid=4294967295"),
            ("fs.path.name", "/x"),
            ("fd.name", "<NA>"),
        ],
    );
    let mknod =
        event("{evt.type: mknodat, evt.arg.path: /dev/x, evt.arg.mode: S_IRUSR|S_IFBLK, evt.arg.dev: 2048}");
    all_are(&mknod, &[("evt.arg.mode", "S_IRUSR|S_IFBLK"), ("evt.arg.dev", "2048")]);
}
