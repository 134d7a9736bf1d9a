#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two loopback Xens of one user, with the same domids, each with its ringwayd and a guest's verified I/O: they do not see
# each other, one that is killed does not disturb the other, and going down leaves no process and no file.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy jq

use() {
	export XENLOOP_DIR=$work/$1 RINGWAY_RUNDIR=$work/run.$1
}

# A disk with what $work/in.NAME says, served by this instance's ringwayd to its first domain, NAME.
start_stack() {
	use "$1"
	start_xen
	start_ringwayd
	started_pids+=("$ringwayd_pid")
	ringwayd_pid=''
	create_domain "$1"
	same "$domid" 1 "first domain of instance $1"
	truncate -s 4M "$work/$1.img"
	dom0 ringway attach "$1" "file:$work/$1.img" --vdev xvda >/dev/null
	start_guest_disk "$1" xvda
}

# Write, read back and compare, over and over, until told to stop; a byte in $work/passes.NAME for each time.
keep_verifying() {
	local uri
	uri=$(nbd_uri "$work/nbd.$1.xvda")
	while [ ! -e "$work/stop.$1" ]; do
		head -c 4M /dev/urandom >"$work/in.$1"
		nbdcopy --flush "$work/in.$1" "$uri" && nbdcopy "$uri" "$work/out.$1" || return 1
		cmp "$work/in.$1" "$work/out.$1" && cmp "$work/in.$1" "$work/$1.img" || return 1
		echo -n . >>"$work/passes.$1"
	done 2>>"$work/io.$1.log"
}

passes() {
	stat -c %s "$work/passes.$1" 2>/dev/null || echo 0
}

has_passed() {
	[ "$(passes "$1")" -ge "$2" ]
}

only_log_left() {
	[ "$(ls -A "$work/two")" = log ]
}

# The processes of an instance: those that it was told of, and those that know of it.
processes_of() {
	grep -lzsx "XENLOOP_DIR=$work/$1" /proc/[0-9]*/environ || :
}

start_stack one
start_stack two
same "$(node /local/domain/1/name)" two "name in the second instance"
use one
same "$(node /local/domain/1/name)" one "name in the first instance"
xenloop exec one -- xenstore-ls /local/domain/1 >/dev/null || fail "a guest cannot read its own subtree"
xenloop exec one -- xenstore-write /local/domain/0/evil 1 2>/dev/null && fail "a guest wrote into dom0's subtree"
xenloop exec one -- xenstore-write name evil 2>/dev/null && fail "a guest wrote its own name"
xenloop exec two -- true 2>/dev/null && fail "the first instance knows the second's guest"

keep_verifying one &
one=$!
keep_verifying two &
two=$!
started_pids+=("$one" "$two")
wait_for 30 has_passed one 2 || fail "no I/O in the first instance"
wait_for 30 has_passed two 2 || fail "no I/O in the second instance, beside the first"
shown=$(xenloop list --json)

kill -KILL "$(hypervisor_pid "$work/two")"
wait "$two" && fail "the second guest's I/O goes on without a hypervisor"
wait_for 10 only_log_left || fail "files are left: $(ls "$work/two")"
now=$(passes one)
wait_for 30 has_passed one $((now + 3)) || fail "I/O of the first instance stopped with the second"
same "$(xenloop list --json)" "$shown" "what the first instance shows"

# The second can be started again, beside the first one's I/O, and goes down in order.
rm -f "$work/passes.two"
start_stack two
keep_verifying two &
two=$!
started_pids+=("$two")
now=$(passes one)
wait_for 30 has_passed two 2 || fail "no I/O in the second instance after it was started again"
touch "$work/stop.two"
wait "$two" || fail "I/O of the second instance: $(cat "$work/io.two.log")"
xenloop down
wait_for 30 has_passed one $((now + 3)) || fail "I/O of the first instance stopped as the second went down"
touch "$work/stop.one"
wait "$one" || fail "I/O of the first instance: $(cat "$work/io.one.log")"
[ ! -e "$work/two" ] || [ -z "$(ls -A "$work/two")" ] || fail "files are left: $(ls -A "$work/two")"
use one
same "$(xenloop list --json)" "$shown" "what the first instance shows"
xenloop down
same "$(processes_of two)$(pgrep -f "$work/two")" "" "processes that are left"
