# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A disk of dom0's own, as xl attaches a guest's for a moment to run pygrub: dom0's stock blkfront reads and writes it, though
# the policy allows no guest anything, and it goes again.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.12)

dom0() {
	local back=/local/domain/0/backend/vbd/0/51712
	modprobe xen-blkfront
	start_ringwayd
	ringway policy set enforce 1
	image_random /root/disk.img $((8 << 20))
	xl block-attach 0 vdev=xvda,script=block-ringway,target=/root/disk.img || fail 'xl block-attach 0'
	wait_node 60 $back/state 4
	wait_for 60 test -b /dev/xvda
	cmp /root/disk.img /dev/xvda || fail 'dom0 reads something else'
	head -c 1000000 /dev/urandom >/root/written
	dd if=/root/written of=/dev/xvda bs=64k conv=fsync status=none
	xl block-detach 0 xvda || fail 'xl block-detach 0'
	cmp -n 1000000 /root/written /root/disk.img || fail 'the image differs from what dom0 wrote'
	! xenstore-exists $back || fail 'the backend directory stays'
	[ "$(ringway list | wc -l)" = 1 ] || fail "left over: $(ringway list)"
}
