#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The data process fails at every start: who attaches a disk is told, and so is who looks at one that a guest waits for.
# When it can be started after all, the guest is served and nothing is left to complain about.
. "$(dirname "$0")/lib.sh"
requires nbdkit jq

broken=$work/ringwayd-data
truncate -s 1M "$work/a.img"
printf '#!/bin/sh\nexit 42\n' >"$broken"
chmod +x "$broken"
start_xen
ringwayd_flags=(--data-binary "$broken")
start_ringwayd
create_domain guest1
backend=$(backend_dir "$domid" 51712)
error=$backend/error

has_failed() {
	dom0 ringway show guest1 xvda | grep -q 'status 42'
}
says_why() {
	node "$error" | grep -q 'status 42'
}

wait_for 10 grep -q 'status 42' "$work/ringwayd.log" || fail "the data process does not fail"
dom0 ringway attach guest1 "file:$work/a.img" --vdev xvda >"$work/out" 2>"$work/err" || fail "attach failed"
grep -q 'xvda of guest1: .*status 42' "$work/err" || fail "attach does not say that nobody serves the disk: $(<"$work/err")"
node "$error" && fail "a disk that no guest has asked for has an error node"

start_guest_disk guest1 xvda
wait_for 10 says_why || fail "the error node does not say why the guest waits: $(node "$error" || :)"
wait_for 10 has_failed || fail "ringway show does not say why the guest waits"

ln -sf "$build/bin/ringwayd-data" "$work/real"
mv "$work/real" "$broken"
wait_for 15 node_is "$backend/state" 4 || fail "the disk is not served when the data process runs"
node "$error" && fail "the error node stays: $(node "$error")"
stop_guest_disk
dom0 ringway detach guest1 xvda >/dev/null
stop_ringwayd
