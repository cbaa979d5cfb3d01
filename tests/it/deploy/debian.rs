//! The Debian package in a root of its own above this machine's, of which nothing is kept.

use std::process::Command;

use sensor_tests::{
    require::{has_program, skip},
    test_name,
};

use super::package;

/// What a machine with Debian does: in a root of its own above this one, of which nothing is kept.
const DEBIAN: &str = r#"
set -e
mount -t tmpfs scratch "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
cp "$2" tmp/old.deb
dpkg-deb -R tmp/old.deb tmp/new
sed -i 's/^Version: .*/Version: 999/' tmp/new/DEBIAN/control
dpkg-deb --root-owner-group -b tmp/new tmp/new.deb > /dev/null
in_root() { chroot . /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
in_root dpkg -i /tmp/old.deb
in_root vedette version
test -f usr/lib/systemd/system/vedette.service
test -L etc/systemd/system/multi-user.target.wants/vedette.service
in_root dpkg -V vedette
echo "hostname: kept" > etc/vedette/vedette.yaml
echo "[]" > etc/vedette/rules.d/own.yaml
in_root dpkg -i /tmp/new.deb
test "$(in_root dpkg-query -W -f '${Version}' vedette)" = 999
grep -q kept etc/vedette/vedette.yaml
mkdir -p var/log/vedette var/lib/vedette
touch var/log/vedette/audit.log
in_root dpkg -r vedette
test ! -e usr/bin/vedette
grep -q kept etc/vedette/vedette.yaml
in_root dpkg -P vedette
test ! -e etc/vedette/vedette.yaml
test -e etc/vedette/rules.d/own.yaml
test ! -e var/log/vedette
test ! -e var/lib/vedette
test ! -e usr/share/doc/vedette
test ! -L etc/systemd/system/multi-user.target.wants/vedette.service
echo "all of it"
"#;

#[test]
fn deploy_debian_package_is_installed_upgraded_and_purged() {
    let Some(package) = package(".deb") else {
        return skip(test_name!(), "there is no package: `cargo xtask dist` makes one");
    };
    for program in ["dpkg", "unshare", "chroot"] {
        if !has_program(program) {
            return skip(test_name!(), &format!("not installed: {program}"));
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let unshare = ["--mount", "--propagation", "private", "sh", "-ec", "mount -t tmpfs x \"$1\"", "sh"];
    if !Command::new("unshare")
        .args(unshare)
        .arg(scratch.path())
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip(test_name!(), "making a root of its own needs root");
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", DEBIAN, "sh"])
        .args([scratch.path(), &package])
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}{errors}");
    assert!(output.status.success() && said.ends_with("all of it\n"));
}
