/* SPDX-License-Identifier: MIT */
/*
 * What worker.c and worker_lease.c share, and nobody else looks into: a data process as it is kept,
 * and what its keeper is asked for when it speaks.
 */
#pragma once
#include "backend/control/channel.h"
#include "backend/control/worker.h"
#include "backend/control/worker_fence.h"
#include "backend/control/worker_leftovers.h"
#include "common/log.h"

enum worker_state {
	WORKER_PAUSING,	 /* not running; the timer starts it */
	WORKER_STARTING, /* runs, has not said HELLO */
	WORKER_READY,
	WORKER_KILLED,	/* its exit is awaited */
	WORKER_LEAVING, /* its socket is closed, its exit is awaited */
	WORKER_FENCING, /* it has exited; the end of its I/O is awaited */
	WORKER_LEFT,
};

struct worker {
	struct worker_pool *pool;
	enum worker_state state;
	pid_t pid;
	int pidfd;
	struct rwy_loop_source *pidfd_source;
	struct channel *channel; /* NULL: none */
	struct worker_fence fence;
	struct rwy_loop_timer *timer; /* the pause, or the limit of a state or of an answer */
	unsigned int nr_asked;	      /* questions that it answers at once, and has not yet */
	uint64_t started_ns;
	uint64_t pause_ns;
	unsigned int nr_restarts;
	struct reason fault; /* why we killed it; "": we did not */
	struct worker_end end;
	struct rwy_log_limit log;
	TAILQ_HEAD(lease_list, worker_lease) leases;
	unsigned int nr_leases;
};

struct worker_pool {
	struct rwy_loop *loop;
	struct worker_config config;
	const struct worker_events *events;
	void *ctx;
	int rundir_fd;
	bool leaving;
	struct worker_leftovers *leftovers;
	uint32_t last_id;
	unsigned int nr_workers;
	struct reason trouble; /* what became of the last that failed; "": none has */
	struct worker workers[];
};

/* From whatever state; the rest happens when its exit is seen. */
void worker_kill(struct worker *w);
/* The same, because of what it did. */
void worker_fault(struct worker *w, const char *what);
/* It has said HELLO as it should. */
void worker_got_ready(struct worker *w);
/* One more thing that it has to answer at once (I/O is waited for without limit), or one less. */
void worker_asked(struct worker *w);
void worker_answered(struct worker *w);

/* A message of its, with its whole length. */
void worker_lease_on_message(void *worker, const struct ctl_header *msg, size_t len);
