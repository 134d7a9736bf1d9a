#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The fence: a data process is killed while its writes are still on their way to the disk, and they arrive late. Nothing is
# done again, answered or begun on the disk before the last of them, or a late one would undo what the guest has written
# since. The disk is one that keeps writes until this test lets them land (tests/late_disk): the hazard of a slow device,
# but certain. With ringwayd killed too, its successor keeps to the same; and with ringwayd alone, whose data process lives
# on to answer.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy

bytes=$((1024 * 1024))
disk=$work/disk trace=$work/disk.trace

# serve_disk: $to_disk is where its orders go.
serve_disk() {
	truncate -s $bytes "$work/image"
	: >"$disk"
	mkfifo "$work/orders"
	"$build/tests/late_disk" "$disk" "$work/image" <"$work/orders" >>"$trace" 2>"$work/disk.log" &
	disk_pid=$!
	exec {to_disk}>"$work/orders"
	wait_for 10 has_started || fail "the disk does not start"
	kill -0 $disk_pid 2>/dev/null || {
		cat "$work/disk.log"
		exit 77
	}
}

has_started() {
	mountpoint -q "$disk" || ! kill -0 $disk_pid
}

end_disk() {
	order end
	wait $disk_pid
}

order() {
	echo "$1" >&"$to_disk"
}

# traced WORD: as many bytes, in all, as there are on the disk.
traced() {
	[ "$(awk -v word="$1" '$1 == word { sum += $2 } END { print sum + 0 }' "$trace")" -eq $bytes ]
}

# fill LETTER: what the guest is to write, all over the disk.
fill() {
	head -c $bytes /dev/zero | tr '\0' "$1" >"$work/$1"
}

# The guest's part: A, and as soon as that is answered, B in its place.
write_twice() {
	nbdcopy --flush "$work/A" "$(nbd_uri "$nbd")" && : >"$work/A.answered" &&
		nbdcopy --flush "$work/B" "$(nbd_uri "$nbd")" && : >"$work/B.answered"
}

start_writing() {
	rm -f "$work"/*.answered
	order hold
	: >"$trace"
	write_twice 2>>"$work/nbdcopy.log" &
	writer=$!
	started_pids+=("$writer")
	wait_for 20 traced held || fail "not all of the guest's writes are on their way: $(cat "$trace")"
	order pass
}

start_control() {
	: >"$work/ringwayd.log"
	start_ringwayd
}

kill_data() {
	kill -KILL "$data"
}

kill_control() {
	kill -KILL "$ringwayd_pid"
	wait "$ringwayd_pid" 2>/dev/null || :
}

# It says so, once it has waited for some time.
waits_or_has_gone_on() {
	[ -e "$work/B.answered" ] || grep -qE 'I/O is still under way|waiting for the end of the I/O' "$work/ringwayd.log"
}

# goes_on VICTIMS: they were killed with all of the guest's writes on their way. Whoever comes now may write at once.
goes_on() {
	wait_for 30 waits_or_has_gone_on || fail "$1: ringwayd does not say what it waits for"
	cp "$trace" "$work/trace.before"
	dom0 ringway show guest xvda >"$work/show.log" || fail "$1: ringway show"
	order land
	wait_for 20 traced landed || fail "$1: $(cat "$trace")"
	wait_for 20 test -e "$work/B.answered" || fail "$1: the guest has no answer"
	wait "$writer"
	cmp "$work/B" "$work/image" || fail "$1: a write of the dead process landed after what was answered since"
	! grep came "$work/trace.before" || fail "$1: written to while writes of the dead process were under way"
	grep -q 'waiting for' "$work/show.log" || fail "$1: ringway show does not say what is waited for"
}

fill A
fill B
serve_disk
trap 'rc=$?; set +e; end_disk; (exit $rc); clean_up' EXIT
start_xen
create_domain guest
start_control
dom0 ringway attach guest "file:$disk" --vdev xvda >/dev/null
! grep -q 'no O_DIRECT' "$work/ringwayd.log" || fail "the disk is not used with O_DIRECT"
start_guest_disk guest xvda

for victims in data 'data control' control; do
	data=$(pgrep -P "$ringwayd_pid" -x ringwayd-data)
	start_writing
	for victim in $victims; do
		"kill_$victim"
	done
	[ "$victims" = data ] || start_control
	goes_on "$victims"
done
stop_guest_disk
dom0 ringway detach guest xvda
stop_ringwayd
[ -z "$(compgen -G "$RINGWAY_RUNDIR/fence.*")" ] || fail "a fence is left behind"
