# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A client that is no Linux: GRUB with its own Xen disk driver, Debian's images for PV and PVH guests. They find their
# configuration on our disk, list it, read files and save a variable there. The PV one does it as Debian's guests do: the
# image in dom0 loads the guest's own GRUB from the disk and hands over to it, two drivers after one another on one vbd.

# What GRUB does, in its own language.
grub_script() {
	cat <<-'END'
		ls
		ls -l (xen/xvda)/
		cat (xen/xvda)/words
		sha256sum (xen/xvda)/data
		set colour=green
		save_env -f (xen/xvda)/boot/grub/grubenv colour
		set colour=none
		load_env -f (xen/xvda)/boot/grub/grubenv
		echo "The disk says $colour."
		halt
	END
}

# Where the PV image looks first. It says so itself before it goes on to our configuration.
make_own_grub() {
	mkdir -p "$1/boot/xen"
	echo 'echo "The disk has its own GRUB."; configfile (xen/xvda)/boot/grub/grub.cfg' >/run/early.cfg
	grub-mkimage -O x86_64-xen -c /run/early.cfg -p '(xen/xvda)/boot/grub' -o "$1/boot/xen/pvboot-x86_64.elf" \
		ext2 configfile normal ls cat echo hashsum gcry_sha256 loadenv halt
}

# On the whole of dom0's second disk.
make_disk() {
	local tree=/run/tree
	mkdir -p $tree/boot/grub
	grub_script >$tree/boot/grub/grub.cfg
	grub-editenv $tree/boot/grub/grubenv create
	echo 'words from an ext2' >$tree/words
	head -c 150001 /dev/urandom >$tree/data
	make_own_grub $tree
	mke2fs -q -F -t ext2 -d $tree /dev/vdb 16M
	sync
}

# grub_guest NAME TYPE IMAGE
grub_guest() {
	cat >"/run/$1.cfg" <<-END
		name = '$1'
		type = '$2'
		memory = 128
		kernel = '/usr/lib/grub-xen/$3'
		disk = ['vdev=xvda,script=block-ringway,target=/dev/vdb']
		on_crash = 'destroy'
	END
	xl create "/run/$1.cfg" || fail "xl create of $1"
}

# said NAME TEXT: on a guest's console, with GRUB's control sequences around it.
said() {
	grep -aqF "$2" "$(guest_log "$1")" || fail "guest $1 does not say '$2'"
}

check_grub() {
	said "$1" '(xen/xvda)'
	said "$1" '150001'
	said "$1" 'words from an ext2'
	said "$1" "$(sha256sum </run/tree/data | cut -d' ' -f1)"
	said "$1" 'The disk says green.'
}

# What the disk has, read in dom0 after the guest.
saved_colour() {
	debugfs -R 'cat /boot/grub/grubenv' /dev/vdb >/run/grubenv 2>/dev/null
	grub-editenv /run/grubenv list
}

# try NAME TYPE IMAGE
try() {
	make_disk
	expect 'a new disk' '' "$(saved_colour)"
	grub_guest "$@"
	wait_watch 250 @releaseDomain is_gone "$1" || fail "guest $1 does not end"
	check_grub "$1"
	expect "saved in guest $1" colour=green "$(saved_colour)"
	e2fsck -fn /dev/vdb
}

dom0() {
	start_ringwayd
	try pv pv grub-x86_64-xen.bin
	said pv 'The disk has its own GRUB.'
	try pvh pvh grub-i386-xen_pvh.bin
}
