#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A shell in the lab's dom0, with Ringway installed and running and a guest's configuration at hand. Needs what
# tests/lab/build.sh leaves. Usage: tests/lab/shell.sh BUILD [6.1|6.12]
set -euo pipefail

here=$(dirname "$(realpath "$0")")
build=$(realpath "${1:?usage: tests/lab/shell.sh BUILD [6.1|6.12]}")
kernel=${2:-6.1}
lab=$build/lab
# shellcheck disable=SC2034 # read by image.sh
root=$lab/root
# shellcheck source=tests/lab/image.sh
. "$here/image.sh"
# shellcheck source=tests/lab/machine.sh
. "$here/machine.sh"
# shellcheck source=tests/lab/share.sh
. "$here/share.sh"

share=$lab/shell
share_settings
guest_kernels=(6.1 6.12)
share_install
share_fill "$share" "$here/shell_scenario.sh"
echo "Resuming a dom0. It takes the word 'shell' (Enter when nothing shows); exit, or poweroff -ff, ends it."
state=$(stty -g)
trap 'kill "$(cat "$share/typist")"; stty "$state"; rm -rf "$share" "$share.scratch"' EXIT
stty raw -echo
# type_word: what QEMU reads: the word until dom0 takes it, then the terminal. That is opened anew, since QEMU makes the one that
# it writes to non-blocking.
type_word() {
	until grep -aq 'lab: shell' "$share/logs/console" 2>/dev/null; do
		echo "shell $(date +%s)"
		sleep 0.5
	done
	echo $BASHPID >"$share/typist"
	exec cat </dev/tty
}

(machine "$kernel" "$share" "$share.scratch" -chardev "stdio,id=com,logfile=$share/logs/console,signal=off" -serial chardev:com \
	-incoming "exec:cat $lab/ready-$kernel") < <(type_word)
