# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The emulated machine. Sourced by build.sh, which saves its state when dom0 is ready, and by run.sh and shell.sh, which go on
# from there: the three must give it the same devices. $lab is the lab's folder.

# What Xen 4.17 and Linux can do in emulation: with smap dom0 dies at its first return to user space, with monitor Xen takes a
# fault on MWAIT, with rdtscp PVH guests die; with xsave and what needs it programs in dom0 crash now and then.
machine_cpu=EPYC,-smap,-monitor,-rdtscp,-xsave,-xsaveopt,-xsavec,-xsaves,-avx,-avx2,-f16c,-fma

machine_scratch_bytes=$((2 << 30))

# Guards against speculation cost a tenth here, and there is nothing to guard.
machine_xen='console=com1 com1=115200,8n1 dom0_mem=640M,max:640M cpuidle=0 spec-ctrl=no'

# machine KERNEL SHARE SCRATCH QEMU-OPTION...: KERNEL is 6.1 or 6.12; SHARE is the folder that dom0 mounts as /lab, SCRATCH a file
# of machine_scratch_bytes that it has as /dev/vdb. One CPU: with dom0 and guest on two, an event takes 30 ms instead of 1.
machine() {
	local kernel=$1 share=$2 scratch=$3
	shift 3
	exec qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -smp 1 -m 1536M -cpu "$machine_cpu" \
		-display none -nodefaults -nic none -no-reboot \
		-drive "file=$lab/dom0.img,format=raw,if=none,id=root,readonly=on" -device virtio-blk-pci,drive=root \
		-drive "file=$scratch,format=raw,if=none,id=scratch,cache=unsafe" -device virtio-blk-pci,drive=scratch \
		-virtfs "local,path=$share,mount_tag=lab,security_model=none" \
		-kernel "$lab/xen" -append "$machine_xen" \
		-initrd "$lab/vmlinux-$kernel console=hvc0 quiet mitigations=off norandmaps,$lab/dom0-$kernel.cpio" "$@"
}
