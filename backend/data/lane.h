/* SPDX-License-Identifier: MIT */
/*
 * A lane: one data thread with an io_uring, an event-channel handle, a grant handle and grant
 * buffers of its own. It knows tasks, not devices: whatever has an event channel and wants turns.
 * Every runnable task gets one bounded turn per round, so that none can starve the others; buffers
 * go round in the same way when they are short. Nothing here allocates, locks or blocks while tasks
 * run, except the wait for work.
 *
 * Trust: ports come from the hypervisor; how often they fire is the guests' choice. A port stays
 * masked from its event to the end of the task's work, and longer when events keep bringing none.
 * Threads: all calls from the lane's thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "backend/data/gbuf.h"
#include "backend/data/guestlog.h"
#include "backend/data/internal.h"
#include "backend/data/uring.h"
#include "ring/blk_wire.h"

struct lane;
struct lane_task;

/* What a task wants after its turn. */
enum lane_next {
	LANE_SLEEP,	/* nothing to do until its event, or until somebody calls lane_wake */
	LANE_AGAIN,	/* more to do */
	LANE_NO_BUFFER, /* more to do, but for want of buffers (or because others wait for them) */
	LANE_SILENT,	/* as SLEEP, but its event no longer counts: the port stays masked */
	LANE_GONE,	/* unbound; the lane forgets it and does not touch it again */
};

/* Where a task is; it is in that place's queue, and in no other. */
enum lane_place {
	LANE_ASLEEP, /* in no queue */
	LANE_RUNNABLE,
	LANE_WAITING, /* for buffers */
	LANE_DELAYED, /* its port is to be unmasked later; in the order of unmask_ns */
	LANE_NR_PLACES,
};

struct lane_task {
	/* Do a bounded amount of work, take no more than budget new requests, and say in *taken how
	 * many they were. */
	enum lane_next (*turn)(struct lane_task *task, uint32_t budget, uint32_t *taken);
	/* The lane's; zero before lane_bind. */
	TAILQ_ENTRY(lane_task) link;
	enum lane_place place;
	evtchn_port_t port;
	bool masked;	    /* its event came and was not unmasked yet */
	uint32_t spurious;  /* events since work was last found */
	uint64_t unmask_ns; /* when DELAYED */
	uint64_t nr_events;
	uint64_t nr_notifies;
};

struct lane_queue {
	TAILQ_HEAD(, lane_task) tasks;
	uint32_t count;
};

/* A registered file whose readiness calls ready, again as long as it lasts. */
struct lane_watch {
	struct uring_poll poll; /* first: the poll is the watch */
	struct lane *lane;
	int slot;
	uint32_t poll_mask; /* what is waited for; 0: nothing */
	bool armed;
	void (*ready)(struct lane_watch *watch, uint32_t poll_mask);
	void *ctx; /* the owner's */
};

struct lane_params {
	uint32_t nr_bufs;
	uint64_t (*now_ns)(void); /* any monotonic clock */
	int fence_fd;		  /* to be held until the last I/O of the lane has ended, or -1 */
};

#define LANE_COPY_SEGS (DATA_TURN_REQUESTS * RWY_BLK_MAX_DIRECT_SEGS)

/* For tasks: uring.host, gnttab, bufs, logs, copy and now_ns; the rest is the lane's. */
struct lane {
	struct uring uring;
	xengnttab_handle *gnttab;
	struct gbuf_pool bufs;
	struct guestlog_set logs;
	uint64_t (*now_ns)(void);
	xengnttab_grant_copy_segment_t copy[LANE_COPY_SEGS]; /* scratch, of the turn under way */

	xenevtchn_handle *evtchn;
	struct lane_watch evtchn_watch;
	struct lane_task **by_port;
	uint32_t nr_ports;
	struct lane_queue queue[LANE_NR_PLACES];
	int err; /* the event channel failed: the lane is done for */
	bool stopped;
};

/* Opens the Xen handles and the io_uring; the fence's fd stays the caller's, who closes it, so that
 * the io_uring is the only one to hold it. 0, or -errno with one log line. */
int lane_create(struct lane **lane, const struct lane_params *params);
/* No task is bound and no I/O in flight. */
void lane_destroy(struct lane *lane);

/* Rounds until lane_stop or a failure of the machinery. 0 or -errno. */
int lane_run(struct lane *lane);
void lane_stop(struct lane *lane);
/* One round; wait: sleep first when there is nothing to do. For lane_run and tests. 0 or -errno. */
int lane_round(struct lane *lane, bool wait);

/*
 * Bind the task's port to a frontend's, runnable from now on. -errno: nothing happened. Unbind: the
 * task is in no list afterwards, also when -errno says that the port is still bound.
 */
int lane_bind(struct lane *lane, struct lane_task *task, uint32_t domid, evtchn_port_t remote_port);
int lane_unbind(struct lane *lane, struct lane_task *task);
void lane_notify(struct lane *lane, struct lane_task *task);
/* Give the task a turn in this round or the next. */
void lane_wake(struct lane *lane, struct lane_task *task);

/*
 * Watch an fd (the lane takes its own reference) for poll_mask, which may be 0 for now. The watch
 * stays in place as long as the lane. 0 or -errno.
 */
int lane_watch(struct lane *lane, struct lane_watch *watch, int fd, uint32_t poll_mask,
	       void (*ready)(struct lane_watch *watch, uint32_t poll_mask), void *ctx);
/* Wait for something else, or nothing; ready may still be called once for what was waited for
 * before. */
void lane_watch_for(struct lane_watch *watch, uint32_t poll_mask);
