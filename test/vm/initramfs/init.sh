#!/bin/sh
# The guest's first process. It runs /command, and tells the host on a serial port,
# which the kernel's parameters call $control, when that begins and how it ended.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root TERM=dumb

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /dev/shm
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/netns /run/lock
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debug /sys/kernel/debug
# Seen through debugfs as well, as on most machines.
mount -t tracefs trace /sys/kernel/tracing

ip link set lo up
hostname guest

# The host reads lines as they are written.
# shellcheck disable=SC2154 # the kernel's command line sets it
stty -F "/dev/$control" raw -echo
stty -opost

echo ready >"/dev/$control"
/bin/sh /command </dev/null
code=$?
# A flaw that the kernel noticed in itself leaves a mark here.
read -r taint </proc/sys/kernel/tainted
if [ "$taint" != 0 ]; then
	dmesg
fi
# Setting a mode waits for all that was printed to leave.
stty -opost
echo "exit $code $taint" >"/dev/$control"
# The host ends the guest. To power off would print more.
exec sleep infinity
