# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# xl's hotplug script fails, or is killed: while it waits for ringwayd's verdict, and when a disk is removed. xl shows an error,
# what is left can be detached, a retry works, and nothing stays.

guest() {
	modprobe xen-blkfront
	wait_node 1000 data/end
}

# script LINE...: what xl runs from now on.
script() {
	printf '%s\n' '#!/bin/bash' "$@" >/etc/xen/scripts/block-ringway
	chmod 755 /etc/xen/scripts/block-ringway
}

attach() {
	xl block-attach one 'vdev=xvda,script=block-ringway,target=/root/disk.img' >/tmp/xl 2>&1
}

# xl has failed, said so and named the script; then the disk is attached as if nothing had been.
recovers() {
	cat /tmp/xl
	grep block-ringway /tmp/xl || fail 'xl does not say what has failed'
	script 'exec /root/block-ringway "$@"'
	if xenstore-exists "$back"; then
		xl block-detach one xvda || fail 'what is left can not be detached'
	fi
	attach || fail "a retry does not work: $(cat /tmp/xl)"
	wait_node 60 "$back/state" 4 || fail 'the disk is not served'
}

fails() {
	script 'echo "the storage is not there" >&2' 'exit 1'
	! attach || fail 'a script that fails is taken for one that works'
	recovers
}

killed_on_removal() {
	script 'kill -KILL $$'
	xl block-detach one xvda >/tmp/xl 2>&1 || echo 'xl fails'
	recovers
}

# ringwayd is stopped by the script itself: then it waits for the verdict, however fast the machine is.
killed_while_waiting() {
	local xl
	xl block-detach one xvda
	script 'pkill -STOP -x ringwayd' 'exec /root/block-ringway "$@"'
	attach &
	xl=$!
	wait_for 60 pgrep -f 'ringway hotplug add'
	pkill -KILL -f 'ringway hotplug add'
	! wait $xl || fail 'a script that is killed is taken for one that works'
	pkill -CONT -x ringwayd
	recovers
}

dom0() {
	local case back
	cp /etc/xen/scripts/block-ringway /root/block-ringway
	truncate -s 16M /root/disk.img
	start_ringwayd
	census >/run/before
	start_guest one
	back=$(backend_of one)
	for case in fails killed_on_removal killed_while_waiting; do
		echo "--- $case"
		$case
	done
	xl destroy one
	expect_census /run/before
}
