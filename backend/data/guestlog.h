/* SPDX-License-Identifier: MIT */
/*
 * What may be logged at a guest's doing: one limiter per device number, which outlives the device.
 * A frontend decides how often it connects; with a limiter per connection it would get a new
 * allowance each time, and fill the log. Bounded by the devices attached at most in two windows of
 * the limiter. Owned by the lane. Threads: the lane's.
 */
#pragma once
#include <stdint.h>
#include <sys/queue.h>
#include "common/log.h"

struct guestlog {
	LIST_ENTRY(guestlog) link;
	uint32_t domid;
	uint32_t devid;
	uint32_t nr_users;
	uint64_t idle_since_ns; /* when there are no users */
	char name[32];		/* "vbd <domid>/<devid>" */
	struct rwy_log_limit limit;
};

struct guestlog_set {
	LIST_HEAD(, guestlog) logs;
};

void guestlog_init(struct guestlog_set *set);
/* Nobody uses any. */
void guestlog_fini(struct guestlog_set *set);

/* The device's limiter, as it was left; now_ns is the clock that goes with it. NULL: no memory. */
struct guestlog *guestlog_get(struct guestlog_set *set, uint32_t domid, uint32_t devid,
			      uint64_t now_ns);
void guestlog_put(struct guestlog *log, uint64_t now_ns);
