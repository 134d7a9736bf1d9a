#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 1,000 domains that are created, used and destroyed, several at a time, leave no process, file, descriptor, shared
# memory, mapping, port or store node behind, though dom0 still maps their pages when they are destroyed.
. "$(dirname "$0")/lib.sh"

domains=${DOMAINS:-$((1000 / RINGWAY_SLOW))} workers=${WORKERS:-4}
tenant=$build/tests/tenant

# hears FD WORD: the next line there is this word.
hears() {
	local word
	read -r word <&"$1" || word=nothing
	[ "$word" = "$2" ] || fail "a guest says '$word' instead of '$2'"
}

# serve_guests WORKER COUNT: that many domains, one after the other.
serve_guests() {
	local id i guest to_host
	coproc HOST { exec xenloop exec 0 -- "$tenant" host 2>&1; }
	to_host=${HOST[1]}
	for ((i = 0; i < $2; i++)); do
		id=$(xenloop create "guest$1.$i") || fail "create"
		exec {guest}< <(exec xenloop exec "$id" -- "$tenant" guest 2>&1)
		hears "$guest" offered
		echo "$id" >&"$to_host"
		hears "$guest" served
		xenloop destroy "$id" || fail "destroy"
		hears "$guest" nothing
		exec {guest}<&-
	done
	exec {to_host}>&-
	wait "$HOST_PID" || fail "the host of worker $1"
}

round() {
	local worker pids=() pid
	for ((worker = 0; worker < workers; worker++)); do
		serve_guests "$worker" "$1" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a worker failed"
	done
}

# The open files of a process, without what differs from one socket to the next.
files_of() {
	local fd
	for fd in "/proc/$1/fd"/*; do
		readlink "$fd"
	done | sed -E 's/:\[[0-9]+\]$//' | sort | uniq -c
}

# Everything that a domain could leave behind, in one text.
left() {
	local pid
	xenloop list --json # first: it finds every end that was seen before dealt with
	for pid in "$hypervisor" "$store"; do
		echo "$(ps -o comm= "$pid"):"
		files_of "$pid"
		grep -c memfd: "/proc/$pid/maps" || :
	done
	echo "children: $(pgrep -lP "$hypervisor")"
	echo "programs: $(grep -lz "^XENLOOP_TOKEN=$instance\." /proc/[0-9]*/environ 2>/dev/null | wc -l)"
	find "$XENLOOP_DIR" | sort
	dom0 xenstore-ls -fp /
}

start_xen
hypervisor=$(hypervisor_pid "$XENLOOP_DIR")
store=$(pgrep -P "$hypervisor")
# shellcheck disable=SC2016
instance=$(dom0 sh -c 'echo "${XENLOOP_TOKEN%%.*}"')
round 1 # what is made once, is made
left >"$work/before"
round $((domains / workers))
left >"$work/after"
diff "$work/before" "$work/after" || fail "something is left after $domains domains"
same "$(grep -c ': destroyed$' "$XENLOOP_DIR/log")" $((workers + domains / workers * workers)) "domains destroyed"
