#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# QEMU's qdisk serves our frontend, and ringwayd the same image in turn; QEMU is killed during I/O and another takes over.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy nbdinfo qemu-img jq nm
qemu=/usr/libexec/xen-qemu-system-i386
requires $qemu

# The nodes of a qdisk as libxl writes them: both directories with their permissions first, then all else at once.
# attach_qdisk DOMID DEVID VDEV FORMAT:FILE MODE TYPE: the directories are then in $front and $back.
attach_qdisk() {
	front=/local/domain/$1/device/vbd/$2
	back=/local/domain/0/backend/qdisk/$1/$2
	dom0 xenstore-write "$front" '' "$back" ''
	dom0 xenstore-chmod "$front" "n$1" r0
	dom0 xenstore-chmod "$back" n0 "r$1"
	dom0 xenstore-write "$front/backend" "$back" "$front/backend-id" 0 "$front/state" 1 "$front/virtual-device" "$2" \
		"$front/device-type" "$6" "$back/frontend" "$front" "$back/params" "$4" "$back/frontend-id" "$1" \
		"$back/online" 1 "$back/removable" 0 "$back/bootable" 1 "$back/dev" "$3" "$back/type" qdisk \
		"$back/mode" "$5" "$back/device-type" "$6" "$back/discard-enable" 1 "$back/specification" xen "$back/state" 1
}

is_gone() {
	! node "$1/state"
}

# libxl's way to remove a disk. QEMU takes both directories away when it is done.
detach_qdisk() {
	dom0 xenstore-write "$back/online" 0 "$back/state" 5
	wait_for 10 is_gone "$back" || fail "QEMU does not let go of $back"
}

# start_qemu DOMID [ARGUMENT...]: its pid is then in $qemu_pid.
start_qemu() {
	xenloop exec 0 -- $qemu -xen-domid "$1" -xen-attach -nodefaults -no-user-config -display none -m 32 \
		-machine "${@:2}" >>"$work/qemu.log" 2>&1 &
	qemu_pid=$!
	started_pids+=("$qemu_pid")
}

offered() {
	wait_for 10 node_is "$back/state" 2 || fail "QEMU does not offer $back"
}

# write_image FILE, reads_as FILE: the whole disk, in the guest.
write_image() {
	nbdcopy --flush "$1" "$(nbd_uri "$nbd")"
}

reads_as() {
	nbdcopy "$(nbd_uri "$nbd")" "$work/out"
	cmp "$1" "$work/out" || fail "$2"
}

# A frontend waits without end for a backend that nobody resets; not so a script that fails.
give_up_waiting() {
	local rc=$?
	set +e
	[ $rc = 0 ] || kill -KILL "${nbd_pid:-}" 2>/dev/null
	return $rc
}
trap 'give_up_waiting; clean_up' EXIT

head -c 8M /dev/urandom >"$work/one"
head -c 8M /dev/urandom >"$work/two"
truncate -s 8M "$work/disk.img"
qemu-img create -q -f qcow2 "$work/disk.qcow2" 8M
start_xen
start_ringwayd
create_domain guest1

# QEMU serves a raw image; the guest closes and opens again, dies and opens again, and the toolstack takes the disk away.
attach_qdisk "$domid" 51712 xvda "raw:$work/disk.img" w disk
start_qemu "$domid" xenpv
offered
start_guest_disk guest1 xvda
write_image "$work/one"
cmp "$work/one" "$work/disk.img" || fail "what QEMU has flushed is not in the image"
reads_as "$work/one" "the guest reads something else than it wrote by qdisk"
stop_guest_disk
offered
start_guest_disk guest1 xvda
reads_as "$work/one" "the reopened disk reads differently"
kill -KILL "$nbd_pid"
wait "$nbd_pid" 2>/dev/null || :
start_guest_disk guest1 xvda
reads_as "$work/one" "the disk reads differently after its frontend was killed"
stop_guest_disk
detach_qdisk

# The same QEMU finds further disks: a qcow2 image, whose format ringwayd leaves to QEMU, and a CD (a
# disk with mode r is more than QEMU 7.2 can do: it opens the file read-only and then wants to write).
attach_qdisk "$domid" 51728 xvdb "qcow2:$work/disk.qcow2" w disk
offered
start_guest_disk guest1 xvdb
write_image "$work/two"
reads_as "$work/two" "the guest reads something else than it wrote to qcow2"
stop_guest_disk
detach_qdisk
qemu-img compare -q -F raw "$work/disk.qcow2" "$work/two" || fail "the qcow2 image has something else in it"
attach_qdisk "$domid" 51744 xvdc "raw:$work/disk.img" r cdrom
offered
start_guest_disk guest1 xvdc
nbdinfo --json "$(nbd_uri "$nbd")" | jq -e '.exports[0].is_read_only' >/dev/null || fail "not offered read-only"
write_image "$work/two" 2>/dev/null && fail "a write to a read-only qdisk succeeded"
reads_as "$work/one" "the read-only qdisk reads differently"
stop_guest_disk
detach_qdisk

# ringwayd serves what QEMU has written, and QEMU what was written through ringwayd.
dom0 ringway attach guest1 "file:$work/disk.img" --vdev xvda >/dev/null
start_guest_disk guest1 xvda
reads_as "$work/one" "ringwayd reads something else than qdisk wrote"
write_image "$work/two"
stop_guest_disk
dom0 ringway detach guest1 xvda >/dev/null
attach_qdisk "$domid" 51712 xvda "raw:$work/disk.img" w disk
offered
start_guest_disk guest1 xvda
reads_as "$work/two" "qdisk reads something else than ringwayd wrote"

# QEMU is killed during I/O, and says nothing: the guest waits. The toolstack begins the backend anew, the guest lets go of
# the old ring, and what no QEMU has answered is done by the next one.
copy_until_enough() {
	until [ -e "$work/enough" ]; do
		write_image "$work/one" || return
	done
}
has_begun() {
	! cmp -s -n 4096 "$work/two" "$work/disk.img"
}
copy_until_enough 2>"$work/copy.log" &
copier=$!
started_pids+=("$copier")
wait_for 10 has_begun || fail "the copy does not begin"
kill -KILL "$qemu_pid"
wait "$qemu_pid" 2>/dev/null || :
same "$(node "$back/state") $(node "$front/state")" "4 4" "the states that a killed QEMU leaves"
dom0 xenstore-write "$back/state" 1
wait_for 10 node_is "$front/state" 1 || fail "the frontend does not let go of a dead backend's ring"
kill -0 "$copier" || fail "the copy has ended without a backend"
start_qemu "$domid" xenpv
wait_for 10 node_is "$back/state" 4 || fail "the frontend does not connect to the next QEMU"
touch "$work/enough"
wait "$copier" || fail "the copy failed when its QEMU was killed"
reads_as "$work/one" "the next QEMU reads something else than the guest wrote"

# A QEMU that is told to end takes its disks' directories away: they are detached, and requests end.
kill "$qemu_pid"
wait "$qemu_pid" 2>/dev/null || :
is_gone "$back" || fail "the ended QEMU left $back"
nbdcopy "$(nbd_uri "$nbd")" "$work/out" 2>/dev/null && fail "the disk of an ended QEMU is still there"
stop_guest_disk
grep -q "the disk has been removed" "$work/nbdkit.guest1.xvda.log" || fail "the guest was not told that its disk has gone"

# What loopback Xen does not have is refused, and QEMU says so instead of crashing: an HVM machine, and dropping privileges.
refused() {
	local rc=0
	start_qemu "$domid" "$@"
	wait "$qemu_pid" || rc=$?
	same "$rc" 1 "the exit code of QEMU with $*"
}
refused xenfv
refused xenpv -xen-domid-restrict
grep -q "failed to restrict: Operation not supported" "$work/qemu.log" || fail "QEMU does not say what it lacks"

# Nothing that QEMU calls may reach Xen's own libraries, which would take our handles for theirs.
xen_names() {
	grep -oE "\b(xc|xen(call|devicemodel|evtchn|foreignmemory|gntshr|gnttab|toolcore))_[a-z0-9_]+" | sort -u
}
missing=$(comm -23 <(nm -D --undefined-only $qemu | xen_names) <(nm -D --defined-only "$build/lib/libxenloop.so" | xen_names))
same "$missing" '' "what QEMU calls and libxenloop.so lacks"
stop_ringwayd
