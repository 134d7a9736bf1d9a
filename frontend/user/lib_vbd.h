/* SPDX-License-Identifier: MIT */
/*
 * An open disk: what the event thread and the callers' threads share, and how the library's files
 * divide it among them.
 *
 *   lib_vbd        the public functions and the event thread's loop
 *   lib_handshake  the life of the connection: xenbus phases, reconnecting, closing
 *   lib_xenbus     the nodes in xenstore          lib_features  what the backend's nodes mean
 *   lib_ring       ring pages and event channel   lib_pool      granted data pages
 *   lib_io         requests from submit to done   lib_part      one ring request's worth of one
 *
 * Threads: the caller's threads touch `io` (it has its own lock), `status` under status_lock, and
 * `close_asked` through the same; everything else is the event thread's.
 */
#pragma once
#include "common/xenbus_fsm.h"
#include "frontend/user/lib_io.h"
#include "frontend/user/lib_xenbus.h"
#include "frontend/user/libringway.h"

/* What callers see; guarded by status_lock, status_changed signals a change. */
struct lib_status {
	bool settled; /* open may return: connected once, or ended */
	bool up;
	bool close_asked;
	int err; /* why it ended, or 0 */
	char why[RWY_VBD_WHY_BYTES];
};

/* Absolute CLOCK_MONOTONIC times; 0: not armed. */
struct lib_deadlines {
	uint64_t connect_ns; /* of this attempt to (re)connect */
	uint64_t step_ns;    /* of a step in closing, and of leaving */
	uint64_t refused_ns; /* the backend says Closed and why: does it mean it? */
	uint64_t drain_ns;   /* close waits for requests until then */
};

struct rwy_vbd {
	struct rwy_vbd_options options; /* defaults filled in */
	struct lib_io io;
	struct lib_ring ring;
	struct lib_xenbus bus;
	struct lib_features features; /* as read in CONNECT */
	enum rwy_xenbus_phase phase;
	enum xenbus_state peer;
	bool offered;	  /* our ring has been published in this round of the handshake */
	bool saw_closing; /* and the backend was Closing or Closed in it */
	struct lib_deadlines deadline;
	bool was_up;		/* has been connected: open has succeeded */
	uint32_t refusals;	/* attempts at open that the backend has ended with an error */
	uint32_t granted_domid; /* whom the pool is granted to */
	bool granted;		/* the pool is */
	bool leaving;		/* lib_handshake_leave has been called */
	bool left;		/* and has come to its end: the backend has nothing of ours */
	int wake_fd;		/* eventfd: something for the event thread to look at */
	pthread_t thread;
	pthread_mutex_t status_lock;
	pthread_cond_t status_changed; /* CLOCK_MONOTONIC */
	struct lib_status status;
};

uint64_t lib_vbd_now_ns(void);

/* The device ends with err, for the reason given: requests fail from now on. The first call
 * decides. */
void lib_vbd_end(struct rwy_vbd *vbd, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* It is up, or waits for its backend. */
void lib_vbd_set_up(struct rwy_vbd *vbd, bool up);
/* Why it ended, or 0. */
int lib_vbd_ended(struct rwy_vbd *vbd);
