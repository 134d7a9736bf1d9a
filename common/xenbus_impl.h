/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of xenbus.h's implementation share: xenbus.c (nodes) and xenbus_watch.c
 * (events). Nobody else includes it but their tests.
 */
#pragma once
#include "common/xenbus.h"

#include <pthread.h>
#include <stdarg.h>
#include <sys/queue.h>
#include <xen/xen.h>

/*
 * Events. The pump, a thread of our own, takes every event off libxenstore's queue as it comes and
 * keeps, per watch, no more than a few paths: libxenstore's queue has no bound, and a guest that
 * writes its state node in a loop while our main thread is busy elsewhere would fill our memory
 * (what XSA-349 was for kernels). It also is how the end of xenstored is noticed: libxenstore wakes
 * those who wait in xs_read_watch, and not those who poll xs_fileno.
 */
struct xenbus_events {
	pthread_t pump;
	bool pump_runs;
	int fd;		  /* eventfd: readable while `pending` is not empty, or `lost` */
	uint64_t last_id; /* of the watch added last; an id is a token and never used again */
	struct rwy_xenbus_watch *current; /* whose callback runs; NULL once it has been removed */

	pthread_mutex_t lock; /* for all below, and for the pending half of each watch */
	bool lost;	      /* xenstored went away */
	LIST_HEAD(rwy_xenbus_watches, rwy_xenbus_watch) watches;
	/* Oldest first, each watch at most once. */
	TAILQ_HEAD(rwy_xenbus_pending, rwy_xenbus_watch) pending;
};

struct rwy_xenbus {
	struct xs_handle *xs;
	struct xenbus_events events;
};

int rwy_xenbus_events_init(struct rwy_xenbus *xb);
/* Ends all watches and the pump. -EBUSY: the pump could not be ended and still uses xb. */
int rwy_xenbus_events_fini(struct rwy_xenbus *xb);

/* path holds RWY_XENBUS_PATH_BYTES. 0 or -ENAMETOOLONG. */
int rwy_xenbus_format_path(char *path, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));
