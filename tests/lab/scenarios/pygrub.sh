# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Boot by pygrub: libxl gives the guest's disk to dom0 itself for a moment (domain 0 is frontend and backend at once, on the
# stock blkfront), pygrub takes kernel and initrd from the file system on it, and the guest gets the disk right after.

make_disk() {
	local tree=/run/tree
	mkdir -p $tree/boot/grub
	cat >$tree/boot/grub/grub.cfg <<-'END'
		set timeout=1
		menuentry "the only one" {
			linux /boot/vmlinuz console=hvc0 loglevel=5 half=guest from=the-disk
			initrd /boot/initrd
		}
	END
	echo 'words from an ext4' >$tree/words
	cp /lab/kernel-6.1 $tree/boot/vmlinuz
	cp /lab/guest-6.1.cpio $tree/boot/initrd
	mke2fs -q -F -t ext4 -d $tree /dev/vdb 64M
	sync
}

# config NAME: prints the path.
config() {
	cat >"/run/$1.cfg" <<-END
		name = '$1'
		type = 'pv'
		memory = 160
		bootloader = 'pygrub'
		disk = ['vdev=xvda,script=block-ringway,target=/dev/vdb']
		on_crash = 'destroy'
	END
	echo "/run/$1.cfg"
}

# dom0 has given the disk back, and nothing of it is left.
check_given_back() {
	[ ! -e /dev/xvda ] || fail 'dom0 still has /dev/xvda'
	! xenstore-exists /local/domain/0/device/vbd/51712 || fail "dom0's frontend is still there"
	! xenstore-exists /local/domain/0/backend/vbd/0/51712 || fail "dom0's backend is still there"
}

guest() {
	grep -q from=the-disk /proc/cmdline
	modprobe xen-blkfront
	modprobe ext4
	wait_for 30 test -b /dev/xvda
	mount -t ext4 /dev/xvda /mnt
	cp /mnt/words /mnt/copy
	umount /mnt
	xenstore-write data/copied 1
	wait_node 300 data/go 1
}

# A guest whose disk another one has: it is dom0 that is refused, and xl shows why.
check_refusal() {
	! xl create "$(config two)" >/run/two.log 2>&1 || fail 'two guests can write to one disk'
	cat /run/two.log
	grep -q 'script: target /dev/vdb is in use by vbd' /run/two.log || fail 'xl does not show the reason'
}

# libxl forgets about dom0's part of a disk that was refused (4.17: it stays in /libxl/0 and in state 2); the admin removes it.
check_remedy() {
	xl block-detach 0 51712 || fail "dom0's part of the refused disk can't be removed"
	check_given_back
}

dom0() {
	start_ringwayd
	make_disk
	xl create "$(config one)" || fail 'xl create of one'
	check_given_back
	wait_guest_up one
	wait_node 200 "$(dir_of one)/data/copied" 1
	check_refusal
	check_remedy
	xenstore-write "$(dir_of one)/data/go" 1
	wait_guest one 300
	expect 'copied by the guest' 'words from an ext4' "$(debugfs -R 'cat /copy' /dev/vdb 2>/dev/null)"
	e2fsck -fn /dev/vdb
}
