// SPDX-License-Identifier: MIT
/*
 * The event loop: epoll for fds, one signalfd per signal set, timers in a list sorted by time.
 * It trusts its callers and nothing else; what an fd delivers is theirs. Called by ringwayd and
 * loopback Xen, from one thread.
 */
#include "common/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_ROUND  64
#define SIGNALS_PER_ROUND 8
#define NS_PER_MS	  1000000ull

TAILQ_HEAD(timer_list, rwy_loop_timer);
LIST_HEAD(source_list, rwy_loop_source);

struct rwy_loop_source {
	struct rwy_loop *loop;
	LIST_ENTRY(rwy_loop_source) link;
	int fd;
	bool removed; /* waits on loop->removed for the end of the round */
	rwy_loop_fd_fn fd_fn;
	rwy_loop_signal_fn signal_fn; /* set: fd is a signalfd of ours */
	void *ctx;
};

struct rwy_loop_timer {
	struct rwy_loop *loop;
	LIST_ENTRY(rwy_loop_timer) all_link;
	TAILQ_ENTRY(rwy_loop_timer) link;
	struct timer_list *on; /* NULL: not armed */
	uint64_t at_ns;
	rwy_loop_timer_fn fn;
	void *ctx;
};

struct rwy_loop {
	int epoll_fd;
	rwy_loop_clock_fn clock;
	void *clock_ctx;
	unsigned int rounds_running; /* callbacks may run a round of their own */
	bool stopped;
	int stop_code;
	struct source_list sources;
	struct source_list removed; /* freed once no round can hold a pointer to them */
	LIST_HEAD(all_timers, rwy_loop_timer) timers;
	struct timer_list armed; /* by at_ns; equal times in the order they were armed */
	struct timer_list due;	 /* taken off armed in this round and not yet called */
};

static uint64_t monotonic_ns(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int rwy_loop_create(struct rwy_loop **out, rwy_loop_clock_fn clock, void *clock_ctx)
{
	struct rwy_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int err = -errno;

		free(loop);
		return err;
	}
	loop->clock = clock ? clock : monotonic_ns;
	loop->clock_ctx = clock_ctx;
	LIST_INIT(&loop->sources);
	LIST_INIT(&loop->removed);
	LIST_INIT(&loop->timers);
	TAILQ_INIT(&loop->armed);
	TAILQ_INIT(&loop->due);
	*out = loop;
	return 0;
}

static void free_removed(struct rwy_loop *loop)
{
	struct rwy_loop_source *source;

	while ((source = LIST_FIRST(&loop->removed))) {
		LIST_REMOVE(source, link);
		free(source);
	}
}

void rwy_loop_destroy(struct rwy_loop *loop)
{
	struct rwy_loop_source *source;
	struct rwy_loop_timer *timer;

	if (!loop)
		return;
	while ((source = LIST_FIRST(&loop->sources)))
		rwy_loop_remove(source);
	while ((timer = LIST_FIRST(&loop->timers)))
		rwy_loop_remove_timer(timer);
	free_removed(loop);
	close(loop->epoll_fd);
	free(loop);
}

uint64_t rwy_loop_now_ns(struct rwy_loop *loop)
{
	return loop->clock(loop->clock_ctx);
}

static int add_source(struct rwy_loop *loop, int fd, uint32_t epoll_events,
		      const struct rwy_loop_source *what, struct rwy_loop_source **out)
{
	struct rwy_loop_source *source = malloc(sizeof(*source));
	struct epoll_event event = {.events = epoll_events, .data.ptr = source};

	if (!source)
		return -ENOMEM;
	*source = *what;
	source->loop = loop;
	source->fd = fd;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int err = -errno;

		free(source);
		return err;
	}
	LIST_INSERT_HEAD(&loop->sources, source, link);
	*out = source;
	return 0;
}

int rwy_loop_add_fd(struct rwy_loop *loop, int fd, uint32_t epoll_events, rwy_loop_fd_fn fn,
		    void *ctx, struct rwy_loop_source **source)
{
	struct rwy_loop_source what = {.fd_fn = fn, .ctx = ctx};

	return add_source(loop, fd, epoll_events, &what, source);
}

int rwy_loop_modify_fd(struct rwy_loop_source *source, uint32_t epoll_events)
{
	struct epoll_event event = {.events = epoll_events, .data.ptr = source};

	if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
		return -errno;
	return 0;
}

int rwy_loop_add_signals(struct rwy_loop *loop, const sigset_t *set, rwy_loop_signal_fn fn,
			 void *ctx, struct rwy_loop_source **source)
{
	struct rwy_loop_source what = {.signal_fn = fn, .ctx = ctx};
	int fd, err;

	err = pthread_sigmask(SIG_BLOCK, set, NULL);
	if (err)
		return -err;
	fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = add_source(loop, fd, EPOLLIN, &what, source);
	if (err)
		close(fd);
	return err;
}

void rwy_loop_remove(struct rwy_loop_source *source)
{
	struct rwy_loop *loop;

	if (!source || source->removed)
		return;
	loop = source->loop;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (source->signal_fn)
		close(source->fd);
	LIST_REMOVE(source, link);
	source->removed = true;
	LIST_INSERT_HEAD(&loop->removed, source, link);
	if (loop->rounds_running == 0)
		free_removed(loop);
}

int rwy_loop_add_timer(struct rwy_loop *loop, rwy_loop_timer_fn fn, void *ctx,
		       struct rwy_loop_timer **out)
{
	struct rwy_loop_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return -ENOMEM;
	timer->loop = loop;
	timer->fn = fn;
	timer->ctx = ctx;
	LIST_INSERT_HEAD(&loop->timers, timer, all_link);
	*out = timer;
	return 0;
}

void rwy_loop_disarm_timer(struct rwy_loop_timer *timer)
{
	if (!timer->on)
		return;
	TAILQ_REMOVE(timer->on, timer, link);
	timer->on = NULL;
}

void rwy_loop_arm_timer(struct rwy_loop_timer *timer, uint64_t at_ns)
{
	struct timer_list *armed = &timer->loop->armed;
	struct rwy_loop_timer *before;

	rwy_loop_disarm_timer(timer);
	timer->at_ns = at_ns;
	timer->on = armed;
	before = TAILQ_LAST(armed, timer_list);
	while (before && before->at_ns > at_ns)
		before = TAILQ_PREV(before, timer_list, link);
	if (before)
		TAILQ_INSERT_AFTER(armed, before, timer, link);
	else
		TAILQ_INSERT_HEAD(armed, timer, link);
}

void rwy_loop_remove_timer(struct rwy_loop_timer *timer)
{
	if (!timer)
		return;
	rwy_loop_disarm_timer(timer);
	LIST_REMOVE(timer, all_link);
	free(timer);
}

/* Rounded up: a timer may be late by a millisecond, never early. */
static int wait_ms(struct rwy_loop *loop, uint64_t timeout_ns)
{
	const struct rwy_loop_timer *first = TAILQ_FIRST(&loop->armed);
	uint64_t ms;

	if (!TAILQ_EMPTY(&loop->due))
		return 0;
	if (first) {
		uint64_t now_ns = rwy_loop_now_ns(loop);
		uint64_t until_ns = first->at_ns > now_ns ? first->at_ns - now_ns : 0;

		if (until_ns < timeout_ns)
			timeout_ns = until_ns;
	}
	if (timeout_ns == UINT64_MAX)
		return -1;
	ms = timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0);
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* What a callback arms for now or earlier is due in the next round: fds get their turn between. */
static void fire_timers(struct rwy_loop *loop)
{
	uint64_t now_ns = rwy_loop_now_ns(loop);
	struct rwy_loop_timer *timer;

	while ((timer = TAILQ_FIRST(&loop->armed)) && timer->at_ns <= now_ns) {
		TAILQ_REMOVE(&loop->armed, timer, link);
		TAILQ_INSERT_TAIL(&loop->due, timer, link);
		timer->on = &loop->due;
	}
	while ((timer = TAILQ_FIRST(&loop->due))) {
		rwy_loop_disarm_timer(timer);
		timer->fn(timer->ctx);
	}
}

static void fire_signals(struct rwy_loop_source *source)
{
	struct signalfd_siginfo infos[SIGNALS_PER_ROUND];
	ssize_t n = read(source->fd, infos, sizeof(infos));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(infos[0]) && !source->removed; i++)
		source->signal_fn(source->ctx, (int)infos[i].ssi_signo);
}

static void fire_sources(const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct rwy_loop_source *source = events[i].data.ptr;

		if (source->removed)
			continue;
		if (source->signal_fn)
			fire_signals(source);
		else
			source->fd_fn(source->ctx, events[i].events);
	}
}

int rwy_loop_run_once(struct rwy_loop *loop, uint64_t timeout_ns)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, wait_ms(loop, timeout_ns));

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->rounds_running++;
	fire_timers(loop);
	fire_sources(events, n);
	loop->rounds_running--;
	if (loop->rounds_running == 0)
		free_removed(loop);
	return 0;
}

int rwy_loop_run(struct rwy_loop *loop)
{
	while (!loop->stopped) {
		int err = rwy_loop_run_once(loop, UINT64_MAX);

		if (err)
			return err;
	}
	loop->stopped = false;
	return loop->stop_code;
}

void rwy_loop_stop(struct rwy_loop *loop, int code)
{
	loop->stopped = true;
	loop->stop_code = code;
}
