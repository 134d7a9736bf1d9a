#!/bin/bash
# SPDX-License-Identifier: MIT
# dom0's init in the instruction bench: a disk in memory, and a guest that has it from each backend. While the guest reads,
# dom0 must do nothing but serve it: this waits for an event and never polls. What it prints goes to the serial line; it ends by
# powering off, which ends QEMU.
export PATH=/sbin:/usr/sbin:/bin:/usr/bin:/usr/lib/xen-4.17/bin HOME=/root

prepare() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev
	mount -t tmpfs tmpfs /run
	mkdir -p /run/lock /run/xen /run/xenstored /dev/pts
	mount -t devpts devpts /dev/pts
	# The stock hotplug scripts hang without these.
	ln -sf /proc/self/fd /dev/fd
	ln -sf /proc/self/fd/0 /dev/stdin
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	local module
	for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback; do
		modprobe "$module"
	done
	mount -t xenfs xenfs /proc/xen
}

start_daemons() {
	xenstored --pid-file /run/xenstored.pid
	xen-init-dom0 >/dev/null
	xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/run
	ringwayd 2>/run/ringwayd.log &
	until ringway list >/dev/null 2>&1; do
		read -rt 0.1 <> <(:)
	done
}

# The limit is in the machine's own time, which does not depend on how busy the host is.
wait_guest() {
	while read -r; do
		xl list | grep -q '^bench ' || return
	done < <(timeout 600 xenstore-watch @releaseDomain)
	echo 'log: the guest has not ended'
	xenstore-ls /local/domain/0/backend | sed 's/^/log: /'
}

prepare
: "${disk_bytes:?run.sh puts it above}"
modprobe brd rd_nr=1 rd_size=$((disk_bytes / 1024))
reader fill /dev/ram0 "$disk_bytes"
start_daemons
xl create /bench/guest.cfg && wait_guest
cat /run/guest-bench.log
tail -n 20 /run/ringwayd.log /var/log/xen/*bench* | sed 's/^/log: /'
poweroff -f
