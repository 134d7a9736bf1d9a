# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Linux's own frontend on our disks: PV and PVH guests, kernels 6.1 and 6.12, each with a disk without persistent grants and one
# with them, on several vcpus and in rings of one page and of many. A guest reads what dom0 has put on its disk, makes a file
# system there and writes from all vcpus at once; dom0 then finds a clean file system and the same files.
# shellcheck disable=SC2034 # read by run.sh
dom0_kernels=(6.1 6.12) guest_kernels=(6.1 6.12)

# The guests of this dom0: type, kernel, vcpus, max_ring_page_order.
matrix() {
	case $(uname -r) in
	6.1.*) printf '%s\n' 'pv 6.12 2 4' 'pvh 6.1 2 0' ;;
	*) printf '%s\n' 'pv 6.1 3 0' 'pvh 6.12 2 3' ;;
	esac
}

# setting NAME: a word NAME=... of the kernel's command line.
setting() {
	sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

guest() {
	modprobe xen-blkfront feature_persistent=0 max_ring_page_order="$(setting order)"
	expect 'vcpus' "$(setting vcpus)" "$(nproc)"
	fill_disk xvda 51712 0
	echo 1 >/sys/module/xen_blkfront/parameters/feature_persistent
	xenstore-write data/filled xvda
	fill_disk xvdb 51728 1
}

# fill_disk DISK DEVID PERSISTENT
fill_disk() {
	local front=device/vbd/$2
	wait_for 120 test -b "/dev/$1"
	expect 'persistent grants' "$3" "$(xenstore-read "$front/feature-persistent")"
	has_ring "$front" "$(setting order)"
	expect 'what dom0 has written' "$(setting sum)" "$(sha256sum "/dev/$1" | cut -d' ' -f1)"
	mke2fs -q "/dev/$1"
	mkdir -p /mnt
	mount -t ext4 "/dev/$1" /mnt
	write_files
	umount /mnt
}

# has_ring FRONTEND ORDER: a ring of one page is not numbered.
has_ring() {
	if [ "$2" = 0 ]; then
		xenstore-exists "$1/ring-ref"
	else
		expect 'the ring of the frontend' "$2" "$(xenstore-read "$1/ring-page-order")"
	fi
}

# Large requests by the page cache from each vcpu, small ones past it, and what it all has come to.
write_files() {
	local cpu pids=()
	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		taskset -c "$cpu" dd if=/dev/urandom of=/mnt/cpu$cpu bs=64k count=8 conv=fsync status=none &
		pids+=($!)
	done
	dd if=/dev/urandom of=/mnt/small bs=512 count=8 oflag=direct status=none
	for cpu in "${pids[@]}"; do
		wait "$cpu"
	done
	(cd /mnt && sha256sum cpu* small >sums)
	echo 3 >/proc/sys/vm/drop_caches
	(cd /mnt && sha256sum --quiet -c sums)
}

# has_files IMAGE VCPUS
has_files() {
	e2fsck -fn "$1"
	mount -o loop,ro "$1" /mnt
	expect "files in $1" $(($2 + 1)) "$(wc -l </mnt/sums)"
	(cd /mnt && sha256sum --quiet -c sums)
	umount /mnt
}

# serve TYPE KERNEL VCPUS ORDER
serve() {
	local type=$1 kernel=$2 vcpus=$3 order=$4 name=$1-$2 extra
	image_random "/srv/$name.xvda" $((4 << 20))
	cp "/srv/$name.xvda" "/srv/$name.xvdb"
	extra="vcpus=$vcpus order=$order sum=$(sha256sum "/srv/$name.xvda" | cut -d' ' -f1)"
	start_guest "$name" "disk = [ 'vdev=xvda,script=block-ringway,target=/srv/$name.xvda' ]"
	wait_node 200 "$(dir_of "$name")/data/filled" || fail "$name does not fill its first disk"
	xl block-attach "$name" "vdev=xvdb,script=block-ringway,target=/srv/$name.xvdb"
	ringway list
	wait_guest "$name" 300
	has_files "/srv/$name.xvda" "$vcpus"
	has_files "/srv/$name.xvdb" "$vcpus"
}

dom0() {
	local type kernel vcpus order
	mke2fs -q -t ext4 /dev/vdb
	mount /dev/vdb /srv
	start_ringwayd
	while read -ru 5 type kernel vcpus order; do
		serve "$type" "$kernel" "$vcpus" "$order"
	done 5< <(matrix)
}
