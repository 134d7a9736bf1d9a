# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Two guests use their disks at once, and one that they share for reading. One is destroyed by xl destroy in the middle of it:
# nothing of it stays, and the other goes on.

size=$((1 << 20))

guest() {
	modprobe xen-blkfront
	wait_for 60 test -b /dev/xvdb
	xenstore-write data/shared "$(dd if=/dev/xvdb bs=256K iflag=direct status=none | sha256sum)"
	use_disk /dev/xvda
}

start() {
	start_guest "$1" "disk = [ 'vdev=xvda,script=block-ringway,target=/root/$1.img'," \
		"'vdev=xvdb,access=ro,script=block-ringway,target=/root/shared.img' ]"
	expect_use "$1"
	expect "what $1 reads from the shared disk" "$(sha256sum </root/shared.img)" "$(xenstore-read "$(dir_of "$1")/data/shared")"
}

dom0() {
	image_random /root/one.img "$size"
	image_random /root/two.img "$size"
	image_random /root/shared.img "$size"
	start_ringwayd
	start one
	census >/run/before
	start two
	expect_use one
	ringway list
	expect 'disks that are served' 4 "$(ringway list | grep -c Connected)"
	xl destroy two 2>&1 | tee /root/said
	! grep . /root/said || fail 'xl complained'
	expect_census /run/before
	expect_use one
	stop_using one
}
