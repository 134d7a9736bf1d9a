// SPDX-License-Identifier: MIT
/*
 * Sums up what a data process says about the queues of one device. Trusts no order of its answers.
 * Called by worker_lease.c.
 */
#include "backend/control/worker_queues.h"
#include <string.h>

void worker_queues_begin(struct worker_lease *lease, unsigned int nr)
{
	lease->nr_queues = nr;
	for (unsigned int i = 0; i < nr; i++)
		lease->queue[i] = WORKER_QUEUE_ATTACHING;
	lease->err = 0;
	lease->why.text[0] = '\0';
	lease->nr_stats = 0;
}

static bool any(const struct worker_lease *lease, enum worker_queue_state state)
{
	for (unsigned int i = 0; i < lease->nr_queues; i++) {
		if (lease->queue[i] == state)
			return true;
	}
	return false;
}

/* The first failure is the one that is told. */
static void note(struct worker_lease *lease, int err, const struct reason *why)
{
	if (!err || lease->err)
		return;
	lease->err = err;
	lease->why = *why;
}

/* Before all have been attached once, an error means that none is to stay. */
static enum worker_queues_outcome judge(const struct worker_lease *lease)
{
	if (any(lease, WORKER_QUEUE_ATTACHING))
		return WORKER_QUEUES_PENDING;
	if (!lease->err)
		return WORKER_QUEUES_ATTACHED;
	if (any(lease, WORKER_QUEUE_IN))
		return WORKER_QUEUES_UNDO;
	return any(lease, WORKER_QUEUE_DETACHING) ? WORKER_QUEUES_PENDING : WORKER_QUEUES_FAILED;
}

enum worker_queues_outcome worker_queues_attached(struct worker_lease *lease, unsigned int queue,
						  int err, const struct reason *why)
{
	if (lease->queue[queue] != WORKER_QUEUE_ATTACHING)
		return WORKER_QUEUES_UNASKED;
	lease->queue[queue] = err ? WORKER_QUEUE_OUT : WORKER_QUEUE_IN;
	note(lease, err, why);

	enum worker_queues_outcome outcome = judge(lease);
	lease->undoing = outcome == WORKER_QUEUES_UNDO;
	return outcome;
}

enum worker_queues_outcome worker_queues_detached(struct worker_lease *lease, unsigned int queue,
						  int err, const struct reason *why)
{
	if (lease->queue[queue] != WORKER_QUEUE_DETACHING)
		return WORKER_QUEUES_UNASKED;
	lease->queue[queue] = WORKER_QUEUE_OUT;
	note(lease, err, why);
	if (any(lease, WORKER_QUEUE_DETACHING))
		return WORKER_QUEUES_PENDING;
	return lease->undoing ? WORKER_QUEUES_FAILED : WORKER_QUEUES_DETACHED;
}

enum worker_queues_outcome worker_queues_broken(struct worker_lease *lease, unsigned int queue,
						int err, const struct reason *why)
{
	if (lease->queue[queue] == WORKER_QUEUE_DETACHING)
		return WORKER_QUEUES_CROSSED;
	if (lease->queue[queue] != WORKER_QUEUE_IN)
		return WORKER_QUEUES_UNASKED;
	if (!any(lease, WORKER_QUEUE_ATTACHING))
		return WORKER_QUEUES_BROKEN;
	note(lease, err, why);
	return WORKER_QUEUES_PENDING;
}

bool worker_queues_take_out(struct worker_lease *lease, unsigned int *queue)
{
	for (unsigned int i = 0; i < lease->nr_queues; i++) {
		if (lease->queue[i] != WORKER_QUEUE_IN)
			continue;
		lease->queue[i] = WORKER_QUEUE_DETACHING;
		*queue = i;
		return true;
	}
	return false;
}

static void add(struct ctl_stats *sum, const struct ctl_stats *s)
{
	sum->read_requests += s->read_requests;
	sum->write_requests += s->write_requests;
	sum->flush_requests += s->flush_requests;
	sum->read_sect += s->read_sect;
	sum->write_sect += s->write_sect;
	sum->bad_requests += s->bad_requests;
	sum->io_errors += s->io_errors;
	sum->events += s->events;
	sum->notifies += s->notifies;
	sum->in_flight += s->in_flight;
}

bool worker_queues_add_stats(struct worker_lease *lease, const struct ctl_stats *stats)
{
	if (lease->nr_stats == 0) {
		lease->stats_lost = false;
		memset(&lease->stats, 0, sizeof(lease->stats));
	}
	if (stats)
		add(&lease->stats, stats);
	else
		lease->stats_lost = true;
	if (++lease->nr_stats < lease->nr_queues)
		return false;
	lease->nr_stats = 0;
	return true;
}
