#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The instruction bench: what a read costs on real Xen, in instructions of the hypervisor, of kernels and of programs, when a
# stock guest's disk is served by ringwayd, by xen-blkback and by QEMU. One boot of one image under emulation that counts, and
# that does the same in every run. Prints a table and leaves BUILD/bench/xen.json. README.md here says what the numbers mean.
# tests/lab/build.sh must have run. Usage: tests/lab/bench/run.sh BUILD
set -euo pipefail

here=$(dirname "$(realpath "$0")")
build=$(realpath "${1:?usage: tests/lab/bench/run.sh BUILD}")
lab=$build/lab work=$build/bench/xen
# shellcheck disable=SC2034 # read by image.sh
root=$lab/root
# shellcheck source=tests/lab/image.sh
. "$here/../image.sh"
# shellcheck source=tests/lab/machine.sh
. "$here/../machine.sh"

disk_bytes=$((32 << 20))
reads=1000
backends=(xvda:ringway xvdb:blkback xvdc:qdisk)
# name:bytes:depth
cases=(4k-read-qd1:4096:1 4k-read-qd32:4096:32 64k-read-qd1:65536:1 64k-read-qd32:65536:32)

dom0_modules=(xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback brd)
# The hotplug scripts know options that busybox does not.
dom0_programs=(/usr/lib/xen-4.17/bin/{xl,xenstored,xen-init-dom0,xenconsoled} /usr/libexec/xen-qemu-system-i386
	/usr/bin/xenstore-{exists,list,ls,read,rm,watch,write} /bin/bash /usr/bin/{flock,stat,dd} /sbin/losetup)

list_cases() {
	local backend case
	for backend in "${backends[@]}"; do
		for case in "${cases[@]}"; do
			echo "${backend/:/ } ${case//:/ } $reads"
		done
	done
}

guest_image() {
	local image=$work/guest
	image_busybox "$image"
	image_add_modules "$image" "$lab/linux-6.1" xen-blkfront
	add_built "$image" /bin/reader "$build/tests/lab/reader"
	list_cases >"$image/cases"
	install -m 755 "$here/guest_init.sh" "$image/init"
	pack "$image" "$work/guest.cpio"
}

dom0_image() {
	local image=$work/dom0 program
	image_busybox "$image"
	image_add "$image" "${dom0_programs[@]}" /lib/x86_64-linux-gnu/libgcc_s.so.1
	image_add_modules "$image" "$lab/linux-6.1" "${dom0_modules[@]}"
	make -s -C "$here/../../.." --no-print-directory BUILD="$build" DESTDIR="$image" PREFIX=/usr install >/dev/null
	for program in bin/ringway sbin/ringwayd libexec/ringway/ringwayd-data; do
		image_add_libraries "$image" "$image/usr/$program"
	done
	add_built "$image" /bin/reader "$build/tests/lab/reader"
	mkdir -p "$image"/{bench,var/log/xen,var/lib/xen,usr/share/qemu}
	cp -r "$root/usr/share/qemu/keymaps" "$image/usr/share/qemu/"
	cp -rn "$root/etc/xen/scripts" "$image/etc/xen/"
	: >"$image/etc/xen/xl.conf"
	cp "$here/guest.cfg" "$work/guest.cpio" "$image/bench/"
	cp "$lab/kernel-6.1" "$image/bench/kernel"
	sed "s/^export PATH/disk_bytes=$disk_bytes\n&/" "$here/dom0_init.sh" >"$image/init"
	chmod 755 "$image/init"
	pack "$image" "$work/dom0.cpio"
}

# pack IMAGE FILE: unlike image_pack, the same archive from the same files, whenever they were made; counts depend on all of it.
pack() {
	find "$1" -exec touch -hd @0 {} +
	(cd "$1" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) >"$2"
}

# add_built IMAGE PATH FILE
add_built() {
	install -D -m 755 "$3" "$1$2"
	image_add_libraries "$1" "$3"
}

# Time is the number of instructions executed, and the seed is given: nothing differs between two runs.
boot() {
	timeout -k 5 7200 qemu-system-x86_64 -accel tcg,thread=single -icount shift=0,sleep=off -seed 1 \
		-rtc base=2026-01-01,clock=vm -machine q35 -smp 1 -m 1G -cpu "$machine_cpu" \
		-display none -nodefaults -nic none -no-reboot -serial "file:$work/serial" \
		-plugin "file=$build/tests/lab/insn_plugin.so,out=$work/counts" \
		-kernel "$lab/xen" -append "console=com1 com1=115200,8n1 dom0_mem=512M,max:512M cpuidle=0" \
		-initrd "$lab/vmlinux-6.1 console=hvc0 quiet nokaslr norandmaps,$work/dom0.cpio" >"$work/qemu" 2>&1
}

# Puts together what the guest says it did and what the plugin counted meanwhile: the same number of lines, in the same order.
collect() {
	tr -d '\r' <"$work/serial" | sed -n 's/^bench: //p' >"$work/done"
	local wanted=$((${#backends[@]} * ${#cases[@]}))
	[ "$(wc -l <"$work/done")" -eq $wanted ] && [ "$(wc -l <"$work/counts")" -eq $wanted ] || return 1
	paste -d ' ' "$work/done" "$work/counts" >"$work/results"
}

fail() {
	tail -n 60 "$work/qemu" "$work/serial" >&2
	echo "bench-xen: not every case could be measured; all logs are in $work" >&2
	exit 1
}

rm -rf "$work"
mkdir -p "$work"
guest_image
dom0_image
{ boot && collect; } || fail
jq -Rn -f "$here/results.jq" <"$work/results" >"$build/bench/xen.json"
jq -r -f "$here/table.jq" "$build/bench/xen.json" |
	awk -F '\t' '{ printf "%-23s %-8s %8s %8s %8s %8s %13s %13s\n", $1, $2, $3, $4, $5, $6, $7, $8 }'
