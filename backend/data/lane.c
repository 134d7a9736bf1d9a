// SPDX-License-Identifier: MIT
/*
 * Implementation of lane.h. Trusts the hypervisor for the numbers of ports; no task for the time it
 * would take. Called by main (the loop), ctl (watch) and blkback's queues.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <xentoollog.h>
#include "backend/data/lane.h"
#include "common/cleanup.h"
#include "common/log.h"

/* The most ports that a domain can have (FIFO event channels, 17 bits). */
#define MAX_PORTS (1u << 17)

/*
 * The Xen libraries log to stderr by themselves; a guest can cause that at will. Every error comes
 * back as errno and is reported, limited, by the caller; their own words are for debugging.
 */
static void log_library(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
			const char *context, const char *format, va_list args)
	__attribute__((format(printf, 5, 0)));

static void log_library(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
			const char *context, const char *format, va_list args)
{
	char text[256];

	(void)logger;
	(void)level;
	(void)errnoval;
	vsnprintf(text, sizeof(text), format, args);
	rwy_debug("%s: %s", context ? context : "xen", text);
}

static void ignore_destroy(struct xentoollog_logger *logger)
{
	(void)logger;
}

static struct xentoollog_logger library_logger = {
	.vmessage = log_library,
	.destroy = ignore_destroy,
};

static void move(struct lane *lane, struct lane_task *task, enum lane_place place)
{
	if (task->place != LANE_ASLEEP) {
		TAILQ_REMOVE(&lane->queue[task->place].tasks, task, link);
		lane->queue[task->place].count--;
	}
	task->place = place;
	if (place != LANE_ASLEEP) {
		TAILQ_INSERT_TAIL(&lane->queue[place].tasks, task, link);
		lane->queue[place].count++;
	}
}

void lane_wake(struct lane *lane, struct lane_task *task)
{
	if (task->place != LANE_RUNNABLE)
		move(lane, task, LANE_RUNNABLE);
}

void lane_notify(struct lane *lane, struct lane_task *task)
{
	/* Fails only when the frontend's domain is gone; then there is nobody to tell. */
	xenevtchn_notify(lane->evtchn, task->port);
	task->nr_notifies++;
}

static int grow_ports(struct lane *lane, uint32_t port)
{
	uint32_t nr = lane->nr_ports ? lane->nr_ports : 64;

	if (port >= MAX_PORTS)
		return -ERANGE;
	while (nr <= port)
		nr *= 2;
	if (nr == lane->nr_ports)
		return 0;
	struct lane_task **by_port = reallocarray(lane->by_port, nr, sizeof(*by_port));

	if (!by_port)
		return -ENOMEM;
	memset(by_port + lane->nr_ports, 0, (nr - lane->nr_ports) * sizeof(*by_port));
	lane->by_port = by_port;
	lane->nr_ports = nr;
	return 0;
}

int lane_bind(struct lane *lane, struct lane_task *task, uint32_t domid, evtchn_port_t remote_port)
{
	int port = xenevtchn_bind_interdomain(lane->evtchn, domid, remote_port);

	if (port < 0)
		return errno ? -errno : -EIO;
	int err = grow_ports(lane, (uint32_t)port);

	if (err) {
		xenevtchn_unbind(lane->evtchn, (evtchn_port_t)port);
		return err;
	}
	task->port = (evtchn_port_t)port;
	lane->by_port[port] = task;
	lane_wake(lane, task);
	return 0;
}

int lane_unbind(struct lane *lane, struct lane_task *task)
{
	move(lane, task, LANE_ASLEEP);
	lane->by_port[task->port] = NULL;
	if (xenevtchn_unbind(lane->evtchn, task->port))
		return errno ? -errno : -EIO;
	return 0;
}

/*
 * One poll at a time, armed anew after each: the event channel device wakes a poller only when its
 * queue was empty, so what a bounded read leaves behind is found by the new poll at once.
 */
static void arm_watch(struct lane_watch *watch);

static void watch_polled(struct engine_event *event, int32_t res, uint32_t flags)
{
	struct lane_watch *watch = (struct lane_watch *)event;

	(void)flags;
	watch->armed = false;
	if (res > 0)
		watch->ready(watch, (uint32_t)res);
	else if (res < 0 && res != -EINTR && res != -EAGAIN && res != -ECANCELED)
		watch->lane->err = res;
	arm_watch(watch);
}

/* The kernel took no more entries; now it may. */
static void arm_again(struct engine_event *event, int32_t res, uint32_t flags)
{
	struct lane_watch *watch = (struct lane_watch *)event;

	(void)res;
	(void)flags;
	watch->armed = false;
	arm_watch(watch);
}

static void arm_watch(struct lane_watch *watch)
{
	struct uring *u = &watch->lane->uring;

	if (watch->armed || watch->poll_mask == 0)
		return;
	watch->armed = true;
	watch->poll.event.fn = watch_polled;
	if (uring_poll(u, watch->slot, watch->poll_mask, &watch->poll) == 0)
		return;
	watch->poll.event.fn = arm_again;
	u->host.call_later(&u->host, &watch->poll.event);
}

void lane_watch_for(struct lane_watch *watch, uint32_t poll_mask)
{
	watch->poll_mask = poll_mask;
	arm_watch(watch);
}

int lane_watch(struct lane *lane, struct lane_watch *watch, int fd, uint32_t poll_mask,
	       void (*ready)(struct lane_watch *watch, uint32_t poll_mask), void *ctx)
{
	int slot = lane->uring.host.add_file(&lane->uring.host, fd);

	if (slot < 0)
		return slot;
	*watch = (struct lane_watch){.lane = lane, .slot = slot, .ready = ready, .ctx = ctx};
	uring_add_poll(&lane->uring, &watch->poll);
	lane_watch_for(watch, poll_mask);
	return 0;
}

static void note_event(struct lane *lane, uint32_t port)
{
	struct lane_task *task = port < lane->nr_ports ? lane->by_port[port] : NULL;

	/* An event of a port that was unbound after it fired. */
	if (!task)
		return;
	task->masked = true;
	task->nr_events++;
	task->spurious++;
	lane_wake(lane, task);
}

static bool has_input(struct lane *lane)
{
	struct pollfd pfd = {.fd = xenevtchn_fd(lane->evtchn), .events = POLLIN};

	if (poll(&pfd, 1, 0) != 1)
		return false;
	if (!(pfd.revents & POLLIN))
		lane->err = -EIO;
	return pfd.revents & POLLIN;
}

/*
 * The handle may block when nothing is pending (xenevtchn.h): look before each read, the first
 * included, for a port that was unbound since the poll took its event along.
 */
static void read_events(struct lane_watch *watch, uint32_t poll_mask)
{
	struct lane *lane = watch->ctx;

	(void)poll_mask;
	for (uint32_t n = 0; !lane->err && n < DATA_ROUND_EVENTS && has_input(lane); n++) {
		int port = xenevtchn_pending(lane->evtchn);

		if (port >= 0)
			note_event(lane, (uint32_t)port);
		else if (errno != EINTR && errno != EAGAIN)
			lane->err = errno ? -errno : -EIO;
	}
}

static void unmask(struct lane *lane, struct lane_task *task)
{
	task->masked = false;
	xenevtchn_unmask(lane->evtchn, task->port);
}

/* Its event counts again; not at once if the last ones were for nothing (XSA-332, XSA-441). */
static void put_to_sleep(struct lane *lane, struct lane_task *task)
{
	if (!task->masked)
		return;
	if (task->spurious <= DATA_SPURIOUS_EVENTS) {
		unmask(lane, task);
		return;
	}
	task->unmask_ns = lane->now_ns() + DATA_SPURIOUS_DELAY_NS;
	move(lane, task, LANE_DELAYED);
}

static void run_turn(struct lane *lane, struct lane_task *task, uint32_t budget)
{
	uint32_t taken = 0;

	move(lane, task, LANE_ASLEEP);
	enum lane_next next = task->turn(task, budget, &taken);

	if (next == LANE_GONE)
		return;
	if (taken > 0)
		task->spurious = 0;
	switch (next) {
	case LANE_AGAIN:
		lane_wake(lane, task);
		break;
	case LANE_NO_BUFFER:
		move(lane, task, LANE_WAITING);
		break;
	case LANE_SLEEP:
		put_to_sleep(lane, task);
		break;
	case LANE_SILENT:
	case LANE_GONE:
		break;
	}
}

/* Who waited for buffers comes first, in the order of arrival. */
static void run_waiting(struct lane *lane)
{
	struct lane_queue *waiting = &lane->queue[LANE_WAITING];

	for (uint32_t n = waiting->count; n > 0 && waiting->count > 0 && lane->bufs.nr_free > 0;
	     n--)
		run_turn(lane, TAILQ_FIRST(&waiting->tasks), DATA_TURN_REQUESTS);
}

/* One turn each. As long as anybody waits for buffers, nobody who did not wait gets one. */
static void run_runnable(struct lane *lane)
{
	struct lane_queue *runnable = &lane->queue[LANE_RUNNABLE];

	for (uint32_t n = runnable->count; n > 0 && runnable->count > 0; n--) {
		bool contended = lane->queue[LANE_WAITING].count > 0;

		run_turn(lane, TAILQ_FIRST(&runnable->tasks), contended ? 0 : DATA_TURN_REQUESTS);
	}
}

static void unmask_due(struct lane *lane)
{
	struct lane_queue *delayed = &lane->queue[LANE_DELAYED];

	if (delayed->count == 0)
		return;
	uint64_t now_ns = lane->now_ns();

	while (delayed->count > 0 && TAILQ_FIRST(&delayed->tasks)->unmask_ns <= now_ns) {
		struct lane_task *task = TAILQ_FIRST(&delayed->tasks);

		move(lane, task, LANE_ASLEEP);
		unmask(lane, task);
	}
}

static uint64_t sleep_ns(struct lane *lane)
{
	const struct lane_queue *delayed = &lane->queue[LANE_DELAYED];

	if (lane->queue[LANE_RUNNABLE].count > 0 ||
	    (lane->queue[LANE_WAITING].count > 0 && lane->bufs.nr_free > 0))
		return 0;
	if (delayed->count == 0)
		return UINT64_MAX;
	uint64_t now_ns = lane->now_ns();
	uint64_t until_ns = TAILQ_FIRST(&delayed->tasks)->unmask_ns;

	return until_ns > now_ns ? until_ns - now_ns : 0;
}

int lane_round(struct lane *lane, bool wait)
{
	int err = uring_run(&lane->uring, wait ? sleep_ns(lane) : 0);

	if (err)
		return err;
	unmask_due(lane);
	run_waiting(lane);
	run_runnable(lane);
	return lane->err;
}

int lane_run(struct lane *lane)
{
	int err = 0;

	while (!err && !lane->stopped)
		err = lane_round(lane, true);
	if (err)
		rwy_error("the lane failed: %s", strerror(-err));
	return err;
}

void lane_stop(struct lane *lane)
{
	lane->stopped = true;
}

/*
 * Through an epoll instance, which is what the table of the io_uring holds: the kernel may go
 * through a dead process's table long after the process, and its event channels have to be closed
 * with it, or its successor could not bind them.
 */
static int watch_events(struct lane *lane)
{
	struct epoll_event input = {.events = EPOLLIN};
	_rwy_close int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, xenevtchn_fd(lane->evtchn), &input) < 0)
		return -errno;
	return lane_watch(lane, &lane->evtchn_watch, epoll, POLLIN, read_events, lane);
}

/* The table lets go of it when the last I/O has ended, whatever has become of the process. */
static int hold_fence(struct lane *lane, int fd)
{
	int slot = fd < 0 ? 0 : lane->uring.host.add_file(&lane->uring.host, fd);

	return slot < 0 ? slot : 0;
}

static int open_handles(struct lane *lane)
{
	lane->evtchn = xenevtchn_open(&library_logger, 0);
	if (!lane->evtchn) {
		int err = errno;

		rwy_error("cannot open the event-channel device: %s", strerror(err));
		return err ? -err : -EIO;
	}
	lane->gnttab = xengnttab_open(&library_logger, 0);
	if (!lane->gnttab) {
		int err = errno;

		rwy_error("cannot open the grant device: %s", strerror(err));
		xenevtchn_close(lane->evtchn);
		return err ? -err : -EIO;
	}
	return 0;
}

static void close_handles(struct lane *lane)
{
	xengnttab_close(lane->gnttab);
	xenevtchn_close(lane->evtchn);
}

int lane_create(struct lane **out, const struct lane_params *params)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	int err;

	if (!lane)
		return -ENOMEM;
	lane->now_ns = params->now_ns;
	guestlog_init(&lane->logs);
	for (int i = 0; i < LANE_NR_PLACES; i++)
		TAILQ_INIT(&lane->queue[i].tasks);
	err = open_handles(lane);
	if (err)
		goto err_free;
	err = gbuf_init(&lane->bufs, params->nr_bufs);
	if (err) {
		rwy_error("cannot reserve grant buffers: %s", strerror(-err));
		goto err_close_handles;
	}
	err = uring_init(&lane->uring, DATA_FILES);
	if (err) {
		rwy_error("cannot set up io_uring: %s", strerror(-err));
		goto err_fini_bufs;
	}
	err = hold_fence(lane, params->fence_fd);
	if (err) {
		rwy_error("cannot hold the fence: %s", strerror(-err));
		goto err_fini_uring;
	}
	err = watch_events(lane);
	if (err) {
		rwy_error("cannot watch the event channel: %s", strerror(-err));
		goto err_fini_uring;
	}
	*out = lane;
	return 0;

err_fini_uring:
	uring_fini(&lane->uring);
err_fini_bufs:
	gbuf_fini(&lane->bufs);
err_close_handles:
	close_handles(lane);
err_free:
	free(lane);
	return err;
}

void lane_destroy(struct lane *lane)
{
	uring_fini(&lane->uring);
	gbuf_fini(&lane->bufs);
	guestlog_fini(&lane->logs);
	close_handles(lane);
	free(lane->by_port);
	free(lane);
}
