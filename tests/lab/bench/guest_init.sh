#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The guest's init in the instruction bench: reads each of its disks in each way that /cases tells, and says so on the console in
# a line that run.sh looks for: "bench: BACKEND CASE READS".
export PATH=/sbin:/bin

mount -t devtmpfs dev /dev
mount -t proc proc /proc
modprobe xen-blkfront
while read -r disk backend case bytes depth reads; do
	reads=$(reader read "/dev/$disk" "$bytes" "$depth" "$reads") || break
	echo "bench: $backend $case $reads"
done </cases
poweroff -f
