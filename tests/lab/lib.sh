# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the two halves of a scenario may call. Sourced in dom0 and in guests by what run.sh writes.
set -euo pipefail

# start_guest NAME [LINE...]: a PV guest that runs the scenario's guest half; LINEs are added to its xl configuration. Returns
# when the guest is about to.
start_guest() {
	local name=$1
	shift
	{
		printf '%s\n' "name = '$name'" "type = 'pv'" 'memory = 192' 'vcpus = 1'
		printf '%s\n' "kernel = '/lab/guest-kernel'" "ramdisk = '/lab/guest.cpio'"
		printf '%s\n' "extra = 'console=hvc0 loglevel=5'" "on_crash = 'destroy'"
		printf '%s\n' "$@"
	} >"/run/$name.cfg"
	xl create "/run/$name.cfg"
	wait_for 200 xenstore-exists "/local/domain/$(xl domid "$name")/data/lab" || {
		echo "guest $name does not come up"
		return 1
	}
}

guest_log() {
	echo "/lab/logs/guest-$1.log"
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails after the time.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		read -rt 0.3 <> <(:) || :
	done
}

# wait_guest NAME SECONDS: until its half has ended; its status.
wait_guest() {
	wait_for "$2" grep -q '^lab: guest exit' "$(guest_log "$1")" || {
		echo "guest $1 has not ended after $2 s"
		return 1
	}
	[ "$(sed -n 's/^lab: guest exit \([0-9]*\).*/\1/p' "$(guest_log "$1")")" = 0 ]
}
