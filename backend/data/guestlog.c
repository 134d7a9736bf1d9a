// SPDX-License-Identifier: MIT
/* Implementation of guestlog.h. Called by blkback (get, put) and the lane (init, fini). */
#include <stdio.h>
#include <stdlib.h>
#include "backend/data/guestlog.h"

/* After this long a limiter would let a burst through again: it has nothing left to remember. */
#define FORGET_NS (2 * RWY_LOG_WINDOW_NS)

void guestlog_init(struct guestlog_set *set)
{
	LIST_INIT(&set->logs);
}

static void drop(struct guestlog *log)
{
	LIST_REMOVE(log, link);
	free(log);
}

void guestlog_fini(struct guestlog_set *set)
{
	while (!LIST_EMPTY(&set->logs))
		drop(LIST_FIRST(&set->logs));
}

static void forget_old(struct guestlog_set *set, uint64_t now_ns)
{
	struct guestlog *log = LIST_FIRST(&set->logs);

	while (log) {
		struct guestlog *next = LIST_NEXT(log, link);

		if (log->nr_users == 0 && now_ns - log->idle_since_ns >= FORGET_NS)
			drop(log);
		log = next;
	}
}

static struct guestlog *create(struct guestlog_set *set, uint32_t domid, uint32_t devid)
{
	struct guestlog *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->domid = domid;
	log->devid = devid;
	snprintf(log->name, sizeof(log->name), "vbd %u/%u", domid, devid);
	log->limit.name = log->name;
	LIST_INSERT_HEAD(&set->logs, log, link);
	return log;
}

struct guestlog *guestlog_get(struct guestlog_set *set, uint32_t domid, uint32_t devid,
			      uint64_t now_ns)
{
	struct guestlog *log;

	forget_old(set, now_ns);
	LIST_FOREACH(log, &set->logs, link)
	{
		if (log->domid == domid && log->devid == devid)
			break;
	}
	if (!log)
		log = create(set, domid, devid);
	if (log)
		log->nr_users++;
	return log;
}

void guestlog_put(struct guestlog *log, uint64_t now_ns)
{
	log->nr_users--;
	log->idle_since_ns = now_ns;
}
