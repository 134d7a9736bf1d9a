// SPDX-License-Identifier: MIT
/*
 * xenstore watches: a pump thread collects events, rwy_xenbus_dispatch calls the callbacks in the
 * caller's thread. How often events come, and for which paths below a watched one, is the guests'
 * choice; memory and the work of one dispatch are bounded. A watch is known to xenstored by a
 * number that is never used again, so an event that outlived its watch finds nobody.
 */
#include "common/xenbus_impl.h"

#include "common/xs_parse.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* More different paths than these waiting on one watch become one event for the watched path. */
#define PATHS_PER_WATCH	   8
#define CALLS_PER_DISPATCH 64

#define TOKEN_BYTES 24
#define STOP_ID	    0u
#define STOP_PATH   "/"

/* The paths of a watch's events that wait. Empty and not `all`: nothing waits. */
struct paths {
	bool all; /* too many: the watched path stands for them */
	unsigned int count;
	char *path[PATHS_PER_WATCH];
};

struct rwy_xenbus_watch {
	struct rwy_xenbus *xb;
	LIST_ENTRY(rwy_xenbus_watch) link;
	uint64_t id;
	rwy_xenbus_watch_fn fn;
	void *ctx;
	char path[RWY_XENBUS_PATH_BYTES];

	TAILQ_ENTRY(rwy_xenbus_watch) pending_link;
	bool pending;
	struct paths waiting;
};

static void drop_paths(struct paths *paths)
{
	for (unsigned int i = 0; i < paths->count; i++)
		free(paths->path[i]);
	paths->count = 0;
}

static void add_path(struct paths *paths, const char *path)
{
	char *copy;

	if (paths->all)
		return;
	for (unsigned int i = 0; i < paths->count; i++)
		if (strcmp(paths->path[i], path) == 0)
			return;
	copy = paths->count < PATHS_PER_WATCH ? strdup(path) : NULL;
	if (copy) {
		paths->path[paths->count++] = copy;
	} else {
		drop_paths(paths);
		paths->all = true;
	}
}

/* An eventfd counter of one is all we use: the write can't block and the value says nothing. */
static void raise_fd(struct xenbus_events *events)
{
	eventfd_write(events->fd, 1);
}

static void lower_fd(struct xenbus_events *events)
{
	eventfd_t value;

	eventfd_read(events->fd, &value);
}

static struct rwy_xenbus_watch *find_watch(struct xenbus_events *events, uint64_t id)
{
	struct rwy_xenbus_watch *watch = LIST_FIRST(&events->watches);

	while (watch && watch->id != id)
		watch = LIST_NEXT(watch, link);
	return watch;
}

static void collect(struct xenbus_events *events, uint64_t id, const char *path)
{
	struct rwy_xenbus_watch *watch;

	pthread_mutex_lock(&events->lock);
	watch = find_watch(events, id);
	if (watch) {
		add_path(&watch->waiting, path);
		if (!watch->pending) {
			if (TAILQ_EMPTY(&events->pending))
				raise_fd(events);
			TAILQ_INSERT_TAIL(&events->pending, watch, pending_link);
			watch->pending = true;
		}
	}
	pthread_mutex_unlock(&events->lock);
}

static void *pump(void *arg)
{
	struct rwy_xenbus *xb = arg;
	unsigned int count;
	char **event;
	uint64_t id;

	while ((event = xs_read_watch(xb->xs, &count))) {
		const char *token = count > XS_WATCH_TOKEN ? event[XS_WATCH_TOKEN] : "";
		int err = rwy_xs_parse_u64(token, strlen(token), 0, UINT64_MAX, &id);

		if (!err && id != STOP_ID)
			collect(&xb->events, id, event[XS_WATCH_PATH]);
		free(event);
		if (!err && id == STOP_ID)
			return NULL;
	}
	pthread_mutex_lock(&xb->events.lock);
	xb->events.lost = true;
	raise_fd(&xb->events);
	pthread_mutex_unlock(&xb->events.lock);
	return NULL;
}

/* Signals are the caller's: the pump must not take them. libxenstore sees to that for its own
 * thread. */
static int start_pump(struct rwy_xenbus *xb)
{
	sigset_t all, old;
	int err;

	if (xb->events.pump_runs)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&xb->events.pump, NULL, pump, xb);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	xb->events.pump_runs = err == 0;
	return -err;
}

/* How libxenstore fails when xenstored is gone, as opposed to xenstored saying no. */
static bool means_lost(int error)
{
	return error == EBADF || error == EPIPE || error == ECONNRESET || error == EINVAL;
}

/*
 * The pump sits in xs_read_watch, which has no way out but an event or the loss of xenstored, and
 * which leaves a mutex locked when cancelled. Every new watch fires once: that is the event. Our
 * other watches have ended by now, so a guest's quota has room for this one.
 */
static int stop_pump(struct rwy_xenbus *xb)
{
	char token[TOKEN_BYTES];

	if (!xb->events.pump_runs)
		return 0;
	snprintf(token, sizeof(token), "%u", STOP_ID);
	if (!xs_watch(xb->xs, STOP_PATH, token) && !means_lost(errno))
		return -EBUSY;
	pthread_join(xb->events.pump, NULL);
	xb->events.pump_runs = false;
	return 0;
}

int rwy_xenbus_events_init(struct rwy_xenbus *xb)
{
	struct xenbus_events *events = &xb->events;

	events->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->fd < 0)
		return -errno;
	pthread_mutex_init(&events->lock, NULL);
	events->last_id = STOP_ID;
	LIST_INIT(&events->watches);
	TAILQ_INIT(&events->pending);
	return 0;
}

int rwy_xenbus_events_fini(struct rwy_xenbus *xb)
{
	struct rwy_xenbus_watch *watch;
	int err;

	while ((watch = LIST_FIRST(&xb->events.watches)))
		rwy_xenbus_remove_watch(watch);
	err = stop_pump(xb);
	if (err)
		return err;
	pthread_mutex_destroy(&xb->events.lock);
	close(xb->events.fd);
	return 0;
}

int rwy_xenbus_fd(struct rwy_xenbus *xb)
{
	return xb->events.fd;
}

static void link_watch(struct rwy_xenbus_watch *watch)
{
	struct xenbus_events *events = &watch->xb->events;

	pthread_mutex_lock(&events->lock);
	LIST_INSERT_HEAD(&events->watches, watch, link);
	pthread_mutex_unlock(&events->lock);
}

static void unlink_watch(struct rwy_xenbus_watch *watch)
{
	struct xenbus_events *events = &watch->xb->events;

	pthread_mutex_lock(&events->lock);
	LIST_REMOVE(watch, link);
	if (watch->pending)
		TAILQ_REMOVE(&events->pending, watch, pending_link);
	pthread_mutex_unlock(&events->lock);
}

static void format_token(char *token, const struct rwy_xenbus_watch *watch)
{
	snprintf(token, TOKEN_BYTES, "%" PRIu64, watch->id);
}

int rwy_xenbus_add_watch(struct rwy_xenbus *xb, rwy_xenbus_watch_fn fn, void *ctx,
			 struct rwy_xenbus_watch **out, const char *path_fmt, ...)
{
	struct rwy_xenbus_watch *watch = calloc(1, sizeof(*watch));
	char token[TOKEN_BYTES];
	va_list args;
	int err;

	if (!watch)
		return -ENOMEM;
	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(watch->path, path_fmt, args);
	va_end(args);
	if (!err)
		err = start_pump(xb);
	if (err)
		goto err_free;
	watch->xb = xb;
	watch->id = ++xb->events.last_id;
	watch->fn = fn;
	watch->ctx = ctx;
	link_watch(watch); /* its first event may be here before xs_watch returns */
	format_token(token, watch);
	if (!xs_watch(xb->xs, watch->path, token)) {
		err = -errno;
		goto err_unlink;
	}
	*out = watch;
	return 0;

err_unlink:
	unlink_watch(watch);
	drop_paths(&watch->waiting);
err_free:
	free(watch);
	return err;
}

void rwy_xenbus_remove_watch(struct rwy_xenbus_watch *watch)
{
	char token[TOKEN_BYTES];

	if (!watch)
		return;
	unlink_watch(watch);
	format_token(token, watch);
	xs_unwatch(watch->xb->xs, watch->path, token);
	if (watch->xb->events.current == watch)
		watch->xb->events.current = NULL;
	drop_paths(&watch->waiting);
	free(watch);
}

/* Takes the oldest pending watch's paths; the watch can become pending again, behind the others. */
static struct rwy_xenbus_watch *take_pending(struct xenbus_events *events, struct paths *paths)
{
	struct rwy_xenbus_watch *watch;

	pthread_mutex_lock(&events->lock);
	watch = TAILQ_FIRST(&events->pending);
	if (watch) {
		TAILQ_REMOVE(&events->pending, watch, pending_link);
		watch->pending = false;
		*paths = watch->waiting;
		memset(&watch->waiting, 0, sizeof(watch->waiting));
	}
	pthread_mutex_unlock(&events->lock);
	return watch;
}

/* A callback may remove the watch; the paths left are then dropped. Returns the calls made. */
static unsigned int call(struct rwy_xenbus_watch *watch, struct paths *paths)
{
	struct xenbus_events *events = &watch->xb->events;
	unsigned int calls = 0;

	events->current = watch;
	if (paths->all) {
		watch->fn(watch->ctx, watch->path);
		calls++;
	}
	for (unsigned int i = 0; i < paths->count && events->current; i++) {
		watch->fn(watch->ctx, paths->path[i]);
		calls++;
	}
	events->current = NULL;
	drop_paths(paths);
	return calls;
}

int rwy_xenbus_dispatch(struct rwy_xenbus *xb)
{
	struct xenbus_events *events = &xb->events;
	unsigned int calls = 0;
	bool done;
	bool is_lost;

	while (calls < CALLS_PER_DISPATCH) {
		struct paths paths;
		struct rwy_xenbus_watch *watch = take_pending(events, &paths);

		if (!watch)
			break;
		calls += call(watch, &paths);
	}
	pthread_mutex_lock(&events->lock);
	done = TAILQ_EMPTY(&events->pending);
	is_lost = events->lost;
	if (done && !is_lost)
		lower_fd(events);
	pthread_mutex_unlock(&events->lock);
	return done && is_lost ? -EPIPE : 0;
}
