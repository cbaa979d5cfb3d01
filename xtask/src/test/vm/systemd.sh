# What an administrator does with the Debian package, in a machine whose first process is systemd. Each check is a line as
# libtest writes it; what a check that fails saw follows it.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive SYSTEMD_COLORS=0 SYSTEMD_PAGER=
unit=vedette.service
passed=0
failed=0

check() {
    name=$1
    shift
    if "$@" > /tmp/said 2>&1; then
        echo "test systemd::$name ... ok"
        passed=$((passed + 1))
    else
        echo "test systemd::$name ... FAILED"
        failed=$((failed + 1))
        tail -n 20 /tmp/said
        journalctl --unit $unit --output cat --lines 20
    fi
}

# Waits until a command succeeds; an emulated processor is a slow one.
until_ok() {
    left=600
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.2
    done
}

property() { systemctl show --property "$1" --value $unit; }
is() { [ "$(property "$1")" = "$2" ] || { echo "$1 is $(property "$1") instead of $2"; return 1; }; }
has() { grep -q "$1" "$2" || { echo "no $1 in $2"; cat "$2"; return 1; }; }
journal() { journalctl --unit $unit --output cat --since "@$since"; }
said() { journal | grep -q "$1"; }
mark() { since=$(date +%s); }

installed() {
    dpkg -i /vm/vedette.deb && systemctl is-enabled $unit
}

# Systemd calls a service of this type active when it has said that it is ready, and not before.
active() {
    is Type notify && is ActiveState active && is SubState running && is StatusText watching && is NRestarts 0
}

confined() {
    status=/proc/$(property MainPID)/status
    has '^NoNewPrivs:.1$' "$status" && has '^Seccomp:.2$' "$status" || return 1
    bounds=$(sed -n 's/^CapBnd:.//p' "$status")
    # BPF, PERFMON, NET_ADMIN, SYS_PTRACE, DAC_READ_SEARCH, KILL, SYS_RESOURCE, SYS_ADMIN: no more than these.
    allowed=$(((1 << 39) | (1 << 38) | (1 << 12) | (1 << 19) | (1 << 2) | (1 << 5) | (1 << 24) | (1 << 21)))
    [ $((0x$bounds & ~allowed)) -eq 0 ] || { echo "capabilities beyond those of the unit: $bounds"; return 1; }
    # What only the start takes is gone.
    [ $((0x$(sed -n 's/^CapEff:.//p' "$status") & ((1 << 24) | (1 << 21)))) -eq 0 ] || { cat "$status"; return 1; }
}

exposure() {
    systemd-analyze security --no-pager $unit > /tmp/exposure || return 1
    tail -n 1 /tmp/exposure
    has 'exposure level.* OK' /tmp/exposure
}

alert() {
    mark
    cat /etc/shadow > /dev/null
    until_ok said '"rule":"Password hashes read"'
}

watchdog() {
    is WatchdogUSec 30s || return 1
    before=$(property WatchdogTimestampMonotonic)
    later() { [ "$(property WatchdogTimestampMonotonic)" -gt "$before" ]; }
    until_ok later
}

# A stopped process says nothing, as one that hangs.
hang() {
    before=$(property MainPID)
    kill -STOP "$before"
    another() { [ "$(property MainPID)" != "$before" ] && is ActiveState active; }
    until_ok another && is NRestarts 1
}

reload() {
    before=$(property MainPID)
    printf '%s\n' '- rule: Site' '  desc: Ours.' '  condition: evt.type = execve and proc.args = vedette-word' \
        '  output: ours' '  priority: NOTICE' > /etc/vedette/rules.d/site.yaml
    mark
    systemctl reload $unit && is ActiveState active || return 1
    fires() { /bin/true vedette-word; said '"rule":"Site"'; }
    until_ok fires && is MainPID "$before" || return 1
    # What systemd does to the service for it is no attack.
    ! said "\"rule\":\"Sensor's control group" && ! said '"rule":"Sensor signalled"'
}

wrong_configuration() {
    cp /etc/vedette/vedette.yaml /tmp/kept.yaml
    echo 'bogus: 1' >> /etc/vedette/vedette.yaml
    mark
    ! systemctl restart $unit || return 1
    is ActiveState failed && is ExecMainStatus 2 && is NRestarts 0 && said bogus || return 1
    cp /tmp/kept.yaml /etc/vedette/vedette.yaml
    systemctl restart $unit && is ActiveState active
}

upgraded() {
    before=$(property MainPID)
    echo 'hostname: kept' > /etc/vedette/vedette.yaml
    dpkg-deb -R /vm/vedette.deb /tmp/new
    sed -i 's/^Version: .*/Version: 999/' /tmp/new/DEBIAN/control
    dpkg-deb --root-owner-group -Zgzip -z1 -b /tmp/new /tmp/new.deb
    mark
    dpkg -i /tmp/new.deb && [ "$(dpkg-query -W -f '${Version}' vedette)" = 999 ] || return 1
    is ActiveState active && [ "$(property MainPID)" != "$before" ] || return 1
    cat /etc/shadow > /dev/null
    until_ok said '"hostname":"kept"'
}

stopped() {
    systemctl stop $unit && is ActiveState inactive && is Result success
}

removed() {
    systemctl start $unit && dpkg -r vedette || return 1
    ! pgrep_vedette && [ ! -e /usr/bin/vedette ] && has kept /etc/vedette/vedette.yaml
}

purged() {
    rm /etc/vedette/rules.d/site.yaml
    dpkg -P vedette || return 1
    is LoadState not-found || return 1
    # What is left of it anywhere; what dpkg and the journal write about packages is theirs.
    find / -xdev -name '*vedette*' ! -path '/vm/*' ! -path '/tmp/*' ! -path '/proc/*' ! -path '/sys/*' > /tmp/left
    cat /tmp/left
    [ ! -s /tmp/left ]
}

pgrep_vedette() { grep -lsx vedette /proc/[0-9]*/comm; }

echo "vm: $(systemctl --version | head -n 1), $(uname -r)"
check installed installed
check active_when_it_says_that_it_watches active
check confined_as_the_unit_says confined
check exposure exposure
echo "vm: $(tail -n 1 /tmp/exposure)"
check alert_in_the_journal alert
check watchdog_is_fed watchdog
check one_that_hangs_is_started_anew hang
check reload_takes_rules_over reload
check wrong_configuration_is_not_tried_again wrong_configuration
check upgrade_restarts_and_keeps_the_configuration upgraded
check stop stopped
check removing_ends_it removed
check purging_leaves_nothing purged
result=ok
[ $failed -eq 0 ] || result=FAILED
echo "test result: $result. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
echo "vm: exit $failed"
stty -F /dev/ttyS0 sane
echo b > /proc/sysrq-trigger
