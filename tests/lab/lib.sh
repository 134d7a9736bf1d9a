# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What both halves of a scenario may call, in dom0 and in guests.
set -euo pipefail

# Nothing ever comes from it: reading it with a time limit is a pause that starts no process.
exec {silence}<> <(:)

# wait_for SECONDS COMMAND...: until the command succeeds; fails after four times the time, which is that of a machine with
# nothing else to do. There is one CPU: who asks takes it from those whom he waits for, so that soon it is asked once in a second.
wait_for() {
	local deadline=$((SECONDS + 4 * $1)) pauses=(0.1 0.2 0.3 0.5)
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || {
			echo "gave up waiting for: $*" >&2
			return 1
		}
		read -rt "${pauses[0]:-1}" -u "$silence" || :
		pauses=("${pauses[@]:1}")
	done
}

# wait_watch SECONDS PATH COMMAND...: as wait_for, but asks when something has happened below PATH in xenstore.
wait_watch() {
	local deadline=$((SECONDS + 4 * $1)) watch pid status=0
	exec {watch}< <(exec xenstore-watch "$2" 2>/dev/null)
	pid=$!
	shift 2
	# The first event is that of the watch itself.
	read -rt 5 -u "$watch" || :
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || {
			echo "gave up waiting for: $*" >&2
			status=1
			break
		}
		read -rt 10 -u "$watch" || read -rt 0.1 -u "$silence" || :
	done
	exec {watch}<&-
	kill "$pid" 2>/dev/null || :
	return $status
}

# wait_node SECONDS PATH [PATTERN]: until a xenstore node is there, and its value matches the shell pattern.
wait_node() {
	labtool wait-node $((4 * $1)) "$2" "${3:-*}"
}

# fail TEXT: the half has failed, also when it is said in a subshell, whose status nobody may look at.
fail() {
	echo "FAILED: $*" >&2
	: >/run/failed
	exit 1
}

# expect WHAT WANTED GOT
expect() {
	[ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# has PATH PATTERN: whether a xenstore node's value matches the shell pattern.
has() {
	local value
	value=$(xenstore-read "$1" 2>/dev/null) || return 1
	# shellcheck disable=SC2053
	[[ $value == $2 ]]
}

# A guest's half that does what in_guest has it do, one command after the other, until that is "end". What goes on in the
# background has to have its output elsewhere.
obey() {
	local token='' command='' status
	until [ "$command" = end ]; do
		wait_node 3600 data/todo "!($token) *"
		command=$(xenstore-read data/todo)
		token=${command%% *} command=${command#* }
		set +e
		(
			set -e
			[ "$command" = end ] || eval "$command"
		) >/run/said 2>&1 </dev/null
		status=$?
		set -e
		xenstore-write data/done "$token $status $(tail -c 1000 /run/said)"
	done
}

# use_disk DISK [PAUSE], a guest's half or dom0's neighbour: writes, reads back and compares, round after round, until dom0 says
# stop_using. The rounds are counted in data/rounds. PAUSE, in seconds, leaves others most of the CPU.
use_disk() {
	modprobe xen-blkfront
	labtool use-disk "$1" "${2:-1}" data/rounds
}
