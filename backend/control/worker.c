// SPDX-License-Identifier: MIT
/*
 * The data processes' keeper. Trusts nothing a data process says beyond what worker.h states.
 * Called by device_link.c and main.c, and by the loop.
 */
#include "backend/control/worker_impl.h"
#include "backend/control/worker_spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS_NS		 1000000ull
#define HELLO_LIMIT_NS	 (15000 * MS_NS) /* from exec to HELLO */
#define ANSWER_LIMIT_NS	 (15000 * MS_NS) /* since it was last heard */
#define LEAVE_LIMIT_NS	 (30000 * MS_NS) /* from EOF to its exit */
#define PAUSE_FIRST_NS	 (100 * MS_NS)
#define PAUSE_LONGEST_NS (10000 * MS_NS)
#define HEALTHY_NS	 (500 * MS_NS)	/* having lived this long, it is started again at once */
#define KILL_SLOW_NS	 (5000 * MS_NS) /* from SIGKILL to its exit */
#define SAY_AGAIN_NS	 (60000 * MS_NS)
#define FENCE_SLOW_NS	 (5000 * MS_NS)
#define FENCE_AGAIN_NS	 (1000 * MS_NS)

static const char *const state_names[] = {
	[WORKER_PAUSING] = "pausing", [WORKER_STARTING] = "starting", [WORKER_READY] = "ready",
	[WORKER_KILLED] = "killed",   [WORKER_LEAVING] = "leaving",   [WORKER_FENCING] = "fencing",
	[WORKER_LEFT] = "left",
};

static bool runs(const struct worker *w)
{
	return w->state == WORKER_STARTING || w->state == WORKER_READY ||
	       w->state == WORKER_LEAVING;
}

void worker_kill(struct worker *w)
{
	if (!runs(w))
		return;
	channel_close(w->channel);
	pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
	w->state = WORKER_KILLED;
	rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->pool->loop) + KILL_SLOW_NS);
}

void worker_fault(struct worker *w, const char *what)
{
	reason_set(&w->fault, 0, "data process %d %s", (int)w->pid, what);
	worker_kill(w);
}

/* Closing the socket is what a dying process does; a living one without socket is of no use. Its
 * end is then seen through the pidfd, and said there. */
static void on_lost(void *ctx, const char *why)
{
	struct worker *w = ctx;

	rwy_debug("data process %d: %s", (int)w->pid, why);
	worker_kill(w);
}

static void await_answer(struct worker *w)
{
	if (w->state != WORKER_READY)
		return;
	if (w->nr_asked)
		rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->pool->loop) + ANSWER_LIMIT_NS);
	else
		rwy_loop_disarm_timer(w->timer);
}

void worker_asked(struct worker *w)
{
	if (w->nr_asked++ == 0)
		await_answer(w);
}

void worker_answered(struct worker *w)
{
	if (w->nr_asked)
		w->nr_asked--;
	await_answer(w);
}

static const struct channel_events channel_events = {.message = worker_lease_on_message,
						     .lost = on_lost};

static void on_exit_seen(void *ctx, uint32_t epoll_events);

/* With its fence; the end to write is the process's alone. */
static int spawn(struct worker *w, int *socket_fd)
{
	int fence_fd;
	int err = worker_fence_create(&w->fence, w->pool->rundir_fd, &fence_fd);

	if (err)
		return err;
	err = worker_spawn(&w->pool->config, fence_fd, &w->pid, &w->pidfd, socket_fd);
	close(fence_fd);
	if (err)
		worker_fence_remove(&w->fence);
	else
		worker_fence_name_holder(&w->fence, w->pid);
	return err;
}

static int start(struct worker *w)
{
	int socket_fd;

	w->started_ns = rwy_loop_now_ns(w->pool->loop);
	int err = spawn(w, &socket_fd);
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
	w->nr_asked = 0;
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
	w->pid = 0;
	worker_fence_remove(&w->fence); /* it has not got as far as to do I/O */
	return err;
}

/* Longer each time. */
static void pause_worker(struct worker *w)
{
	uint64_t now = rwy_loop_now_ns(w->pool->loop);

	if (!w->pause_ns)
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

static void start_or_pause(struct worker *w)
{
	if (rwy_loop_now_ns(w->pool->loop) - w->started_ns < HEALTHY_NS) {
		pause_worker(w);
		return;
	}
	w->pause_ns = 0;
	start_again(w);
}

static bool all_left(const struct worker_pool *pool)
{
	for (unsigned int i = 0; i < pool->nr_workers; i++) {
		if (pool->workers[i].state != WORKER_LEFT)
			return false;
	}
	return true;
}

static void leave(struct worker *w)
{
	rwy_loop_disarm_timer(w->timer);
	w->state = WORKER_LEFT;
	if (all_left(w->pool))
		w->pool->events->all_left(w->pool->ctx);
}

static void end_leases(struct worker *w)
{
	struct worker_lease *lease;

	while ((lease = TAILQ_FIRST(&w->leases))) {
		worker_drop(lease);
		w->pool->events->died(lease, &w->end);
	}
}

static void on_fence_down(void *ctx)
{
	struct worker *w = ctx;

	worker_fence_remove(&w->fence);
	rwy_loop_disarm_timer(w->timer);
	if (w->pool->leaving) {
		leave(w);
		return;
	}
	start_or_pause(w);
	end_leases(w);
	w->pool->events->unready(w->pool->ctx);
}

/* What can't be waited for now for want of memory is not taken to be over. */
static void await_fence(struct worker *w)
{
	int err = worker_fence_await(&w->fence, w->pool->loop, on_fence_down, w);

	if (!err)
		return;
	rwy_log_limited(&w->log, rwy_loop_now_ns(w->pool->loop), RWY_LOG_ERROR,
			"can't wait for the end of a data process's I/O: %s", strerror(-err));
	rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->pool->loop) + FENCE_AGAIN_NS);
}

static void on_slow_fence(struct worker *w)
{
	if (w->pool->leaving) {
		rwy_warn("%s; its I/O is still under way, the next ringwayd waits for it",
			 w->end.why.text);
		worker_fence_drop(&w->fence);
		leave(w);
	} else if (!worker_fence_is_awaited(&w->fence)) {
		await_fence(w);
	} else {
		rwy_warn("%s; its I/O is still under way, %u device(s) wait for the end of it",
			 w->end.why.text, w->nr_leases);
		rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->pool->loop) + SAY_AGAIN_NS);
	}
}

/* A process is not gone before its threads are, and these may wait for a disk that hangs. */
static void on_slow_kill(struct worker *w)
{
	if (w->pool->leaving) {
		rwy_warn("data process %d was killed and does not end; the next ringwayd waits for "
			 "it",
			 (int)w->pid);
		worker_fence_drop(&w->fence);
		leave(w);
	} else {
		rwy_warn("data process %d was killed and does not end; %u device(s) wait for that",
			 (int)w->pid, w->nr_leases);
		rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->pool->loop) + SAY_AGAIN_NS);
	}
}

static void on_timer(void *ctx)
{
	struct worker *w = ctx;

	if (w->state == WORKER_STARTING) {
		worker_fault(w, "did not get ready in time");
	} else if (w->state == WORKER_READY) {
		worker_fault(w, "does not answer any more");
	} else if (w->state == WORKER_LEAVING) {
		rwy_warn("data process %d does not leave; it is killed", (int)w->pid);
		worker_kill(w);
	} else if (w->state == WORKER_PAUSING) {
		start_again(w);
	} else if (w->state == WORKER_FENCING) {
		on_slow_fence(w);
	} else if (w->state == WORKER_KILLED) {
		on_slow_kill(w);
	}
}

static bool is_crash(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		return info->si_status != 0;
	return info->si_status != SIGKILL && info->si_status != SIGTERM;
}

static void describe_end(struct worker *w)
{
	struct worker_end *end = &w->end;
	siginfo_t info = {0};
	bool known = !waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED);

	end->crashed = w->fault.text[0] || (known && is_crash(&info));
	if (w->fault.text[0])
		end->why = w->fault;
	else if (!known)
		reason_set(&end->why, 0, "data process %d is gone", (int)w->pid);
	else if (info.si_code == CLD_EXITED)
		reason_set(&end->why, 0, "data process %d exited with status %d", (int)w->pid,
			   info.si_status);
	else
		reason_set(&end->why, 0, "data process %d died (signal %d, %s)", (int)w->pid,
			   info.si_status, sigabbrev_np(info.si_status) ?: "?");
}

static void say_end(struct worker *w)
{
	rwy_log_limited(&w->log, rwy_loop_now_ns(w->pool->loop), RWY_LOG_ERROR,
			"%s; devices in it: %u", w->end.why.text, w->nr_leases);
	w->pool->trouble = w->end.why;
}

static void on_exit_seen(void *ctx, uint32_t epoll_events)
{
	struct worker *w = ctx;
	struct worker_pool *pool = w->pool;
	struct worker_lease *lease;

	(void)epoll_events;
	describe_end(w);
	if (w->state != WORKER_LEAVING)
		say_end(w);
	rwy_loop_remove(w->pidfd_source);
	w->pidfd_source = NULL;
	close(w->pidfd);
	w->pidfd = -1;
	channel_destroy(w->channel);
	w->channel = NULL;
	w->pid = 0;
	w->state = WORKER_FENCING;
	rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(pool->loop) + FENCE_SLOW_NS);
	await_fence(w);
	TAILQ_FOREACH(lease, &w->leases, link)
	pool->events->lost(lease, &w->end);
	pool->events->unready(pool->ctx);
}

static void on_leftovers_slow(void *ctx, unsigned int nr)
{
	struct worker_pool *pool = ctx;

	reason_set(&pool->trouble, 0,
		   "waiting for the end of the I/O of %u data process(es) that a ringwayd before "
		   "this one left",
		   nr);
	rwy_warn("%s", pool->trouble.text);
	pool->events->unready(pool->ctx);
}

static void on_leftovers_gone(void *ctx)
{
	struct worker_pool *pool = ctx;

	pool->trouble.text[0] = '\0';
	pool->events->unready(pool->ctx); /* in case that none is */
	for (unsigned int i = 0; i < pool->nr_workers; i++) {
		if (pool->workers[i].state == WORKER_READY)
			pool->events->ready(pool->ctx);
	}
}

void worker_got_ready(struct worker *w)
{
	rwy_loop_disarm_timer(w->timer);
	w->state = WORKER_READY;
	rwy_info("data process %d is ready", (int)w->pid);
	if (!worker_leftovers_count(w->pool->leftovers))
		w->pool->events->ready(w->pool->ctx);
}

static const struct worker_leftovers_events leftovers_events = {
	.slow = on_leftovers_slow,
	.gone = on_leftovers_gone,
};

static int start_first(struct worker_pool *pool, struct worker *w)
{
	w->pool = pool;
	w->pidfd = -1;
	w->fence.fd = -1;
	w->log.name = "supervision";
	TAILQ_INIT(&w->leases);
	pool->nr_workers++;
	int err = rwy_loop_add_timer(pool->loop, on_timer, w, &w->timer);
	return err ? err : start(w);
}

/* The leftovers are looked for before there are fences of our own. */
static int start_all(struct worker_pool *pool)
{
	pool->rundir_fd = open(pool->config.rundir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pool->rundir_fd < 0)
		return -errno;
	int err = worker_leftovers_create(&pool->leftovers, pool->loop, pool->rundir_fd,
					  &leftovers_events, pool);
	for (unsigned int i = 0; !err && i < pool->config.nr_processes; i++)
		err = start_first(pool, &pool->workers[i]);
	return err;
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
	int err = start_all(p);
	if (err) {
		worker_pool_destroy(p);
		return err;
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
		worker_fence_drop(&w->fence);
		rwy_loop_remove_timer(w->timer);
		if (w->pidfd >= 0)
			close(w->pidfd);
	}
	worker_leftovers_destroy(pool->leftovers);
	if (pool->rundir_fd >= 0)
		close(pool->rundir_fd);
	free(pool);
}

static void let_leave(struct worker *w)
{
	if (w->state == WORKER_STARTING || w->state == WORKER_READY) {
		channel_close(w->channel);
		w->state = WORKER_LEAVING;
	} else if (w->state == WORKER_PAUSING) {
		w->state = WORKER_LEFT;
	}
	rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->pool->loop) + LEAVE_LIMIT_NS);
}

void worker_pool_leave(struct worker_pool *pool)
{
	pool->leaving = true;
	for (unsigned int i = 0; i < pool->nr_workers; i++)
		let_leave(&pool->workers[i]);
	if (all_left(pool))
		pool->events->all_left(pool->ctx);
}

bool worker_pool_has_leftovers(const struct worker_pool *pool)
{
	return worker_leftovers_count(pool->leftovers) > 0;
}

static struct worker *least_loaded(struct worker_pool *pool)
{
	struct worker *best = NULL;

	if (worker_pool_has_leftovers(pool))
		return NULL;
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
