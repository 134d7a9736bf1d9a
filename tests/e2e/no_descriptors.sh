#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Out of file descriptors, ringwayd leaves clients of its query socket in the queue: it neither spins nor forgets them.
. "$(dirname "$0")/lib.sh"
requires prlimit

start_xen
start_ringwayd
create_domain guest
dom0 ringway attach guest null:1M --vdev xvda >/dev/null

cpu_ticks() {
	local fields
	read -ra fields <"/proc/$ringwayd_pid/stat"
	echo $((fields[13] + fields[14]))
}

# The first that is free is over the limit.
first_free=0
while [ -e "/proc/$ringwayd_pid/fd/$first_free" ]; do
	first_free=$((first_free + 1))
done
limit=$(prlimit --pid "$ringwayd_pid" --nofile --noheadings --output SOFT)
prlimit --pid "$ringwayd_pid" --nofile="$first_free:"
before=$(cpu_ticks)
dom0 timeout 1.5 ringway show guest xvda --json >"$work/show.log" 2>&1 && fail "it was answered all the same: $(cat "$work/show.log")"
spent=$((($(cpu_ticks) - before) * 1000 / $(getconf CLK_TCK)))
[ $spent -lt 50 ] || fail "ringwayd spent $spent of 1500 ms on a client that it has no descriptor for"

prlimit --pid "$ringwayd_pid" --nofile="$limit:"
dom0 ringway show guest xvda --json >/dev/null || fail "it is not answered with descriptors again"
stop_ringwayd
