# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Eight disks of one guest, five that it may write to and three that it may not, all in use at once: each is the one that it is
# said to be, and has in the end what was written to it.

writable='a b d e g' read_only='c f h'
size=$((1 << 20))

# replace DISK: reads it, then fills it anew; the sums of both go to dom0.
replace() {
	local sum
	sum=$(dd if="/dev/xvd$1" bs=128K iflag=direct status=none | sha256sum)
	head -c "$size" /dev/urandom >"/run/$1"
	dd if="/run/$1" of="/dev/xvd$1" bs=128K oflag=direct status=none
	cmp "/run/$1" <(dd if="/dev/xvd$1" bs=128K iflag=direct status=none)
	xenstore-write "data/$1" "$sum $(sha256sum <"/run/$1")"
}

# reread DISK: several times; the sum goes to dom0. It can't be written.
reread() {
	local sum again
	sum=$(dd if="/dev/xvd$1" bs=128K iflag=direct status=none | sha256sum)
	for again in 1 2 3; do
		expect "reading $again" "$sum" "$(dd if="/dev/xvd$1" bs=128K iflag=direct status=none | sha256sum)"
	done
	! dd if=/dev/zero of="/dev/xvd$1" bs=512 count=1 oflag=direct || fail "xvd$1 can be written"
	xenstore-write "data/$1" "$sum"
}

guest() {
	local disk pid pids=()
	modprobe xen-blkfront
	for disk in $writable $read_only; do
		wait_for 60 test -b "/dev/xvd$disk"
	done
	for disk in $writable; do
		replace "$disk" &
		pids+=($!)
	done
	for disk in $read_only; do
		reread "$disk" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	xenstore-write data/done 1
	wait_node 120 data/end
}

sum_of() {
	sha256sum <"/root/$1.img"
}

dom0() {
	local disk access disks='' held data
	local -A before
	for disk in a b c d e f g h; do
		image_random "/root/$disk.img" "$size"
		before[$disk]=$(sum_of $disk)
		access=rw
		[[ $read_only != *$disk* ]] || access=ro
		disks+="'vdev=xvd$disk,access=$access,script=block-ringway,target=/root/$disk.img', "
	done
	start_ringwayd
	held=$(holds)
	start_guest one "disk = [ $disks ]"
	data=$(dir_of one)/data
	wait_node 200 "$data/done" || fail 'the guest does not end'
	ringway list
	expect 'the disks that ringway list shows' "$(printf 'xvd%s w\n' a b d e g; printf 'xvd%s r\n' c f h)" \
		"$(ringway list one | awk '/Connected/ { print $3, $6 }' | sort -k2,2r -k1,1)"
	for disk in $writable; do
		expect "what was read from and written to $disk" "${before[$disk]} $(sum_of "$disk")" "$(xenstore-read "$data/$disk")"
	done
	for disk in $read_only; do
		expect "what was read from $disk" "${before[$disk]}" "$(xenstore-read "$data/$disk")"
		expect "what is on $disk" "${before[$disk]}" "$(sum_of "$disk")"
	done
	xenstore-write "$data/end" 1
	wait_guest one
	wait_for 30 holds_is "$held" || fail "ringwayd held $held; now $(holds)"
}
