#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make install with two prefixes: every file in its place and of use there, a disk served by the installed tree; an
# installation anew and make uninstall leave alone what the admin has changed, and nothing else.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy pkg-config jq

top=$(realpath "$(dirname "$0")/../..")
dest=$work/dest
conf=$dest/etc/ringway/ringwayd.conf

# install PREFIX [TARGET]: what has been built, not built anew.
install_below() {
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$top" -o all "${2:-install}" BUILD="$build" DESTDIR="$dest" PREFIX="$1" \
		>"$work/make.log" 2>&1
}

# files_below PREFIX: mode and path of each. The plugin's place below /usr is nbdkit's to say.
files_below() {
	local prefix=$1 plugins=$1/lib/nbdkit/plugins
	[ "$prefix" != /usr ] || plugins=$(pkg-config --variable=plugindir nbdkit)
	sed "s|PREFIX|$prefix|; s|PLUGINS|$plugins|" <<-'END' | sort -k2
		644 /etc/ringway/ringwayd.conf
		755 /etc/xen/scripts/block-ringway
		755 PREFIX/bin/ringway
		755 PREFIX/bin/xenloop
		755 PREFIX/sbin/ringwayd
		755 PREFIX/libexec/ringway/ringwayd-data
		755 PREFIX/lib/libringway.so.0
		777 PREFIX/lib/libringway.so
		755 PREFIX/lib/libxenloop.so
		644 PREFIX/lib/pkgconfig/libringway.pc
		755 PLUGINS/nbdkit-ringway-plugin.so
		644 PREFIX/include/libringway.h
		644 PREFIX/lib/systemd/system/ringwayd.service
		644 PREFIX/lib/sysusers.d/ringway.conf
		644 PREFIX/share/bash-completion/completions/ringway
		644 PREFIX/share/man/man1/nbdkit-ringway-plugin.1
		644 PREFIX/share/man/man1/ringway.1
		644 PREFIX/share/man/man1/xenloop.1
		644 PREFIX/share/man/man5/ringwayd.conf.5
		644 PREFIX/share/man/man8/ringwayd.8
		644 PREFIX/share/ringway/manifest
		644 PREFIX/share/ringway/ringwayd.conf
	END
}

# is_installed PREFIX: nothing is missing, nothing is there besides, nothing is left to fill in.
is_installed() {
	(cd "$dest" && find . ! -type d -printf '%m /%P\n' | sort -k2) >"$work/found"
	files_below "$1" | diff - "$work/found" >"$work/diff" || fail "below $1: $(<"$work/diff")"
	! grep -rIlE '@[A-Z]+@' "$dest" || fail "a file has something left to fill in"
	same "$(find "$dest" -mindepth 1 -type d ! -perm 755)" '' 'folders that not everybody can enter'
}

# Its programs exist, as far as systemd can tell here; every line is understood.
unit_is_sound() {
	local unit=$dest$1/lib/systemd/system/ringwayd.service
	grep -qx "ExecStart=$1/sbin/ringwayd" "$unit" || fail "the unit starts another ringwayd: $(grep ExecStart "$unit")"
	command -v systemd-analyze >/dev/null || return 0
	sed "s|=$1/sbin|=$dest$1/sbin|" "$unit" >"$work/ringwayd.service"
	systemd-analyze verify --man=no "$work/ringwayd.service" >"$work/verify" 2>&1 ||
		fail "the unit is not sound: $(<"$work/verify")"
	same "$(<"$work/verify")" '' 'warnings about the unit'
}

# xl's PATH has not this prefix, and another ringway maybe.
hotplug_script_finds_ringway() {
	local script=$dest/etc/xen/scripts/block-ringway path
	path=$(sed -n 's/^export PATH=//p' "$script")
	same "${path%%:*}" "$1/bin" "where $script looks first"
}

pages_are_sound() {
	local page
	command -v man >/dev/null && command -v groff >/dev/null || return 0
	for page in "$dest$1"/share/man/man*/*; do
		man --warnings -E UTF-8 -l "$page" >"$work/page" 2>"$work/warnings" || fail "${page##*/} can't be read"
		same "$(<"$work/warnings")" '' "warnings about ${page##*/}"
		[ -s "$work/page" ] || fail "${page##*/} is empty"
	done
}

library_is_sound() {
	[ -z "$instrument" ] || return 0 # its runtime would have to be linked too
	export PKG_CONFIG_PATH=$dest$1/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
	printf '#include <libringway.h>\nint main(void) { return !rwy_vbd_open; }\n' >"$work/user.c"
	# shellcheck disable=SC2046
	"${CC:-gcc}" -o "$work/user" "$work/user.c" $(pkg-config --cflags --libs libringway) ||
		fail "a program can't be built with libringway"
	same "$(pkg-config --modversion libringway)" "$(ringway --version | cut -d' ' -f2)" "version of libringway"
	unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
	LD_LIBRARY_PATH=$dest$1/lib "$work/user" || fail "a program with libringway does not run"
}

# completions WORD...: what is offered for the last of them.
completions() {
	bash -c '. "$1"; COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2)); _ringway; echo "${COMPREPLY[*]}"' - \
		"$dest/usr/local/share/bash-completion/completions/ringway" "$@"
}

# All commands but the one that is not for people, and options where they belong.
completion_knows_the_commands() {
	local known
	known=$(ringway help | sed -n 's/^  ringway \([a-z]*\) .*/\1/p' | grep -vx hotplug | xargs)
	same "$(completions ringway '')" "$known --help --version" 'completion of commands'
	same "$(completions ringway at)" attach 'completion of a command'
	same "$(completions ringway attach guest1 null:1M --mo)" --mode 'completion of an option'
	same "$(completions ringway attach guest1 null:1M --mode '')" 'w r' 'completion of a mode'
}

# Everything out of the installed tree: Xen, ringwayd with its data process, the guest's plugin with its library.
serves_a_disk() {
	local prefix=$1 data plugin
	plugin=$(sed -n 's|.* \(/.*-plugin.so\)$|\1|p' "$work/found")
	head -c 1M /dev/urandom >"$work/in"
	truncate -s 1M "$work/disk.img"
	start_xen
	start_ringwayd
	create_domain guest1
	same "$(readlink "/proc/$ringwayd_pid/exe")" "$dest$prefix/sbin/ringwayd" "the ringwayd that runs"
	dom0 ringway attach guest1 "file:$work/disk.img" --vdev xvda >/dev/null
	rm -f "$work/nbd" "$work/nbd.pid"
	LD_LIBRARY_PATH=$2 xenloop exec guest1 -- nbdkit -f -U "$work/nbd" -P "$work/nbd.pid" "$dest$plugin" device=xvda \
		>"$work/nbdkit.log" 2>&1 &
	nbd_pid=$!
	started_pids+=("$nbd_pid")
	wait_for 10 test -s "$work/nbd.pid" || fail "the installed plugin does not work"
	nbdcopy --flush "$work/in" "$(nbd_uri "$work/nbd")"
	cmp "$work/in" "$work/disk.img" || fail "the image differs from what the guest wrote"
	data=$(dom0 ringway show guest1 xvda --json | jq .process)
	same "$(readlink "/proc/$data/exe")" "$dest$prefix/libexec/ringway/ringwayd-data" "the data process that runs"
	same "$(dom0 ringway list guest1 | awk 'NR > 1 { print $3 }')" xvda "the column that bash completes a disk from"
	stop_guest_disk
	dom0 ringway detach guest1 xvda >/dev/null
	stop_ringwayd
	xenloop down >/dev/null
}

# With no more of root than the unit leaves, and its data process in its sandbox.
bear_what_the_unit_takes() {
	local bounds
	bounds=$(sed -n 's/^CapabilityBoundingSet=//p' "$dest$1/lib/systemd/system/ringwayd.service")
	bounds=${bounds// /}
	bounds=-all${bounds//CAP_/,+}
	printf '#!/bin/sh\nexec setpriv --no-new-privs --bounding-set=%s %s "$@"\n' "${bounds,,}" "$dest$1/sbin/ringwayd" \
		>"$work/bin/ringwayd"
	chmod +x "$work/bin/ringwayd"
}

uninstall_says() {
	grep -qF "$1" "$work/make.log" || fail "make does not say '$1': $(<"$work/make.log")"
}

# --- /usr/local
install_below /usr/local || fail "make install: $(<"$work/make.log")"
is_installed /usr/local
unit_is_sound /usr/local
hotplug_script_finds_ringway /usr/local
pages_are_sound /usr/local
library_is_sound /usr/local
completion_knows_the_commands
built_path=$PATH
[ -z "$instrument" ] || ringwayd_flags=(--no-sandbox) # as scripts/instrumented.sh has it for the built one
PATH=$dest/usr/local/sbin:$dest/usr/local/bin:$PATH
serves_a_disk /usr/local ''
if [ "$(id -u)" -eq 0 ] && [ -z "$instrument" ]; then
	mkdir "$work/bin"
	bear_what_the_unit_takes /usr/local
	PATH=$work/bin:$PATH
	serves_a_disk /usr/local ''
	! grep -q 'sandbox: cannot' "$work/ringwayd.log" || fail 'the unit takes what the sandbox needs'
fi
PATH=$built_path

# --- anew: a changed configuration is kept, what is no longer installed goes
install_below /usr/local || fail "make install again: $(<"$work/make.log")"
is_installed /usr/local
echo 'processes = 2' >>"$conf"
cp "$conf" "$work/changed.conf"
touch "$dest/usr/local/bin/ringway-old"
sed -i '1i /usr/local/bin/ringway-old' "$dest/usr/local/share/ringway/manifest"
install_below /usr/local || fail "make install over a changed configuration: $(<"$work/make.log")"
uninstall_says "$conf was changed and is kept"
cmp "$conf" "$work/changed.conf" || fail 'a changed configuration was overwritten'
cmp "$conf.new" "$top/backend/control/ringwayd.conf" || fail 'the new configuration is not beside the changed one'
[ ! -e "$dest/usr/local/bin/ringway-old" ] || fail 'what an older version had installed is still there'
cp "$conf.new" "$conf"
install_below /usr/local || fail "make install over a restored configuration: $(<"$work/make.log")"
is_installed /usr/local

# --- an older version's configuration that nobody has touched is not in the way
echo '# older' | tee "$conf" >"$dest/usr/local/share/ringway/ringwayd.conf"
install_below /usr/local || fail "make install over an older version: $(<"$work/make.log")"
is_installed /usr/local
cmp "$conf" "$top/backend/control/ringwayd.conf" || fail "an older version's configuration is still there"

# --- uninstall: others' files and a changed configuration stay
cp "$work/changed.conf" "$conf"
touch "$dest/usr/local/bin/others"
install_below /usr/local uninstall || fail "make uninstall: $(<"$work/make.log")"
uninstall_says "$conf was changed and is kept"
same "$(cd "$dest" && find . ! -type d | sort | xargs)" './etc/ringway/ringwayd.conf ./usr/local/bin/others' 'what is left'
install_below /usr/local uninstall && fail 'make uninstall twice'
uninstall_says "nothing is installed below $dest/usr/local"
rm -r "$dest"

# --- /usr, from the same build
install_below /usr || fail "make install: $(<"$work/make.log")"
is_installed /usr
unit_is_sound /usr
hotplug_script_finds_ringway /usr
PATH=$dest/usr/sbin:$dest/usr/bin:$PATH
serves_a_disk /usr "$dest/usr/lib" # as on a host, where it is in the loader's path
PATH=$built_path
install_below /usr uninstall || fail "make uninstall: $(<"$work/make.log")"
same "$(find "$dest" -mindepth 1)" '' 'what is left'

# --- prefixes that can't be
for prefix in usr/local '/opt/my ringway' ''; do
	install_below "$prefix" && fail "PREFIX='$prefix' was taken"
	uninstall_says "PREFIX '$prefix'"
	same "$(find "$dest" -mindepth 1)" '' 'what is left'
done
