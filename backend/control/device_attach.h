/* SPDX-License-Identifier: MIT */
/*
 * A device's way into a data process, for the first time or again: what must not be at the target at
 * the same time is waited for, then a process that is ready, then ATTACH goes out with a journal for
 * each queue. Called by device_link.c.
 */
#pragma once
#include "backend/control/device.h"

/* dev->frontend says to which ring. FAILED (complained about), or RWY_NR_EVENTS: the link is
 * WAITING or ATTACHING. */
enum rwy_xenbus_event device_attach_or_wait(struct device *dev);

/* It waits for a process: say so. */
void device_attach_say_waiting(struct device *dev);
/* Its journals and what is under its lease are of no use any more; who waits for it goes on. */
void device_attach_undo(struct device *dev);
