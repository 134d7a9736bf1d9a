#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Xen's own test-xenstore passes in dom0, in a domU, and in two domUs at once.
#
# It works in the directory xenstore-test directly below its domain's home. A real guest may not make that: libxl gives
# /local/domain/N to dom0 and lets N only read it, so test-xenstore ends with EACCES there, as it does here (the first
# thing checked). The places where a guest writes (data, drivers, ...) the toolstack makes and gives to it. So does dom0
# here with xenstore-test, before each run: a run removes it at its end.
. "$(dirname "$0")/lib.sh"
xen_program test-xenstore
test_xenstore=$xen_program

give_place() {
	dom0 xenstore-write "/local/domain/$1/xenstore-test" ''
	dom0 xenstore-chmod "/local/domain/$1/xenstore-test" "n$1"
}

# run DOMAIN ITERATIONS: exits with 0, and each test that it lists has given its times.
run() {
	local out=$work/test-xenstore.$1.log name
	domU "$1" "$test_xenstore" --iterations "$2" >"$out" 2>&1 || return 1
	while IFS= read -r name; do
		grep -qE "^$name *: avg: [0-9]+ ns" "$out" || return 1
	done <"$work/tests"
}

start_xen
dom0 "$test_xenstore" --list-tests | sed -E 's/ *:.*//' >"$work/tests"
[ "$(wc -l <"$work/tests")" -ge 12 ] || fail "test-xenstore lists fewer tests than expected"

run 0 30 || fail "in dom0"

create_domain one
one=$domid
create_domain two
two=$domid
run "$one" 1 && fail "a guest may write directly below its home"
grep -q 'failed (ret = 13, stage pre-init)' "$work/test-xenstore.$one.log" || fail "another error than EACCES"

give_place "$one"
run "$one" 30 || fail "in a domU"

give_place "$one"
give_place "$two"
run "$one" 30 &
first=$!
run "$two" 30 || fail "in one of two domUs"
wait "$first" || fail "in the other one of two domUs"

give_place "$one"
domU "$one" "$test_xenstore" --random 1 >"$work/random.log" 2>&1 || fail "in random order in a domU"
