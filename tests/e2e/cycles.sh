#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 100 attach, use, detach cycles leave no fd, mapping, event channel, grant or xenstore node behind.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy

cycles=${CYCLES:-$((100 / RINGWAY_SLOW))}
truncate -s 1M "$work/disk.img"
head -c 64K /dev/urandom >"$work/in"
start_xen
start_ringwayd
create_domain guest1
daemon=$ringwayd_pid
data=$(pgrep -P "$daemon" -x ringwayd-data)

fds() {
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

# A sanitizer maps and unmaps memory for itself; there, guests' pages count alone.
maps() {
	grep -c "${instrument:+memfd:xenloop}" "/proc/$1/maps" || :
}

# Everything that a cycle could leave behind, in one text.
left() {
	echo "ringwayd: $(fds "$daemon") fds, ringwayd-data: $(fds "$data") fds, $(maps "$data") mappings"
	xenloop list --json
	dom0 xenstore-ls -f
}

cycle() {
	dom0 ringway attach guest1 "file:$work/disk.img" --vdev xvda >/dev/null
	start_guest_disk guest1 xvda
	nbdcopy "$work/in" "$(nbd_uri "$nbd")"
	stop_guest_disk
	dom0 ringway detach guest1 xvda >/dev/null
}

# ringwayd has heard that the last command's client is gone: its socket's path is listed for the listener alone.
no_client() {
	[ "$(grep -cF "$RINGWAY_RUNDIR/ringwayd.sock" /proc/net/unix)" -eq 1 ]
}

# The first cycles may warm allocators up; from then on nothing may change.
cycle
cycle
wait_for 5 no_client || fail "ringway's connections stay open"
left >"$work/before"
for ((i = 2; i < cycles; i++)); do
	cycle
done
wait_for 5 no_client || fail "ringway's connections stay open"
left >"$work/after"
diff "$work/before" "$work/after" || fail "something is left after $cycles cycles"
cmp -n 65536 "$work/in" "$work/disk.img" || fail "the data did not arrive"
stop_ringwayd
