/* SPDX-License-Identifier: MIT */
/*
 * A device's place in a data process: CONNECT and DISCONNECT of the handshake, done by messages.
 * Called by device.c; called back by worker.c.
 */
#pragma once
#include "backend/control/device.h"

/* What main.c gives to worker_pool_create, with the struct control as ctx; all_left is main.c's. */
void device_link_ready(void *control);
void device_link_unready(void *control);
void device_link_attached(struct worker_lease *lease, int err, const struct reason *why);
void device_link_detached(struct worker_lease *lease, int err, const struct reason *why);
void device_link_broken(struct worker_lease *lease, int err, const struct reason *why);
void device_link_stats(struct worker_lease *lease, const struct ctl_stats *stats);
void device_link_lost(struct worker_lease *lease, const struct worker_end *end);
void device_link_died(struct worker_lease *lease, const struct worker_end *end);

/* Start to connect. Returns the event that is known at once: FAILED (complained about), or
 * RWY_NR_EVENTS when it comes later. */
enum rwy_xenbus_event device_link_connect(struct device *dev);
/* The same: DISCONNECTED, or RWY_NR_EVENTS when it comes later. */
enum rwy_xenbus_event device_link_disconnect(struct device *dev);

/* Asks the data process, unless an answer is due already; dev->stats_asked tells whether it is. */
void device_link_ask_stats(struct device *dev);
