/* SPDX-License-Identifier: MIT */
/*
 * A device's queues in its data process. To that, each is a device of its own; to the rest of
 * control they are one, attached when all are and detached when none is left. Pure bookkeeping.
 * Called by worker_lease.c.
 */
#pragma once
#include "backend/control/worker.h"

enum worker_queues_outcome {
	WORKER_QUEUES_PENDING,	/* others' answers are still due */
	WORKER_QUEUES_ATTACHED, /* all are in */
	WORKER_QUEUES_UNDO,	/* one failed: those that are in are to be detached */
	WORKER_QUEUES_FAILED,	/* to attach; none is in any more, lease->err and why say why */
	WORKER_QUEUES_DETACHED, /* none is in any more; lease->err and why */
	WORKER_QUEUES_BROKEN,	/* to be passed on */
	WORKER_QUEUES_CROSSED,	/* overtaken by what we have asked for meanwhile; no news */
	WORKER_QUEUES_UNASKED,	/* it was not asked for this */
};

/* nr: 1 to WORKER_MAX_QUEUES, whose ATTACH is about to be sent. */
void worker_queues_begin(struct worker_lease *lease, unsigned int nr);
/* queue: below lease->nr_queues. */
enum worker_queues_outcome worker_queues_attached(struct worker_lease *lease, unsigned int queue,
						  int err, const struct reason *why);
enum worker_queues_outcome worker_queues_detached(struct worker_lease *lease, unsigned int queue,
						  int err, const struct reason *why);
enum worker_queues_outcome worker_queues_broken(struct worker_lease *lease, unsigned int queue,
						int err, const struct reason *why);
/* A queue that is in, now to be detached; false: there is none left. */
bool worker_queues_take_out(struct worker_lease *lease, unsigned int *queue);

/*
 * One queue's answer; NULL: it has none. Answers come in the order of the questions. True: that was
 * the last queue's, and lease->stats is the sum, unless stats_lost.
 */
bool worker_queues_add_stats(struct worker_lease *lease, const struct ctl_stats *stats);
