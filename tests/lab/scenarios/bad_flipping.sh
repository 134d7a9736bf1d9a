# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest that for a minute flips its frontend's state as fast as it can: to any state and none, between those that make a
# backend connect and close, with a ring that works, with one that it breaks, and with nonsense. Its disk serves it again after
# each. A neighbour's I/O goes on, ringwayd takes little of the CPU and logs little, xl answers, and the guest can be destroyed
# in the middle of it.
# shellcheck disable=SC2034 # read by run.sh
programs=(tests/hostile_front)

guest() {
	local storm seconds
	while read -r storm seconds; do
		xenstore-write data/storm "$storm"
		hostile_front "$storm" --vdev xvda --seconds "$seconds"
	done <<-END
		state-flips 15
		connect-flips 15
		reconnect-storm 10
		break-storm 10
		refusal-storm 10
	END
	xenstore-write data/storm last
	hostile_front connect-flips --vdev xvda --seconds 10000
}

# CPU time of a program's processes, in 1/100 s.
cpu_of() {
	local pid stat sum=0
	for pid in $(pidof "$@"); do
		read -ra stat <"/proc/$pid/stat"
		sum=$((sum + stat[13] + stat[14]))
	done
	echo $sum
}

log_lines() {
	journalctl -q -u ringwayd -o cat | wc -l
}

# Each may bring as many lines as a limiter lets through at once, twice: control's and the data process's.
judge() {
	local cpu=$1 lines=$2 took=$3
	cpu=$((($(cpu_of ringwayd) - cpu) / took)) lines=$(($(log_lines) - lines))
	echo "in $took s: $cpu % of the CPU for ringwayd, $lines lines"
	[ $lines -le 150 ] || fail "$lines lines in the log"
	[ $cpu -le 50 ] || fail "ringwayd uses $cpu % of the CPU"
}

dom0() {
	local data cpu lines start
	start_ringwayd
	start_neighbour
	census >/run/before
	truncate -s 16M /root/disk.img
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]"
	data=$(dir_of one)/data
	wait_node 60 "$data/storm" state-flips
	cpu=$(cpu_of ringwayd) lines=$(log_lines) start=$SECONDS
	expect_neighbour
	wait_node 60 "$data/storm" reconnect-storm
	expect_neighbour
	wait_node 120 "$data/storm" last || fail "the guest is not served: $(tail -3 "$(guest_log one)")"
	judge "$cpu" "$lines" $((SECONDS - start))
	xl block-list one || fail 'xl does not list the disks of the guest'
	ringway list
	xl destroy one
	expect_census /run/before
	expect_neighbour
	stop_neighbour
}
