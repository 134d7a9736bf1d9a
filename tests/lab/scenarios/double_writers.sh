# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What one guest may write to, no other gets: not under another name, not from another backend, in either order; and nothing
# that dom0 has mounted. xl says why.

guest() {
	modprobe xen-blkfront
	wait_node 600 data/end
}

# ours GUEST TARGET [ACCESS], theirs GUEST TARGET [ACCESS]: a disk xvdc by block-ringway, or by the stock block script.
ours() {
	xl block-attach "$1" "vdev=xvdc,access=${3:-rw},script=block-ringway,target=$2"
}

theirs() {
	xl block-attach "$1" "vdev=xvdc,access=${3:-rw},backendtype=phy,target=$2"
}

# refused PATTERN KIND GUEST TARGET [ACCESS]: and nothing stays.
refused() {
	local pattern=$1 out
	shift
	! out=$("$@" 2>&1) || fail "xl attached it: $*"
	grep -Eq "script: .*$pattern" <<<"$out" || fail "$* was refused with: $out"
	detach "$2"
}

detach() {
	xl block-detach "$1" xvdc || fail "xl block-detach $1"
}

dom0() {
	local other=/root/other/../hard.img loop
	modprobe xen-blkback
	start_ringwayd
	mkdir /root/other
	truncate -s 8M /root/a.img
	mke2fs -q /root/a.img
	ln /root/a.img /root/hard.img
	ln -s /dev/vdb /root/link
	start_guest one
	start_guest two

	echo '--- a file, against ourselves'
	ours one /root/a.img
	refused 'hard.img is in use by vbd [0-9]+/51744, which may write to it; detach that one' ours two $other
	detach one

	echo '--- a block device, after the stock script and before it'
	theirs one /dev/vdb
	refused '/dev/vdb is in use by vbd [0-9]+/51744 of another backend' ours two /root/link
	detach one
	ours one /root/link
	refused '/dev/vdb is mounted in a guest domain' theirs two /dev/vdb
	detach one

	echo '--- dom0 has it mounted'
	loop=$(losetup -f --show /root/a.img)
	mount "$loop" /mnt
	refused 'a.img is mounted in dom0 on /mnt, writable; umount it' ours one /root/a.img ro
	umount /mnt
	ours one "$loop"
	! mount "$loop" /mnt || fail 'dom0 mounts what a guest writes to'
	xl destroy one
	xl destroy two
}
