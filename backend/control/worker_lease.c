// SPDX-License-Identifier: MIT
/*
 * What is said about the devices in a data process, in both directions. Trusts nothing a data
 * process says beyond what worker.h states. Called by device_link.c, device_attach.c, worker.c and
 * channel.c.
 */
#include "backend/control/worker_impl.h"
#include "backend/control/worker_queues.h"
#include <errno.h>
#include <string.h>

#define MAX_ERRNO 4095

/* A process that can't be spoken to is on its way out; its end answers for the device. */
static void send_message(struct worker *w, const void *msg, size_t len, const int *fds,
			 unsigned int nr_fds)
{
	int err = w->channel ? channel_send(w->channel, msg, len, fds, nr_fds) : 0;

	if (!err)
		return;
	rwy_debug("data process %d: can't send: %s", (int)w->pid, strerror(-err));
	worker_kill(w);
}

static struct worker_lease *find_lease(struct worker *w, uint32_t id)
{
	struct worker_lease *lease;

	TAILQ_FOREACH(lease, &w->leases, link)
	{
		if (id - lease->id < lease->nr_queues)
			return lease;
	}
	return NULL;
}

static void on_hello(struct worker *w, const struct ctl_hello *hello)
{
	if (w->state != WORKER_STARTING || hello->header.device_id) {
		worker_fault(w, "said hello out of turn");
		return;
	}
	if (hello->version != CTL_VERSION) {
		worker_fault(w, "is of another version than ringwayd; restart ringwayd");
		return;
	}
	worker_got_ready(w);
}

static void detach_queues(struct worker_lease *lease)
{
	struct ctl_device msg = {.header = {.type = CTL_DETACH}};
	struct worker *w = lease->worker;
	unsigned int queue;

	while (worker_queues_take_out(lease, &queue)) {
		msg.header.device_id = lease->id + queue;
		send_message(w, &msg, sizeof(msg), NULL, 0);
	}
}

/* What it was not asked is only worth a line: it can hurt no more than its own device. */
static void say_unasked(struct worker *w, const char *what)
{
	rwy_log_limited(&w->log, rwy_loop_now_ns(w->pool->loop), RWY_LOG_WARNING,
			"data process %d said \"%s\" unasked; ignored", (int)w->pid, what);
}

static void act(struct worker *w, struct worker_lease *lease, enum worker_queues_outcome outcome,
		int err, const struct reason *why)
{
	const struct worker_events *events = w->pool->events;

	switch (outcome) {
	case WORKER_QUEUES_ATTACHED:
	case WORKER_QUEUES_FAILED:
		events->attached(lease, lease->err, &lease->why);
		break;
	case WORKER_QUEUES_DETACHED:
		events->detached(lease, lease->err, &lease->why);
		break;
	case WORKER_QUEUES_BROKEN:
		events->broken(lease, err, why);
		break;
	case WORKER_QUEUES_UNDO:
		detach_queues(lease);
		break;
	case WORKER_QUEUES_UNASKED:
		say_unasked(w, "attached, detached or broken");
		break;
	case WORKER_QUEUES_PENDING:
	case WORKER_QUEUES_CROSSED:
		break;
	}
}

static void on_result(struct worker *w, const struct ctl_result *msg)
{
	struct worker_lease *lease = find_lease(w, msg->header.device_id);
	int err = msg->err >= -MAX_ERRNO && msg->err <= 0 ? msg->err : -EIO;
	enum worker_queues_outcome outcome;
	struct reason why;

	if (!lease) {
		worker_fault(w, "spoke about a device that it does not have");
		return;
	}
	unsigned int queue = msg->header.device_id - lease->id;

	reason_copy(&why, msg->reason, sizeof(msg->reason));
	if (!why.text[0] && err)
		reason_set(&why, 0, "data process %d: %s", (int)w->pid, strerror(-err));
	if (msg->header.type == CTL_ATTACHED) {
		worker_answered(w);
		outcome = worker_queues_attached(lease, queue, err, &why);
	} else if (msg->header.type == CTL_DETACHED)
		outcome = worker_queues_detached(lease, queue, err, &why);
	else
		outcome = worker_queues_broken(lease, queue, err, &why);
	act(w, lease, outcome, err, &why);
}

/* A device may have been detached between question and answer. */
static void on_stats(struct worker *w, const struct ctl_stats_reply *msg)
{
	struct worker_lease *lease = find_lease(w, msg->header.device_id);

	worker_answered(w);
	if (lease && worker_queues_add_stats(lease, msg->err ? NULL : &msg->stats))
		w->pool->events->stats(lease, lease->stats_lost ? NULL : &lease->stats);
}

static size_t expected_bytes(uint32_t type)
{
	switch (type) {
	case CTL_HELLO:
		return sizeof(struct ctl_hello);
	case CTL_ATTACHED:
	case CTL_DETACHED:
	case CTL_BROKEN:
		return sizeof(struct ctl_result);
	case CTL_STATS_REPLY:
		return sizeof(struct ctl_stats_reply);
	default:
		return 0;
	}
}

void worker_lease_on_message(void *worker, const struct ctl_header *msg, size_t len)
{
	struct worker *w = worker;

	if (len != expected_bytes(msg->type))
		worker_fault(w, "sent a message that makes no sense");
	else if (msg->type == CTL_HELLO)
		on_hello(w, (const struct ctl_hello *)msg);
	else if (w->state != WORKER_READY)
		worker_fault(w, "spoke before it said hello");
	else if (msg->type == CTL_STATS_REPLY)
		on_stats(w, (const struct ctl_stats_reply *)msg);
	else
		on_result(w, (const struct ctl_result *)msg);
}

void worker_drop(struct worker_lease *lease)
{
	if (!lease->worker)
		return;
	TAILQ_REMOVE(&lease->worker->leases, lease, link);
	lease->worker->nr_leases--;
	lease->worker = NULL;
}

void worker_attach(struct worker_lease *lease, struct worker_attach *queues, unsigned int nr_queues)
{
	struct worker *w = lease->worker;

	lease->id = w->pool->last_id + 1;
	w->pool->last_id += nr_queues;
	worker_queues_begin(lease, nr_queues);
	for (unsigned int i = 0; i < nr_queues; i++) {
		struct ctl_attach *msg = &queues[i].msg;
		const int fds[] = {queues[i].journal_fd, queues[i].target_fd};

		msg->header = (struct ctl_header){.type = CTL_ATTACH, .device_id = lease->id + i};
		worker_asked(w);
		send_message(w, msg, sizeof(*msg), fds, fds[1] < 0 ? 1 : 2);
	}
}

void worker_detach(struct worker_lease *lease)
{
	lease->undoing = false;
	detach_queues(lease);
}

void worker_ask_stats(struct worker_lease *lease)
{
	struct ctl_device msg = {.header = {.type = CTL_STATS}};
	struct worker *w = lease->worker;

	for (unsigned int i = 0; i < lease->nr_queues; i++) {
		msg.header.device_id = lease->id + i;
		worker_asked(w);
		send_message(w, &msg, sizeof(msg), NULL, 0);
	}
}

pid_t worker_lease_pid(const struct worker_lease *lease)
{
	return lease->worker ? lease->worker->pid : 0;
}
