#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ringwayd and block-ringway under a toolstack that does what libxl 4.17 does: nodes, wait for state 2, script, removal.
# With xen-blkback absent, first at the disk, and loaded by udev only then; refusals with their text and within a second;
# double writers; a script that is killed or called wrongly; a disk attached to dom0 itself; a reboot.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy jq

script=$(realpath "$(dirname "$0")/../../scripts/block-ringway")
export RINGWAY_SYSFS=$work/sys # where the stand-in for xen-blkback lives
bus=$RINGWAY_SYSFS/bus/xen-backend

# --- the stand-in for libxl

# create_nodes DOMID DEVID VDEV TARGET MODE: both directories; the backend's nodes at once.
create_nodes() {
	local back front=/local/domain/$1/device/vbd/$2
	back=$(backend_dir "$1" "$2")
	dom0 xenstore-write "$front" ""
	dom0 xenstore-chmod "$front" "n$1" r0
	dom0 xenstore-write "$front/backend" "$back" "$front/backend-id" 0 "$front/state" 1 "$front/virtual-device" "$2" \
		"$front/device-type" disk "$front/trusted" 1
	dom0 xenstore-write "$back" ""
	dom0 xenstore-chmod "$back" n0 "r$1"
	dom0 xenstore-write "$back/frontend" "$front" "$back/params" "$4" "$back/script" /etc/xen/scripts/block-ringway \
		"$back/frontend-id" "$1" "$back/online" 1 "$back/removable" 0 "$back/bootable" 1 "$back/state" 1 "$back/dev" "$3" \
		"$back/type" phy "$back/mode" "$5" "$back/device-type" disk "$back/discard-enable" 1 "$back/specification" xen
}

# hotplug VERB DOMID DEVID: the script, as libxl calls it.
hotplug() {
	dom0 env script="$script" XENBUS_TYPE=vbd XENBUS_PATH="backend/vbd/$2/$3" XENBUS_BASE_PATH=backend "$script" "$1"
}

# attach DOMID DEVID VDEV TARGET [MODE]
attach() {
	create_nodes "$1" "$2" "$3" "$4" "${5:-w}"
	wait_for 10 node_is "$(backend_dir "$1" "$2")/state" 2 || fail "no state 2 for $4"
	hotplug add "$1" "$2"
}

# ask_to_close DOMID DEVID
ask_to_close() {
	local back
	back=$(backend_dir "$1" "$2")
	dom0 xenstore-write "$back/online" 0 "$back/state" 5
}

remove_nodes() {
	dom0 xenstore-rm "$(backend_dir "$1" "$2")"
	dom0 xenstore-rm "/local/domain/$1/device/vbd/$2"
}

detach() {
	ask_to_close "$1" "$2"
	wait_for 10 node_is "$(backend_dir "$1" "$2")/state" 6 || fail "$1/$2 does not close"
	hotplug remove "$1" "$2" || fail "block-ringway remove"
	remove_nodes "$1" "$2"
}

# A refusal takes less than a second. Much more is allowed for a loaded machine, and less than what is waited for where
# waiting may help.
limit_us=$((4000000 * RINGWAY_SLOW))

# refused PATTERN DOMID DEVID VDEV TARGET [MODE]: at once, with the reason where libxl looks, and removable.
refused() {
	local pattern=$1 back rc=0 start
	back=$(backend_dir "$2" "$3")
	create_nodes "$2" "$3" "$4" "$5" "${6:-w}"
	start=${EPOCHREALTIME/./}
	wait_for 10 node_is "$back/state" 2 || fail "no state 2 for $5"
	hotplug add "$2" "$3" 2>"$work/stderr" || rc=$?
	took=$((${EPOCHREALTIME/./} - start))
	same $rc 1 "exit status of the script for $5"
	[ $took -lt $limit_us ] || fail "the refusal of $5 took $took us"
	[[ $(node "$back/hotplug-error") =~ $pattern ]] || fail "hotplug-error for $5 is '$(node "$back/hotplug-error")'"
	same "$(node "$back/hotplug-status")" error "hotplug-status of a refused disk"
	same "$(<"$work/stderr")" '' "what xl would show twice"
	detach "$2" "$3"
}

# --- the stand-in for xen-blkback

# blkback_loads: from now on the driver is there, and lets go of what is written to its unbind.
blkback_loads() {
	mkdir -p "$bus/drivers/vbd" "$bus/devices"
	mkfifo "$bus/drivers/vbd/unbind"
	(
		exec 3<>"$bus/drivers/vbd/unbind"
		while read -rn "${#device}" name <&3; do
			rm -f "$bus/devices/$name/driver"
			echo "$name" >>"$work/unbound"
		done
	) &
	started_pids+=($!)
}

# blkback_binds DOMID DEVID: its probe, node by node, with what 6.1 and 6.12 offer on a host of four processors.
blkback_binds() {
	local back
	back=$(backend_dir "$1" "$2")
	mkdir -p "$bus/devices/vbd-$1-$2"
	ln -s "$bus/drivers/vbd" "$bus/devices/vbd-$1-$2/driver"
	dom0 xenstore-write "$back/feature-max-indirect-segments" 256
	dom0 xenstore-write "$back/multi-queue-max-queues" 4
	dom0 xenstore-write "$back/max-ring-page-order" 4
	dom0 xenstore-write "$back/state" 2
}

is_unbound() {
	[ ! -e "$bus/devices/vbd-$1-$2/driver" ]
}

# --- one disk, written and read by a guest

disk_works() {
	local image=$1
	shift
	start_guest_disk "$@"
	head -c 1M /dev/urandom >"$work/in"
	nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")"
	cmp -n 1048576 "$work/in" "$image" || fail "the image differs from what the guest wrote"
	stop_guest_disk
}

truncate -s 8M "$work/a.img" "$work/b.img" "$work/small.img"
ln "$work/a.img" "$work/hard.img"
ln -s "$work/a.img" "$work/soft.img"
: >"$work/empty.img"
truncate -s 8M "$work/read-only.img"
chmod 444 "$work/read-only.img"
start_xen
create_domain guest
guest=$domid
create_domain other
other=$domid
device=vbd-$guest-51712

# --- no daemon: blkback has brought the disk to state 2, and the script says what is missing
create_nodes "$guest" 51712 xvda "$work/a.img" w
dom0 xenstore-write "$(backend_dir "$guest" 51712)/state" 2
start=${EPOCHREALTIME/./}
hotplug add "$guest" 51712 && fail "the script is content without ringwayd"
[ $((${EPOCHREALTIME/./} - start)) -lt $limit_us ] || fail "it takes long to see that ringwayd does not run"
same "$(node "$(backend_dir "$guest" 51712)/hotplug-error")" \
	"ringwayd is not running; start it with systemctl start ringwayd" "hotplug-error without ringwayd"
remove_nodes "$guest" 51712

start_ringwayd

# --- blkback absent
attach "$guest" 51712 xvda "$work/a.img"
back=$(backend_dir "$guest" 51712)
same "$(node "$back/hotplug-status")" connected "hotplug-status"
same "$(node "$back/physical-device-path")" "$work/a.img" "physical-device-path"
node "$back/physical-device" && fail "a file has no device number"
disk_works "$work/a.img" guest xvda
hotplug add "$guest" 51712 || fail "a second run of the script"
hotplug remove "$guest" 51712 || fail "remove while the disk is there"

# --- ringway list knows all of it
start_guest_disk guest xvda
wait_for 10 node_is "$back/state" 4 || fail "the guest does not connect"
nbdcopy "$(nbd_uri "$nbd")" null:
same "$(dom0 ringway list | head -1 | xargs)" "DOMAIN ID VDEV DEVID STATE MODE QUEUES TARGET REQUESTS MIB" "titles of list"
read -r name id vdev devid state mode queues target requests mib < <(dom0 ringway list guest | tail -1)
same "$name $id $vdev $devid $state $mode $queues $target" \
	"guest $guest xvda 51712 Connected w 1 $work/a.img" "the line of list"
[ "$requests" -gt 0 ] || fail "list counts no requests"
[ "$mib" -ge 8 ] || fail "list counts $mib MiB"
same "$(dom0 ringway list --json | jq -c '.devices[0] | [.domain, .vdev, .target, .mode, .state_name, .queues]')" \
	"[\"guest\",\"xvda\",\"$work/a.img\",\"w\",\"Connected\",1]" "list --json"

# --- busy: the guest is asked, goes on as long as it likes, and the toolstack may force it
ask_to_close "$guest" 51712
wait_for 10 node_is "$back/state" 6 || fail "a frontend that was asked to close does not"
stop_guest_disk
hotplug remove "$guest" 51712
remove_nodes "$guest" 51712

# --- forced, while connected: the nodes go first
attach "$guest" 51712 xvda "$work/a.img"
start_guest_disk guest xvda
wait_for 10 node_is "$back/state" 4 || fail "the guest does not connect again"
dom0 xenstore-rm "/local/domain/$guest/device/vbd/51712"
dom0 xenstore-write "$back/online" 0 "$back/state" 5
wait_for 10 node_is "$back/state" 6 || fail "a forced removal does not end"
stop_guest_disk
dom0 xenstore-rm "$back"

# --- refusals, each with the thing and why
refused 'target .*/missing.img: No such file or directory; create' "$guest" 51712 xvda "$work/missing.img"
refused 'target .*/empty.img is too small' "$guest" 51712 xvda "$work/empty.img"
refused 'read-only.img can.t be opened to write: Permission denied; make it writable, or' "$guest" 51712 xvda "$work/read-only.img"
refused 'neither a file nor a block device' "$guest" 51712 xvda "$work"
refused 'unknown kind; known are' "$guest" 51712 xvda nosuch:thing
dom0 ringway policy set default/vbd/allow/0 "ro $work/*"
dom0 ringway policy set enforce 1
refused 'policy: rule .*read only, and the disk.s mode is w' "$guest" 51712 xvda "$work/b.img"
attach "$guest" 51712 xvda "$work/b.img" r || fail "what the policy allows"
detach "$guest" 51712
attach 0 51712 xvda "$work/b.img" || fail "the policy is about guests, and pygrub attaches to dom0"
detach 0 51712
dom0 ringway policy unset enforce

# --- double writers: by name, by link, by mode
attach "$guest" 51712 xvda "$work/a.img"
for name in a hard soft; do
	refused "target .*img is in use by vbd $guest/51712, which may write" "$other" 51712 xvda "$work/$name.img"
	refused "target .*img is in use by vbd $guest/51712, which may write" "$other" 51712 xvda "$work/$name.img" r
done
detach "$guest" 51712
attach "$guest" 51712 xvda "$work/a.img" r
attach "$other" 51712 xvda "$work/hard.img" r || fail "two that read may share"
detach "$guest" 51712
detach "$other" 51712

# foreign KIND PARAMS MODE [PHYSICAL]: a disk of another backend, as stock tools write it.
foreign() {
	local path=/local/domain/0/backend/$1/$other/51728
	dom0 xenstore-rm "/local/domain/0/backend/$1/$other" 2>/dev/null || :
	dom0 xenstore-write "$path/frontend-id" "$other" "$path/params" "$2" "$path/mode" "$3" "$path/online" 1 \
		"$path/state" 4 "$path/script" /etc/xen/scripts/block ${4:+"$path/physical-device" "$4"}
}
foreign vbd "$work/hard.img" w
refused "target .*/a.img is in use by vbd $other/51728 of another backend, which may" "$guest" 51712 xvda "$work/a.img"
foreign vbd "$work/hard.img" r
refused "target .*/a.img is in use by vbd $other/51728 of another backend; detach" "$guest" 51712 xvda "$work/a.img"
attach "$guest" 51712 xvda "$work/a.img" r || fail "two that read may share, whoever serves them"
detach "$guest" 51712
dom0 xenstore-write "/local/domain/0/backend/vbd/$other/51728/mode" w \
	"/local/domain/0/backend/vbd/$other/51728/hotplug-status" busy
attach "$guest" 51712 xvda "$work/a.img" || fail "a disk that its own script refused uses nothing"
detach "$guest" 51712
dom0 xenstore-rm "/local/domain/0/backend/vbd/$other"
foreign qdisk "raw:$work/soft.img" w
refused "in use by qdisk $other/51728" "$guest" 51712 xvda "$work/a.img" r
dom0 xenstore-write "/local/domain/0/backend/qdisk/$other/51728/state" 6
attach "$guest" 51712 xvda "$work/a.img" || fail "a closed disk uses nothing"
detach "$guest" 51712
dom0 xenstore-rm "/local/domain/0/backend/qdisk"

# A process that has locked it, by name.
mkfifo "$work/hold"
exec {hold}<>"$work/hold"
flock -o "$work/a.img" cat "$work/hold" {hold}>&- &
holder=$!
started_pids+=("$holder")
wait_for 5 grep -q "FLOCK.*:$(stat -c %i "$work/a.img") " /proc/locks || fail "no lock is seen"
refused "a.img is locked \(flock\) by process [0-9]+ \(flock\)" "$guest" 51712 xvda "$work/a.img"
exec {hold}>&-
wait "$holder" || fail "flock ended with $?"

# let_go_of_loop: keeps the exit status.
let_go_of_loop() {
	local rc=$?
	! mountpoint -q "$work/mnt" || umount "$work/mnt"
	losetup -d "$loop"
	return $rc
}

# A loop device on it: both ways, mounted, and on another backend's.
if loop=$(losetup -f --show "$work/a.img" 2>"$work/losetup.log"); then
	trap 'let_go_of_loop; clean_up' EXIT
	attach "$guest" 51712 xvda "$work/a.img"
	refused "target $loop is in use by vbd $guest/51712" "$other" 51712 xvda "$loop"
	detach "$guest" 51712
	attach "$guest" 51712 xvda "$loop"
	same "$(node "$back/physical-device")" "$(stat -c %t:%T "$loop")" "physical-device of a block device"
	same "$(node "$back/physical-device-path")" "$loop" "physical-device-path of a block device"
	refused "target .*/a.img is in use by vbd $guest/51712" "$other" 51712 xvda "$work/a.img"
	detach "$guest" 51712
	foreign vbd /dev/does-not-matter w "$(stat -c %t:%T "$loop")"
	refused "a.img is in use by vbd $other/51728 of another" "$guest" 51712 xvda "$work/a.img"
	dom0 xenstore-rm "/local/domain/0/backend/vbd/$other"
	if mkfs.ext2 -q "$work/a.img" 2>/dev/null && mkdir "$work/mnt" && mount "$loop" "$work/mnt" 2>/dev/null; then
		refused "a.img is mounted in dom0 on $work/mnt, writable; umount" "$guest" 51712 xvda "$work/a.img" r
		refused "$loop is mounted in dom0 on $work/mnt" "$guest" 51712 xvda "$loop"
		mount -o remount,ro "$work/mnt"
		attach "$guest" 51712 xvda "$work/a.img" r || fail "a file system mounted read-only is no danger to a reader"
		detach "$guest" 51712
		refused "a.img is mounted in dom0 on $work/mnt;" "$guest" 51712 xvda "$work/a.img"
	fi
	let_go_of_loop
	trap clean_up EXIT
else
	echo "no loop devices here: $(<"$work/losetup.log")"
fi

# --- a reboot: another domain id has the same disk at once, the one before it still closing
attach "$guest" 51712 xvda "$work/a.img"
start_guest_disk guest xvda
wait_for 10 node_is "$back/state" 4 || fail "the guest does not connect"
xenloop destroy guest >/dev/null
create_domain guest
attach "$domid" 51712 xvda "$work/a.img" ||
	fail "the disk of a guest that rebooted: $(node "$(backend_dir "$domid" 51712)/hotplug-error")"
ask_to_close "$guest" 51712
wait_for 10 node_is "$back/state" 6 || fail "the disk of a domain that is gone does not close"
dom0 xenstore-rm "$back"
wait "$nbd_pid" 2>/dev/null || :
guest=$domid back=$(backend_dir "$domid" 51712) device=vbd-$domid-51712
disk_works "$work/a.img" guest xvda
detach "$guest" 51712

# --- a VM that migrates on this host: both its domains have the disk, and the one that it came from loses it in time
attach "$guest" 51712 xvda "$work/a.img"
start_guest_disk guest xvda
source_pid=$nbd_pid source=$(<"$nbd.pid")
wait_for 10 node_is "$back/state" 4 || fail "the source does not connect"
refused 'in use by vbd' "$other" 51712 xvda "$work/a.img"
for id in "$guest" "$other"; do
	dom0 xenstore-write "/local/domain/$id/vm" /vm/the-same
done
attach "$other" 51712 xvda "$work/a.img" || fail "the destination does not get the disk"
node_is "$back/state" 4 || fail "the source has lost its disk before the destination has connected"
kill -STOP "$source" # suspended
disk_works "$work/a.img" other xvda
wait_for 10 node_is "$back/state" 6 || fail "the source keeps its disk"
kill -KILL "$source"
wait "$source_pid" 2>/dev/null || :
detach "$guest" 51712
refused 'hard.img is in use by vbd' "$other" 51728 xvdb "$work/hard.img"
detach "$other" 51712
dom0 xenstore-rm "/local/domain/$other/vm"

# --- the verdict, for people
attach "$guest" 51712 xvda "$work/soft.img"
same "$(dom0 ringway verdict guest xvda)" "granted: $work/a.img" "verdict"
same "$(dom0 ringway verdict guest xvda --json | jq -c .)" \
	"{\"verdict\":\"granted\",\"reason\":null,\"trouble\":null,\"path\":\"$work/a.img\"}" "verdict --json"
create_nodes "$other" 51712 xvda "$work/missing.img" w
wait_for 10 node_is "$(backend_dir "$other" 51712)/state" 2
out=$(dom0 ringway verdict other xvda) && fail "exit status of a verdict that refuses"
[[ $out =~ ^refused:\ target\ .*/missing.img:\ No\ such\ file ]] || fail "verdict says: $out"
detach "$other" 51712
detach "$guest" 51712

# --- made anew under ringwayd's eyes, by somebody who is quicker than it and writes a 2 of his own
attach "$guest" 51712 xvda "$work/a.img"
pause "$ringwayd_pid"
remove_nodes "$guest" 51712
create_nodes "$guest" 51712 xvda "$work/b.img" w
dom0 xenstore-write "$back/state" 2
kill -CONT "$ringwayd_pid"
wait_for 10 node_is "$back/max-ring-page-order" 4 || fail "a disk that was made anew is not offered"
hotplug add "$guest" 51712
same "$(node "$back/physical-device-path")" "$work/b.img" "what the disk that was made anew is made of"
disk_works "$work/b.img" guest xvda
detach "$guest" 51712

# --- a node of it that can't be read is no reason to take a disk from a guest
attach "$guest" 51712 xvda "$work/b.img"
start_guest_disk guest xvda
wait_for 10 node_is "$back/state" 4 || fail "the guest does not connect"
times=$(grep -c "vbd $guest/51712: disconnected" "$work/ringwayd.log" || :)
dom0 xenstore-write "$back/feature-flush-cache" "$(printf '%02000d' 0)"
dom0 ringway verdict guest xvda >/dev/null # looks once more
same "$(dom0 ringway show guest xvda --json | jq -r .phase)" connected "phase of a disk with an unreadable node"
same "$(grep -c "vbd $guest/51712: disconnected" "$work/ringwayd.log" || :)" "$times" "times it was taken from the guest"
stop_guest_disk
detach "$guest" 51712

# --- pygrub: a disk for dom0 itself, used there
attach 0 51712 xvda "$work/b.img"
disk_works "$work/b.img" 0 xvda
detach 0 51712

# --- blkback is first: what it offered is gone before a frontend connects
blkback_loads
create_nodes "$guest" 51712 xvda "$work/a.img" w
blkback_binds "$guest" 51712
wait_for 10 node_is "$back/state" 2
hotplug add "$guest" 51712 || fail "the script with blkback there: $(node "$back/hotplug-error")"
wait_for 5 is_unbound "$guest" 51712 || fail "blkback still has the disk"
disk_works "$work/a.img" guest xvda
for node in multi-queue-max-queues feature-max-indirect-segments; do
	node "$back/$node" && fail "blkback's $node is still offered"
done
same "$(<"$work/unbound")" "$device" "what was unbound"

# --- it binds after ringwayd has offered
detach "$guest" 51712
create_nodes "$guest" 51712 xvda "$work/a.img" w
wait_for 10 node_is "$back/max-ring-page-order" 4
wait_for 10 node_is "$back/state" 2
blkback_binds "$guest" 51712
hotplug add "$guest" 51712 || fail "the script with blkback there late"
wait_for 10 is_unbound "$guest" 51712 || fail "blkback still has the disk"
start_guest_disk guest xvda
wait_for 10 node_is "$back/state" 4 || fail "the guest does not connect after a late blkback"
node "$back/multi-queue-max-queues" && fail "a late blkback's queues are still offered"
stop_guest_disk
detach "$guest" 51712

# --- it cannot be unbound
create_nodes "$guest" 51712 xvda "$work/a.img" w
wait_for 10 node_is "$back/state" 2
blkback_binds "$guest" 51712
mv "$bus/drivers/vbd/unbind" "$work/unbind"
mkdir "$bus/drivers/vbd/unbind"
hotplug add "$guest" 51712 && fail "the script is content with blkback at the disk"
[[ $(node "$back/hotplug-error") = "xen-blkback has $device and does not let go of it: "* ]] ||
	fail "hotplug-error with blkback bound is $(node "$back/hotplug-error")"
detach "$guest" 51712
rm -r "${bus:?}"

# --- udev would load it for this disk: then it is loaded, and told, before a frontend connects
mkdir -p "$work/bin" "$bus/devices/$device"
cat >"$work/bin/modprobe" <<-END
	#!/bin/sh
	echo "\$*" >>$work/modprobe
	mkdir -p $bus/drivers/vbd
	: >$bus/drivers/vbd/unbind
	ln -s $bus/drivers/vbd $bus/devices/$device/driver
END
chmod +x "$work/bin/modprobe"
PATH=$work/bin:$PATH attach "$guest" 51712 xvda "$work/a.img"
same "$(<"$work/modprobe")" "-b -q xen-backend:vbd" "how the driver is loaded"
same "$(<"$bus/drivers/vbd/unbind")" "$device" "what was unbound from the driver that was just loaded"
detach "$guest" 51712
rm -r "${bus:?}"

# --- the script, killed at any point and run again
for delay in 0.001 0.003 0.006 0.01 0.015 0.02 0.03 0.05; do
	create_nodes "$guest" 51712 xvda "$work/a.img" w
	wait_for 10 node_is "$back/state" 2
	dom0 env XENBUS_PATH="backend/vbd/$guest/51712" timeout -s KILL $delay "$script" add 2>/dev/null || :
	hotplug add "$guest" 51712 || fail "the script after one that was killed after $delay s"
	same "$(node "$back/hotplug-status")" connected "hotplug-status after a killed script"
	node "$back/hotplug-error" && fail "a hotplug-error is left"
	detach "$guest" 51712
done

# --- called wrongly
# misused PATTERN COMMAND...: fails with one line.
misused() {
	local pattern=$1 out
	shift
	out=$(dom0 "$@" 2>&1) && fail "$* is content"
	[[ $out =~ $pattern && $(wc -l <<<"$out") = 1 ]] || fail "$* says: $out"
}
misused 'no XENBUS_PATH' "$script" add
misused "'': neither add nor remove" "$script"
misused "'online': neither add nor remove" env XENBUS_PATH="backend/vbd/$guest/51712" "$script" online
misused 'not of the form' env XENBUS_PATH="backend/vif/$guest/0" "$script" add
misused 'no such domain' env XENBUS_PATH="backend/vbd/4711/51712" "$script" add
dom0 xenstore-ls -f >"$work/before"
misused 'not in xenstore' env XENBUS_PATH="backend/vbd/$guest/51744" "$script" add
foreign vbd "$work/a.img" w
dom0 xenstore-ls -f >"$work/before"
misused 'another backend' env XENBUS_PATH="backend/vbd/$other/51728" "$script" add
dom0 xenstore-ls -f >"$work/after"
diff "$work/before" "$work/after" || fail "the script writes where it has no business"
dom0 xenstore-rm "/local/domain/0/backend/vbd/$other"
stop_ringwayd
