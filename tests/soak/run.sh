#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The storm: four guests on loopback Xen work with their disks and verify all that they read, while the data process and
# ringwayd are killed over and over, in a random order, at random instants, also in the middle of their recovery. No guest
# may see an error or anything that it did not write last, and afterwards nothing is left behind. What the guests saw of it
# are pauses, which are printed. Usage: tests/soak/run.sh BUILD; in the environment
#   KILLS_DATA=1000  KILLS_CONTROL=200   how many
#   ON_DISK=2        the images of so many guests are in /var/tmp; the others', in memory, never make anybody wait
#   SEED             of the order and the waits, as printed by a storm before
# The last line is "N passed, N failed".
TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../e2e/lib.sh"
requires jq

kills_data=${KILLS_DATA:-1000} kills_control=${KILLS_CONTROL:-200} on_disk=${ON_DISK:-2}
seed=${SEED:-$RANDOM}
guests=(guest1 guest2 guest3 guest4)
passed=0 failed=0 images=$(mktemp -d /var/tmp/ringway.XXXXXX)

finish() {
	local rc=$?
	set +e
	[ $rc -eq 0 ] || [ $failed -gt 0 ] || failed=1
	rm -rf "$images"
	echo "$passed passed, $failed failed"
	return $rc
}
trap 'finish; clean_up' EXIT

# check WHAT COMMAND...: one result.
check() {
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok    $what"
	else
		failed=$((failed + 1))
		echo "FAIL  $what"
	fi
}

start_guests() {
	local guest dir n=0
	for guest in "${guests[@]}"; do
		dir=$work
		[ $((n += 1)) -gt "$on_disk" ] || dir=$images
		truncate -s 16M "$dir/$guest.img"
		create_domain "$guest"
		dom0 ringway attach "$guest" "file:$dir/$guest.img" --vdev xvda >/dev/null
	done
}

# --- the storm

# wait_ms MS: part of the storm.
wait_ms() {
	local seconds
	printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
	read -rt "$seconds" <> <(:) || :
}

# Mostly until a data process has lived so long that its end is not followed by a pause of ringwayd's (0.5 s), and now and
# then right into the recovery.
wait_a_while() {
	if [ $((RANDOM % 4)) -eq 0 ]; then
		wait_ms $((RANDOM % 80))
	else
		wait_for 60 data_pid || fail "there is no data process"
		wait_ms $((500 + RANDOM % 200))
	fi
}

all_served() {
	all_attached ${#guests[@]}
}

# Or the recovery itself is hit.
perhaps_recover() {
	[ $((RANDOM % 3)) -ne 0 ] || wait_for 60 all_served || fail "the disks are not attached again: $(dom0 ringway list)"
}

# Of the process that runs then; ringwayd starts another.
kill_data() {
	wait_for 60 data_pid || fail "there is no data process"
	until kill -KILL "$(data_pid)" 2>/dev/null; do
		wait_for 60 data_pid || fail "there is no data process"
	done
}

# Its successor may be killed before it has got anywhere.
replace_control() {
	kill_ringwayd
	launch_ringwayd
}

loads_go_on() {
	local guest
	for guest in "${guests[@]}"; do
		kill -0 "${load_pids[$guest]}" 2>/dev/null || {
			cat "$work/load.$guest.log"
			return 1
		}
	done
}

storm() {
	local data=$kills_data control=$kills_control done=0
	while [ $((data + control)) -gt 0 ]; do
		wait_a_while
		if [ $((RANDOM % (data + control))) -lt "$data" ]; then
			kill_data
			data=$((data - 1))
		else
			replace_control
			control=$((control - 1))
		fi
		perhaps_recover
		loads_go_on || return 1
		[ $(((done += 1) % 100)) -ne 0 ] || echo "$done kills, $SECONDS s"
	done
	wait_for 60 test -S "$RINGWAY_RUNDIR/ringwayd.sock" && wait_for 60 all_served
}

# --- afterwards

ends_right() {
	kill "${load_pids[$1]}" && wait "${load_pids[$1]}" &&
		[ "$(tail -1 "$work/load.$1.out" | jq -c '[.errors, .mismatches]')" = "[0,0]" ] && return
	cat "$work/load.$1.log"
	return 1
}

# say_pauses WHERE GUEST...: in one line.
say_pauses() {
	local guest
	[ $# -gt 1 ] || return 0
	echo -n "guests with disks $1: "
	for guest in "${@:2}"; do
		tail -1 "$work/load.$guest.out"
	done | jq -rs '(map(.requests) | add) as $requests | (map(.pauses_ms[]) | sort) as $all | ($all | length) as $n |
		"\($requests) requests; \($n) pauses of 20 ms or more, median \($all[($n / 2 | floor)] // 0) ms, " +
		"longest \($all[-1] // 0) ms"'
}

# files_of PID: its open files, without what differs from one process to the next.
files_of() {
	local fd
	for fd in "/proc/$1/fd"/*; do
		readlink "$fd"
	done | sed -E 's/:\[[0-9]+\]$//; s/fence\.[0-9.]+/fence.N/' | sort | uniq -c
}

# All that could be left behind, with every disk attached and none in use.
left() {
	local pid
	xenloop list --json | jq -c '.[] | {name, state, grants, maps, ports, handles, processes}'
	for pid in "$ringwayd_pid" "$(data_pid)"; do
		ps -o comm= "$pid"
		files_of "$pid"
		grep -c memfd: "/proc/$pid/maps" || :
	done
	find "$RINGWAY_RUNDIR" -mindepth 1 | sed -E 's/fence\.[0-9.]+/fence.N/' | sort
}

as_before() {
	left >"$work/after"
	cmp -s "$work/before" "$work/after"
}

nothing_is_left() {
	wait_for 20 as_before || diff "$work/before" "$work/after"
}

echo "SEED=$seed KILLS_DATA=$kills_data KILLS_CONTROL=$kills_control ON_DISK=$on_disk"
start_xen
start_ringwayd
start_guests
for guest in "${guests[@]}"; do
	start_load "$guest" "$guest" xvda
done
for guest in "${guests[@]}"; do
	stop_load "$guest" # what is made once, is made
done
wait_for 10 data_pid || fail "there is no data process"
left >"$work/before"
for guest in "${guests[@]}"; do
	start_load "$guest" "$guest" xvda
done

RANDOM=$seed SECONDS=0
check "$kills_data kills of the data process, $kills_control of ringwayd" storm
echo "the storm took $SECONDS s"
for guest in "${guests[@]}"; do
	check "$guest has seen no error and no wrong data" ends_right "$guest"
	unset "load_pids[$guest]"
done
check "nothing is left behind" nothing_is_left
say_pauses "on disk" "${guests[@]:0:on_disk}"
say_pauses "in memory" "${guests[@]:on_disk}"
[ $failed -eq 0 ]
