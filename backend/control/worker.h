/* SPDX-License-Identifier: MIT */
/*
 * Supervision of the data processes: starts N of them, each from its own binary with nothing but
 * its socket and its fence, hands devices to the least loaded, and checks every message they send.
 * One that died is started again when its fence is down: at once if it had lived a while, or after a
 * pause that grows. A data process may have been taken over by a guest: it can only speak about the
 * devices it holds, its texts are cleaned, its nonsense gets it killed. Calls back its one owner,
 * device_link.c. Threads: the loop's.
 */
#pragma once
#include "backend/control/reason.h"
#include "backend/ctl_msg.h"
#include "common/loop.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct worker;
struct worker_pool;

#define WORKER_MAX_QUEUES 16u

enum worker_queue_state {
	WORKER_QUEUE_OUT,
	WORKER_QUEUE_ATTACHING, /* ATTACH sent */
	WORKER_QUEUE_IN,
	WORKER_QUEUE_DETACHING, /* DETACH sent */
};

/* One device's place in one data process; embedded in the device, zero-initialised. */
struct worker_lease {
	struct worker *worker; /* NULL: not taken, or the process died */
	/* The rest is worker_lease.c's and worker_queues.c's. */
	uint32_t
		id; /* the device_id of the first queue's messages, new each time; then one more each */
	unsigned int nr_queues;
	enum worker_queue_state queue[WORKER_MAX_QUEUES];
	bool undoing; /* one could not be attached, the others are being detached */
	int err;      /* the first failure since it was attached */
	struct reason why;
	unsigned int nr_stats; /* queues that have answered */
	bool stats_lost;       /* one queue had none */
	struct ctl_stats stats;
	TAILQ_ENTRY(worker_lease) link;
};

/* One queue's ATTACH: the header is filled in here; both fds are borrowed. */
struct worker_attach {
	struct ctl_attach msg;
	int journal_fd;
	int target_fd; /* -1: none */
};

/* How a process ended. */
struct worker_end {
	struct reason why;
	/* With an error, or by a signal that is not what one kills by; or we had reason to kill it. */
	bool crashed;
};

/* None of these may destroy the pool; all may take, use and drop leases. why: "" when err is 0. */
struct worker_events {
	void (*ready)(void *ctx);   /* one more process takes devices */
	void (*unready)(void *ctx); /* one ended or can't be started; see worker_pool_trouble */
	void (*attached)(struct worker_lease *lease, int err, const struct reason *why);
	void (*detached)(struct worker_lease *lease, int err, const struct reason *why);
	void (*broken)(struct worker_lease *lease, int err, const struct reason *why);
	/* stats: NULL when the process has none. */
	void (*stats)(struct worker_lease *lease, const struct ctl_stats *stats);
	/* The process has ended; `died` follows once its I/O has, too. Must not drop a lease. */
	void (*lost)(struct worker_lease *lease, const struct worker_end *end);
	/* Nothing of the process touches the device any more; the lease has ended. */
	void (*died)(struct worker_lease *lease, const struct worker_end *end);
	void (*all_left)(void *ctx); /* after worker_pool_leave */
};

struct worker_config {
	const char *binary; /* path of ringwayd-data; borrowed */
	const char *rundir; /* for fences; borrowed */
	unsigned int nr_processes;
	bool no_sandbox;
	bool verbose;
};

/*
 * Starts the processes. -errno of the first that can't be started. None is ready before the I/O of
 * those that a ringwayd before this one has left has ended.
 */
int worker_pool_create(struct worker_pool **pool, struct rwy_loop *loop,
		       const struct worker_config *config, const struct worker_events *events,
		       void *ctx);
/* Lets go: processes that still run see EOF, finish what they have and exit, unseen. No lease may
 * be held. NULL is fine. */
void worker_pool_destroy(struct worker_pool *pool);
/* Closes the sockets: each process finishes what it has and exits, or is killed after a while. What
 * is under way even then, the next ringwayd waits for. */
void worker_pool_leave(struct worker_pool *pool);

/* The least loaded process that is ready. -EAGAIN: none is; `ready` will be called. */
int worker_take(struct worker_pool *pool, struct worker_lease *lease);
/* Why none is ready: what became of the last that failed. NULL: one is, or none has failed yet. */
const struct reason *worker_pool_trouble(struct worker_pool *pool);
/* Is I/O of data processes that a ringwayd before this one has left still under way? `ready` is called
 * after it. */
bool worker_pool_has_leftovers(const struct worker_pool *pool);
/* Ends a lease whose device is not attached (any more). A lease not held is fine. */
void worker_drop(struct worker_lease *lease);

/* About a lease that is held. One `attached` comes for all queues, 1 to WORKER_MAX_QUEUES. */
void worker_attach(struct worker_lease *lease, struct worker_attach *queues,
		   unsigned int nr_queues);
void worker_detach(struct worker_lease *lease);
void worker_ask_stats(struct worker_lease *lease);

/* For people. */
struct worker_info {
	pid_t pid; /* 0: not running */
	const char *state;
	unsigned int nr_devices;
	unsigned int nr_restarts;
};
unsigned int worker_pool_size(const struct worker_pool *pool);
struct worker_info worker_pool_info(const struct worker_pool *pool, unsigned int index);
/* 0: none. */
pid_t worker_lease_pid(const struct worker_lease *lease);
