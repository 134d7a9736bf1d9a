#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Benches on loopback Xen: each case compares ringwayd with peers in one run, in rounds that alternate, and reports medians.
# Prints a table, and leaves the cases in BUILD/bench/block.json: a list of {"case", "unit", "ringway", "peers", "ratio"}.
# A ratio is ringway's rate in units of the peer's, the median of the rounds' own. Usage: tests/bench/run.sh BUILD [ROUNDS]
set -euo pipefail

rounds=${2:-15}
. "$(dirname "$(realpath "$0")")/../e2e/lib.sh"
requires jq taskset
seconds=1

# start_host NAME FLAGS...: a loopback Xen with a ringwayd and a guest that has a null disk.
start_host() {
	local name=$1
	export XENLOOP_DIR=$work/$name/xen RINGWAY_RUNDIR=$work/$name/run
	mkdir -p "$work/$name"
	xenloop up >"$work/$name.xenloop.log" 2>&1 || fail "xenloop up"
	hosts+=("$name")
	xenloop exec 0 -- ringwayd "${@:2}" >>"$work/$name.ringwayd.log" 2>&1 &
	daemons[$name]=$!
	started_pids+=($!)
	wait_for 10 test -S "$RINGWAY_RUNDIR/ringwayd.sock" || fail "ringwayd did not start"
	wait_for 10 pin_data_process "$name" || fail "no data process"
	create_domain guest
	dom0 ringway attach guest null:1G --vdev xvda >/dev/null
}

# The data process has the first CPU, guests the last: where they meet is not left to chance.
pin_data_process() {
	data[$1]=$(pgrep -P "${daemons[$1]}" -x ringwayd-data) && taskset -acp 0 "${data[$1]}" >/dev/null
}

in_host() {
	XENLOOP_DIR=$work/$1/xen RINGWAY_RUNDIR=$work/$1/run "${@:2}"
}

# cpu_ns PID: what all threads of a process have used.
cpu_ns() {
	awk '{ns += $1} END {printf "%.0f\n", ns}' /proc/"$1"/task/*/schedstat
}

# cpu_per_request NAME BYTES DEPTH: nanoseconds that the host's data process spent on each of the guest's reads.
cpu_per_request() {
	local before after answered
	before=$(cpu_ns "${data[$1]}")
	answered=$(in_host "$1" domU guest taskset -c $(($(nproc) - 1)) "$build/tests/blkbench" xvda "$2" "$3" "$seconds" |
		jq .requests)
	after=$(cpu_ns "${data[$1]}")
	[ "$answered" -gt 0 ] || fail "$1: nothing was answered"
	echo $(((after - before) * 1000 / answered))
}

# What the journal costs: the null engine's reads with it, and with a data process that is built without its stores.
journal_cost() {
	local round
	start_host journal
	start_host no-journal --data-binary "$build/bench/no-journal/bin/ringwayd-data"
	for ((round = 0; round < rounds; round++)); do
		echo "$(cpu_per_request journal 4096 32) $(cpu_per_request no-journal 4096 32)"
	done | jq -Rn '
		def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;
		[inputs / " " | map(tonumber / 1000)]
		| {case: "journal-cost", unit: "ns of the data process per 4 KiB read of the null engine, 32 in flight",
		   ringway: (map(.[0]) | median), peers: {"no-journal": (map(.[1]) | median)},
		   ratio: {"no-journal": (map(.[1] / .[0]) | median)}}'
}

stop_hosts() {
	local name
	for name in "${hosts[@]}"; do
		in_host "$name" xenloop down >/dev/null 2>&1 || :
	done
}

declare -A daemons data
hosts=()
trap 'rc=$?; stop_hosts; (exit $rc); clean_up' EXIT
mkdir -p "$build/bench"
journal_cost >"$work/cases"
jq -s . "$work/cases" >"$build/bench/block.json"
jq -r '.[] | .case as $case | .ringway as $ours | (.ratio | to_entries[]) as $r
	| [$case, ($ours | round), $r.key, (.peers[$r.key] | round), ($r.value * 1000 | round / 1000), .unit] | @tsv' \
	"$build/bench/block.json" | column -t -s $'\t' -N case,ringway,peer,its,ratio,unit
