# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A dom0 that has no xen-blkback at all: xl gives a guest a disk by block-ringway alone.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.12)

guest() {
	modprobe xen-blkfront
	wait_for 120 test -b /dev/xvda
	mkdir -p /mnt
	mke2fs -q /dev/xvda
	mount -t ext2 /dev/xvda /mnt
	head -c 3000000 /dev/urandom >/mnt/file
	xenstore-write data/sum "$(sha256sum </mnt/file)"
	umount /mnt
	wait_node 600 data/end
}

no_disks() {
	[ "$(ringway list | wc -l)" = 1 ]
}

dom0() {
	rm -r "/lib/modules/$(uname -r)/kernel/drivers/block/xen-blkback"
	start_ringwayd
	truncate -s 16M /root/disk.img
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]"
	[ ! -e /sys/bus/xen-backend/drivers/vbd ] || fail 'xen-blkback is there'
	local sum data
	data=$(dir_of one)/data
	wait_node 120 "$data/sum"
	sum=$(xenstore-read "$data/sum")
	xenstore-write "$data/end" 1
	wait_guest one 240
	mount -o loop,ro /root/disk.img /mnt
	expect 'what the guest wrote' "$sum" "$(sha256sum </mnt/file)"
	umount /mnt
	wait_for 30 no_disks
}
