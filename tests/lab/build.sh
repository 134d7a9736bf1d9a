#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build the lab: real Xen, a dom0 and a guest, from Debian packages that are downloaded and unpacked under BUILD/lab and never
# installed. It trusts apt's signatures. tests/lab/run.sh boots the result. Usage: tests/lab/build.sh BUILD
#
# Leaves in BUILD/lab: xen, vmlinux (dom0's kernel), guest-kernel (the same, in gzip, for xl), dom0.cpio, guest.cpio.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
mkdir -p "${1:?usage: tests/lab/build.sh BUILD}/lab"
lab=$(realpath "$1/lab")
debs=$lab/debs root=$lab/root
# shellcheck source=tests/lab/image.sh
. "$here/image.sh"

packages=(xen-hypervisor-4.17-amd64 xen-utils-4.17 xen-utils-common xenstore-utils busybox-static kmod
	libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1 libxenhypfs1
	libxenmisc4.17 libxenstore4 libxentoolcore1 libxentoollog1 libyajl2 libuuid1 libkmod2)
guest_modules=(xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkfront)
dom0_modules=("${guest_modules[@]}" 9p 9pnet_virtio virtio_pci)
dom0_programs=(/usr/lib/xen-4.17/bin/{xl,xenstored,xen-init-dom0,xenconsoled,xenconsole,lsevtchn}
	/usr/bin/xenstore-{exists,list,ls,read,rm,watch,write,chmod})
guest_programs=(/usr/bin/xenstore-{exists,list,ls,read,rm,watch,write,chmod})

# The newest kernel of the release: old ones leave the archive within weeks, so that no number may be named here.
newest_kernel() {
	apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" { print $2; exit }'
}

# What would be downloaded, by name and version: the lab is built anew when this changes.
inventory() {
	apt-cache policy "$@" | awk '/^[^ ]/ { name = $1 } $1 == "Candidate:" { print name, $2 }'
}

download() {
	rm -rf "$debs" "$root"
	mkdir -p "$debs" "$root"
	(cd "$debs" && apt-get -qq -o APT::Sandbox::User=root download "$@")
	local deb
	for deb in "$debs"/*.deb; do
		dpkg -x "$deb" "$root"
	done
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

# The folders that both domains' images begin with.
base_image() {
	local image=$1
	rm -rf "$image"
	mkdir -p "$image"/{bin,sbin,dev,proc,sys,tmp,run,etc,root,lab,mnt,usr/{bin,sbin,local/bin},var/log/xen/console,var/lib/xen}
	ln -s /run "$image/var/run"
	ln -s /run/lock "$image/var/lock"
	cp "$root/bin/busybox" "$image/bin/busybox"
	"$root/bin/busybox" --list-full | while read -r applet; do
		[ -e "$image/$applet" ] || ln -s /bin/busybox "$image/$applet"
	done
	image_add "$image" /bin/bash /lib/x86_64-linux-gnu/libgcc_s.so.1
}

dom0_image() {
	local image=$lab/dom0
	base_image "$image"
	image_add "$image" "${dom0_programs[@]}"
	# xl and the hotplug scripts know options that busybox does not.
	image_add "$image" /usr/bin/{flock,stat,dd} /sbin/{losetup,ip}
	image_add_modules "$image" "$version" "${dom0_modules[@]}"
	mkdir -p "$image/etc/xen"
	cp -r "$root/etc/xen/scripts" "$image/etc/xen/"
	: >"$image/etc/xen/xl.conf"
	ln -s /usr/lib/xen-4.17/bin/xl "$image/usr/sbin/xl"
	cp "$here/init_dom0.sh" "$image/init"
	image_pack "$image" "$lab/dom0.cpio"
}

guest_image() {
	local image=$lab/guest
	base_image "$image"
	image_add "$image" "${guest_programs[@]}"
	image_add_modules "$image" "$version" "${guest_modules[@]}"
	cp "$here/init_guest.sh" "$image/init"
	image_pack "$image" "$lab/guest.cpio"
}

kernel=$(newest_kernel)
[ -n "$kernel" ] || {
	echo "build.sh: apt knows no linux-image-amd64; run apt-get update" >&2
	exit 1
}
packages+=("$kernel")
version=${kernel#linux-image-}
wanted=$(inventory "${packages[@]}")
if [ "$(cat "$lab/inventory" 2>/dev/null)" != "$wanted" ]; then
	rm -f "$lab/inventory"
	download "${packages[@]}"
	gzip -dc "$root"/boot/xen-4.17-amd64.gz >"$lab/xen"
	vmlinux "$root/boot/vmlinuz-$version" >"$lab/vmlinux"
	gzip -1c "$lab/vmlinux" >"$lab/guest-kernel"
	echo "$wanted" >"$lab/inventory"
fi
dom0_image
guest_image
