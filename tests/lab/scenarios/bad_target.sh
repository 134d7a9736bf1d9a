# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Targets that go while a guest reads from them: an image is deleted, one is cut, the table of a mapped device is replaced by
# errors, a disk is pulled, a loop device is taken down. What is still there is served; for the rest the guest gets I/O errors,
# which the log names and `ringway show` counts, and xl can detach the disks and says why they can't be had again. A
# neighbour's I/O goes on; nothing is left.

# read_on VDEV: until it fails, and tells dom0 so.
read_on() {
	while dd if="/dev/$1" of=/dev/null bs=64K count=16 iflag=direct status=none; do
		[ -e "/run/$1" ] || echo >"/run/$1"
		read -rt 0.5 -u "$silence" || :
	done
	xenstore-write "data/$1" failed
}

guest() {
	local vdev
	modprobe xen-blkfront
	for vdev in xvda xvdb xvdc xvdd xvde; do
		wait_for 60 test -b /dev/$vdev
		read_on $vdev &
		wait_for 60 test -e /run/$vdev
	done
	xenstore-write data/reads yes
	wait_node 200 data/go
	! dd if=/dev/zero of=/dev/xvdc bs=64K count=1 oflag=direct || fail 'xvdc can still be written'
	! dd if=/dev/zero of=/dev/xvdd bs=64K count=1 oflag=direct || fail 'xvdd can still be written'
	dd if=/dev/xvdb of=/dev/null bs=256K count=1 iflag=direct || fail 'what is left of xvdb is not served'
	xenstore-write data/judged yes
	wait_node 200 data/end
}

tells() {
	wait_node 120 "$data/$1" || fail "the guest does not say $1: $(tail -3 "$(guest_log one)")"
}

make_targets() {
	local size=$((1 << 20))
	image_random /root/deleted.img $size
	image_random /root/cut.img $size
	image_random /root/under.img $size
	image_random /root/loop.img $size
	dmsetup create mapped --table "0 $((size / 512)) linear $(losetup -f --show /root/under.img) 0"
	loop=$(losetup -f --show /root/loop.img)
}

take_targets() {
	rm /root/deleted.img
	truncate -s 512K /root/cut.img
	dmsetup wipe_table mapped
	echo 1 >"$(realpath /sys/block/vdb/device/..)/remove"
	losetup -d "$loop"
}

# Those that are gone for the guest are named in the log, with the reason, and counted.
says_errors() {
	local devid
	for devid in 51728 51744 51760; do
		journalctl -q -u ringwayd -o cat | grep "vbd $domid/$devid: I/O error at sector" || fail "the log does not name disk $devid"
		ringway show one "$devid" --json | grep -E '"io_errors": [1-9]' || fail "no error is counted for disk $devid"
	done
	for devid in xvda xvde; do
		! xenstore-exists "$data/$devid" || fail "$devid is no longer served"
	done
}

# refused TARGET: xl says the reason that ringwayd has.
refused() {
	! xl block-attach one "vdev=xvdf,script=block-ringway,target=$1" >/tmp/refused 2>&1 || fail "$1 is attached again"
	grep "$1: No such file or directory" /tmp/refused || fail "xl does not say why: $(cat /tmp/refused)"
}

dom0() {
	local loop vdev domid data held
	make_targets
	start_ringwayd
	start_neighbour
	held=$(holds)
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/deleted.img'," \
		"'vdev=xvdb,script=block-ringway,target=/root/cut.img'," \
		"'vdev=xvdc,script=block-ringway,target=/dev/mapper/mapped'," \
		"'vdev=xvdd,script=block-ringway,target=/dev/vdb'," \
		"'vdev=xvde,script=block-ringway,target=$loop' ]"
	domid=$(domid_of one) data=$(dir_of one)/data
	tells reads
	take_targets
	for vdev in xvdb xvdc xvdd; do
		tells $vdev
	done
	xenstore-write "$data/go" yes
	tells judged
	says_errors
	expect_neighbour
	for vdev in xvdc xvdd; do
		xl block-detach one $vdev || fail "$vdev can't be detached"
	done
	refused /dev/vdb
	xenstore-write "$data/end" yes
	wait_guest one
	wait_for 30 holds_is "$held" || fail "ringwayd held $held; now $(holds)"
	expect_neighbour
	stop_neighbour
}
