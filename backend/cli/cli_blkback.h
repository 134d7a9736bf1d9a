/* SPDX-License-Identifier: MIT */
/*
 * Taking a disk from xen-blkback, which binds to whatever appears under backend/vbd, ours too. One
 * disk is unbound from the driver by its name in sysfs; all others stay with it. Trusts the kernel.
 * Source: Linux, Documentation/ABI/testing/sysfs-driver, sysfs-driver-xen-blkback; xenbus.
 */
#pragma once
#include <stdint.h>

/* $RINGWAY_SYSFS, or else /sys. */
#define CLI_BLKBACK_SYSFS_ENV "RINGWAY_SYSFS"

/*
 * Afterwards the driver does not have the disk, and does not get it by being loaded by itself: a
 * module that udev would load for it is loaded here, so that it has come and been told. To be
 * called once the backend directory is in a state other than Initialising: the kernel knows the
 * disk by then, or never takes it up. 0; -errno with a line for people in why.
 */
int cli_blkback_let_go(uint32_t domid, uint32_t devid, char *why, unsigned long size);
