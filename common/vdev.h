/* SPDX-License-Identifier: MIT */
/*
 * Virtual block device names (xvda, sdb3, d1p2, 51712) and the device ids that xenstore and blkif
 * use for them. Source: xen-vbd-interface(7), "Concrete encoding in the VBD interface". Pure
 * functions, no allocation, any thread. Names come from an admin's command line or a toolstack's
 * nodes; every number is bounded before arithmetic.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define RWY_VDEV_MAX_ID	       0x1fffffffu /* 2 << 28 and above are reserved */
#define RWY_VDEV_MAX_DISK      0xfffffu	   /* xvd */
#define RWY_VDEV_MAX_PARTITION 255u	   /* xvd; 0 is the whole disk */
#define RWY_VDEV_NAME_BYTES    16u	   /* longest name and its NUL fit */

/*
 * xvd<letters>[partition], sd<letters>[partition], hd<letters>[partition], d<disk>[p<partition>]
 * (the same disks as xvd), or the id itself in decimal or 0x hexadecimal. No leading zeroes, and
 * none but lower-case letters in names. -EINVAL: no such name; -ERANGE: a disk, partition or id
 * that has no encoding. devid is untouched on error.
 */
int rwy_vdev_parse(const char *name, uint32_t *devid);

/* The id of an xvd partition. disk up to RWY_VDEV_MAX_DISK, partition up to RWY_VDEV_MAX_PARTITION;
 * -ERANGE beyond. */
int rwy_vdev_encode_xvd(uint32_t disk, uint32_t partition, uint32_t *devid);

/*
 * The name of an id, or the id in decimal where it has none (deprecated ranges, and extended ids of
 * disks that fit the short encoding). Parsing the result gives devid again for every devid up to
 * RWY_VDEV_MAX_ID. Returns the length.
 */
size_t rwy_vdev_format(uint32_t devid, char name[RWY_VDEV_NAME_BYTES]);
