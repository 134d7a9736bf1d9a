#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A frontend dies while the backend connects to its ring, and the next one has brought its own before the backend looks
# again: its state says 3 as before. The backend must serve the ring that is there now.
. "$(dirname "$0")/lib.sh"
requires nbdkit qemu-io jq

truncate -s 8M "$work/a.img"
start_xen
start_ringwayd
create_domain guest1
dom0 ringway attach guest1 "file:$work/a.img" --vdev xvda >/dev/null
dom0 ringway attach guest1 null:1M --vdev xvdb >/dev/null
frontend=/local/domain/$domid/device/vbd/51712

control_pid=$(cat "$RINGWAY_RUNDIR/ringwayd.pid")
data_pid=$(pgrep -P "$control_pid")
go_on() {
	kill -CONT "$control_pid" "$data_pid" 2>/dev/null || :
}
# Stopped processes can't be ended; the exit code must reach clean_up.
give_up_waiting() {
	local rc=$?
	set +e
	go_on
	return $rc
}
trap 'give_up_waiting; clean_up' EXIT

is_connecting() {
	[ "$(dom0 ringway show guest1 xvda --json | jq -r .phase)" = connecting ]
}
has_mapped() {
	[ "$(wc -l <"/proc/$data_pid/maps")" -gt "$nr_maps" ]
}
port() {
	node "$frontend/event-channel"
}
has_next_ring() {
	node_is "$frontend/state" 3 && [ "$(port)" != "$first_port" ]
}

# The data process connects to the first frontend's ring, but the control process does not get to see it.
kill -STOP "$data_pid"
nr_maps=$(wc -l <"/proc/$data_pid/maps")
start_guest_disk guest1 xvda
qemu-io -f raw -c 'read 0 1M' "$(nbd_uri "$nbd")" >/dev/null 2>&1 &
started_pids+=($!)
wait_for 10 is_connecting || fail "the backend does not connect"
first_port=$(port)
pause "$control_pid"
kill -CONT "$data_pid"
wait_for 10 has_mapped || fail "the data process does not map the ring"
kill -KILL "$(cat "$nbd.pid")"
wait "$nbd_pid" || :

# Another disk takes the dead one's port, so that the next one's nodes differ.
start_guest_disk guest1 xvdb
qemu-io -f raw -c 'read 0 1M' "$(nbd_uri "$nbd")" >/dev/null 2>&1 &
started_pids+=($!)
wait_for 5 node_is "/local/domain/$domid/device/vbd/51728/state" 3 || fail "the other disk does not begin"

start_guest_disk guest1 xvda
qemu-io -f raw -c 'read 0 1M' "$(nbd_uri "$nbd")" >"$work/qemu-io.log" 2>&1 &
reader=$!
started_pids+=("$reader")
wait_for 5 has_next_ring || fail "the next frontend does not begin"
go_on
wait_for 5 grep -q "^read 1048576" "$work/qemu-io.log" || fail "the next frontend's disk can't be read"
stop_guest_disk
stop_ringwayd
