# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest that attacks the backend of its disk with grants and event channels, which are Xen's own here: never granted, granted
# to another, read-only, many at once; ports that are not its, in use, closed. After each attack its disk serves
# a frontend that behaves. A neighbour's I/O goes on; nothing is left.
# shellcheck disable=SC2034 # read by run.sh
programs=(tests/hostile_front)

guest() {
	local attack failed=''
	for attack in gref-{never-granted,granted-to-another,read-only,bad-in-the-middle,sweep} \
		ring-{never-granted,read-only,granted-to-another} port-{never-opened,of-another-domain,in-use,closed}; do
		hostile_front "$attack" --vdev xvda --seconds 0.3 || failed+=" $attack"
	done
	[ -z "$failed" ] || fail "attacks:$failed"
}

dom0() {
	start_ringwayd
	start_neighbour
	truncate -s 16M /root/disk.img
	census >/run/before
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]"
	wait_guest one 500
	expect_census /run/before
	expect_neighbour
	stop_neighbour
}
