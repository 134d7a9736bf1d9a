# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# ringwayd comes before guests and after them, and is stopped and started between two disks of a guest. While it is not there, a
# disk is refused with the reason. A guest that is destroyed while ringwayd is stopped leaves nothing.

guest() {
	modprobe xen-blkfront
	obey
}

# use: the guest writes its disk, and reads what it wrote.
use() {
	wait_for 60 test -b /dev/xvda
	head -c 262144 /dev/urandom >/run/written
	dd if=/run/written of=/dev/xvda bs=64K oflag=direct status=none
	dd if=/dev/xvda bs=64K count=4 iflag=direct status=none | cmp - /run/written
	sha256sum </run/written
}

attach() {
	xl block-attach one 'vdev=xvda,script=block-ringway,target=/root/disk.img'
}

attach_and_use() {
	local sum
	attach || fail 'xl block-attach'
	sum=$(in_guest one use)
	expect 'what the guest wrote' "$sum" "$(head -c 262144 /root/disk.img | sha256sum)"
}

dom0() {
	local held
	truncate -s 1M /root/disk.img
	start_guest one
	! attach >/root/said 2>&1 || fail 'a disk is there without ringwayd'
	grep 'systemctl start ringwayd' /root/said || fail "xl does not say what to do: $(cat /root/said)"
	xl block-detach one xvda || fail 'what xl leaves of a refused disk can not be detached'

	echo '--- started after the guest'
	start_ringwayd
	held=$(holds)
	attach_and_use
	xl block-detach one xvda || fail 'xl block-detach'

	echo '--- stopped and started'
	systemctl stop ringwayd
	ringway list 2>&1 | grep 'ringwayd is not running' || fail 'ringway list does not miss ringwayd'
	start_ringwayd
	attach_and_use

	echo '--- stopped when the guest goes'
	systemctl stop ringwayd
	xl destroy one
	wait_watch 60 @releaseDomain is_gone one || fail 'the guest stays'
	start_ringwayd
	wait_for 30 holds_is "$held" || fail "ringwayd held $held; now $(holds)"
	expect 'disks that are listed' 1 "$(ringway list | wc -l)"
}
