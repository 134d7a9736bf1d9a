#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ringwayd.conf as an admin meets it: a good one is used, the command line goes over it, a bad one is refused in one line that
# names the place, by ringwayd and by --check-config alike, before anything is touched.
. "$(dirname "$0")/lib.sh"

conf=$work/ringwayd.conf

# refused STATUS TEXT ARGUMENT...: with this exit status and in one line with TEXT, whether it is checked or meant.
refused() {
	local status=$1 text=$2 mode rc
	shift 2
	for mode in --check-config --foreground; do
		rc=0
		ringwayd $mode "$@" >"$work/out" 2>&1 || rc=$?
		same $rc "$status" "exit status of ringwayd $mode $*"
		same "$(wc -l <"$work/out")" 1 "lines about $*: $(<"$work/out")"
		grep -qF -- "$text" "$work/out" || fail "ringwayd $mode $* does not say '$text': $(<"$work/out")"
	done
	[ ! -e "$RINGWAY_RUNDIR" ] || fail "the run directory was made for $*"
}

# bad LINE TEXT: a file with this as its third line.
bad() {
	printf '# one\n\n%b\n' "$1" >"$conf"
	refused 1 "$conf:3: $2" --config "$conf"
}

bad 'processes = none' 'processes takes a number from 1 to 256, not "none"'
bad 'processes = 0' 'processes takes a number from 1 to 256, not "0"'
bad 'procesess = 1' 'the key "procesess" is not known; known are: processes, log-level, data-binary'
bad 'log-level = loud' 'log-level takes info or debug, not "loud"'
bad 'data-binary = ringwayd-data' 'data-binary takes an absolute path, not "ringwayd-data"'
bad 'processes 1' 'not of the form KEY = VALUE'
bad '[ringwayd]' 'sections are not known here; write KEY = VALUE'
bad "$(printf 'log-level = %0250d' 0)" 'the line is longer than'
bad 'log-level = \001' 'a control character; this is no text file'
printf 'processes = 1\nprocesses = 2\n' >"$conf"
refused 1 "$conf:2: processes is set for the second time" --config "$conf"
printf 'data-binary = /nonexistent/ringwayd-data\n' >"$conf"
refused 1 "can't execute data-binary /nonexistent/ringwayd-data: No such file" --config "$conf"
refused 1 "$work/missing.conf: No such file or directory" --config "$work/missing.conf"
refused 1 "$work: Is a directory" --config "$work"
refused 2 '--processes takes a number from 1 to 256, not "x"; try --help' --processes x
if [ "$(id -u)" -ne 0 ]; then
	echo >"$conf"
	chmod 0 "$conf"
	refused 1 "$conf: Permission denied" --config "$conf"
	rm -f "$conf"
fi

# --- without the default file there are the defaults
ringwayd --check-config >"$work/out" 2>&1 || fail "an empty configuration is refused: $(<"$work/out")"
if [ ! -e /etc/ringway/ringwayd.conf ]; then
	env -u RINGWAY_CONFIG ringwayd --check-config >"$work/out" 2>&1 || fail "no configuration is refused: $(<"$work/out")"
fi
same "$(cat "$work/out")" '' "words about nothing"

# --- the shipped file says what is the default, and each of its keys is one
shipped=$(dirname "$0")/../../backend/control/ringwayd.conf
ringwayd --check-config --config "$shipped" || fail "the shipped file is refused"
sed -n 's/^#\([a-z-]* =\)/\1/p' "$shipped" | sed "s|= /.*/|= $build/bin/|" >"$conf"
same "$(wc -l <"$conf")" 3 "keys in the shipped file"
ringwayd --check-config --config "$conf" || fail "a key of the shipped file is refused"

# --- what it says is done
data_processes() {
	pgrep -c -P "$ringwayd_pid" ringwayd-data || :
}
has_processes() {
	[ "$(data_processes)" -eq "$1" ]
}

printf 'processes = 3\nlog-level = debug\n' >"$conf"
start_xen
ringwayd_flags=(--config "$conf")
start_ringwayd
wait_for 10 has_processes 3 || fail "$(data_processes) data processes, not the 3 of the file"

# --- a hangup, from a terminal or an admin used to it, ends nothing
kill -HUP "$ringwayd_pid"
wait_for 10 grep -q 'SIGHUP: nothing to do' "$work/ringwayd.log" || fail "SIGHUP is not answered in the log"
dom0 ringway list >/dev/null || fail "ringwayd is gone after SIGHUP"
stop_ringwayd

ringwayd_flags=(--processes 2)
RINGWAY_CONFIG=$conf start_ringwayd
wait_for 10 has_processes 2 || fail "$(data_processes) data processes, not the 2 of the command line"
stop_ringwayd
