/* SPDX-License-Identifier: MIT */
/*
 * May this device be served, and with what: target found, policy asked, other users of the target
 * looked for, target opened. Called by device.c.
 */
#pragma once
#include "backend/control/device.h"

/*
 * Judges dev->config and sets dev->verdict; GRANTED: dev->target is open. A refusal is complained
 * about. When the target is in use by somebody who may be about to let go (a data process that
 * outlived its ringwayd, a device that is closing, udev), the verdict stays UNKNOWN and is reached
 * later, with device_go_on.
 */
void verdict_reach(struct device *dev);

/*
 * Is `other` the same VM's disk on the same target, under another domain id? So it is while a VM
 * migrates on this host: the two hold the target together, and must not both be attached.
 */
bool verdict_is_sibling(const struct device *dev, const struct device *other);

/* Let go of the target; the verdict is open again, but for a refusal. */
void verdict_drop(struct device *dev);
