#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# kill -9 of ringwayd-data, of ringwayd and of the guest's disk server during I/O, in several orders: xenloop then shows
# what it showed before they were started, and ringwayd, started again by hand, serves the same disk.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy jq

# What a domain holds, in one line.
holds() {
	xenloop list --json | jq -r ".[] | select(.name == \"$1\") | \"\(.state) grants=\(.grants) maps=\(.maps)\" +
		\" ports=\(.ports) handles=\(.handles) processes=\(.processes)\""
}

shows_again() {
	[ "$(holds Domain-0)" = "$dom0_before" ] && [ "$(holds guest)" = "$guest_before" ]
}

shows_idle() {
	[ "$(holds Domain-0)" = "$dom0_idle" ] && [ "$(holds guest)" = "$guest_before" ]
}

# Write the disk over and over; $work/passes has a byte for each time.
keep_writing() {
	while nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")" 2>>"$work/nbdcopy.log"; do
		echo -n . >>"$work/passes"
	done
}

start_daemons() {
	: >"$work/ringwayd.log"
	start_ringwayd
	wait_for 10 grep -q 'data process .* is ready' "$work/ringwayd.log" || fail "no data process"
	data=$(pgrep -P "$ringwayd_pid" -x ringwayd-data)
}

start_guest() {
	rm -f "$work/passes"
	start_guest_disk guest xvda
	front=$(cat "$nbd.pid")
	keep_writing &
	writer=$!
	started_pids+=("$writer")
	wait_for 20 test -s "$work/passes" || fail "the guest's disk does not work"
	shows_again && fail "xenloop does not show what runs"
	return 0
}

# Kill what $1 names, and wait for it where it is ours to wait for.
kill_hard() {
	case $1 in
	data) kill -KILL "$data" ;;
	control)
		kill -KILL "$ringwayd_pid"
		wait "$ringwayd_pid" || :
		ringwayd_pid=''
		;;
	front)
		kill -KILL "$front"
		wait "$nbd_pid" || :
		;;
	esac
}

truncate -s 8M "$work/disk.img"
head -c 8M /dev/urandom >"$work/in"
start_xen
create_domain guest
dom0_before=$(holds Domain-0) guest_before=$(holds guest)

# ringwayd outlives its data process, and has another one.
start_daemons
dom0_idle=$(holds Domain-0)
dom0 ringway attach guest "file:$work/disk.img" --vdev xvda >/dev/null
start_guest
kill_hard data
kill_hard front
wait "$writer" || :
wait_for 20 shows_idle || fail "with another data process dom0 has $(holds Domain-0), had $dom0_idle"
kill_hard control
wait_for 20 shows_again || fail "the second data process stays: $(holds Domain-0)"

for order in "data control front" "front data control" "control front" "front control data" "data front control"; do
	start_daemons
	start_guest
	for victim in $order; do
		kill_hard "$victim" 2>/dev/null || fail "$victim is not there to be killed ($order)"
	done
	wait "$writer" || :
	wait_for 20 shows_again || fail "after $order:
dom0:  $(holds Domain-0)
was:   $dom0_before
guest: $(holds guest)
was:   $guest_before"
done

start_daemons
start_guest
kill "$writer" 2>/dev/null
wait "$writer" || :
nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")"
cmp "$work/in" "$work/disk.img" || fail "the disk differs from what was written after all kills"
stop_guest_disk
stop_ringwayd
wait_for 10 shows_again || fail "an orderly end leaves: $(holds Domain-0), $(holds guest)"
