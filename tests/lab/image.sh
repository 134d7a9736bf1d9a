# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# An initramfs as a folder: programs with the libraries they need, kernel modules with theirs, packing. Sourced by build.sh and
# run.sh with $root set to dom0's Debian, from which files are taken; a program that is not there is the machine's own.

image_file() {
	if [ -e "$root$1" ]; then
		echo "$root$1"
	else
		echo "$1"
	fi
}

image_libraries() {
	LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu ldd "$1" 2>/dev/null |
		awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'
}

# image_add IMAGE FILE...: each file at its own path, its libraries where the loader looks for them.
image_add() {
	local image=$1 file source
	shift
	for file in "$@"; do
		source=$(image_file "$file")
		rm -f "$image$file"
		install -D -m 755 "$source" "$image$file"
		image_add_libraries "$image" "$source"
	done
}

# image_add_libraries IMAGE PROGRAM
image_add_libraries() {
	local image=$1 library
	image_libraries "$2" | while read -r library; do
		case $library in
		*/ld-linux*) install -D -m 755 "$library" "$image/lib64/${library##*/}" ;;
		*) install -D -m 755 "$library" "$image/lib/x86_64-linux-gnu/${library##*/}" ;;
		esac
	done
}

# kmod_as NAME ARGUMENT...: kmod goes by the name it is called with.
kmod_as() {
	(exec -a "$1" "$root/bin/kmod" "${@:2}")
}

# image_add_modules IMAGE KERNEL NAME...: modules of the kernel that was unpacked to KERNEL, and those that they need. None stays
# packed: busybox does not unpack them.
image_add_modules() {
	local image=$1 kernel=$2 name version tree
	shift 2
	version=$(basename "$kernel"/lib/modules/*)
	tree=lib/modules/$version
	[ -e "$kernel/$tree/modules.dep" ] || kmod_as depmod -b "$kernel" "$version"
	mkdir -p "$image/$tree"
	cp "$kernel/$tree"/modules.{order,builtin,builtin.modinfo} "$image/$tree/"
	for name in "$@"; do
		kmod_as modprobe -d "$kernel" -S "$version" --show-depends "$name" | awk '$1 == "insmod" { print $2 }'
	done | sort -u | while read -r name; do
		install -D -m 644 "$name" "$image/$tree/${name#*/"$version"/}"
	done
	find "$image/$tree" -name '*.ko.xz' -exec xz -df {} +
	kmod_as depmod -b "$image" "$version"
}

# image_busybox IMAGE: the folders that every image begins with, and busybox under all its names.
image_busybox() {
	local image=$1
	mkdir -p "$image"/{bin,sbin,dev,proc,sys,tmp,run,etc,root,mnt,usr/{bin,sbin,local/bin},var}
	ln -s /run "$image/var/run"
	cp "$root/bin/busybox" "$image/bin/busybox"
	"$root/bin/busybox" --list-full | while read -r applet; do
		[ -e "$image/$applet" ] || ln -s /bin/busybox "$image/$applet"
	done
}

# image_pack IMAGE FILE. Not compressed: unpacking is slow in emulation.
image_pack() {
	(cd "$1" && find . | cpio --quiet -o -H newc -R 0:0) >"$2"
}
