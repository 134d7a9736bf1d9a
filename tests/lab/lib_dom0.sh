# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What dom0's half of a scenario may call.

export PATH=/lab/bin:$PATH

# start_ringwayd: as an admin would;
start_ringwayd() {
	systemctl start ringwayd || {
		systemctl status --no-pager -l ringwayd || :
		fail 'ringwayd does not start'
	}
}

# image_random PATH BYTES: a disk image with something in every block.
image_random() {
	local path=$1 size=$2
	head -c "$size" /dev/urandom >"$path"
}

# guest_config NAME [LINE...] writes /run/NAME.cfg and prints its path. LINEs are added to xl's configuration. The variables
# type (pv, pvh), kernel (6.1, 6.12), memory, vcpus and half (the function that the guest runs) may be set before it, as in
#     type=pvh kernel=6.12 guest_config one "disk = [ ... ]"
guest_config() {
	local name=$1 version=${kernel:-6.1}
	shift
	boot_files "$version"
	{
		printf '%s\n' "name = '$name'" "type = '${type:-pv}'" "memory = ${memory:-160}" "vcpus = ${vcpus:-1}"
		printf '%s\n' "kernel = '/run/lab/kernel-$version'" "ramdisk = '/run/lab/guest-$version.cpio'"
		printf '%s\n' "extra = 'console=hvc0 loglevel=5 mitigations=off half=${half:-guest}${extra:+ $extra}'" "on_crash = 'destroy'"
		printf '%s\n' "$@"
	} >"/run/$name.cfg"
	echo "/run/$name.cfg"
}

# xl maps them, which is slow on the shared folder.
boot_files() {
	mkdir -p /run/lab
	[ -e "/run/lab/kernel-$1" ] || cp "/lab/kernel-$1" "/lab/guest-$1.cpio" /run/lab/
}

# start_guest NAME [LINE...]: xl create, with what guest_config makes; returns when the guest is about to run its half.
start_guest() {
	xl create "$(guest_config "$@")" || fail "xl create of $1"
	wait_guest_up "$1"
}

wait_guest_up() {
	wait_for 120 xenstore-exists "/local/domain/$(xl domid "$1")/data/lab" || fail "guest $1 does not come up"
}

# wait_guest NAME [SECONDS]: until its half has ended well.
wait_guest() {
	local log
	log=$(guest_log "$1")
	wait_for "${2:-120}" grep -aq '^lab: guest exit' "$log" || fail "guest $1 has not ended"
	grep -aq '^lab: guest exit 0' "$log" || fail "guest $1: its half failed"
	wait_for 120 is_gone "$1" || fail "guest $1 ended, its domain stays"
}

# A failing xl list says nothing about the guest.
is_gone() {
	local list
	list=$(xl list) || return 1
	! grep -q "^$1 " <<<"$list"
}

guest_log() {
	echo "/lab/logs/guest-$1.log"
}

# Nodes of a disk: backend_of GUEST [VDEV] and frontend_of GUEST [VDEV]. VDEV is its number, 51712 for xvda.
backend_of() {
	echo "/local/domain/0/backend/vbd/$(xl domid "$1")/${2:-51712}"
}

frontend_of() {
	echo "/local/domain/$(xl domid "$1")/device/vbd/${2:-51712}"
}
