# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# xen-blkback is not loaded until udev loads it, for the first disk that appears: ours. It does not get that, neither then nor
# when a disk of its own comes to the same guest while ours is in use.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.1)

guest() {
	modprobe xen-blkfront
	wait_for 120 test -b /dev/xvda
	mkdir -p /mnt
	mke2fs -q /dev/xvda
	mount -t ext2 /dev/xvda /mnt
	head -c 3000000 /dev/urandom >/mnt/file
	sync
	xenstore-write data/word written
	wait_node 600 data/go
	wait_for 120 test -b /dev/xvdb
	dd if=/dev/xvdb of=/dev/null bs=64k count=16 iflag=direct
	head -c 3000000 /dev/urandom >/mnt/more
	umount /mnt
	e2fsck -fn /dev/xvda
}

dom0() {
	udevadm control --ping
	[ ! -e /sys/module/xen_blkback ] || modprobe -r xen-blkback
	start_ringwayd
	truncate -s 16M /root/ours.img /root/theirs.img
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/ours.img' ]"
	local data
	data=$(dir_of one)/data
	wait_node 120 "$data/word" written
	expect 'the driver of our disk' '' "$(driver_of one 51712)"
	[ -e /sys/bus/xen-backend/drivers/vbd ] || fail 'nobody loaded xen-blkback'

	xl block-attach one vdev=xvdb,backendtype=phy,target=/root/theirs.img || fail 'xl block-attach of a stock disk'
	expect 'the driver of the other disk' vbd "$(driver_of one 51728)"
	expect 'the driver of our disk, later' '' "$(driver_of one 51712)"
	expect 'the state of our disk' 4 "$(xenstore-read "$(backend_of one)/state")"
	xenstore-write "$data/go" 1
	wait_guest one 240
	e2fsck -fn /root/ours.img
}
