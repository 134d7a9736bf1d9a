# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What a build with sanitizers or coverage needs around it when it is run; nothing for a plain one. Sourced by
# scripts/check and by tests/e2e/lib.sh, with the build folder in $build. What the build is, its programs tell: so a single
# end-to-end script run by hand finds the same surroundings.
#
# Afterwards $instrument is asan, tsan, coverage or empty, and RINGWAY_SLOW is by how much longer than a plain build this
# one may take (a whole number, in the environment): time limits are multiplied by it.

instrument=''
# shellcheck disable=SC2154
for symbol in __asan_init:asan __tsan_init:tsan __gcov_init:coverage; do
	if grep -qs "${symbol%:*}" "$build/bin/xenloop"; then
		instrument=${symbol#*:}
	fi
done
case $instrument in
asan) RINGWAY_SLOW=3 ;;
tsan) RINGWAY_SLOW=5 ;;
coverage) RINGWAY_SLOW=2 ;;
*) RINGWAY_SLOW=1 ;;
esac
export RINGWAY_SLOW CK_TIMEOUT_MULTIPLIER=$RINGWAY_SLOW
reports=''

# collect_reports FOLDER: sanitizers report to files in it, whatever becomes of a process's stderr.
collect_reports() {
	[ "$instrument" = asan ] || [ "$instrument" = tsan ] || return 0
	reports=$1
	mkdir -m 1777 "$reports"
	export ASAN_OPTIONS=log_path=$reports/asan:detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1
	# Tests fork with threads running, and start threads in the child. Suppressed by the name of a test's function: races
	# that the test makes on purpose, as a peer that changes what it has published.
	export TSAN_OPTIONS=log_path=$reports/tsan:halt_on_error=1:second_deadlock_stack=1:die_after_fork=0
	printf 'race:^flip$\n' >"$reports.races"
	TSAN_OPTIONS+=:suppressions=$reports.races
}

# wrap FOLDER PROGRAM ENVIRONMENT ARGUMENT: a PROGRAM in FOLDER that is the one in PATH with more of both.
wrap() {
	local real
	real=$(command -v "$2") || return 0
	printf '#!/bin/sh\n%s exec "%s" %s "$@"\n' "$3" "$real" "$4" >"$1/$2"
	chmod +x "$1/$2"
}

# wrap_programs FOLDER: from now on what gets in the way of reports and counters is switched off.
wrap_programs() {
	local runtime
	[ -n "$instrument" ] || return 0
	mkdir "$1"
	# The sandbox has no call for a leak check, no file system for a report or for counters. The unit suites enter it, and
	# the plain build's end-to-end tests live in it.
	wrap "$1" ringwayd '' --no-sandbox
	# nbdkit's plugin is sanitized, nbdkit is not: the runtime has to be there first. It begins with the first of its calls,
	# which in nbdkit is made under a lock of libc's that it would ruin: so it is begun before that. (The plugin of a TSan
	# build is clang's, whose runtime is not shared; gcc's has the same calls.)
	if [ "$instrument" != coverage ]; then
		gcc -shared -fPIC -Wl,-z,initfirst -o "$1/begin.so" -xc - <<-END
			void __${instrument}_init(void);
			__attribute__((constructor)) static void begin(void) { __${instrument}_init(); }
		END
		runtime=$(realpath "$(gcc -print-file-name="lib$instrument.so")"):$1/begin.so
		wrap "$1" nbdkit "LD_PRELOAD=$runtime\${LD_PRELOAD:+:\$LD_PRELOAD}" ''
	fi
	PATH=$1:$PATH
}

# is_foreign REPORT: nothing but leaks that nbdkit itself leaves when it is told to end: each allocated by its own code.
is_foreign() {
	local leaks own
	leaks=$(grep -cE '^(Direct|Indirect) leak of ' "$1")
	own=$(grep -cE '^ +#1 .*/nbdkit\+' "$1")
	[ "$leaks" -gt 0 ] && [ "$leaks" -eq "$own" ]
}

# A process that a test kills during its last leak check: the checker says that it lost a thread, and no more.
is_cut_short() {
	! grep -qv '^==[0-9]*==Unable to get registers from thread [0-9]*\.$' "$1"
}

# reported LOG...: print what the sanitizers have reported, in their files or in these logs, and forget it; fails when
# there is nothing.
reported() {
	local file found=1
	[ -n "$reports" ] || return 1
	for file in "$reports"/* $(grep -lsE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: ' "$@"); do
		if [ ! -s "$file" ] || is_foreign "$file" || is_cut_short "$file"; then
			continue
		fi
		head -60 "$file"
		found=0
	done
	rm -f "$reports"/*
	return $found
}

# instrument_skips NAME FILE: the reason why a test (check_..., e2e/...) is not run in this build; fails when it is.
instrument_skips() {
	case $instrument/$1 in
	tsan/check_ring_fetch) echo "counts the accesses of machine code, which ThreadSanitizer adds to" ;;
	tsan/e2e/hostile) echo "attacks a process of one thread; AddressSanitizer runs it" ;;
	tsan/e2e/*)
		# Threads of ours are in ringwayd and ringway (watches) and in the frontend.
		! grep -qE '\b(ringwayd?|start_ringwayd|start_guest_disk)\b' "$2" || return 1
		echo "runs no program of ours that has threads"
		;;
	*) return 1 ;;
	esac
}
