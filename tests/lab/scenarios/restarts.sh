# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# ringwayd and its data process are killed twenty times, stopped, and replaced by another build and back, while a guest with two
# CPUs and Linux's own frontend writes to a file system on each of two disks, one without persistent grants and one with them.
# The guest sees pauses and nothing else; dom0 then finds clean file systems with all that was written; nothing is left behind.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.1 6.12) guest_kernels=(6.1 6.12) another_build=yes

declare -A devid=([xvda]=51712 [xvdb]=51728)

guest() {
	local disk pid pids=()
	modprobe xen-blkfront feature_persistent=0
	expect 'vcpus' 2 "$(nproc)"
	has_disk xvda 0
	echo 1 >/sys/module/xen_blkfront/parameters/feature_persistent
	xenstore-write data/has xvda
	open_disk xvda
	has_disk xvdb 1
	open_disk xvdb
	for disk in xvda xvdb; do
		labtool use-disk /mnt/$disk/direct 0.05 data/direct-$disk &
		pids+=($!)
		labtool use-files /mnt/$disk 0.1 data/files-$disk &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	close_disk xvda
	close_disk xvdb
	! dmesg | grep -E 'xvd|EXT4|vbd' | grep -iE 'error|fail|remount' || fail 'the kernel has noticed something'
}

# has_disk DISK PERSISTENT
has_disk() {
	wait_for 120 test -b "/dev/$1"
	expect 'persistent grants' "$2" "$(xenstore-read "device/vbd/${devid[$1]}/feature-persistent")"
}

open_disk() {
	mkdir -p "/mnt/$1"
	mount -t ext4 "/dev/$1" "/mnt/$1"
	dd if=/dev/zero of="/mnt/$1/direct" bs=1M count=1 conv=fsync status=none
}

close_disk() {
	(cd "/mnt/$1" && sha256sum direct file* >sums)
	umount "/mnt/$1"
}

# All kinds of use of all disks.
goes_on() {
	labtool wait-rounds 480 "$data"/{direct,files}-{xvda,xvdb} || fail 'a disk does not go on'
}

start() {
	local disk
	mke2fs -q /dev/vdb
	mount /dev/vdb /srv
	for disk in xvda xvdb; do
		truncate -s 64M /srv/$disk.img
		mke2fs -q -F -t ext4 /srv/$disk.img
	done
	start_ringwayd
	census >/run/before
	kernel=$(guest_kernel) vcpus=2 memory=192 start_guest one \
		"disk = [ 'vdev=xvda,script=block-ringway,target=/srv/xvda.img' ]"
	data=$(dir_of one)/data
	wait_node 120 "$data/has" || fail 'the guest does not get its first disk'
	xl block-attach one 'vdev=xvdb,script=block-ringway,target=/srv/xvdb.img' || fail 'xl block-attach'
	goes_on
}

# Whoever writes a state, even the same again, makes a line; and each watch does, at once.
watch_states() {
	local disk nodes=()
	for disk in xvda xvdb; do
		nodes+=("$(backend_of one "${devid[$disk]}")/state" "$(frontend_of one "${devid[$disk]}")/state")
	done
	xenstore-watch "${nodes[@]}" >/run/states &
	watch=$!
	wait_for 10 has_lines /run/states 4
}

# has_lines FILE NUMBER
has_lines() {
	[ "$(wc -l <"$1")" = "$2" ]
}

states_were_left_alone() {
	local disk
	kill "$watch"
	has_lines /run/states 4 || fail "states were written: $(sort /run/states | uniq -c)"
	for disk in xvda xvdb; do
		expect "the state of $disk" 4 "$(xenstore-read "$(backend_of one "${devid[$disk]}")/state")"
		! xenstore-exists "$(backend_of one "${devid[$disk]}")/error" || fail "$disk has an error"
	done
}

# What the data process had taken and not answered: by the journals' indexes, right after its death. Its successor is not that
# quick.
count_in_flight() {
	local journal state taken intended answered count=0
	for journal in /run/ringway/journal/*; do
		# shellcheck disable=SC2034 # what is between the two
		read -r state taken intended answered < <(od -An -tu4 -j256 -N16 "$journal")
		count=$((count + taken - answered))
	done
	echo $count
}

# find_processes: sets `processes` to ringwayd's and those of data processes.
find_processes() {
	mapfile -t processes </sys/fs/cgroup/system.slice/ringwayd.service/cgroup.procs
}

# kill_hard data|control|both
kill_hard() {
	local processes victims
	find_processes
	case $1 in
	data) victims=("${processes[@]:1}") ;;
	control) victims=("${processes[0]}") ;;
	both) victims=("${processes[@]}") ;;
	esac
	kill -KILL "${victims[@]}"
	[ "$1" = control ] || in_flight+=" $(count_in_flight)"
	goes_on
}

# The last ones are of data processes under one ringwayd: what that had kept of each would be seen.
kill_them() {
	local victim in_flight=''
	for victim in data both control data both control both data control both data data data data data data data data data data; do
		kill_hard $victim
	done
	echo "requests in flight when a data process was killed:$in_flight"
	[[ $in_flight == *[1-9]* ]] || fail 'there never were any'
}

# runs VERSION
runs() {
	local processes
	find_processes
	expect 'the version that runs' "$1" "$("/proc/${processes[0]}/exe" --version)"
}

# As an upgrade does it; and back, by somebody who forgets to restart, and then it is killed.
replace() {
	local in_flight=''
	tar -x -C / --no-same-owner --keep-directory-symlink -f /lab/another.tar
	systemctl restart ringwayd
	goes_on
	runs 'ringwayd another'
	tar -x -C / --no-same-owner --keep-directory-symlink -f /lab/install.tar
	kill_hard both
	runs "$(ringwayd --version)"
}

stop_and_start() {
	systemctl stop ringwayd
	expect 'data processes while ringwayd is stopped' '' "$(pgrep -x ringwayd-data)"
	start_ringwayd
	goes_on
}

is_listed() {
	ringway list
	expect 'the disks that ringway list shows' 2 "$(ringway list one | grep -c ' Connected *w ')"
}

# has_files DISK
has_files() {
	e2fsck -fn "/srv/$1.img"
	mount -o loop,ro "/srv/$1.img" /mnt
	has_lines /mnt/sums 17 || fail "there are few files on $1"
	(cd /mnt && sha256sum --quiet -c sums)
	umount /mnt
}

# The other kernel than dom0's.
guest_kernel() {
	case $(uname -r) in
	6.1.*) echo 6.12 ;;
	*) echo 6.1 ;;
	esac
}

dom0() {
	local step data watch
	start
	watch_states
	for step in stop_and_start replace kill_them states_were_left_alone is_listed; do
		echo "--- $step"
		$step
	done
	stop_using one
	expect_census /run/before
	has_files xvda
	has_files xvdb
	echo 'the shortest and the longest pause after the death of a data process:'
	journalctl -q -o cat -u ringwayd | grep -o 'attached again after .*' | sort -nk4 | sed -n '1p; $p'
}
