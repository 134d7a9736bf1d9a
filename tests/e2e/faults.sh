#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every call that ringwayd-data and a guest's frontend make of Xen fails, once at each place, stops or kills its process:
# the disk is then served with the right data or refused with a reason, the next one is served, and nothing is left
# behind. And the data is right in whatever order a seed puts the events.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy qemu-io

truncate -s 1M "$work/disk.img"
start_xen
create_domain guest
back=$(backend_dir "$domid" 51712)

# The data process as ringwayd starts it: the first one gets the faults, those that replace it none.
cat >"$work/ringwayd-data" <<-END
	#!/bin/sh
	mkdir "$work/started" 2>/dev/null || unset XENLOOP_FAULT
	exec "$build/bin/ringwayd-data" "\$@"
END
chmod +x "$work/ringwayd-data"
ringwayd_flags+=(--data-binary "$work/ringwayd-data")

# daemon FAULTS: ringwayd, whose data process has them, and a disk of the guest.
daemon() {
	rm -rf "$work/started" "$work/ringwayd.log"
	XENLOOP_FAULT=$1 start_ringwayd
	dom0 ringway attach guest "file:$work/disk.img" --vdev xvda >/dev/null
}

end_daemon() {
	dom0 ringway detach guest xvda >/dev/null
	stop_ringwayd
}

# frontend [FAULTS]: the guest's disk on $nbd, or a process that ends soon.
frontend() {
	nbd=$work/nbd
	rm -f "$nbd" "$nbd.pid" "$work/nbdkit.log"
	XENLOOP_FAULT=${1:-} xenloop exec guest -- nbdkit -f -U "$nbd" -P "$nbd.pid" \
		"$build/lib/nbdkit-ringway-plugin.so" device=xvda >"$work/nbdkit.log" 2>&1 &
	nbd_pid=$!
	started_pids+=("$nbd_pid")
	# Sooner than one that waits for its backend in vain gives up, which is after 10 s.
	wait_for 9 served_or_over || fail "$fault: neither a disk nor an end of the frontend"
}

over() {
	! kill -0 "$nbd_pid" 2>/dev/null
}

served_or_over() {
	over || nbdinfo --size "$(nbd_uri "$nbd")"
}

# Write and read back something new; false if there is no disk.
verified_io() {
	head -c 256K /dev/urandom >"$work/in"
	nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")" 2>>"$work/nbdcopy.log" || return 1
	cmp -n 262144 "$work/in" "$work/disk.img" || fail "$fault: the image differs from what the guest wrote"
	nbdcopy "$(nbd_uri "$nbd")" "$work/out" 2>>"$work/nbdcopy.log" || return 1
	cmp -n 262144 "$work/in" "$work/out" || fail "$fault: the guest reads something else than it wrote"
}

must_serve() {
	frontend
	verified_io || fail "$1: $(cat "$work/nbdkit.log")"
	stop_guest_disk
}

# What the domains and the data process hold, with the disk attached and nobody using it.
held() {
	local data
	data=$(pgrep -P "$ringwayd_pid" -x ringwayd-data)
	xenloop list --json | jq -c '.[] | {domid, grants, maps, ports, handles}'
	echo "$(find "/proc/$data/fd" -mindepth 1 | wc -l) fds, $(grep -c memfd "/proc/$data/maps") mappings"
}

nothing_is_left() {
	as_before() {
		held | cmp -s - "$work/held"
	}
	wait_for 10 as_before || fail "$1: something is left: $(held | diff "$work/held" -)"
}

struck() {
	grep -q "^libxenloop: .*: fault ${1//\*/\\*}\$" "$work/nbdkit.log" "$work/ringwayd.log"
}

fault=none
daemon ''
must_serve "no fault"
must_serve "no fault"
held >"$work/held"
end_daemon

# --- the data process: attach succeeds when the frontend tries again, or is refused with the reason
backend_fault() {
	fault=$1
	daemon "$fault"
	frontend
	if ! struck "${fault##*,}"; then
		stop_guest_disk
		end_daemon
		return 1
	fi
	if over; then
		refused=$((refused + 1))
		node "$back/error" | grep -q "$2" || fail "$fault: no reason in the backend: $(node "$back/error")"
		grep -q "refused: .*$2" "$work/nbdkit.log" || fail "$fault: the frontend says: $(cat "$work/nbdkit.log")"
		grep -q "$2" "$work/ringwayd.log" || fail "$fault: no reason in the log"
		wait "$nbd_pid" || :
	else
		verified_io || fail "$fault: $(cat "$work/nbdkit.log")"
		stop_guest_disk
	fi
	must_serve "$fault: the next frontend"
	nothing_is_left "$fault"
	end_daemon
}

refused=0
for call in map=EINVAL:'ring-ref.*Invalid' bind=ENOSPC:'event-channel.*No space'; do
	point=${call%%=*} rest=${call#*=}
	for ((n = 1; n < 10; n++)); do
		backend_fault "ringwayd-data:$point#$n=${rest%%:*}" "${rest#*:}" || break
	done
	same "$n" 2 "the first $point of a disk that is not reached"
	# Twice in a row is more than a frontend takes.
	backend_fault "ringwayd-data:$point#1=${rest%%:*},ringwayd-data:$point#2=${rest%%:*}" "${rest#*:}"
done
same "$refused" 2 "refusals"

# --- the data process without handles: another one takes over
for point in open-evtchn open-gnttab; do
	fault=ringwayd-data:$point=EACCES
	daemon "$fault"
	grep -q 'cannot open the .* device: Permission denied' "$work/ringwayd.log" || fail "$fault is not in the log"
	must_serve "$fault"
	nothing_is_left "$fault"
	end_daemon
done

# --- a copy that fails is an error of its request, and of no other. Eight requests of a page, one after the other, eight
# times: in round r request r fails, first by its grant, later with the call as such.
fault=copies
faults=()
for r in {1..8}; do
	n=$((8 * (r - 1) + r))
	if [ "$r" -le 4 ]; then
		faults+=("ringwayd-data:segment#$n=GNTST_bad_gntref")
	else
		faults+=("ringwayd-data:copy#$n=EFAULT")
	fi
done
daemon "$(IFS=,; echo "${faults[*]}")"
frontend
for r in {1..8}; do
	commands=()
	for at in 0 4k 8k 12k; do
		commands+=(-c "write -P $r $at 4k" -c "read -P $r $at 4k")
	done
	qemu-io -f raw "${commands[@]}" "$(nbd_uri "$nbd")" >"$work/qemu-io.log" 2>&1 || :
	# A write that fails leaves what was there, and the read that follows sees that.
	sed -E '/ops;/d; s/ at offset.*//' "$work/qemu-io.log" >"$work/got"
	for i in {1..8}; do
		name=$([ $((i % 2)) = 1 ] && echo write || echo read)
		if [ "$i" = "$r" ]; then
			echo "$name failed: Input/output error"
		else
			[ "$name" = read ] && [ $((i - 1)) = "$r" ] && echo "Pattern verification failed"
			echo "${name/#write/wrote}" 4096/4096 bytes
		fi
	done >"$work/expected"
	diff "$work/expected" "$work/got" || fail "round $r: $(cat "$work/qemu-io.log")"
done
verified_io || fail "no I/O after failed copies"
stop_guest_disk
nothing_is_left "$fault"
end_daemon

# --- the data process dies in the middle: the frontend sees a pause
for point in map+ bind+ push copy copy+; do
	fault=ringwayd-data:$point=kill
	daemon "$fault"
	frontend
	verified_io || fail "$fault: $(cat "$work/nbdkit.log")"
	struck "$fault" || fail "$fault did not happen"
	stop_guest_disk
	nothing_is_left "$fault"
	end_daemon
done

# --- the data process stops in the middle of a write: the control process answers, and nothing is lost
fault=ringwayd-data:copy+#2=stop
daemon "$fault"
frontend
data=$(pgrep -P "$ringwayd_pid" -x ringwayd-data)
is_stopped() {
	grep -q '^State:.T' "/proc/$data/status"
}
verified_io &
io=$!
wait_for 10 is_stopped || fail "ringwayd-data did not stop"
dom0 ringway list --json | jq -e ".devices[] | select(.domid == $domid)" >/dev/null ||
	fail "ringway list says nothing while the data process is stopped"
kill -CONT "$data"
wait $io || fail "the I/O failed after a stop"
stop_guest_disk
nothing_is_left "$fault"

# --- the frontend: a disk or a reason, and the next one is served
frontend_fault() {
	fault=$1
	frontend "$fault"
	if ! over; then
		verified_io || fail "$fault: $(cat "$work/nbdkit.log")"
		stop_guest_disk
	elif wait "$nbd_pid"; then
		fail "$fault: the frontend ended with 0"
	else
		grep -q "error: .*$2" "$work/nbdkit.log" || fail "$fault: the frontend says: $(cat "$work/nbdkit.log")"
		ended=$((ended + 1))
	fi
	struck "$fault" || return 1
	nothing_is_left "$fault"
}
for call in open=EMFILE:'Too many' share=ENOSPC:'No space' bind=ENOSPC:'No space'; do
	point=${call%%=*} rest=${call#*=} ended=0
	for ((n = 1; n < 10; n++)); do
		frontend_fault "nbdkit:$point#$n=${rest%%:*}" "${rest#*:}" || break
	done
	if [ $n -eq 1 ] || [ $n -eq 10 ] || [ $ended -eq 0 ]; then
		fail "$point: the frontend makes $((n - 1)) such calls, $ended of them were refused it"
	fi
	must_serve "$point: the next frontend"
done

# --- the frontend dies in the middle
for point in share+ bind+ notify push; do
	fault=nbdkit:$point=kill
	frontend "$fault"
	verified_io && fail "$fault: the frontend lives"
	wait "$nbd_pid" || :
	struck "$fault" || fail "$fault did not happen"
	must_serve "$fault: the next frontend"
	nothing_is_left "$fault"
done
end_daemon

# --- seeds: two guests at once, so that there are events to put in another order
head -c 1M /dev/urandom >"$work/in.other"
truncate -s 1M "$work/other.img"
create_domain other
for seed in {1..10}; do
	fault="seed $seed"
	export XENLOOP_SEED=$seed
	daemon ''
	dom0 ringway attach other "file:$work/other.img" --vdev xvda >/dev/null
	start_guest_disk other xvda
	other_pid=$nbd_pid
	nbdcopy --flush "$work/in.other" "$(nbd_uri "$nbd")" &
	copy=$!
	must_serve "$fault"
	wait $copy || fail "$fault: the other guest's I/O failed"
	cmp "$work/in.other" "$work/other.img" || fail "$fault: the other guest's image differs"
	kill "$other_pid"
	wait "$other_pid" || :
	truncate -s 0 "$work/other.img"
	truncate -s 1M "$work/other.img"
	dom0 ringway detach other xvda >/dev/null
	end_daemon
done
