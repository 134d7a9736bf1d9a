#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# A guest's init in the lab: devices, word to dom0 by the node data/lab, then the scenario's half for guests. Its output is the
# guest's console, which ends with a line that says how it went.
export PATH=/usr/local/bin:/sbin:/usr/sbin:/bin:/usr/bin HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
ln -sf /proc/self/fd /dev/fd
for module in xen-evtchn xen-gntdev xen-gntalloc xenfs; do
	modprobe "$module"
done
mount -t xenfs xenfs /proc/xen

xenstore-write data/lab ready
bash /usr/local/bin/scenario
echo "lab: guest exit $?"
poweroff -f
