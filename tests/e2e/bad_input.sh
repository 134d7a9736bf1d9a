#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bad options, bad images and garbled frontends get one clear line each, in the log and in the backend directory, while
# another guest's I/O goes on.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy qemu-io

truncate -s 8M "$work/good.img" "$work/bad.img"
start_xen
start_ringwayd
create_domain honest
create_domain bad
bad=$domid
dom0 ringway attach honest "file:$work/good.img" --vdev xvda
start_guest_disk honest xvda
honest_nbd=$(nbd_uri "$nbd")

honest_io() {
	qemu-io -f raw -c 'write -P 0x5a 0 1M' -c 'read -P 0x5a 0 1M' "$honest_nbd" >"$work/qemu-io.log" 2>&1 ||
		fail "the honest guest's I/O failed after: $1"
	! grep -q 'Pattern verification failed' "$work/qemu-io.log" || fail "the honest guest's data is wrong after: $1"
}

# --- options
usage() {
	local rc=0 out
	out=$("$@" 2>&1) || rc=$?
	same $rc 2 "exit status of $*"
	[[ $out == *--help* ]] || fail "$* does not point to --help: $out"
}
usage dom0 ringwayd --no-such-option
usage dom0 ringway --no-such-option
usage dom0 ringway no-such-command
usage xenloop --no-such-option

# --- targets: refused by attach with the reason, nothing is left
refused() {
	local target=$1 pattern=$2 out
	if out=$(dom0 ringway attach bad "$target" --vdev xvda 2>&1); then
		fail "$target was served: $out"
	fi
	[ "$(wc -l <<<"$out")" -eq 1 ] || fail "more than one line for $target: $out"
	grep -qE "$pattern" <<<"$out" || fail "the reason for $target does not say '$pattern': $out"
	grep -qE "$pattern" "$work/ringwayd.log" || fail "the log does not say '$pattern'"
	honest_io "$target"
}
refused "file:$work/missing.img" 'missing.img.*(No such file|does not exist)'
refused "file:$work" 'director'
mkfifo "$work/fifo"
refused "file:$work/fifo" 'neither|not a (regular )?file'
refused "nosuch:thing" 'nosuch'
: >"$work/empty.img"
refused "file:$work/empty.img" 'empty|no sector|too small'

# --- a size that is no multiple of 512 is rounded down, with a warning
truncate -s 1000 "$work/odd.img"
dom0 ringway attach bad "file:$work/odd.img" --vdev xvda >/dev/null
grep -E 'odd.img.*(512|round)' "$work/ringwayd.log" >/dev/null || fail "no warning about the odd size"
same "$(dom0 ringway show bad xvda --json | jq .capacity_sect)" 1 "sectors of a 1000-byte image"
dom0 ringway detach bad xvda >/dev/null

# --- a double writer
out=$(dom0 ringway attach bad "file:$work/good.img" --vdev xvda 2>&1) && fail "two writers on one image: $out"
grep -qE 'good.img.*(use|writ)' <<<"$out" || fail "the double writer's reason: $out"

# --- frontends that write nonsense
back=$(backend_dir "$bad" 51712)
front=device/vbd/51712
garbled() {
	local what=$1 pattern=$2
	shift 2
	dom0 ringway attach bad "file:$work/bad.img" --vdev xvda >/dev/null
	domU bad xenstore-write -- "$@" $front/state 3
	wait_for 10 node_is "$back/state" 6 || fail "$what: the backend is in state $(node "$back/state")"
	node "$back/error" | grep -qE "$pattern" || fail "$what: the reason is '$(node "$back/error")'"
	honest_io "$what"
	dom0 ringway detach bad xvda >/dev/null
}
garbled "no ring-ref" 'ring-ref' $front/event-channel 1
garbled "no event-channel" 'event-channel' $front/ring-ref 8
garbled "ring-ref that is no number" 'ring-ref' $front/ring-ref 'eight' $front/event-channel 1
garbled "ring-ref over 32 bits" 'ring-ref' $front/ring-ref 99999999999999999999 $front/event-channel 1
garbled "port that is negative" 'event-channel' $front/ring-ref 8 $front/event-channel -1
garbled "page order out of range" 'ring-page-order' $front/ring-page-order 9 $front/event-channel 1
garbled "unknown protocol" 'protocol' $front/ring-ref 8 $front/event-channel 1 $front/protocol vax-abi
garbled "page that is not granted" 'ring|grant' $front/ring-ref 777 $front/event-channel 1
# A page that is granted, and a ring at rest: the one of another disk of the same guest.
dom0 ringway attach bad null:1M --vdev xvdb >/dev/null
start_guest_disk bad xvdb
wait_for 10 node_is "$(backend_dir "$bad" 51728)/state" 4 || fail "the other disk does not connect"
ring=$(domU bad xenstore-read device/vbd/51728/ring-ref0)
garbled "port that does not exist" 'port|event' $front/ring-ref "$ring" $front/event-channel 999

lines=$(wc -l <"$work/ringwayd.log")
[ "$lines" -lt 100 ] || fail "the log has grown to $lines lines"
stop_ringwayd
