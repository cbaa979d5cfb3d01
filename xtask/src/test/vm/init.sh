#!/bin/busybox sh
# The first process of a test machine: mounts what the tests need, says what it finds, runs /vm/tests and
# ends. `vm:` lines on the first serial port are for xtask; the kernel's log is on the second.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=dumb
mount -t proc proc /proc
read -r up _ < /proc/uptime
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t securityfs security /sys/kernel/security
mount -t tracefs tracing /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debug /sys/kernel/debug
# All is slower here than on a real processor, but for the clock. As they come, kernels that preempt themselves (7.x) interrupted
# programs at their work all the time: a task is to get as far there before another one has its turn. What interrupts them at
# once, and not on the way back from the kernel, is the timer for the end of a turn (HRTICK).
sched=/sys/kernel/debug/sched
if grep -qs '(lazy)' $sched/preempt; then
    echo 100000000 > $sched/base_slice_ns
    echo NO_WAKEUP_PREEMPTION > $sched/features
    echo NO_HRTICK > $sched/features
fi
ln -s /proc/self/fd /dev/fd
read -r options < /proc/cmdline
case " $options " in
*" vedette.cgroup=v1 "*)
    mount -t tmpfs cgroup /sys/fs/cgroup
    # Whatever this kernel still has of the old controllers, each in a hierarchy of its own.
    for name in cpu memory pids freezer devices; do
        mkdir "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" "$name" "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
    done
    ;;
*) mount -t cgroup2 cgroup /sys/fs/cgroup ;;
esac
ifconfig lo 127.0.0.1 up
hostname vm
stty -F /dev/ttyS0 raw -echo
exec < /dev/null > /dev/ttyS0 2>&1
echo "vm: uptime $up"
echo "vm: kernel $(uname -r)"
echo "vm: lsm $(cat /sys/kernel/security/lsm)"
echo "vm: cgroup $(grep -o ' /sys/fs/cgroup[^ ]* cgroup2\? ' /proc/mounts | tr -d '\n')"
sh /vm/tests
echo "vm: exit $?"
# Setting a serial port waits until all is sent; what is still under way when the machine ends is lost.
stty -F /dev/ttyS0 sane
stty -F "/dev/$(cat /sys/class/tty/console/active)" sane
echo b > /proc/sysrq-trigger
sleep 9
