#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# dom0's init in the lab: devices, Xen's daemons, then the scenario that the host put into the shared folder /lab; its log and
# exit status go back there. Ends by powering off, which ends QEMU.
export PATH=/usr/local/bin:/sbin:/usr/sbin:/bin:/usr/bin:/usr/lib/xen-4.17/bin HOME=/root

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

for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs virtio_pci 9pnet_virtio 9p; do
	modprobe "$module" || echo "lab: no module $module"
done
mount -t xenfs xenfs /proc/xen
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none lab /lab
# Before anything runs from the libraries that this overwrites.
cp -r /lab/root/. /

xenstored --pid-file /run/xenstored.pid
xen-init-dom0 >/dev/null
xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/lab/logs

timeout -s KILL "$(cat /lab/seconds)" bash /usr/local/bin/scenario >/lab/logs/dom0 2>&1 </dev/null
echo $? >/lab/logs/status
dmesg >/lab/logs/dmesg
sync
poweroff -f
