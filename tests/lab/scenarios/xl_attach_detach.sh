# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# xl block-attach and block-detach on a guest that runs: of a disk that is idle, that is in use, and of a guest that does not let
# go of it; by consent and by force; and again under the same name with the same target. The guest's other disk never notices.

# Whether the disk that stays still works.
other_disk_works() {
	dd if=/dev/urandom of=/dev/xvda bs=64K count=2 oflag=direct status=none
}

guest() {
	modprobe xen-blkfront
	wait_for 60 test -b /dev/xvda
	obey
}

# comes: the guest sees the disk; prints the sum of its content.
comes() {
	wait_for 60 test -b /dev/xvdb
	sha256sum </dev/xvdb
}

is_away() {
	wait_for 60 test ! -e /dev/xvdb
	other_disk_works
}

fill() {
	head -c $((2 << 20)) /dev/urandom >/run/new
	dd if=/run/new of=/dev/xvdb bs=1M oflag=direct status=none
	sha256sum </run/new
}

# keep_writing FILE: its first half MiB, in the background, until it fails.
keep_writing() {
	while dd if=/run/new of="$1" bs=64K count=8 oflag=direct conv=nocreat status=none; do
		:
	done >/dev/null 2>&1 &
}

# It is mounted. Nothing is in flight: Linux 6.1 stops the queues of a disk that goes, and its xenwatch may then wait for good for
# a request that was on its way into them.
use_it() {
	mke2fs -q /dev/xvdb
	mount -t ext2 /dev/xvdb /mnt
	head -c $((1 << 19)) /run/new >/mnt/file
	sync
}

give_it_up() {
	is_away
	! dd if=/mnt/file of=/dev/null bs=4K count=1 iflag=direct || fail 'a disk that is away can be read'
	umount /mnt
}

attach() {
	xl block-attach one vdev=xvdb,script=block-ringway,target=/root/b.img || fail 'xl block-attach'
	expect 'what the guest finds on it' "$(sha256sum </root/b.img)" "$(in_guest one comes)"
	! holds_is "$held" || fail 'holds does not see what ringwayd has of a disk'
}

# detach [OPTION...]
detach() {
	xl block-detach "$@" one xvdb >/root/said 2>&1 || fail "xl block-detach: $(cat /root/said)"
	! grep . /root/said || fail 'xl complained'
	nothing_stays
}

nothing_stays() {
	! xenstore-exists "$(backend_of one 51728)" || fail 'the backend directory stays'
	! xenstore-exists "$(frontend_of one 51728)" || fail 'the frontend directory stays'
	wait_for 30 holds_is "$held" || fail "ringwayd held $held; now $(holds)"
	expect 'the disks that ringway list shows' 1 "$(ringway list one | grep -c ' xvd')"
}

dom0() {
	local held sum
	image_random /root/a.img $((1 << 20))
	image_random /root/b.img $((2 << 20))
	start_ringwayd
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/a.img' ]"
	in_guest one other_disk_works
	held=$(holds)

	echo '--- idle'
	attach
	sum=$(in_guest one fill)
	detach
	in_guest one is_away
	expect 'what the guest wrote' "$sum" "$(sha256sum </root/b.img)"

	echo '--- in use, and the guest does not answer: it keeps the disk, and xl says so after its 10 s'
	attach
	in_guest one use_it
	xl pause one
	! xl block-detach one xvdb >/root/said 2>&1 || fail 'xl detaches the disk of a guest that is paused'
	cat /root/said
	grep -q 'unable to remove device' /root/said || fail 'xl does not say why'
	expect 'the state' 5 "$(xenstore-read "$(backend_of one 51728)/state")"
	! holds_is "$held" || fail 'ringwayd has let go of a disk that is in use'

	echo '--- when it answers, Linux gives the disk up at once, and its users get errors'
	xl unpause one
	wait_node 60 "$(backend_of one 51728)/state" 6
	detach
	in_guest one give_it_up

	echo '--- by force, the guest being paused in the middle of I/O'
	attach
	in_guest one 'keep_writing /dev/xvdb'
	xl pause one
	detach --force
	xl unpause one
	in_guest one other_disk_works
	xl destroy one
}
