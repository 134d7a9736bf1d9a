#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A frontend that is killed can be started again on the same device; a domain that dies leaves nothing; another guest's
# I/O goes on all the while.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy qemu-io

truncate -s 8M "$work/a.img" "$work/b.img"
head -c 8M /dev/urandom >"$work/in"
start_xen
start_ringwayd
create_domain honest
dom0 ringway attach honest "file:$work/b.img" --vdev xvda
start_guest_disk honest xvda
honest_nbd=$(nbd_uri "$nbd")
create_domain victim
victim=$domid
dom0 ringway attach victim "file:$work/a.img" --vdev xvda

for _ in 1 2 3; do
	start_guest_disk victim xvda
	nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")"
	kill -KILL "$(cat "$nbd.pid")"
	wait "$nbd_pid" || :
done
cmp "$work/in" "$work/a.img" || fail "what the killed frontend had flushed is not in the image"

# An orderly close and a new open.
start_guest_disk victim xvda
stop_guest_disk
start_guest_disk victim xvda
nbdcopy "$(nbd_uri "$nbd")" "$work/out"
cmp "$work/in" "$work/out" || fail "the reopened disk reads differently"

# The domain dies with the disk in use.
xenloop destroy victim
gone() {
	! dom0 ringway list --json | jq -e ".devices[] | select(.domid == $victim and .state == 4)"
}
wait_for 10 gone || fail "the dead domain's disk is still connected"
dom0 ringway detach "$victim" xvda --force >/dev/null || :
qemu-io -f raw -c 'write -P 0x5a 0 1M' -c 'read -P 0x5a 0 1M' "$honest_nbd" >/dev/null ||
	fail "the honest guest's I/O failed"

# The image is free again.
create_domain victim
dom0 ringway attach victim "file:$work/a.img" --vdev xvda
start_guest_disk victim xvda
nbdcopy "$(nbd_uri "$nbd")" "$work/out"
cmp "$work/in" "$work/out" || fail "the next domain reads differently"
stop_ringwayd
