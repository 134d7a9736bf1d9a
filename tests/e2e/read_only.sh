#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A disk attached with mode r: the guest sees it read-only, and a write that is sent all the same fails and changes nothing.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdinfo nbdcopy

head -c 1M /dev/urandom >"$work/disk.img"
before=$(sha256sum <"$work/disk.img")
start_xen
start_ringwayd
create_domain guest1
dom0 ringway attach guest1 "file:$work/disk.img" --mode r --vdev xvda
start_guest_disk guest1 xvda
nbdinfo --json "$(nbd_uri "$nbd")" | jq -e '.exports[0].is_read_only' >/dev/null || fail "not offered read-only"
nbdcopy /dev/zero "$(nbd_uri "$nbd")" 2>/dev/null && fail "a write to a read-only disk succeeded"
same "$(sha256sum <"$work/disk.img")" "$before" "the image after the refused write"
stop_guest_disk
stop_ringwayd
