# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Our frontend in a guest that has no driver for its disks: nbdkit's plugin, over gntalloc and evtchn, is served by ringwayd
# (xvda), by Linux's own xen-blkback (xvdb) and by QEMU's qdisk (xvdc). Each disk is written, read back, closed, and opened once
# more; dom0 finds what the guest has flushed while the disk is still open.
programs=(lib/nbdkit-ringway-plugin.so) guest_files=(/usr/bin/nbdkit /usr/bin/nbdcopy)

disk_bytes=$((2 << 20))
declare -A devid=([xvda]=51712 [xvdb]=51728 [xvdc]=51744)

guest() {
	local disk
	head -c $disk_bytes /dev/urandom >/run/one
	head -c $disk_bytes /dev/urandom >/run/two
	expect 'drivers of disks' '' "$(ls /sys/bus/xen/drivers/vbd 2>/dev/null)"
	for disk in xvda xvdb xvdc; do
		use "$disk"
	done
}

# use DISK: it keeps what was written when it is closed, and is there again.
use() {
	local disk=$1
	echo "$disk"
	open_disk "$disk"
	write_disk one
	reads_as one
	close_disk "$disk"
	open_disk "$disk"
	reads_as one
	write_disk two
	xenstore-write "data/$disk" "$(sha256sum </run/two)"
	wait_node 200 "data/$disk-seen"
	reads_as two
	close_disk "$disk"
}

open_disk() {
	rm -f /run/nbd /run/pid
	nbdkit -f -U /run/nbd -P /run/pid /usr/local/bin/nbdkit-ringway-plugin.so "$1" &
	nbdkit=$!
	wait_for 60 test -s /run/pid
	wait_node 60 "device/vbd/${devid[$1]}/state" 4
}

# Both sides are then where they began, and another frontend may come.
close_disk() {
	local front=device/vbd/${devid[$1]}
	kill "$(cat /run/pid)"
	wait "$nbdkit"
	expect "the state of $1, closed" 1 "$(xenstore-read "$front/state")"
	wait_node 60 "$(xenstore-read "$front/backend")/state" 2
	for node in ring-ref ring-ref0 event-channel; do
		! xenstore-exists "$front/$node" || fail "$1 is closed and $node stays"
	done
}

write_disk() {
	nbdcopy --flush "/run/$1" 'nbd+unix:///?socket=/run/nbd'
}

reads_as() {
	nbdcopy 'nbd+unix:///?socket=/run/nbd' /run/read
	cmp /run/read "/run/$1"
}

# has_on_disk DISK: what the guest says that it has flushed is in the image.
has_on_disk() {
	local data
	data=$(dir_of one)/data/$1
	wait_watch 300 "$data" is_told "$data"
	expect "$1 in dom0" "$(xenstore-read "$data")" "$(sha256sum <"/srv/$1.img")"
}

# is_told NODE: and if not, whether that is hopeless.
is_told() {
	xenstore-exists "$1" || grep -aq '^lab: guest exit' "$(guest_log one)"
}

seen() {
	xenstore-write "$(dir_of one)/data/$1-seen" yes
}

# Of blkback's requests: those that flush.
blkback_flushes() {
	cat "/sys/bus/xen-backend/devices/vbd-$(domid_of one)-$1/statistics/f_req"
}

dom0() {
	local disk
	mke2fs -q -t ext4 /dev/vdb
	mount /dev/vdb /srv
	for disk in xvda xvdb xvdc; do
		truncate -s $disk_bytes "/srv/$disk.img"
	done
	start_ringwayd
	memory=256 start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/srv/xvda.img'," \
		"'vdev=xvdb,backendtype=phy,target=/srv/xvdb.img'," \
		"'vdev=xvdc,backendtype=qdisk,format=raw,target=/srv/xvdc.img' ]"
	has_on_disk xvda
	ringway list
	seen xvda
	has_on_disk xvdb
	[ "$(blkback_flushes 51728)" -gt 0 ] || fail 'xen-blkback was not asked to flush'
	seen xvdb
	has_on_disk xvdc
	seen xvdc
	wait_guest one
}
