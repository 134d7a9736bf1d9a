#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The data process is killed, ringwayd is, both are, and ringwayd is told to end, each in the middle of two guests' load: the
# guests see a pause and nothing else. Nothing is written that they could see, no request is lost or repeated, nothing is
# read that was not written last, and afterwards nothing is left behind.
. "$(dirname "$0")/lib.sh"
requires jq xenstore-watch

kills=${KILLS:-5}

# What domains hold, in one text.
holds() {
	xenloop list --json | jq -c '.[] | {name, state, grants, maps, ports, handles, processes}'
}

holds_as_before() {
	[ "$(holds)" = "$held" ]
}

# Both sides' nodes of the disks, with values.
nodes() {
	local id
	for id in "${ids[@]}"; do
		dom0 xenstore-ls -p "$(backend_dir "$id" 51712)"
		dom0 xenstore-ls -p "/local/domain/$id/device/vbd/51712"
	done
}

# Whoever writes to a state, even the same one, is seen.
watch_states() {
	local id paths=()
	for id in "${ids[@]}"; do
		paths+=("$(backend_dir "$id" 51712)/state" "/local/domain/$id/device/vbd/51712/state")
	done
	xenloop exec 0 -- xenstore-watch "${paths[@]}" >"$work/states" 2>"$work/watch.log" &
	watch_pid=$!
	started_pids+=("$watch_pid")
	wait_for 10 states_written ${#paths[@]} || fail "xenstore-watch: $(cat "$work/states")"
}

states_written() {
	[ "$(wc -l <"$work/states")" -ge "$1" ]
}

# unseen WHAT: after it, the guests are at work, and the store is as it was.
unseen() {
	wait_for 10 all_attached 2 || fail "$1: the disks are not attached again: $(dom0 ringway list)"
	load_goes_on a b
	nodes >"$work/nodes.now"
	diff "$work/nodes" "$work/nodes.now" || fail "$1: xenstore is not as it was"
	states_written 5 && fail "$1: a state was written: $(cat "$work/states")"
	return 0
}

says() {
	grep -qE "$1" "$work/ringwayd.log" || fail "ringwayd does not say '$1'"
}

kill_data() {
	local pid
	pid=$(data_pid)
	kill -KILL "$pid"
	wait_for 10 other_data_than "$pid" || fail "no other data process"
}

other_data_than() {
	local pid
	pid=$(data_pid) && [ "$pid" != "$1" ]
}

start_anew() {
	: >"$work/ringwayd.log"
	start_ringwayd
}

# The indexes of a disk's journal: req_cons, rsp_intended, rsp_committed.
indexes() {
	od -An -tu4 -j260 -N12 "$RINGWAY_RUNDIR/journal/$1-51712-0"
}

truncate -s 16M "$work/a.img" "$work/b.img"
start_xen
start_anew
ids=()
for guest in a b; do
	create_domain $guest
	ids+=("$domid")
	dom0 ringway attach $guest "file:$work/$guest.img" --vdev xvda >/dev/null
done
held=$(holds)
start_load a a --ring-pages 1 xvda
start_load b b --ring-pages 16 --in-flight 400 --data-pages 440 --max-bytes 4096 --seed 2 xvda
wait_for 10 all_attached 2 || fail "not attached"
watch_states
nodes >"$work/nodes"

for ((n = 1; n <= kills; n++)); do
	kill_data
	unseen "data process killed ($n)"
done
for id in "${ids[@]}"; do
	says "vbd $id/51712: attached again after [0-9]+ ms"
done

for ((n = 1; n <= kills; n++)); do
	kill_ringwayd
	start_anew
	unseen "ringwayd killed ($n)"
done
for id in "${ids[@]}"; do
	says "vbd $id/51712: connected again to "
done

for order in "data control" "control data"; do
	data=$(data_pid)
	for victim in $order; do
		if [ "$victim" = data ]; then
			kill -KILL "$data" 2>/dev/null || : # it may have left on its own
		else
			kill_ringwayd
		fi
	done
	start_anew
	unseen "$order killed"
done

for _ in 1 2; do
	stop_ringwayd
	says 'leaving: '
	nodes >"$work/nodes.now"
	diff "$work/nodes" "$work/nodes.now" || fail "ringwayd wrote to xenstore when it ended"
	for id in "${ids[@]}"; do
		read -r taken intended committed < <(indexes "$id")
		same "$intended $committed" "$taken $taken" "what domain $id's journal has in flight after an orderly end"
	done
	[ -z "$(compgen -G "$RINGWAY_RUNDIR/fence.*")" ] || fail "a fence is left behind"
	start_anew
	unseen "orderly restart"
done

for guest in a b; do
	stop_load $guest
	echo "$guest: $report"
done
wait_for 10 states_written 8 || fail "the watch has not seen that the disks were closed"
kill "$watch_pid"
wait_for 10 holds_as_before || fail "something is left: $(holds | diff <(echo "$held") -)"
[ -z "$(ls "$RINGWAY_RUNDIR/journal")" ] || fail "journals are left: $(ls "$RINGWAY_RUNDIR/journal")"
for guest in a b; do
	dom0 ringway detach $guest xvda
done
stop_ringwayd
same "$(find "$RINGWAY_RUNDIR" -mindepth 1 -printf '%f\n' | sort | paste -sd ' ')" "journal ringwayd.pid" "files that are left"
