/* SPDX-License-Identifier: MIT */
/*
 * A device's journals: one for each queue, made when a frontend connects, and handed to every data
 * process that serves its ring from then on. Called by device_link.c, device_attach.c and
 * device.c.
 */
#pragma once
#include "backend/control/device.h"

/* A queue's journal for ATTACH; its fd, the caller's, or -errno with `why`. A new one, unless
 * dev->journaled: then the one that there is, which has to be of this very ring. */
int device_journal_open(struct device *dev, uint32_t queue, struct reason *why);

/* Was a data process about one of its queues when it ended? */
bool device_journal_is_busy(const struct device *dev);

/* Nothing will go on with its ring. */
void device_journal_remove(struct device *dev);
