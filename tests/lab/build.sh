#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build the lab: real Xen, a dom0 that is a small Debian with systemd, guests' kernels and images, and the saved state of a
# dom0 that is up. All of it comes from Debian's packages, under BUILD/lab; nothing is installed on this machine. What is there
# and still true is kept. Usage: tests/lab/build.sh BUILD
#
# Leaves in BUILD/lab, V being 6.1 and 6.12: xen, dom0.img, vmlinux-V and dom0-V.cpio (dom0), guest-V.cpio and kernel-V, which
# is packed (guests), ready-V (the state), root/ and linux-V/ (packages, unpacked).
set -euo pipefail

here=$(dirname "$(realpath "$0")")
mkdir -p "${1:?usage: tests/lab/build.sh BUILD}/lab"
lab=$(realpath "$1/lab")
root=$lab/root
# shellcheck source=tests/lab/image.sh
. "$here/image.sh"
# shellcheck source=tests/lab/machine.sh
. "$here/machine.sh"

kernels=(6.1 6.12)
boot_modules=(virtio_pci virtio_blk ext4 overlay)
guest_modules=(xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkfront ext4 nbd loop)
dom0_modules=("${guest_modules[@]}" "${boot_modules[@]}" xen-blkback xen-netback 9p 9pnet_virtio
	brd dm-mod null_blk bridge tun veth)
guest_programs=(/bin/bash /usr/bin/xenstore-{exists,list,ls,read,rm,watch,write,chmod} /usr/bin/sha256sum /usr/bin/stat /bin/dd
	/sbin/mke2fs /sbin/e2fsck)

# step NAME FILE...: runs make_NAME, unless it has been done with the same FILEs and the same words after --.
step() {
	local name=$1 stamp=$lab/$1.stamp now
	shift
	now=$({ cat "$@" && declare -f "make_$name" && echo "${kernels[*]} ${dom0_modules[*]} ${guest_programs[*]}"; } | sha256sum)
	[ "$(cat "$stamp" 2>/dev/null)" != "$now" ] || return 0
	rm -f "$stamp"
	echo "lab: $name"
	"make_$name"
	echo "$now" >"$stamp"
}

# dom0's Debian, and the kernels next to it.
make_debian() {
	local log=$lab/debian.log version
	rm -rf --one-file-system "$root" "$lab"/linux-*
	mkdir -p "$lab/debs"
	mmdebstrap --variant=minbase --include="$(sed '/^#/d; /^$/d' "$here/packages" | paste -sd,)" \
		--aptopt='APT::Install-Recommends "false"' --customize-hook="$here/kernels.sh \"\$1\" ${kernels[*]}" \
		--customize-hook="sync-out /debs '$lab/debs'" bookworm "$root" >"$log" 2>&1 || {
		tail -20 "$log" >&2
		return 1
	}
	rm -r "$root/debs"
	for version in "${kernels[@]}"; do
		dpkg -x "$lab/debs/linux-image-$version".*.deb "$lab/linux-$version"
	done
	rm -r "$lab/debs"
}

# vmlinux FILE: the ELF kernel in a bzImage. QEMU and Xen would unpack it as well, in emulation and slowly.
vmlinux() {
	local image=$1 sectors offset length magic
	read -r sectors < <(od -An -tu1 -j $((0x1f1)) -N1 "$image")
	read -r offset length < <(od -An -tu4 -j $((0x248)) -N8 "$image")
	offset=$((offset + (sectors + 1) * 512))
	# The length includes the unpacked size, four bytes that no decompressor knows.
	read -r magic < <(od -An -tx4 -j "$offset" -N4 "$image")
	dd if="$image" bs=64K iflag=skip_bytes,count_bytes skip="$offset" count=$((length - 4)) status=none |
		case $magic in
		587a37fd) xz -dc ;;
		fd2fb528) zstd -dc ;;
		*)
			echo "build.sh: $image is packed in a way not known here ($magic)" >&2
			return 1
			;;
		esac
}

make_kernels() {
	local version
	gzip -dc "$root"/boot/xen-4.17-amd64.gz >"$lab/xen"
	for version in "${kernels[@]}"; do
		vmlinux "$lab/linux-$version"/boot/vmlinuz-* >"$lab/vmlinux-$version"
		gzip -1c "$lab/vmlinux-$version" >"$lab/kernel-$version"
	done
}

make_guests() {
	local version image
	for version in "${kernels[@]}"; do
		image=$lab/guest-$version
		rm -rf "$image"
		image_busybox "$image"
		image_add "$image" "${guest_programs[@]}" /lib/x86_64-linux-gnu/libgcc_s.so.1
		image_add_modules "$image" "$lab/linux-$version" "${guest_modules[@]}"
		cp "$here/guest/init" "$image/init"
		image_pack "$image" "$image.cpio"
		rm -rf "$image"
	done
}

# What dom0's systemd need not do.
masked=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
	systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-pcrphase.service getty.target xendomains.service)

make_dom0() {
	local version image=$lab/dom0 unit
	rm -rf "$image"
	cp -a "$root" "$image"
	rm -rf "${image:?}"/{boot,usr/share/{doc,locale,info},var/{cache,lib}/apt,usr/share/qemu/edk2*}
	cp -r "$here/dom0/etc" "$here/dom0/usr" "$image/"
	for unit in "${masked[@]}"; do
		ln -sf /dev/null "$image/etc/systemd/system/$unit"
	done
	ln -sf /etc/systemd/system/lab.service "$image/etc/systemd/system/multi-user.target.wants/"
	cat "$here/dom0/xen.default" >>"$image/etc/default/xen"
	mkdir -p "$image/var/log/xen/console"
	echo dom0 >"$image/etc/hostname"
	echo 72696e677761790000000000006c6162 >"$image/etc/machine-id"
	# For PV and PVH guests: xl need not unpack them.
	mkdir "$image/boot"
	for version in "${kernels[@]}"; do
		cp "$lab/vmlinux-$version" "$image/boot/"
		image_add_modules "$image" "$lab/linux-$version" "${dom0_modules[@]}"
		boot_image "$version"
	done
	rm -f "$lab/dom0.img"
	truncate -s 1G "$lab/dom0.img"
	mke2fs -q -F -t ext4 -d "$image" "$lab/dom0.img"
	rm -rf "$image"
}

boot_image() {
	local version=$1 image=$lab/boot
	rm -rf "$image"
	image_busybox "$image"
	image_add_modules "$image" "$lab/linux-$version" "${boot_modules[@]}"
	cp "$here/dom0/init" "$image/init"
	image_pack "$image" "$lab/dom0-$version.cpio"
	rm -rf "$image"
}

# save_ready VERSION: boot, wait until dom0 says that it is ready, keep the machine's state. It is stopped for that: of pages
# that a running one writes meanwhile, QEMU may keep the older content. The state does not say so, and runs start with it.
save_ready() {
	local version=$1 work
	work=$(mktemp -d "$lab/save.XXXXXX")
	mkdir "$work/share"
	truncate -s "$machine_scratch_bytes" "$work/scratch"
	mkfifo "$work/monitor"
	exec 3<>"$work/monitor"
	(machine "$version" "$work/share" "$work/scratch" -serial "file:$work/serial" -monitor stdio \
		-global migration.store-global-state=off <&3 >"$work/qemu" 2>&1) &
	local qemu=$! waited=0
	until grep -q 'lab: ready' "$work/serial" 2>/dev/null; do
		waited=$((waited + 1))
		if [ $waited -gt 1200 ] || ! kill -0 $qemu 2>/dev/null; then
			kill $qemu 2>/dev/null || :
			tail -30 "$work/qemu" "$work/serial" >&2
			echo "build.sh: dom0 with Linux $version does not come up" >&2
			return 1
		fi
		read -rt 0.2 <> <(:) || :
	done
	printf '%s\n' stop 'migrate_set_parameter max-bandwidth 10G' "migrate \"exec:cat >$lab/ready-$version.new\"" 'quit' >&3
	wait $qemu
	mv "$lab/ready-$version.new" "$lab/ready-$version"
	cp "$work/serial" "$lab/ready-$version.log"
	rm -r "$work"
}

make_ready() {
	local version pids=()
	rm -rf "$lab"/save.*
	for version in "${kernels[@]}"; do
		save_ready "$version" &
		pids+=($!)
	done
	wait "${pids[0]}"
	wait "${pids[1]}"
}

step debian "$here/packages" "$here/kernels.sh"
step kernels "$lab/debian.stamp" <(declare -f vmlinux)
step guests "$lab/kernels.stamp" "$here/image.sh" "$here/guest/init"
mapfile -t dom0_files < <(find "$here/dom0" -type f)
step dom0 "$lab/kernels.stamp" "$here/image.sh" "${dom0_files[@]}" <(declare -f boot_image)
step ready "$lab/dom0.stamp" "$here/machine.sh" <(declare -f save_ready)
