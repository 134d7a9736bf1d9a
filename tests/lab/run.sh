#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Run scenarios on real Xen under QEMU's software emulation. A scenario is a script in tests/lab/scenarios with two halves,
# dom0() and guest(), which run in a dom0 and in the guests that it starts. One line each with the verdict and the time, after a
# failure the end of every log; the last line is "N passed, N failed". tests/lab/build.sh must have built the images.
# Usage: tests/lab/run.sh BUILD [SCENARIO...]
set -euo pipefail

here=$(dirname "$(realpath "$0")")
build=$(realpath "${1:?usage: tests/lab/run.sh BUILD [SCENARIO...]}")
shift
lab=$build/lab
# shellcheck disable=SC2034 # read by image.sh
root=$lab/root
# shellcheck source=tests/lab/image.sh
. "$here/image.sh"

# A warning of a kernel fails a run, whatever the scenario says.
alarms='BUG:|WARNING: CPU:|Oops|not unmapped grant|possible circular locking|inconsistent lock state|general protection fault'

# What Xen 4.17 and Linux can do in emulation: with smap dom0 dies at its first return to user space, with monitor Xen takes a
# fault on MWAIT, with rdtscp PVH guests die; with xsave and what needs it programs in dom0 crash now and then.
cpu=EPYC,-smap,-monitor,-rdtscp,-xsave,-xsaveopt,-xsavec,-xsaves,-avx,-avx2,-f16c,-fma

# The folder that dom0 sees as /lab. Programs and their libraries are a tree that domains of both kinds lay over their root.
fill_share() {
	rm -rf "$share"
	mkdir -p "$share/logs" "$share/root/usr/local/bin"
	local program
	for program in "${programs[@]}"; do
		cp "$build/$program" "$share/root/usr/local/bin/"
		image_add_libraries "$share/root" "$build/$program"
	done
	write_half guest
	image_pack "$share/root" "$share/root.cpio"
	# The kernel unpacks one archive after the other.
	cat "$lab/guest.cpio" "$share/root.cpio" >"$share/guest.cpio"
	rm "$share/root.cpio"
	ln "$lab/guest-kernel" "$share/guest-kernel"
	write_half dom0
	echo "$seconds" >"$share/seconds"
}

write_half() {
	cat "$here/lib.sh" "$script" - <<<"$1" >"$share/root/usr/local/bin/scenario"
}

# One CPU: with dom0 and guest on two, an event takes 30 ms instead of 1.
boot() {
	timeout -k 5 $((seconds + 120)) qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -smp 1 -m 1G -cpu "$cpu" \
		-display none -nodefaults -nic none -no-reboot -serial "file:$share/logs/serial" \
		-virtfs "local,path=$share,mount_tag=lab,security_model=none" \
		-kernel "$lab/xen" -append "console=com1 com1=115200,8n1 dom0_mem=512M,max:512M cpuidle=0" \
		-initrd "$lab/vmlinux console=hvc0 quiet,$lab/dom0.cpio" >"$share/logs/qemu" 2>&1 ||
		echo "QEMU ended with status $?" >>"$share/logs/qemu"
}

show_logs() {
	local log
	for log in "$share"/logs/*; do
		echo "--- ${log##*/}"
		tail -40 "$log"
	done
}

verdict() {
	[ "$(cat "$share/logs/status" 2>/dev/null)" = 0 ] && ! grep -HE "$alarms" "$share"/logs/*
}

run_scenario() {
	local name=$1 start=$SECONDS
	script=$here/scenarios/$name.sh share=$lab/run/$name
	# What a scenario sets: programs under BUILD that its halves call, and how long dom0's half may take.
	programs=() seconds=300
	# shellcheck source=/dev/null
	. "$script"
	fill_share
	boot
	if verdict; then
		printf 'ok    lab/%-24s %4d s\n' "$name" $((SECONDS - start))
		return 0
	fi
	printf 'FAIL  lab/%-24s %4d s\n' "$name" $((SECONDS - start))
	show_logs
	return 1
}

if [ $# -eq 0 ]; then
	for script in "$here"/scenarios/*.sh; do
		set -- "$@" "$(basename "$script" .sh)"
	done
fi
passed=0 failed=0
for name in "$@"; do
	# A process of its own, so that no scenario sees another's functions.
	if (run_scenario "$name"); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
