# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What every end-to-end script begins with: a loopback Xen of its own in a temporary folder, ringwayd in its dom0, and a
# trap that ends and removes all of it, also when the script is interrupted. Source it with the build folder as $1.
# Waiting is always for a condition (wait_for), never for time to pass.
set -euo pipefail

build=$(realpath "${1:-build}")
export PATH=$build/bin:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/ringway.XXXXXX")
# The machine's own configuration of ringwayd is none of a test's business.
export XENLOOP_DIR=$work/xen RINGWAY_RUNDIR=$work/run RINGWAY_CONFIG=/dev/null
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/instrumented.sh"
collect_reports "$work/reports"
wrap_programs "$work/wrapped"
ringwayd_pid='' ringwayd_flags=() started_pids=()
declare -A load_pids=()

fail() {
	echo "FAIL: $*" >&2
	show_logs >&2
	exit 1
}

show_logs() {
	local log
	for log in "$work"/*.log; do
		[ -s "$log" ] || continue
		echo "--- $(basename "$log")"
		tail -15 "$log"
	done
}

requires() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || {
			echo "needs $program, which is not installed"
			exit 77
		}
	done
}

clean_up() {
	local rc=$? pid
	trap - EXIT INT TERM
	set +e
	kill -KILL "${load_pids[@]}" 2>/dev/null # which would wait for a backend
	for pid in "${started_pids[@]}" $ringwayd_pid; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${started_pids[@]}" "${load_pids[@]}" $ringwayd_pid; do
		wait "$pid" 2>/dev/null
	done
	[ -z "$instrument" ] || wait_for 10 has_left ringwayd-data
	[ -d "$XENLOOP_DIR" ] && xenloop down >/dev/null 2>&1
	if reported "$work"/*.log; then
		echo "FAIL: a sanitizer reported the above"
		rc=1
	fi >&2
	rm -rf "$work"
	exit $rc
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for SECONDS COMMAND...: until the command succeeds; fails after the time (which is longer for an instrumented build).
wait_for() {
	local deadline=$((SECONDS + $1 * RINGWAY_SLOW))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		read -rt 0.02 <> <(:) || :
	done
}

# has_left PROGRAM: no process of it is there any more in this script's instances. Its last words are not to be cut off.
has_left() {
	local pid
	for pid in $(pgrep -x "$1"); do
		! grep -qzs "^XENLOOP_DIR=$work/" "/proc/$pid/environ" || return 1
	done
}

dom0() {
	xenloop exec 0 -- "$@"
}

domU() {
	local domain=$1
	shift
	xenloop exec "$domain" -- "$@"
}

start_xen() {
	xenloop up >"$work/xenloop.log" 2>&1 || fail "xenloop up"
}

# hypervisor_pid DIR: the hypervisor process of the instance there. Its log is its standard output.
hypervisor_pid() {
	local pid
	for pid in $(pgrep -x xenloop-hv); do
		if [ "$(readlink "/proc/$pid/fd/1")" = "$(realpath "$1")/log" ]; then
			echo "$pid"
		fi
	done
}

# Without waiting for it.
launch_ringwayd() {
	rm -f "$RINGWAY_RUNDIR/ringwayd.sock" # of one that was killed
	xenloop exec 0 -- ringwayd "${ringwayd_flags[@]}" >>"$work/ringwayd.log" 2>&1 &
	ringwayd_pid=$!
}

start_ringwayd() {
	launch_ringwayd
	wait_for 10 test -S "$RINGWAY_RUNDIR/ringwayd.sock" || fail "ringwayd did not start"
}

stop_ringwayd() {
	kill "$ringwayd_pid"
	wait "$ringwayd_pid" || fail "ringwayd ended with $?"
	ringwayd_pid=''
}

# pause PID: stops a program of dom0's at rest. xenstored waits for the rest of a message that it has begun to read, and serves
# nobody meanwhile.
pause() {
	kill -STOP "$1"
	until timeout $((2 * RINGWAY_SLOW)) xenloop exec 0 -- xenstore-exists /local; do
		kill -CONT "$1"
		kill -STOP "$1"
	done
}

# create_domain NAME: its id is then in $domid.
# shellcheck disable=SC2034
create_domain() {
	domid=$(xenloop create "$1") || fail "xenloop create $1"
}

# start_guest_disk DOMAIN VDEV: an NBD server in the guest on its disk; its socket is then in $nbd, its pid in $nbd_pid.
start_guest_disk() {
	nbd=$work/nbd.$1.$2
	rm -f "$nbd" "$nbd.pid"
	xenloop exec "$1" -- nbdkit -f -U "$nbd" -P "$nbd.pid" "$build/lib/nbdkit-ringway-plugin.so" "device=$2" \
		>>"$work/nbdkit.$1.$2.log" 2>&1 &
	nbd_pid=$!
	started_pids+=("$nbd_pid")
	wait_for 10 test -s "$nbd.pid" || fail "the guest's nbdkit did not start"
}

stop_guest_disk() {
	kill "$nbd_pid"
	wait "$nbd_pid" || :
}

nbd_uri() {
	echo "nbd+unix:///?socket=$1"
}

# node PATH: a xenstore node's value as dom0 reads it.
node() {
	dom0 xenstore-read "$1" 2>/dev/null
}

node_is() {
	[ "$(node "$1")" = "$2" ]
}

backend_dir() {
	echo "/local/domain/0/backend/vbd/$1/$2"
}

same() {
	[ "$1" = "$2" ] || fail "$3: expected '$2', got '$1'"
}

# xen_program NAME: the path of a program of Xen's that is not in PATH, the newest version's; is then in $xen_program.
# shellcheck disable=SC2034
xen_program() {
	xen_program=$(compgen -G "/usr/lib/xen*/bin/$1" | sort -V | tail -1)
	[ -x "$xen_program" ] || {
		echo "needs $1, which is not installed (Debian: xen-utils-4.17)"
		exit 77
	}
}

# start_load DOMAIN NAME ARGUMENT...: tests/load in a domain, which goes on until stop_load; its pid is then in load_pids[NAME],
# what it says in $work/load.NAME.out and load.NAME.log.
start_load() {
	local domain=$1 name=$2
	shift 2
	rm -f "$work/load.$name.out" "$work/load.$name.log"
	xenloop exec "$domain" -- "$build/tests/load" "$@" >"$work/load.$name.out" 2>"$work/load.$name.log" &
	load_pids[$name]=$!
	wait_for 30 load_is_up "$name"
	grep -q '^connected$' "$work/load.$name.out" || fail "the load of $name does not begin"
}

load_is_up() {
	grep -q '^connected$' "$work/load.$1.out" || ! kill -0 "${load_pids[$1]}"
}

# load_report NAME: what a load has counted so far; is then in $report, as JSON.
load_report() {
	local lines
	lines=$(wc -l <"$work/load.$1.out")
	kill -USR1 "${load_pids[$1]}" 2>/dev/null || fail "the load of $1 has ended"
	wait_for 20 load_has_said "$1" "$lines" || fail "the load of $1 does not answer"
	report=$(tail -1 "$work/load.$1.out")
}

load_has_said() {
	[ "$(wc -l <"$work/load.$1.out")" -gt "$2" ] || ! kill -0 "${load_pids[$1]}"
}

# load_goes_on NAME...: each has requests answered from now on.
load_goes_on() {
	local name
	for name in "$@"; do
		load_report "$name"
		wait_for 30 load_has_done "$name" $(($(jq .requests <<<"$report") + 50)) ||
			fail "the load of $name does not go on"
	done
}

load_has_done() {
	load_report "$1"
	[ "$(jq .requests <<<"$report")" -ge "$2" ]
}

# stop_load NAME: it ends, and has found everything as it must be; what it counted is then in $report.
stop_load() {
	kill "${load_pids[$1]}" 2>/dev/null || fail "the load of $1 has ended"
	wait "${load_pids[$1]}" || fail "the load of $1 is wrong: $(cat "$work/load.$1.log")"
	unset "load_pids[$1]"
	report=$(tail -1 "$work/load.$1.out")
}

data_pid() {
	pgrep -P "$ringwayd_pid" -x ringwayd-data
}

# kill_ringwayd: without a chance to do anything.
kill_ringwayd() {
	kill -KILL "$ringwayd_pid"
	{ wait "$ringwayd_pid" || :; } 2>/dev/null
	ringwayd_pid=''
}

# all_attached NUMBER: so many devices are in data processes that run.
all_attached() {
	[ "$(dom0 ringway list --json | jq '[.devices[] | select(.phase == "connected" and .process != null)] | length')" = "$1" ]
}
