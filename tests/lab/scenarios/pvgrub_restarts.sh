# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# ringwayd is away when a guest's disk goes from one driver to the next: GRUB in the guest (pvgrub) has loaded Linux from our
# disk, and hands over, for which it waits until its disk is closed. ringwayd is away again when Linux connects. Each time the
# guest waits and goes on.

make_disk() {
	local tree=/run/tree
	mkdir -p $tree/boot/grub
	cat >$tree/boot/grub/grub.cfg <<-END
		linux /boot/vmlinuz $(sed -n "s/^extra = '\(.*\)'/\1/p" "$(guest_config linux)")
		initrd /boot/initrd
		echo "Linux is loaded."
		read key
		boot
	END
	echo 'words from the disk' >$tree/words
	cp /lab/kernel-6.1 $tree/boot/vmlinuz
	gzip -1 </lab/guest-6.1.cpio >$tree/boot/initrd
	mke2fs -q -F -t ext2 -d $tree /dev/vdb 64M
	sync
}

start_grub() {
	cat >/run/one.cfg <<-END
		name = 'one'
		type = 'pv'
		memory = 256
		kernel = '/usr/lib/grub-xen/grub-x86_64-xen.bin'
		disk = ['vdev=xvda,script=block-ringway,target=/dev/vdb']
		on_crash = 'destroy'
	END
	xl create /run/one.cfg || fail 'xl create'
}

# Words of GRUB's, with control sequences around them.
says() {
	grep -aqF "$1" "$(guest_log one)"
}

press_enter() {
	printf '\r' >"$(xenstore-read "$(dir_of one)/console/tty")"
}

# away STATE: it stops, and its end of the disk stays as it is.
away() {
	systemctl stop ringwayd
	expect "the backend's state" "$1" "$(xenstore-read "$(backend_of one)/state")"
}

guest() {
	wait_node 600 data/go
	modprobe xen-blkfront
	wait_for 60 test -b /dev/xvda
	mount -t ext2 /dev/xvda /mnt
	cp /mnt/words /mnt/copy
	umount /mnt
	! dmesg | grep -E 'xvd|EXT|vbd' | grep -iE 'error|fail' || fail 'the kernel has noticed something'
}

dom0() {
	local front
	start_ringwayd
	census >/run/before
	make_disk
	start_grub
	wait_for 240 says 'Linux is loaded.'
	front=$(frontend_of one)

	echo '--- away while GRUB hands over to Linux'
	away 4
	press_enter
	wait_node 60 "$front/state" 6
	start_ringwayd
	wait_guest_up one

	echo '--- away while Linux connects'
	away 2
	xenstore-write "$(dir_of one)/data/go" 1
	wait_node 120 "$front/state" 3
	start_ringwayd
	wait_guest one
	expect_census /run/before
	expect 'what the guest wrote' 'words from the disk' "$(debugfs -R 'cat /copy' /dev/vdb 2>/dev/null)"
	e2fsck -fn /dev/vdb
}
