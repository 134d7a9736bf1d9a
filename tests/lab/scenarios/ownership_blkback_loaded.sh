# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# xen-blkback is loaded and is at every disk first. It serves a disk of the guest, ringwayd another one; each has its own, and
# nothing of what blkback had offered on ours is left.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.12)

# fill DISK: a file system with a file in it, whose sum dom0 is told.
fill() {
	mke2fs -q "/dev/$1"
	mount -t ext2 "/dev/$1" /mnt
	head -c 3000000 /dev/urandom >/mnt/file
	xenstore-write "data/$1" "$(sha256sum </mnt/file)"
	umount /mnt
}

guest() {
	modprobe xen-blkfront
	wait_for 120 test -b /dev/xvdb
	mkdir -p /mnt
	fill xvda
	fill xvdb
	wait_node 600 data/end
}

# has_file IMAGE SUM
has_file() {
	mount -o loop,ro "$1" /mnt
	expect "what the guest wrote to $1" "$2" "$(sha256sum </mnt/file)"
	umount /mnt
}

dom0() {
	modprobe xen-blkback
	start_ringwayd
	truncate -s 16M /root/ours.img /root/theirs.img
	xl create -p "$(guest_config one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/ours.img'," \
		"'vdev=xvdb,backendtype=phy,target=/root/theirs.img' ]")"
	local ours data node sum_a sum_b
	ours=$(backend_of one) data=$(dir_of one)/data
	expect "the driver of our disk" '' "$(driver_of one 51712)"
	expect "the driver of the other disk" vbd "$(driver_of one 51728)"
	for node in multi-queue-max-queues feature-max-indirect-segments; do
		! xenstore-exists "$ours/$node" || fail "$node of xen-blkback is still offered"
	done
	xl unpause one
	wait_node 120 "$data/xvdb"
	sum_a=$(xenstore-read "$data/xvda") sum_b=$(xenstore-read "$data/xvdb")
	ringway list
	xenstore-write "$data/end" 1
	wait_guest one 240
	has_file /root/ours.img "$sum_a"
	has_file /root/theirs.img "$sum_b"
}
