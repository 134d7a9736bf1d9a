// SPDX-License-Identifier: MIT
/*
 * The data processes' keeper. Trusts nothing a data process says beyond what worker.h states.
 * Called by device_link.c and main.c, and by the loop.
 */
#include "backend/control/worker.h"
#include "backend/control/channel.h"
#include "backend/control/worker_queues.h"
#include "backend/control/worker_spawn.h"
#include "common/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ERRNO	 4095
#define MS_NS		 1000000ull
#define HELLO_LIMIT_NS	 (15000 * MS_NS) /* from exec to HELLO */
#define LEAVE_LIMIT_NS	 (30000 * MS_NS) /* from EOF to its exit */
#define PAUSE_FIRST_NS	 (100 * MS_NS)
#define PAUSE_LONGEST_NS (10000 * MS_NS)
#define HEALTHY_NS	 (60000 * MS_NS) /* having lived this long, the next pause is the first again */

enum worker_state {
	WORKER_PAUSING,	 /* not running; the timer starts it */
	WORKER_STARTING, /* runs, has not said HELLO */
	WORKER_READY,
	WORKER_KILLED,	/* its exit is awaited */
	WORKER_LEAVING, /* its socket is closed, its exit is awaited */
	WORKER_LEFT,
};

static const char *const state_names[] = {
	[WORKER_PAUSING] = "pausing", [WORKER_STARTING] = "starting", [WORKER_READY] = "ready",
	[WORKER_KILLED] = "killed",   [WORKER_LEAVING] = "leaving",   [WORKER_LEFT] = "left",
};

struct worker {
	struct worker_pool *pool;
	enum worker_state state;
	pid_t pid;
	int pidfd;
	struct rwy_loop_source *pidfd_source;
	struct channel *channel;
	struct rwy_loop_timer *timer; /* pause, time limit of HELLO, or of leaving */
	uint64_t started_ns;
	uint64_t pause_ns;
	unsigned int nr_restarts;
	struct reason fault; /* why we killed it; "": we did not */
	struct rwy_log_limit log;
	TAILQ_HEAD(lease_list, worker_lease) leases;
	unsigned int nr_leases;
};

struct worker_pool {
	struct rwy_loop *loop;
	struct worker_config config;
	const struct worker_events *events;
	void *ctx;
	bool leaving;
	uint32_t last_id;
	unsigned int nr_workers;
	struct reason trouble; /* what became of the last that failed; "": none has */
	struct worker workers[];
};

static void kill_worker(struct worker *w)
{
	if (w->state == WORKER_PAUSING || w->state == WORKER_LEFT || w->state == WORKER_KILLED)
		return;
	channel_close(w->channel);
	rwy_loop_disarm_timer(w->timer);
	pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
	w->state = WORKER_KILLED;
}

static void fault(struct worker *w, const char *what)
{
	reason_set(&w->fault, 0, "data process %d %s", (int)w->pid, what);
	kill_worker(w);
}

/* A process that can't be spoken to is on its way out; its end answers for the device. */
static void send_message(struct worker *w, const void *msg, size_t len, int fd)
{
	int err = channel_send(w->channel, msg, len, fd);

	if (!err)
		return;
	rwy_debug("data process %d: can't send: %s", (int)w->pid, strerror(-err));
	kill_worker(w);
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
		fault(w, "said hello out of turn");
		return;
	}
	if (hello->version != CTL_VERSION) {
		fault(w, "is of another version; reinstall Ringway");
		return;
	}
	rwy_loop_disarm_timer(w->timer);
	w->state = WORKER_READY;
	rwy_info("data process %d is ready", (int)w->pid);
	w->pool->events->ready(w->pool->ctx);
}

static void detach_queues(struct worker_lease *lease)
{
	struct ctl_device msg = {.header = {.type = CTL_DETACH}};
	struct worker *w = lease->worker;
	unsigned int queue;

	while (worker_queues_take_out(lease, &queue)) {
		msg.header.device_id = lease->id + queue;
		send_message(w, &msg, sizeof(msg), -1);
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
		fault(w, "spoke about a device that it does not have");
		return;
	}
	unsigned int queue = msg->header.device_id - lease->id;

	reason_copy(&why, msg->reason, sizeof(msg->reason));
	if (!why.text[0] && err)
		reason_set(&why, 0, "data process %d: %s", (int)w->pid, strerror(-err));
	if (msg->header.type == CTL_ATTACHED)
		outcome = worker_queues_attached(lease, queue, err, &why);
	else if (msg->header.type == CTL_DETACHED)
		outcome = worker_queues_detached(lease, queue, err, &why);
	else
		outcome = worker_queues_broken(lease, queue, err, &why);
	act(w, lease, outcome, err, &why);
}

/* A device may have been detached between question and answer. */
static void on_stats(struct worker *w, const struct ctl_stats_reply *msg)
{
	struct worker_lease *lease = find_lease(w, msg->header.device_id);

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

static void on_message(void *ctx, const struct ctl_header *msg, size_t len)
{
	struct worker *w = ctx;

	if (len != expected_bytes(msg->type))
		fault(w, "sent a message that makes no sense");
	else if (msg->type == CTL_HELLO)
		on_hello(w, (const struct ctl_hello *)msg);
	else if (w->state != WORKER_READY)
		fault(w, "spoke before it said hello");
	else if (msg->type == CTL_STATS_REPLY)
		on_stats(w, (const struct ctl_stats_reply *)msg);
	else
		on_result(w, (const struct ctl_result *)msg);
}

/* Closing the socket is what a dying process does; a living one without socket is of no use. Its
 * end is then seen through the pidfd, and said there. */
static void on_lost(void *ctx, const char *why)
{
	struct worker *w = ctx;

	rwy_debug("data process %d: %s", (int)w->pid, why);
	kill_worker(w);
}

static const struct channel_events channel_events = {.message = on_message, .lost = on_lost};

static void on_exit_seen(void *ctx, uint32_t epoll_events);

static int start(struct worker *w)
{
	int socket_fd;

	w->started_ns = rwy_loop_now_ns(w->pool->loop);
	int err = worker_spawn(&w->pool->config, &w->pid, &w->pidfd, &socket_fd);
	if (err)
		return err;
	err = channel_create(&w->channel, w->pool->loop, socket_fd, &channel_events, w);
	if (err) {
		close(socket_fd);
		goto err_kill;
	}
	err = rwy_loop_add_fd(w->pool->loop, w->pidfd, EPOLLIN, on_exit_seen, w, &w->pidfd_source);
	if (err)
		goto err_channel;

	w->state = WORKER_STARTING;
	w->fault.text[0] = '\0';
	rwy_loop_arm_timer(w->timer, w->started_ns + HELLO_LIMIT_NS);
	return 0;

err_channel:
	channel_destroy(w->channel);
	w->channel = NULL;
err_kill:
	pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
	waitpid(w->pid, NULL, 0);
	close(w->pidfd);
	w->pidfd = -1;
	return err;
}

static void pause_worker(struct worker *w)
{
	uint64_t now = rwy_loop_now_ns(w->pool->loop);

	if (!w->pause_ns || now - w->started_ns >= HEALTHY_NS)
		w->pause_ns = PAUSE_FIRST_NS;
	else if (w->pause_ns < PAUSE_LONGEST_NS)
		w->pause_ns *= 2;
	w->state = WORKER_PAUSING;
	rwy_loop_arm_timer(w->timer, now + w->pause_ns);
}

static void start_again(struct worker *w)
{
	struct worker_pool *pool = w->pool;
	int err = start(w);

	w->nr_restarts++;
	if (!err)
		return;
	reason_set(&pool->trouble, 0, "can't start %s: %s", pool->config.binary, strerror(-err));
	rwy_log_limited(&w->log, w->started_ns, RWY_LOG_ERROR, "%s", pool->trouble.text);
	pause_worker(w);
	pool->events->unready(pool->ctx);
}

static void on_timer(void *ctx)
{
	struct worker *w = ctx;

	if (w->state == WORKER_STARTING) {
		fault(w, "did not get ready in time");
	} else if (w->state == WORKER_LEAVING) {
		rwy_warn("data process %d does not leave; it is killed", (int)w->pid);
		kill_worker(w);
	} else if (w->state == WORKER_PAUSING) {
		start_again(w);
	}
}

static void describe_end(struct worker *w, struct reason *why)
{
	siginfo_t info = {0};

	if (w->fault.text[0]) {
		waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED);
		*why = w->fault;
		return;
	}
	if (waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED))
		reason_set(why, 0, "data process %d is gone", (int)w->pid);
	else if (info.si_code == CLD_EXITED)
		reason_set(why, 0, "data process %d exited with status %d", (int)w->pid,
			   info.si_status);
	else
		reason_set(why, 0, "data process %d died (signal %d, %s)", (int)w->pid,
			   info.si_status, sigabbrev_np(info.si_status) ?: "?");
}

static void end_leases(struct worker *w, const struct reason *why)
{
	struct worker_lease *lease;

	while ((lease = TAILQ_FIRST(&w->leases))) {
		worker_drop(lease);
		w->pool->events->died(lease, why);
	}
}

static bool all_left(const struct worker_pool *pool)
{
	for (unsigned int i = 0; i < pool->nr_workers; i++) {
		if (pool->workers[i].state != WORKER_LEFT)
			return false;
	}
	return true;
}

static void on_exit_seen(void *ctx, uint32_t epoll_events)
{
	struct worker *w = ctx;
	struct worker_pool *pool = w->pool;
	struct reason why;
	bool expected = w->state == WORKER_LEAVING;

	(void)epoll_events;
	describe_end(w, &why);
	rwy_loop_remove(w->pidfd_source);
	w->pidfd_source = NULL;
	close(w->pidfd);
	w->pidfd = -1;
	channel_destroy(w->channel);
	w->channel = NULL;
	if (!expected) {
		rwy_log_limited(&w->log, rwy_loop_now_ns(pool->loop), RWY_LOG_ERROR,
				"%s; devices in it: %u", why.text, w->nr_leases);
		pool->trouble = why;
	}
	w->pid = 0;
	rwy_loop_disarm_timer(w->timer);
	if (pool->leaving)
		w->state = WORKER_LEFT;
	else
		pause_worker(w);
	end_leases(w, &why);
	pool->events->unready(pool->ctx);
	if (pool->leaving && all_left(pool))
		pool->events->all_left(pool->ctx);
}

int worker_pool_create(struct worker_pool **pool, struct rwy_loop *loop,
		       const struct worker_config *config, const struct worker_events *events,
		       void *ctx)
{
	struct worker_pool *p =
		calloc(1, sizeof(*p) + config->nr_processes * sizeof(p->workers[0]));

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->config = *config;
	p->events = events;
	p->ctx = ctx;
	for (unsigned int i = 0; i < config->nr_processes; i++) {
		struct worker *w = &p->workers[i];

		w->pool = p;
		w->pidfd = -1;
		w->log.name = "supervision";
		TAILQ_INIT(&w->leases);
		int err = rwy_loop_add_timer(loop, on_timer, w, &w->timer);
		p->nr_workers++;
		if (!err)
			err = start(w);
		if (err) {
			worker_pool_destroy(p);
			return err;
		}
	}
	*pool = p;
	return 0;
}

void worker_pool_destroy(struct worker_pool *pool)
{
	if (!pool)
		return;
	for (unsigned int i = 0; i < pool->nr_workers; i++) {
		struct worker *w = &pool->workers[i];

		rwy_loop_remove(w->pidfd_source);
		channel_destroy(w->channel);
		rwy_loop_remove_timer(w->timer);
		if (w->pidfd >= 0)
			close(w->pidfd);
	}
	free(pool);
}

void worker_pool_leave(struct worker_pool *pool)
{
	pool->leaving = true;
	for (unsigned int i = 0; i < pool->nr_workers; i++) {
		struct worker *w = &pool->workers[i];

		if (w->state == WORKER_PAUSING) {
			rwy_loop_disarm_timer(w->timer);
			w->state = WORKER_LEFT;
		} else if (w->state == WORKER_STARTING || w->state == WORKER_READY) {
			channel_close(w->channel);
			w->state = WORKER_LEAVING;
			rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(pool->loop) + LEAVE_LIMIT_NS);
		}
	}
	if (all_left(pool))
		pool->events->all_left(pool->ctx);
}

static struct worker *least_loaded(struct worker_pool *pool)
{
	struct worker *best = NULL;

	for (unsigned int i = 0; i < pool->nr_workers; i++) {
		struct worker *w = &pool->workers[i];

		if (w->state == WORKER_READY && (!best || w->nr_leases < best->nr_leases))
			best = w;
	}
	return best;
}

const struct reason *worker_pool_trouble(struct worker_pool *pool)
{
	return pool->trouble.text[0] && !least_loaded(pool) ? &pool->trouble : NULL;
}

int worker_take(struct worker_pool *pool, struct worker_lease *lease)
{
	struct worker *best = least_loaded(pool);

	if (!best)
		return -EAGAIN;

	lease->worker = best;
	lease->nr_queues = 0;
	TAILQ_INSERT_TAIL(&best->leases, lease, link);
	best->nr_leases++;
	return 0;
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

		msg->header = (struct ctl_header){.type = CTL_ATTACH, .device_id = lease->id + i};
		send_message(w, msg, sizeof(*msg), queues[i].fd);
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
		send_message(w, &msg, sizeof(msg), -1);
	}
}

unsigned int worker_pool_size(const struct worker_pool *pool)
{
	return pool->nr_workers;
}

struct worker_info worker_pool_info(const struct worker_pool *pool, unsigned int index)
{
	const struct worker *w = &pool->workers[index];

	return (struct worker_info){
		.pid = w->pid,
		.state = state_names[w->state],
		.nr_devices = w->nr_leases,
		.nr_restarts = w->nr_restarts,
	};
}

pid_t worker_lease_pid(const struct worker_lease *lease)
{
	return lease->worker ? lease->worker->pid : 0;
}
