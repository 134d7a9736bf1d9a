# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What `make lab` finds in dom0: ringwayd running, a disk image with a file system, a guest's configuration; the guest gives a
# shell on its console.
# shellcheck disable=SC2034 # read by shell.sh
guest_kernels=(6.1 6.12)

guest() {
	echo 'A guest: its disk is /dev/xvda. poweroff -f ends it, Ctrl-] leaves its console.'
	setsid cttyhack sh
}

dom0() {
	mke2fs -q -t ext4 /root/disk.img 64M
	cp "$(guest_config guest "disk = [ 'vdev=xvda,script=block-ringway,target=/root/disk.img' ]")" /root/guest.cfg
	systemctl start ringwayd || systemctl status --no-pager -l ringwayd
	cat <<-'END'

		dom0 of Ringway's lab. Try:
		    xl create -c guest.cfg        a guest with disk.img as its xvda; Ctrl-] leaves its console
		    ringway list
		    ringway show guest xvda
		    journalctl -u ringwayd
		exit ends the lab; nothing is kept.
	END
}
