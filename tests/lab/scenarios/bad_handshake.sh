# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest that stops in the middle of the handshake, and dies there. The frontend of its first disk never leaves state 1, the
# second's says 3 and has published nonsense, the third's has a ring at work and never says 4, the fourth's never ends its
# closing, the fifth's is full of requests; then the guest reboots without a word. The disk in state 1 can be detached and
# attached again; nonsense is refused with a reason; a neighbour's I/O goes on; nothing is left.
# shellcheck disable=SC2034 # read by run.sh
programs=(tests/hostile_front)

# hang_in ATTACK VDEV: leaves the disk where the attack has brought it.
hang_in() {
	hostile_front "$1" --vdev "$2" --seconds 10000 &
}

guest() {
	xenstore-write device/vbd/51728/ring-ref 1e3 device/vbd/51728/event-channel none
	xenstore-write device/vbd/51728/state 3
	hang_in stays-initialised xvdc
	hang_in stays-closing xvdd
	wait_node 300 data/flood
	hang_in write-and-flush-flood xvde
	wait_node 200 data/die
	echo b >/proc/sysrq-trigger
}

# reach VDEV FRONT BACK: the states at both ends of a disk.
reach() {
	wait_node 120 "$(frontend_of one "$1")/state" "$2" || fail "the frontend of $1 is not in $2"
	wait_node 120 "$(backend_of one "$1")/state" "$3" || fail "the backend of $1 is not in $3"
}

refuses_nonsense() {
	local why='ring-ref is "1e3"'
	has "$(backend_of one 51728)/error" "*$why*" || fail "no reason in the error node of the disk"
	ringway show one xvdb | grep "$why" || fail 'ringway show does not say why'
	journalctl -q -u ringwayd -o cat | grep "$why" || fail 'the log does not say why'
}

# With a frontend that stays in state 1 xl has to wait for nobody.
changes_disks() {
	xl block-detach one xvda || fail 'a disk that no frontend has looked at is not detached'
	! xenstore-exists "$(backend_of one)" || fail 'the disk is still there'
	xl block-attach one 'vdev=xvda,script=block-ringway,target=/root/xvda.img' || fail 'it can not be attached again'
}

dom0() {
	local vdev disks=''
	start_ringwayd
	start_neighbour
	census >/run/before
	for vdev in xvda xvdb xvdc xvdd xvde; do
		truncate -s 1M /root/$vdev.img
		disks+="'vdev=$vdev,script=block-ringway,target=/root/$vdev.img',"
	done
	start_guest one "disk = [ $disks ]" "on_reboot = 'destroy'"
	reach 51712 1 2
	reach 51728 3 6
	reach 51744 3 4
	reach 51760 5 5
	refuses_nonsense
	changes_disks
	xenstore-write "$(dir_of one)/data/flood" now
	reach 51776 4 4
	expect_neighbour
	xenstore-write "$(dir_of one)/data/die" now
	wait_watch 60 @releaseDomain is_gone one || fail 'the dead guest stays'
	expect_census /run/before
	expect_neighbour
	stop_neighbour
}
