#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A disk that is to be detached and that its guest still uses, when ringwayd and its data process are killed: the next ringwayd
# goes on with its ring and answers what is in flight, and closes the disk when the guest has let go of it, not earlier.
. "$(dirname "$0")/lib.sh"
requires jq xenstore-write

phase() {
	dom0 ringway list --json | jq -r --argjson id "$domid" '.devices[] | select(.domid == $id) | .phase'
}

phase_is() {
	[ "$(phase)" = "$1" ]
}

# The journal's req_cons, rsp_intended and rsp_committed.
indexes() {
	od -An -tu4 -j260 -N12 "$journal"
}

is_idle() {
	local taken intended committed
	read -r taken intended committed < <(indexes)
	[ "$intended $committed" = "$taken $taken" ]
}

state_is() {
	[ "$(dom0 xenstore-read "$dir/state")" = "$1" ]
}

# Until a kill has hit requests in flight.
kill_in_flight() {
	local data
	while true; do
		kill -CONT "${load_pids[guest]}"
		load_goes_on guest
		data=$(data_pid)
		kill -STOP "$ringwayd_pid" # or it would start another
		kill -KILL "$data"
		kill -STOP "${load_pids[guest]}"
		kill_ringwayd
		is_idle || return 0
		start_ringwayd
		wait_for 10 all_attached 1 || fail "not attached again"
	done
}

truncate -s 16M "$work/disk.img"
start_xen
start_ringwayd
create_domain guest
dom0 ringway attach guest "file:$work/disk.img" --vdev xvda >/dev/null
dir=$(backend_dir "$domid" 51712) journal=$RINGWAY_RUNDIR/journal/$domid-51712-0
start_load guest guest --in-flight 32 xvda
wait_for 10 all_attached 1 || fail "not attached"
kill_in_flight

# As libxl does. The guest, which is stopped, can't have seen it.
dom0 xenstore-write "$dir/online" 0 "$dir/state" 5
start_ringwayd
wait_for 10 phase_is waiting || fail "the disk is not gone on with: $(phase), $(cat "$work/ringwayd.log")"
wait_for 10 is_idle || fail "requests are not answered: $(indexes)"
state_is 5 || fail "the disk is closed under its guest"

# The load does not put up with a disk that goes away, and lets go of it.
kill -CONT "${load_pids[guest]}"
wait_for 10 state_is 6 || fail "the disk is not closed"
! wait "${load_pids[guest]}" || fail "the load has not seen that its disk was closed"
unset 'load_pids[guest]'
! grep -qiE 'must hold|twice' "$work/load.guest.log" || fail "$(cat "$work/load.guest.log")"
[ ! -e "$journal" ] || fail "its journal is left"
stop_ringwayd
