#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Run scenarios on real Xen under QEMU's software emulation, as many at once as there are CPUs. One line each with the verdict and
# the time, after a failure the end of every log; the last line is "N passed, N failed". Needs what tests/lab/build.sh leaves.
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
# shellcheck source=tests/lab/machine.sh
. "$here/machine.sh"
# shellcheck source=tests/lab/share.sh
. "$here/share.sh"

# A warning of a kernel fails a run, whatever the scenario says.
alarms='BUG:|WARNING: CPU:|Oops|not unmapped grant|still in use|possible circular locking|inconsistent lock state|general protection fault|Call Trace'

# drive SHARE KERNEL: a dom0 that is up goes on, and gets the word until it answers.
drive() {
	local share=$1 kernel=$2 qemu
	mkfifo "$share.console"
	exec 3<>"$share.console"
	(machine "$kernel" "$share" "$share.scratch" -serial stdio -incoming "exec:cat $lab/ready-$kernel" \
		<&3 >"$share/logs/console" 2>&1) &
	qemu=$!
	local deadline=$((SECONDS + seconds + 60))
	while kill -0 $qemu 2>/dev/null; do
		if [ $SECONDS -ge $deadline ]; then
			kill -KILL $qemu
			echo 'run.sh: out of time' >>"$share/logs/console"
			break
		fi
		grep -aqs 'lab: run' "$share/logs/console" || echo "run $(date +%s)" >&3
		read -rt 0.5 <> <(:) || :
	done
	wait $qemu 2>/dev/null || :
	exec 3>&-
	rm -f "$share.console" "$share.scratch"
}

show_logs() {
	local log
	for log in "$1"/logs/*; do
		echo "--- ${log##*/}"
		tail -n 40 "$log" | tr -d '\r'
	done
}

verdict() {
	[ "$(cat "$1/status" 2>/dev/null)" = 0 ] && ! grep -aHE "$alarms" "$1"/logs/*
}

# run_one NAME KERNEL: prints the scenario's line, and more when it failed; the status says which.
run_one() {
	local name=$1 kernel=$2 start=$SECONDS share=$lab/run/$1-$2 word=ok
	share_settings
	# shellcheck source=/dev/null
	. "$here/scenarios/$name.sh"
	share_fill "$share" "$here/scenarios/$name.sh"
	drive "$share" "$kernel"
	verdict "$share" >"$share/alarms" || word=FAIL
	printf '%-5s lab/%-32s dom0 %-5s %4d s\n' "$word" "$name" "$kernel" $((SECONDS - start))
	[ $word = ok ] && return
	cat "$share/alarms"
	[ "$(cat "$share/status" 2>/dev/null)" != 137 ] || echo "it has not ended within its $seconds s"
	show_logs "$share"
	return 1
}

# Each in a process of its own: no scenario sees another's functions, and lines come out whole.
start_one() {
	(run_one "$@" >"$lab/run/$1-$2.out" 2>&1) &
	running[$!]=$lab/run/$1-$2.out
}

reap_one() {
	local pid
	if wait -n -p pid "${!running[@]}"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		grep -aq '^FAIL' "${running[$pid]}" || echo "FAIL  ${running[$pid]##*/}: could not be run"
	fi
	cat "${running[$pid]}"
	unset "running[$pid]"
}

# setting_of SCENARIO NAME: what it says about that.
setting_of() {
	(
		share_settings
		# shellcheck source=/dev/null
		. "$here/scenarios/$1.sh"
		declare -n setting=$2
		echo "${setting[@]}"
	)
}

# What is installed in dom0, and the other build if any of the scenarios wants it.
share_builds() {
	local name
	share_install
	for name in "$@"; do
		[ "$(setting_of "$name" another_build)" = no ] || {
			share_another
			break
		}
	done
}

if [ $# -eq 0 ]; then
	for script in "$here"/scenarios/*.sh; do
		set -- "$@" "$(basename "$script" .sh)"
	done
fi
for name in "$@"; do
	[ -f "$here/scenarios/$name.sh" ] || {
		echo "run.sh: no scenario $name; there are: $(cd "$here/scenarios" && echo ./*.sh | sed 's#\./##g; s#\.sh##g')" >&2
		exit 2
	}
done
rm -rf "$lab/run"
mkdir -p "$lab/run"
share_builds "$@"
declare -A running=()
passed=0 failed=0 jobs=$(nproc)
for name in "$@"; do
	for kernel in $(setting_of "$name" dom0_kernels); do
		[ ${#running[@]} -lt "$jobs" ] || reap_one
		start_one "$name" "$kernel"
	done
done
while [ ${#running[@]} -gt 0 ]; do
	reap_one
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
