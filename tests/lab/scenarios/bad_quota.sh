# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest fills its quota of xenstore with nodes in the directory of its disk's frontend, while it uses the disk. The
# disk is served on; dom0 can look at it, attach another to this guest (whose frontend then has no room for its own nodes) and
# detach that; and when the guest has made room again, such a disk is served, too. A neighbour's I/O goes on; nothing is left.

# fill: 100 nodes at a time, then one by one.
fill() {
	local nr=0 i nodes count
	for count in 100 1; do
		while :; do
			nodes=()
			for ((i = nr; i < nr + count; i++)); do
				nodes+=("device/vbd/51712/filler/$i" "")
			done
			xenstore-write "${nodes[@]}" 2>/dev/null || break
			nr=$((nr + count))
		done
	done
	echo "filled with $nr nodes"
	[ $nr -gt 100 ] || fail 'there is no quota to reach'
}

guest() {
	xenstore-write data/is eating
	use_disk /dev/xvda &
	wait_node 60 data/rounds
	fill
	! xenstore-write data/more x || fail 'there is room left'
	xenstore-write data/is full
	wait_node 400 data/is lean
	xenstore-rm device/vbd/51712/filler
	xenstore-write data/is ready
	wait_node 300 data/end
}

attach() {
	xl block-attach one 'vdev=xvdb,script=block-ringway,target=/root/more.img'
}

dom0() {
	local is
	start_ringwayd
	start_neighbour
	census >/run/before
	truncate -s 1M /root/disk.img /root/more.img
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]"
	is=$(dir_of one)/data/is
	wait_node 500 "$is" full || fail "the guest does not fill its quota: $(tail -3 "$(guest_log one)")"
	expect_use one
	ringway show one xvda
	attach || echo 'xl has no room for the disk'
	xl block-detach one xvdb || echo 'and nothing to detach'
	! xenstore-exists "$(backend_of one 51728)" || fail 'a disk for which there is no room stays'
	expect_neighbour
	xenstore-write "$is" lean
	wait_node 200 "$is" ready
	attach || fail 'no disk after all'
	wait_node 60 "$(backend_of one 51728)/state" 4 || fail 'the disk is not served'
	expect_use one
	xl destroy one
	expect_census /run/before
	expect_neighbour
	stop_neighbour
}
