# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What dom0's half of a scenario may call.

export PATH=$PATH:/usr/lib/xen-4.17/bin

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
# Emulation is slow, and guests are paused: their kernels are told not to take that for a lockup, and to do without some of what
# they would only test.
guest_config() {
	local name=$1 version=${kernel:-6.1} quiet='nowatchdog rcupdate.rcu_cpu_stall_suppress=1'
	local untested='cryptomgr.notests initcall_blacklist=crypto_kdf108_init,jent_mod_init,init_encrypted ipv6.disable=1'
	shift
	boot_files "$version"
	{
		printf '%s\n' "name = '$name'" "type = '${type:-pv}'" "memory = ${memory:-128}" "vcpus = ${vcpus:-1}"
		printf '%s\n' "kernel = '/boot/vmlinux-$version'" "ramdisk = '/run/lab/guest-$version.cpio'"
		echo "extra = 'console=hvc0 loglevel=5 mitigations=off norandmaps $quiet $untested half=${half:-guest}${extra:+ $extra}'"
		echo "on_crash = 'destroy'"
		printf '%s\n' "$@"
	} >"/run/$name.cfg"
	echo "/run/$name.cfg"
}

# xl maps it, which is slow on the shared folder.
boot_files() {
	mkdir -p /run/lab
	[ -e "/run/lab/guest-$1.cpio" ] || cp "/lab/guest-$1.cpio" /run/lab/
}

# start_guest NAME [LINE...]: xl create, with what guest_config makes; returns when the guest is about to run its half.
start_guest() {
	xl create "$(guest_config "$@")" || fail "xl create of $1"
	wait_guest_up "$1"
}

wait_guest_up() {
	wait_node 120 "$(dir_of "$1")/data/lab" || fail "guest $1 does not come up"
}

# wait_guest NAME [SECONDS]: until it is gone, its half having ended well.
wait_guest() {
	wait_watch "${2:-120}" @releaseDomain is_gone "$1" || fail "guest $1 stays: $(tail -3 "$(guest_log "$1")")"
	grep -aq '^lab: guest exit 0' "$(guest_log "$1")" || fail "guest $1: its half failed"
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

# domid_of GUEST: what xl domid says, which takes a second here.
domid_of() {
	labtool domid "$1"
}

# guest_id GUEST: the same for a guest that has to be there.
guest_id() {
	domid_of "$1" || fail "there is no guest $1"
}

# dir_of GUEST: its directory in xenstore.
dir_of() {
	echo "/local/domain/$(guest_id "$1")"
}

# Nodes of a disk: backend_of GUEST [VDEV] and frontend_of GUEST [VDEV]. VDEV is its number, 51712 for xvda.
backend_of() {
	echo "/local/domain/0/backend/vbd/$(guest_id "$1")/${2:-51712}"
}

frontend_of() {
	echo "$(dir_of "$1")/device/vbd/${2:-51712}"
}

# driver_of GUEST VDEV: which kernel driver of dom0's is bound to the disk; nothing: none.
driver_of() {
	local link
	link=$(readlink "/sys/bus/xen-backend/devices/vbd-$(guest_id "$1")-$2/driver") || return 0
	basename "$link"
}

# in_guest GUEST COMMAND: has a guest whose half is `obey` run it, with the functions of the scenario; prints what it says, and
# fails if it fails.
in_guest() {
	local data answer token=$EPOCHREALTIME
	data=$(dir_of "$1")/data
	xenstore-write "$data/todo" "$token $2"
	wait_node 240 "$data/done" "$token *" || fail "guest $1 does not answer to: $2"
	answer=$(xenstore-read "$data/done")
	answer=${answer#* }
	printf '%s\n' "${answer#* }"
	[ "${answer%% *}" = 0 ] || fail "guest $1: $2"
}

# Of a guest whose half is `use_disk`: expect_use fails if its I/O does not go on; stop_using, if a part of it has failed.
expect_use() {
	labtool wait-rounds 480 "$(dir_of "$1")/data/rounds" ||
		fail "$1 does no I/O any more: $(tail -3 "$(guest_log "$1")")"
}

stop_using() {
	xenstore-write "$(dir_of "$1")/data/stop" 1
	wait_guest "$1"
}

# A neighbour of guests that behave badly: dom0 itself uses a disk that ringwayd serves to it, by Linux's frontend.
start_neighbour() {
	modprobe xen-blkfront
	truncate -s 1M /root/neighbour.img
	xl block-attach 0 vdev=xvda,script=block-ringway,target=/root/neighbour.img || fail 'no disk for the neighbour'
	use_disk /dev/xvda 5 &
	neighbour=$!
	expect_neighbour
}

expect_neighbour() {
	expect_use Domain-0
}

stop_neighbour() {
	xenstore-write data/stop 1
	wait "$neighbour" || fail 'I/O of the neighbour has failed'
}

# holds: what ringwayd and its data process have of guests and disks; to be compared with what it was before.
holds() {
	local pids control data files
	mapfile -t pids </sys/fs/cgroup/system.slice/ringwayd.service/cgroup.procs
	control=/proc/${pids[0]} data=/proc/${pids[1]}
	files=("$control"/fd/* "$data"/fd/*)
	echo "${#files[@]} files," \
		"$(cat "$data"/fdinfo/* | grep -c '^ *[0-9]*: [^<]') registered," \
		"$(grep -c /dev/xen/gntdev "$data/maps") pages," \
		"$(grep -c evtchn:ringwayd-data /proc/interrupts) event channels"
}

holds_is() {
	[ "$(holds)" = "$1" ]
}

# census: what there is in this host that a guest could leave behind. Two of them are the same if nothing was left between; the
# guests that are in one have to be in the other.
census() {
	local backends=(/sys/bus/xen-backend/devices/*)
	echo "domains: $(xl list | awk 'NR > 1 { printf "%s/%s ", $1, $2 }')"
	echo "event channels of dom0:"
	lsevtchn 0 | awk '{ sub(/^[^:]*: VCPU [0-9]*: /, ""); sub(/, Port .*/, ""); count[$0]++ }
		END { for (kind in count) print count[kind], kind }' | sort
	echo "guests' pages in use, by Xen:"
	xl debug-keys g
	xl dmesg | awk '/gnttab_usage_print_all \[/ { delete in_use } /for remote d/ { domain = $5 } /\[0x/ { in_use[domain]++ }
		END { for (domain in in_use) print domain, in_use[domain] }' | sort
	echo "ringwayd: $(holds)"
	echo "the kernel's backends: ${backends[*]##*/}"
	echo "loop devices:"
	losetup -n -O NAME,BACK-FILE
	echo "hotplug scripts: $(count_hotplug)"
	echo "xenstore: $(count_nodes /local/domain) domains, vm $(count_nodes /vm), libxl $(count_nodes /libxl)"
	xenstore-ls -f /local/domain/0 | sed 's/ = .*//'
}

count_hotplug() {
	local process name count=0
	for process in /proc/[0-9]*/comm; do
		read -r name <"$process" || continue
		[[ $name != block-ringway && $name != ringway ]] || count=$((count + 1))
	done 2>/dev/null
	echo $count
}

count_nodes() {
	local nodes
	mapfile -t nodes < <(xenstore-list "$1" 2>/dev/null)
	echo ${#nodes[@]}
}

# expect_census FILE: nothing was left since `census >FILE`.
expect_census() {
	wait_for 30 census_is "$1" || fail "something is left: $(census | diff "$1" -)"
}

census_is() {
	census | cmp -s - "$1"
}
