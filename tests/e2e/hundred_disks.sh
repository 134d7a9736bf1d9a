#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 100 disks of four guests, all of them at work, are attached again within two seconds: after a kill of the data process, a
# kill of ringwayd, a kill of both, and an orderly restart.
TMPDIR=${TMPDIR:-/dev/shm} # what is measured is ours, not a disk's
. "$(dirname "$0")/lib.sh"
requires jq

guests=(g1 g2 g3 g4) disks=25
limit_ms=$((2000 * RINGWAY_SLOW))

# The vdevs of one guest: xvda to xvdy.
vdevs=()
for ((n = 0; n < disks; n++)); do
	letters=abcdefghijklmnopqrstuvwxyz
	vdevs+=("xvd${letters:n:1}")
done

ms_now() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

served_by_other_than() {
	[ "$(dom0 ringway list --json | jq --argjson not "$1" \
		'[.devices[] | select(.phase == "connected" and .process != null and .process != $not)] | length')" = $all ]
}

# attach_again COMMAND...: from its beginning until all disks are in another data process; $ms says how long it took.
attach_again() {
	local pid start
	pid=$(data_pid)
	start=$(ms_now)
	"$@"
	wait_for 30 served_by_other_than "$pid" || fail "not all disks are attached again"
	ms=$(($(ms_now) - start))
	load_goes_on "${guests[@]}"
}

# measure WHAT COMMAND...: a busy machine may need more than one try.
measure() {
	local what=$1
	shift
	for _ in {1..6}; do
		attach_again "$@"
		echo "$all disks attached again after $what: $ms ms"
		[ "$ms" -gt $limit_ms ] || return 0
	done
	fail "$what: always more than $limit_ms ms"
}

kill_data() {
	kill -KILL "$(data_pid)"
}

replace_ringwayd() {
	kill_ringwayd
	start_ringwayd
}

replace_both() {
	kill_data
	replace_ringwayd
}

restart() {
	stop_ringwayd
	start_ringwayd
}

all=$((${#guests[@]} * disks))
start_xen
start_ringwayd
for guest in "${guests[@]}"; do
	create_domain "$guest"
	for vdev in "${vdevs[@]}"; do
		truncate -s 256K "$work/$guest.$vdev.img"
		dom0 ringway attach "$guest" "file:$work/$guest.$vdev.img" --vdev "$vdev" >/dev/null
	done
done
for guest in "${guests[@]}"; do
	start_load "$guest" "$guest" --in-flight 2 --ring-pages 1 --data-pages 16 --max-bytes 16384 "${vdevs[@]}"
done
wait_for 10 all_attached $all || fail "not all disks are attached"

measure "a kill of the data process" kill_data
measure "a kill of ringwayd" replace_ringwayd
measure "a kill of both" replace_both
measure "a restart" restart
for guest in "${guests[@]}"; do
	stop_load "$guest"
done
stop_ringwayd
