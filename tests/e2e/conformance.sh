#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# xenloop does what real Xen does: every rule of tests/conformance, but for those that it is known to break.
. "$(dirname "$0")/lib.sh"

start_xen
create_domain guest
domU guest "$build/tests/conformance" guest >"$work/guest.log" 2>&1 &
started_pids+=($!)
dom0 "$build/tests/conformance" dom0 --known xenloop "$domid" 2>"$work/dom0.log" || fail "conformance ended with $?"
