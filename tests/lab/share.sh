# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The folder that dom0 sees as /lab, for one run. Sourced by run.sh and shell.sh with $here, $build and $lab set.

# The settings of a scenario, and what they are when it says nothing (README.md explains them).
share_settings() {
	dom0_kernels=(6.1) guest_kernels=(6.1) programs=() guest_files=() another_build=no seconds=900
}

# share_fill SHARE SCENARIO-FILE
share_fill() {
	local share=$1 script=$2 version
	rm -rf "$share"
	mkdir -p "$share/logs" "$share/guest"
	ln "$build/lab-install.tar" "$share/install.tar"
	[ "$another_build" = no ] || ln "$build/lab-another.tar" "$share/another.tar"
	cat "$here/lib.sh" "$here/lib_dom0.sh" "$script" - <<<$'dom0\n[ ! -e /run/failed ]' >"$share/scenario"
	# The kernel unpacks one archive after the other.
	share_guest "$share/guest" "$script"
	image_pack "$share/guest" "$share/guest.cpio"
	rm -r "$share/guest"
	for version in "${guest_kernels[@]}"; do
		cat "$lab/guest-$version.cpio" "$share/guest.cpio" >"$share/guest-$version.cpio"
		ln "$lab/kernel-$version" "$share/kernel-$version"
	done
	rm "$share/guest.cpio"
	cp "$here/lib_dom0.sh" "$here/lib.sh" "$share/"
	echo "$seconds" >"$share/seconds"
	mkdir "$share/bin"
	local program
	for program in tests/labtool "${programs[@]}"; do
		cp "$build/$program" "$share/bin/"
	done
	truncate -s "$machine_scratch_bytes" "$share.scratch"
}

# What the scenario and the library want in guests: programs of the build, files of Debian, and its own half.
share_guest() {
	local image=$1 script=$2 program
	mkdir -p "$image/usr/local/bin"
	for program in tests/labtool "${programs[@]}"; do
		cp "$build/$program" "$image/usr/local/bin/"
		image_add_libraries "$image" "$build/$program"
	done
	[ ${#guest_files[@]} -eq 0 ] || image_add "$image" "${guest_files[@]}"
	cat "$here/lib.sh" "$script" - <<-'END' >"$image/scenario"
		"$(sed -n "s/.*\bhalf=\([a-z0-9_]*\).*/\1/p" /proc/cmdline)"
		[ ! -e /run/failed ]
	END
}

# share_install: what `make install` puts into a dom0, as an archive; made once per call of run.sh or shell.sh.
share_install() {
	archive_install lab-install BUILD="$build"
}

# share_another: the same of another version of the same sources, which the compiler has laid out in another way.
share_another() {
	archive_install lab-another BUILD="$build/another" VERSION=another CFLAGS='-O0 -U_FORTIFY_SOURCE'
}

# archive_install NAME VARIABLE...: of make's.
archive_install() {
	local tree=$build/$1
	rm -rf "$tree"
	MAKEFLAGS="-j$(nproc)" make -s -C "$here/../.." --no-print-directory "${@:2}" DESTDIR="$tree" PREFIX=/usr install >/dev/null
	tar -c -C "$tree" --owner=0 --group=0 -f "$tree.tar" .
}
