#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A journal that is missing, another ring's, or damaged when ringwayd comes back: what the guest has in flight is unknown,
# and nothing is guessed. That disk is closed, with the reason, and its frontend can begin anew; another guest's load goes on
# all the while.
. "$(dirname "$0")/lib.sh"
requires jq

# Where things are in backend/journal.h.
domid_at=$((16 + 16)) evtchn_at=$((16 + 16 + 5 * 4)) entries_at=512 entry_bytes=128

# write_at OFFSET: what comes in, into the journal.
write_at() {
	dd of="$journal" bs=1 seek="$1" conv=notrunc status=none
}

# flip OFFSET: one bit.
flip() {
	local byte
	byte=$(od -An -tu1 -j"$1" -N1 "$journal")
	# shellcheck disable=SC2059
	printf "\\x$(printf %x $((byte ^ 1)))" | write_at "$1"
}

lose() {
	rm "$journal"
}

empty() {
	: >"$journal"
}

of_another_domain() {
	flip "$domid_at"
}

of_another_port() {
	flip "$evtchn_at"
}

# No entry can be answered with a number, and free.
spoil_entries() {
	local at size
	size=$(stat -c %s "$journal")
	for ((at = entries_at; at < size; at += entry_bytes)); do
		printf '\1\0\0\0\0\0\0\0' | write_at "$at"
	done
}

# taken_twice: two entries about one request, both in flight.
taken_twice() {
	local i
	for i in 1 2; do
		printf '\0\0\0\0\1\0\0\0' | write_at $((entries_at + i * entry_bytes))
		dd if="$journal" bs=1 skip=260 count=4 status=none | write_at $((entries_at + i * entry_bytes + 8))
	done
	flip 260 # one more was taken than the guest has asked for
}

load_has_ended() {
	! kill -0 "${load_pids[$1]}"
}

# closed HOW REASON: with its journal like that, the disk is closed.
closed() {
	start_load victim victim --seed "$RANDOM" xvda
	stop_ringwayd
	"$1"
	: >"$work/ringwayd.log"
	start_ringwayd
	wait_for 20 load_has_ended victim || fail "$1: the victim's disk is not closed: $(dom0 ringway list)"
	wait "${load_pids[victim]}" && fail "$1: the victim has noticed nothing"
	unset "load_pids[victim]"
	grep -qE "did not come back in time \(it is [A-Za-z]+: $2" "$work/load.victim.log" ||
		fail "$1: the victim was not told '$2'"
	node "$back/error" | grep -q "^$2" || fail "$1: the error node is '$(node "$back/error")'"
	same "$(grep -cE "vbd $id/51712: $2" "$work/ringwayd.log")" 1 "$1: lines in the log"
	[ ! -e "$journal" ] || fail "$1: the journal is still there"
	load_goes_on other
	start_load victim victim --seed "$RANDOM" xvda
	load_goes_on victim
	stop_load victim
}

truncate -s 4M "$work/victim.img" "$work/other.img"
start_xen
start_ringwayd
for guest in other victim; do
	create_domain $guest
	dom0 ringway attach $guest "file:$work/$guest.img" --vdev xvda >/dev/null
done
id=$domid
back=$(backend_dir "$id" 51712)
journal=$RINGWAY_RUNDIR/journal/$id-51712-0
start_load other other xvda

closed lose 'its journal is missing'
closed empty 'its journal is damaged: it has no header'
closed of_another_domain 'its journal is of another ring: the domain differs'
closed of_another_port 'its journal is of another ring: event-channel differs'
closed spoil_entries "the ring's journal is damaged"
closed taken_twice "the ring's journal is damaged"

stop_load other
for guest in other victim; do
	dom0 ringway detach $guest xvda
done
stop_ringwayd
