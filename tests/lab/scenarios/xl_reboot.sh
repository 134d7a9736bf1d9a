# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest is rebooted by xl reboot: it comes back as another domain, with what it had written on its disk.

# content: all but the first MiB, which holds the number of times it was filled, and the sum of this.
content() {
	dd if=/dev/xvda bs=1M skip=1 iflag=direct status=none | sha256sum
}

# Fills the disk when what it finds there is what it wrote the last time.
guest() {
	local boot sum
	rm /sbin/reboot
	printf '#!/bin/sh\nexec busybox reboot -f\n' >/sbin/reboot
	chmod +x /sbin/reboot
	modprobe xen-blkfront
	wait_for 60 test -b /dev/xvda
	read -r boot sum </dev/xvda
	[ "$boot" = 0 ] || expect 'what was written before the reboot' "$sum" "$(content)"
	head -c $((1 << 20)) /dev/urandom >/run/new
	dd if=/run/new of=/dev/xvda bs=1M seek=1 oflag=direct status=none
	# No sync: what was answered has to be there.
	printf '%s\n' "$((boot + 1)) $(sha256sum </run/new)" | dd of=/dev/xvda bs=1M conv=sync oflag=direct status=none
	xenstore-write data/boot "$boot"
	[ "$boot" != 0 ] || wait_node 600 data/end
}

# comes_back BOOT: as a domain that there was not.
comes_back() {
	wait_watch 120 @introduceDomain is_another || fail "the guest does not come back after domain $last"
	last=$(domid_of one)
	wait_node 120 "/local/domain/$last/data/boot" "$1" || fail "boot $1"
}

is_another() {
	local domid
	domid=$(domid_of one) && [ "$domid" -gt "$last" ]
}

dom0() {
	local last=0 held
	echo 0 >/root/disk.img
	truncate -s 2M /root/disk.img
	start_ringwayd
	held=$(holds)
	xl create "$(guest_config one "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]")"
	comes_back 0
	xl reboot one
	comes_back 1
	wait_guest one
	wait_for 30 holds_is "$held" || fail "ringwayd held $held; now $(holds)"
	! grep -i error /var/log/xen/xl-one.log || fail 'xl complained'
	expect 'times the disk was filled' 2 "$(head -n 1 /root/disk.img | cut -d' ' -f1)"
}
