# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest's life: xl create, pause and unpause, save and go on (xl save -c), save and restore, shutdown, all of it in the middle
# of I/O that it verifies. It never sees an error nor anything else than what it has written, and finds its disk as dom0 made
# it; the restored one is another domain; `ringway list` shows who has what; nothing of the guest stays.

size=$((1 << 20))

guest() {
	echo '/sbin/poweroff -f' >/proc/sys/kernel/poweroff_cmd
	modprobe xen-blkfront
	wait_for 60 test -b /dev/xvda
	xenstore-write data/read "$(dd if=/dev/xvda bs=256K iflag=direct status=none | sha256sum)"
	use_disk /dev/xvda
	xenstore-write data/written "$(dd if=/dev/xvda bs=256K iflag=direct status=none | sha256sum)"
	wait_node 600 data/end
}

# said_nothing_bad COMMAND...: runs xl.
said_nothing_bad() {
	"$@" >/root/said 2>&1 || fail "$*: $(cat /root/said)"
	! grep -iE 'error|warning' /root/said || fail "$* complained"
}

# is_listed: with a request for each 44 KiB of what it has read at least.
is_listed() {
	local line
	ringway list
	read -ra line < <(ringway list | tail -n 1)
	expect 'the line of ringway list' "one $(domid_of one) xvda 51712 Connected w 1 /root/disk.img" "${line[*]:0:8}"
	[ "${line[8]}" -ge $((size / 45056)) ] || fail "${line[8]} requests are too few"
	[ "${line[9]}" -ge $((size >> 20)) ] || fail "${line[9]} MiB are too few"
}

comes() {
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]"
	expect_use one
	expect 'what the guest has read' "$(cat /root/sum)" "$(xenstore-read "$(dir_of one)/data/read")"
	is_listed
	! census_is /run/before || fail 'the census does not see a guest'
}

is_paused() {
	said_nothing_bad xl pause one
	expect 'the disk of a guest that is paused' Connected "$(ringway list one | awk 'NR == 2 { print $5 }')"
	said_nothing_bad xl unpause one
	expect_use one
}

is_saved() {
	local domid
	domid=$(domid_of one)
	said_nothing_bad xl save -c one /srv/saved
	expect 'the domain that goes on' "$domid" "$(domid_of one)"
	expect_use one
	said_nothing_bad xl save one /srv/saved
	expect_census /run/before
	said_nothing_bad xl restore /srv/saved
	[ "$(domid_of one)" -gt "$domid" ] || fail 'the restored guest has no new domain'
	expect_use one
}

is_shut_down() {
	local data
	data=$(dir_of one)/data
	xenstore-write "$data/stop" 1
	wait_node 60 "$data/written"
	expect 'what is on the disk' "$(xenstore-read "$data/written")" "$(sha256sum </root/disk.img)"
	said_nothing_bad xl shutdown -w one
	expect_census /run/before
}

dom0() {
	local step
	# Guests' memory has its size.
	mke2fs -q /dev/vdb
	mount /dev/vdb /srv
	image_random /root/disk.img "$size"
	sha256sum </root/disk.img >/root/sum
	start_ringwayd
	census >/run/before
	for step in comes is_paused is_saved is_shut_down; do
		echo "--- $step"
		$step
	done
}
