# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Disks come to a guest that runs, has two CPUs, and sees what xen-blkback offers before that is unbound: whatever number of
# queues and features it has chosen, each disk works, and goes again.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.12)

rounds=3

guest() {
	local round sum
	modprobe xen-blkfront
	mkdir -p /mnt
	xenstore-write data/word ready
	for ((round = 1; round <= rounds; round++)); do
		wait_node 600 data/go "$round"
		wait_for 240 test -b /dev/xvdb
		mke2fs -q /dev/xvdb
		mount -t ext2 /dev/xvdb /mnt
		head -c 2000000 /dev/urandom >/mnt/file
		sum=$(sha256sum </mnt/file)
		umount /mnt
		xenstore-write data/word "$round $sum"
	done
	wait_node 600 data/go end
	[ ! -b /dev/xvdb ]
}

dom0() {
	local round data word queues seen=''
	modprobe xen-blkback max_queues=4
	start_ringwayd
	vcpus=2 start_guest one
	data=$(dir_of one)/data
	wait_node 120 "$data/word" ready
	for ((round = 1; round <= rounds; round++)); do
		rm -f /root/disk.img
		truncate -s 8M /root/disk.img
		xl block-attach one vdev=xvdb,script=block-ringway,target=/root/disk.img || fail 'xl block-attach'
		expect 'the driver of our disk' '' "$(driver_of one 51728)"
		xenstore-write "$data/go" "$round"
		wait_node 240 "$data/word" "$round *"
		word=$(xenstore-read "$data/word")
		queues=$(xenstore-read "$(frontend_of one 51728)/multi-queue-num-queues" 2>/dev/null || echo 1)
		expect 'the queues that ringway list shows' "$queues" "$(ringway list one | awk 'NR == 2 { print $7 }')"
		seen+=" $queues"
		mount -o loop,ro /root/disk.img /mnt
		expect "what the guest wrote in round $round" "${word#* }" "$(sha256sum </mnt/file)"
		umount /mnt
		xl block-detach one xvdb || fail 'xl block-detach'
		! xenstore-exists "$(backend_of one 51728)" || fail 'xl leaves the backend directory'
	done
	echo "queues in each round:$seen"
	xenstore-write "$data/go" end
	wait_guest one 240
}
