#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two loopback Xens side by side do not see each other, and going down leaves no process and no file.
. "$(dirname "$0")/lib.sh"

start_xen
xenloop -d "$work/xen2" up >/dev/null
same "$(xenloop create one)" 1 "first domain of the first instance"
same "$(xenloop -d "$work/xen2" create two)" 1 "first domain of the second instance"
same "$(node /local/domain/1/name)" one "name in the first instance"
same "$(xenloop -d "$work/xen2" exec 0 -- xenstore-read /local/domain/1/name)" two "name in the second instance"
xenloop exec one -- xenstore-ls /local/domain/1 >/dev/null || fail "a guest cannot read its own subtree"
xenloop exec one -- xenstore-write /local/domain/0/evil 1 2>/dev/null && fail "a guest wrote into dom0's subtree"
xenloop exec one -- xenstore-write name evil 2>/dev/null && fail "a guest wrote its own name"
xenloop -d "$work/xen2" down
[ ! -e "$work/xen2" ] || [ -z "$(ls -A "$work/xen2")" ] || fail "files are left: $(ls -A "$work/xen2")"
pgrep -f "$work/xen2" && fail "processes are left"
same "$(node /local/domain/1/name)" one "the first instance after the second went down"
