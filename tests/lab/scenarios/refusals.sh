# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Disks that a guest may not or can not have: xl itself says why, without waiting, and what it leaves can be taken away.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.12)

guest() {
	modprobe xen-blkfront
	wait_node 900 data/end
}

# attach TARGET [ACCESS]
attach() {
	xl block-attach one "vdev=xvdc,access=${2:-rw},script=block-ringway,target=$1"
}

# refused PATTERN TARGET [ACCESS]: in xl's own output. Its script says the same when it is run again; that takes well under a
# second on a machine, and this one is emulated.
refused() {
	local pattern=$1 out back start us
	shift
	! out=$(attach "$@" 2>&1) || fail "xl attached $*"
	grep -Eq "script: .*$pattern" <<<"$out" || fail "$* was refused with: $out"
	back=$(backend_of one 51744)
	start=${EPOCHREALTIME/[.,]/}
	! XENBUS_PATH=${back#/local/domain/0/} /etc/xen/scripts/block-ringway add || fail "the script takes $*"
	us=$((${EPOCHREALTIME/[.,]/} - start))
	echo "refusal of $*: $((us / 1000)) ms"
	[ $us -lt 20000000 ] || fail "the refusal of $* took $us us"
	has "$back/hotplug-error" '*' || fail 'no hotplug-error'
	xl block-detach one xvdc || fail 'xl block-detach of what was refused'
	! xenstore-exists "$back" || fail 'the backend directory stays'
}

dom0() {
	start_ringwayd
	truncate -s 8M /root/a.img /root/read-only.img
	chmod 444 /root/read-only.img
	: >/root/empty.img
	start_guest one
	refused 'target /root/missing.img: No such file or directory; create it' /root/missing.img
	refused 'target /root is a directory, neither a file nor a block device' /root
	refused 'target /root/empty.img is too small' /root/empty.img
	refused 'read-only.img can.t be opened to write: Permission denied; make it writable, or attach it with mode r' \
		/root/read-only.img
	attach /root/read-only.img ro >/dev/null || fail 'a read-only file as a read-only disk'
	xl block-detach one xvdc
	ringway policy set name/one/vbd/allow/0 'ro /root/a*'
	ringway policy set enforce 1
	refused 'policy: rule .*lets /root/a.img be read only' /root/a.img
	refused 'policy: .*/root/read-only.img' /root/read-only.img ro
	attach /root/a.img ro >/dev/null || fail 'what the policy allows'
	xl block-detach one xvdc
	ringway policy unset enforce

	# A guest that does not get one of its disks is not created, and nothing of it stays.
	local out
	! out=$(xl create "$(guest_config two "disk = [ 'vdev=xvda,script=block-ringway,target=/root/missing.img' ]")" 2>&1) ||
		fail 'xl creates a guest without its disk'
	grep -q 'script: target /root/missing.img: No such file' <<<"$out" || fail "xl create says: $out"
	wait_watch 60 @releaseDomain is_gone two
	[ "$(ringway list | wc -l)" = 1 ] || fail "left over: $(ringway list)"

	# xen-blkback brings a disk to the state that xl waits for, though ringwayd does not run.
	modprobe xen-blkback
	systemctl stop ringwayd
	refused 'ringwayd is not running; start it with systemctl start ringwayd' /root/a.img
	xenstore-write "$(dir_of one)/data/end" 1
	wait_guest one
}
