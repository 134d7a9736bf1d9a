#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A hostile guest runs every attack of tests/hostile_front in turn, on a disk attached anew for each. The backend must
# answer as the attack demands. Meanwhile another guest's verified I/O must not fail, nor get slower than a third of what
# it is while the hostile guest spends as much CPU time on nothing: an attack is compared with a connected disk that is
# not used and none, one or two busy threads beside it, the first of them that takes no less CPU time than the attacker.
# Daemons, log, memory, descriptors and xenstore nodes stay as they are.
. "$(dirname "$0")/lib.sh"
requires nbdkit fio jq

front=$build/tests/hostile_front
seconds=${SECONDS_PER_ATTACK:-0.3}
only=${ATTACKS:-}
seed=${SEED:-1}
max_slowdown=3
max_log_lines=25
clock_ticks=$(getconf CLK_TCK)
declare -A mode_of
while IFS=$'\t' read -r attack _ mode _; do
	mode_of[$attack]=$mode
done < <("$front" --list)
mapfile -t attacks < <("$front" --list | cut -f1 | grep -vxE 'idle|busy-loops?')
[ -z "$only" ] || read -ra attacks <<<"$only"

# In memory, unaffected by what else the machine's disk is used for. Once attached it needs no name.
honest_image=$(mktemp -p /dev/shm ringway.XXXXXX 2>/dev/null) || honest_image=$work/honest.img
truncate -s 64M "$honest_image" "$work/hostile.img"
start_xen
start_ringwayd
data_pid=$(pgrep -P "$ringwayd_pid" -x ringwayd-data)
create_domain honest
create_domain hostile
dom0 ringway attach honest "file:$honest_image" --vdev xvda >/dev/null
rm "$honest_image"

# Memory that a sanitizer keeps back is no leak.
max_growth_kib=8192
[ -z "$instrument" ] || max_growth_kib=262144

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

log_lines() {
	wc -l <"$work/ringwayd.log"
}

rss_kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

# Descriptors and mappings of both daemons, and what is in dom0's part of the store.
holdings() {
	local pid
	for pid in "$ringwayd_pid" "$data_pid"; do
		echo "fds $(find "/proc/$pid/fd" -mindepth 1 | wc -l)"
	done
	# A sanitizer maps and unmaps memory for itself; there, guests' pages count alone.
	echo "mappings $(grep -v heap "/proc/$data_pid/maps" | grep -c "${instrument:+memfd:xenloop}")"
	dom0 xenstore-ls /local/domain/0/backend | grep -vE 'state|error'
}

# What the honest guest has had answered, by the daemon's counters, is then in $served.
read_served() {
	local show counter='requests": ([0-9]+)'
	show=$(dom0 ringway show honest xvda --json) || return 1
	[[ $show =~ \"read_$counter.*\"write_$counter ]] || return 1
	served=$((BASH_REMATCH[1] + BASH_REMATCH[2]))
}

count_served() {
	read_served || fail "$attack: the honest guest is not served: $(dom0 ringway show honest xvda --json)"
}

start_honest_io() {
	start_guest_disk honest xvda
	fio --name=honest --ioengine=nbd --uri="$(nbd_uri "$nbd")" --rw=randwrite --bs=4k --size=16M --iodepth=8 \
		--verify=crc32c --verify_backlog=64 --verify_fatal=1 --verify_state_save=0 --time_based --runtime=1000 \
		--output-format=json --output="$work/fio.json" >"$work/fio.log" 2>&1 &
	fio_pid=$!
	started_pids+=("$fio_pid")
	wait_for 10 honest_does_io || fail "the honest guest's I/O does not begin"
}

honest_does_io() {
	read_served && [ "$served" -gt 100 ]
}

stop_honest_io() {
	kill -INT "$fio_pid" || fail "the honest guest's I/O has ended by itself"
	wait "$fio_pid" || :
	# A line about the signal comes before the document.
	sed -n '/^{/,$p' "$work/fio.json" | jq -e '.jobs[0] | .error == 0 and .write.total_ios > 0 and .read.total_ios > 0' >"$work/fio.ok" ||
		fail "the honest guest's I/O failed, or its data is wrong: $(cat "$work/fio.log")"
}

# CPU time of a process, in ms.
cpu_of() {
	local fields
	read -ra fields <"/proc/$1/stat"
	echo $(((fields[13] + fields[14]) * 1000 / clock_ticks))
}

# run ATTACK: with a disk of its own. Then there are in $took_ms its time, in $rounds how often it attacked, in $cpu_ms
# its CPU time, in $control_ms ringwayd's and in $answered what the honest guest got done meanwhile.
run() {
	local begin before control user system TIMEFORMAT='%3U %3S'
	attack=$1
	dom0 ringway attach hostile "file:$work/hostile.img" --vdev xvda --mode "${mode_of[$attack]}" >/dev/null ||
		fail "no disk for $attack"
	count_served
	before=$served
	control=$(cpu_of "$ringwayd_pid")
	begin=$(now_ms)
	{
		time domU hostile timeout -k 5 60 "$front" "$attack" --vdev xvda --seed "$seed" --seconds "$seconds" \
			>>"$work/attacks.log" 2>&1
	} 2>"$work/time" || fail "$attack: $(tail -2 "$work/attacks.log")"
	took_ms=$(($(now_ms) - begin + 1))
	control_ms=$(($(cpu_of "$ringwayd_pid") - control))
	count_served
	answered=$((served - before))
	[[ $(tail -1 "$work/attacks.log") =~ ([0-9]+)\ rounds$ ]] || fail "$attack does not say how often"
	rounds=${BASH_REMATCH[1]}
	read -r user system <"$work/time"
	cpu_ms=$((10#${user/./} + 10#${system/./}))
	nodes=$(dom0 xenstore-ls /local/domain/0/backend | wc -l)
	[ "$nodes" -lt 80 ] || fail "$attack: $nodes nodes under backend"
	dom0 ringway detach hostile xvda >/dev/null || fail "$attack: the disk can't be detached"
	kill -0 "$ringwayd_pid" "$data_pid" || fail "$attack: a daemon is gone"
	kill -0 "$fio_pid" || fail "$attack: the honest guest's I/O has ended: $(cat "$work/fio.log")"
}

# What the honest guest gets done in a second beside a guest that burns the time of so many CPUs: the mean of the last
# four measurements.
compare_with=(idle busy-loop busy-loops)
fair_rates=('' '' '')
fair=(0 0 0)
fair_cpu=(0 0 0) # per cent of one
measure_fair() {
	local cpus rate sum rates
	for cpus in 0 1 2; do
		run "${compare_with[cpus]}"
		read -ra rates <<<"${fair_rates[cpus]}"
		rates=($((answered * 1000 / took_ms)) "${rates[@]:0:3}")
		fair_rates[cpus]=${rates[*]}
		sum=0
		for rate in "${rates[@]}"; do
			sum=$((sum + rate))
		done
		fair[cpus]=$((sum / ${#rates[@]}))
		fair_cpu[cpus]=$((cpu_ms * 100 / took_ms))
	done
}

# Too slow once may be the machine's doing; three times, with new measurements between, it is the attack's.
judge_speed() {
	local names=$1 requests=$2 ms=$3 cpu=$4 try name rate cpus fair_rate
	for ((try = 0; ; try++)); do
		rate=$((requests * 1000 / ms))
		cpus=0
		while [ $cpus -lt 2 ] && [ $((cpu * 100 / ms)) -gt $((fair_cpu[cpus] + 5)) ]; do
			cpus=$((cpus + 1))
		done
		fair_rate=${fair[cpus]}
		printf '%3d%%: %s requests/s, %s beside %s: %s\n' $((rate * 100 / fair_rate)) $rate "$fair_rate" \
			"${compare_with[cpus]}" "$names" >>"$work/speed"
		[ $((rate * max_slowdown)) -lt "$fair_rate" ] || return 0
		[ $try -lt 2 ] || fail "the honest guest does $rate requests/s during $names, $fair_rate beside ${compare_with[cpus]}"
		measure_fair
		requests=0 ms=0 cpu=0
		for name in $names; do
			run "$name"
			requests=$((requests + answered)) ms=$((ms + took_ms)) cpu=$((cpu + cpu_ms))
		done
	done
}

# Short attacks are judged together: each alone is over before a rate can be told.
run_all() {
	local name before lines names='' requests=0 ms=0 cpu=0 count=0
	for name in "${attacks[@]}"; do
		((count++ % 16)) || measure_fair
		before=$(log_lines)
		run "$name"
		lines=$(($(log_lines) - before))
		echo "$lines lines: $name" >>"$work/lines"
		echo "$((control_ms * 100 / took_ms))% of a CPU for ringwayd: $name" >>"$work/control"
		[ $lines -le $max_log_lines ] || fail "$name makes ringwayd log $lines lines"
		names+="$name " requests=$((requests + answered)) ms=$((ms + took_ms)) cpu=$((cpu + cpu_ms))
		if [ $ms -ge 300 ]; then
			judge_speed "$names" $requests $ms $cpu
			names='' requests=0 ms=0 cpu=0
		fi
	done
}

start_honest_io
# Memory is used as it is needed for the first time: the most buffers, the largest ring, the store's connection.
for attack in responses-never-consumed write-and-flush-flood refusal-storm break-storm; do
	run "$attack"
done
measure_fair
holdings >"$work/holdings.before"
control_rss=$(rss_kib "$ringwayd_pid")
data_rss=$(rss_kib "$data_pid")

run_all

# A frontend's states are looked at 40 times at once, then every 20 ms; three looks at least are a connection.
if [ -z "$only" ]; then
	run reconnect-storm
	[ "$rounds" -le $(((40 + took_ms / 20) / 3)) ] || fail "a frontend connected $rounds times in $took_ms ms"
fi

holdings >"$work/holdings.after"
diff "$work/holdings.before" "$work/holdings.after" || fail "something is left after the attacks"
[ $(($(rss_kib "$ringwayd_pid") - control_rss)) -lt $max_growth_kib ] || fail "ringwayd has grown"
[ $(($(rss_kib "$data_pid") - data_rss)) -lt $max_growth_kib ] || fail "ringwayd-data has grown"
same "$(pgrep -P "$ringwayd_pid" -x ringwayd-data)" "$data_pid" "the data process"
stop_honest_io
# The limiters have had something to do: a flood is thousands of bad requests.
[ -n "$only" ] || grep -q 'lines left out' "$work/ringwayd.log" || fail "no line was left out of the log"
sort -n "$work/lines" | tail -3
sort -n "$work/control" | tail -3
sort -n "$work/speed" | head -3
echo "RSS: ringwayd $control_rss -> $(rss_kib "$ringwayd_pid") KiB, ringwayd-data $data_rss -> $(rss_kib "$data_pid") KiB"
stop_guest_disk
stop_ringwayd
