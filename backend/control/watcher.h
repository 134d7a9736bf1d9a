/* SPDX-License-Identifier: MIT */
/*
 * Sees what appears, changes and disappears under backend/vbd, and which domains come and go.
 * Changes are only noted, once per device however many there were; a bounded number of devices is
 * then looked at per round of the loop, in turn, so that a guest that flips its state all day costs
 * the others little. Called by main.c and device.c.
 */
#pragma once
#include "backend/control/control.h"
#include <stdint.h>

int watcher_create(struct watcher **watcher, struct control *control);
/* The devices are the caller's to destroy, before. NULL is fine. */
void watcher_destroy(struct watcher *watcher);

/* Have a directory looked at: it may be one of ours. */
void watcher_adopt(struct watcher *watcher, uint32_t domid, uint32_t devid);
/* Have the device looked at, in its turn. */
void watcher_mark(struct watcher *watcher, struct device *dev);
void watcher_unmark(struct watcher *watcher, struct device *dev);
