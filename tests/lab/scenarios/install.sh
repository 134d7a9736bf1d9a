# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Ringway as installed in a dom0 with systemd: the service starts, says what it does, bears what its unit takes away from it while
# it serves an image, one on a file system that was mounted later, and a block device; comes back when killed, ends when
# stopped, and says once what is wrong with its configuration.

# Both its disks are written, and it stays until it is told to go.
guest() {
	local disk
	modprobe xen-blkfront
	for disk in xvda xvdb; do
		wait_for 120 test -b /dev/$disk
		echo "from the guest to $disk" | dd of=/dev/$disk bs=4096 conv=sync,fsync status=none
	done
	xenstore-write data/written yes
	wait_node 200 data/go
}

# show PROPERTY: what systemd says about the service.
show() {
	systemctl show -P "$1" ringwayd
}

# status_is PATTERN: what the service says about itself.
status_is() {
	# shellcheck disable=SC2053
	[[ $(show StatusText) == $1 ]]
}

# in_status PID KEY: a line of /proc/PID/status.
in_status() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

data_pids() {
	pgrep -x ringwayd-data
}

files_are_there() {
	local path
	while read -r path; do
		[ -e "$path" ] || fail "$path is missing"
	done </usr/share/ringway/manifest
	expect 'warnings about the unit' '' "$(systemd-analyze verify --man=no ringwayd.service 2>&1)"
	ringwayd --check-config
}

is_ordered() {
	local unit
	for unit in xen.service xenstored.service remote-fs.target; do
		[[ " $(show After) " == *" $unit "* ]] || fail "the service does not start after $unit"
	done
	[[ " $(show Before) " == *" xendomains.service "* ]] || fail 'guests that start with the host come too early'
}

is_confined() {
	local pid data
	pid=$(show MainPID) data=$(data_pids)
	expect 'capabilities of ringwayd' 00000000002401e2 "$(in_status "$pid" CapEff)"
	expect 'new privileges of ringwayd' 1 "$(in_status "$pid" NoNewPrivs)"
	expect 'filter of ringwayd' 2 "$(in_status "$pid" Seccomp)"
	expect 'badness of ringwayd' -900 "$(cat "/proc/$pid/oom_score_adj")"
	expect 'user of the data process' "$(id -u ringway)" "$(in_status "$data" Uid | cut -f1)"
	expect 'capabilities of the data process' 0000000000000000 "$(in_status "$data" CapBnd)"
	expect 'badness of the data process' -900 "$(cat "/proc/$data/oom_score_adj")"
}

is_served() {
	expect "what the guest wrote to $1" "from the guest to $2" "$(head -c 100 "$1" | tr -d '\0')"
}

# A mount of dom0's that came after the service is seen by it, as what can be served and as what can't, and is not held; Linux
# 6.1 closes a file of an io_uring a second after it was told to.
serves_later_mount() {
	mke2fs -q -F /root/fs.img 32M
	mount -o loop /root/fs.img /mnt
	! xl block-attach one "vdev=xvdd,script=block-ringway,target=$(findmnt -no SOURCE /mnt)" >/tmp/refusal 2>&1 ||
		fail 'a mounted disk is not refused'
	grep -F 'is mounted in dom0 on /mnt' /tmp/refusal || fail "the refusal of a mounted disk: $(cat /tmp/refusal)"
	image_random /mnt/late.img 1048576
	xl block-attach one 'vdev=xvdc,script=block-ringway,target=/mnt/late.img' || fail 'a disk on a later mount is refused'
	wait_for 120 status_is 'Serving 3 disks'
	xl block-detach one xvdc
	wait_for 120 status_is 'Serving 2 disks'
	wait_for 10 umount /mnt || fail 'the later mount is held'
}

serves_guest() {
	truncate -s 16M /home/disk.img
	start_guest one "disk = [ 'vdev=xvda,script=block-ringway,target=/home/disk.img'," \
		"'vdev=xvdb,script=block-ringway,target=/dev/vdb' ]"
	wait_node 120 "$(dir_of one)/data/written"
	wait_for 60 status_is 'Serving 2 disks'
	serves_later_mount
	xenstore-write "$(dir_of one)/data/go" yes
	wait_guest one
	is_served /home/disk.img xvda
	is_served /dev/vdb xvdb
}

is_back() {
	[ "$(show MainPID)" -ne 0 ] && [ "$(show MainPID)" != "$1" ] && status_is 'Serving*'
}

# The data process, which has nothing to do then, leaves by itself.
comes_back() {
	local pid data
	pid=$(show MainPID) data=$(data_pids)
	kill -KILL "$pid"
	wait_for 60 is_back "$pid" || fail 'ringwayd is not started again'
	expect 'restarts' 1 "$(show NRestarts)"
	wait_for 30 test ! -e "/proc/$data" || fail 'the data process stays without ringwayd'
	! journalctl -q -u ringwayd | grep 'Killing process' || fail 'systemd kills what should leave by itself'
	ringway list
}

ends() {
	systemctl stop ringwayd
	expect 'state when stopped' 'inactive success' "$(show ActiveState) $(show Result)"
	expect 'data processes when stopped' '' "$(data_pids)"
	expect 'what is left in the run directory' /run/ringway/ringwayd.pid "$(find /run/ringway ! -type d)"
}

# Once is enough: to start it again would not mend that.
refuses_bad_config() {
	local error='ringwayd.conf:2: processes takes a number from 1 to 256, not "many"'
	printf '# mine\nprocesses = many\n' >/etc/ringway/ringwayd.conf
	! systemctl start ringwayd || fail 'a bad configuration is taken'
	expect 'state with a bad configuration' 'failed exit-code 1' "$(show ActiveState) $(show Result) $(show ExecMainStatus)"
	expect 'restarts with a bad configuration' 0 "$(show NRestarts)"
	expect 'errors in the journal' 1 "$(journalctl -q -p err -u ringwayd -o cat | grep -cF "$error")"
	systemctl status --no-pager -l ringwayd >/tmp/status || :
	grep -F "$error" /tmp/status || fail "systemctl status does not show the error: $(cat /tmp/status)"
}

dom0() {
	files_are_there
	is_ordered
	systemd-sysusers
	systemctl enable ringwayd
	start_ringwayd
	expect 'state of the service' 'active running enabled' "$(show ActiveState) $(show SubState) $(show UnitFileState)"
	wait_for 60 status_is 'Serving 0 disks'
	is_confined
	serves_guest
	comes_back
	ends
	refuses_bad_config
}
