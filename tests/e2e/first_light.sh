#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 64 MiB of random data written by nbdcopy in a guest read back identical through the image file, and back out again.
. "$(dirname "$0")/lib.sh"
requires nbdkit nbdcopy

head -c 64M /dev/urandom >"$work/in"
truncate -s 64M "$work/disk.img"
start_xen
start_ringwayd
create_domain guest1
dom0 ringway attach guest1 "file:$work/disk.img" --vdev xvda

start_guest_disk guest1 xvda
nbdcopy --flush "$work/in" "$(nbd_uri "$nbd")"
cmp "$work/in" "$work/disk.img" || fail "the image differs from what the guest wrote"
nbdcopy "$(nbd_uri "$nbd")" "$work/out"
cmp "$work/in" "$work/out" || fail "the guest reads something else than it wrote"
stop_guest_disk

dom0 ringway detach guest1 xvda
node "$(backend_dir "$domid" 51712)" && fail "the backend directory is still there after detach"
stop_ringwayd
