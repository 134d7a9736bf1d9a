// SPDX-License-Identifier: MIT
/*
 * The public functions of libringway (contract: libringway.h) and the event thread's loop: a thread
 * per open disk that waits for the ring's events, xenstore's, and callers. Callers' arguments are
 * checked here; the backend is judged further down.
 */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "frontend/user/lib_handshake.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

uint64_t lib_vbd_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- status */

void lib_vbd_end(struct rwy_vbd *vbd, int err, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&vbd->status_lock);
	if (!vbd->status.err) {
		vbd->status.err = err;
		va_start(args, fmt);
		vsnprintf(vbd->status.why, sizeof(vbd->status.why), fmt, args);
		va_end(args);
	}
	vbd->status.up = false;
	vbd->status.settled = true;
	pthread_cond_broadcast(&vbd->status_changed);
	pthread_mutex_unlock(&vbd->status_lock);
	lib_io_die(&vbd->io, err);
}

void lib_vbd_set_up(struct rwy_vbd *vbd, bool up)
{
	pthread_mutex_lock(&vbd->status_lock);
	vbd->status.up = up;
	if (up)
		vbd->status.settled = true;
	pthread_cond_broadcast(&vbd->status_changed);
	pthread_mutex_unlock(&vbd->status_lock);
}

int lib_vbd_ended(struct rwy_vbd *vbd)
{
	int err;

	pthread_mutex_lock(&vbd->status_lock);
	err = vbd->status.err;
	pthread_mutex_unlock(&vbd->status_lock);
	return err;
}

static bool close_asked(struct rwy_vbd *vbd)
{
	bool asked;

	pthread_mutex_lock(&vbd->status_lock);
	asked = vbd->status.close_asked;
	pthread_mutex_unlock(&vbd->status_lock);
	return asked;
}

/* --- the event thread */

static void wait_for_something(struct rwy_vbd *vbd, bool *ring_event, bool *xenbus_event)
{
	struct pollfd fds[] = {
		{.fd = vbd->wake_fd, .events = POLLIN},
		{.fd = lib_ring_fd(&vbd->ring), .events = POLLIN},
		{.fd = vbd->bus.lost ? -1 : rwy_xenbus_fd(vbd->bus.xb), .events = POLLIN},
	};
	uint64_t next_ns = lib_handshake_next_ns(vbd), now_ns = lib_vbd_now_ns(), count;
	struct timespec left = {0};

	if (next_ns > now_ns) {
		left.tv_sec = (time_t)((next_ns - now_ns) / NS_PER_S);
		left.tv_nsec = (long)((next_ns - now_ns) % NS_PER_S);
	}
	*ring_event = *xenbus_event = false;
	if (ppoll(fds, 3, next_ns ? &left : NULL, NULL) <= 0)
		return;
	if (fds[0].revents && read(vbd->wake_fd, &count, sizeof(count)) < 0)
		return;
	*ring_event = fds[1].revents;
	*xenbus_event = fds[2].revents;
}

static void ring_event(struct rwy_vbd *vbd)
{
	const char *why;

	if (!lib_ring_take_event(&vbd->ring))
		return;
	if (lib_io_reap(&vbd->io, &why))
		lib_vbd_end(vbd, -EPROTO, "the backend broke the protocol: %s", why);
	lib_ring_unmask(&vbd->ring);
}

static void xenbus_event(struct rwy_vbd *vbd)
{
	/* Without xenstore I/O goes on, and closing runs into its deadlines. */
	if (rwy_xenbus_dispatch(vbd->bus.xb))
		vbd->bus.lost = true;
	if (vbd->bus.dirty)
		lib_handshake_peer(vbd);
}

/* Closing waits for the requests under way, but not for ever. */
static void look_at_close(struct rwy_vbd *vbd)
{
	uint64_t now_ns = lib_vbd_now_ns();

	if (!close_asked(vbd) || lib_vbd_ended(vbd))
		return;
	if (!vbd->deadline.drain_ns)
		vbd->deadline.drain_ns = now_ns + vbd->options.connect_timeout_ms * NS_PER_MS;
	if (lib_io_idle(&vbd->io) || now_ns >= vbd->deadline.drain_ns)
		lib_vbd_end(vbd, -ESHUTDOWN, "closed");
}

static void *run(void *arg)
{
	struct rwy_vbd *vbd = arg;
	bool from_ring, from_xenbus;

	vbd->deadline.connect_ns = lib_vbd_now_ns() + vbd->options.connect_timeout_ms * NS_PER_MS;
	lib_handshake_start(vbd);
	for (;;) {
		look_at_close(vbd);
		if (lib_vbd_ended(vbd) && !vbd->leaving)
			lib_handshake_leave(vbd);
		lib_io_call_done(&vbd->io);
		if (vbd->left && close_asked(vbd) && lib_io_idle(&vbd->io))
			return NULL;
		wait_for_something(vbd, &from_ring, &from_xenbus);
		if (from_ring)
			ring_event(vbd);
		if (from_xenbus)
			xenbus_event(vbd);
		lib_handshake_tick(vbd, lib_vbd_now_ns());
	}
}

static void wake_thread(struct rwy_vbd *vbd)
{
	uint64_t one = 1;

	if (write(vbd->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

/* Signals are the program's business: none is delivered to our thread. */
static int start_thread(struct rwy_vbd *vbd)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&vbd->thread, NULL, run, vbd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* --- open and close */

static int fill_options(struct rwy_vbd_options *to, const struct rwy_vbd_options *from)
{
	static const struct rwy_vbd_options defaults = {
		.connect_timeout_ms = 10000,
		.reconnect_timeout_ms = 30000,
		.max_ring_pages = 4,
		.max_data_pages = 352,
	};

	*to = from ? *from : defaults;
	for (size_t i = 0; i < sizeof(to->reserved) / sizeof(to->reserved[0]); i++)
		if (to->reserved[i])
			return -EINVAL;
	if (!to->connect_timeout_ms)
		to->connect_timeout_ms = defaults.connect_timeout_ms;
	if (!to->reconnect_timeout_ms)
		to->reconnect_timeout_ms = defaults.reconnect_timeout_ms;
	if (!to->max_ring_pages)
		to->max_ring_pages = defaults.max_ring_pages;
	if (!to->max_data_pages)
		to->max_data_pages = defaults.max_data_pages;
	if (to->max_ring_pages > RWY_RING_MAX_PAGES || to->max_data_pages < LIB_POOL_MIN_PAGES ||
	    to->max_data_pages > LIB_POOL_MAX_PAGES)
		return -EINVAL;
	return 0;
}

static int init_locks(struct rwy_vbd *vbd)
{
	pthread_condattr_t attr;
	int err;

	err = pthread_mutex_init(&vbd->status_lock, NULL);
	if (err)
		return -err;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	err = pthread_cond_init(&vbd->status_changed, &attr);
	pthread_condattr_destroy(&attr);
	if (err)
		pthread_mutex_destroy(&vbd->status_lock);
	return -err;
}

/* Memory, locks and the eventfd: what needs no Xen. */
static int create(const struct rwy_vbd_options *options, struct rwy_vbd **out)
{
	struct rwy_vbd *vbd = calloc(1, sizeof(*vbd));
	int err;

	if (!vbd)
		return -ENOMEM;
	vbd->ring.port = -1;
	err = fill_options(&vbd->options, options);
	if (err)
		goto err_free;
	err = init_locks(vbd);
	if (err)
		goto err_free;
	vbd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vbd->wake_fd < 0) {
		err = -errno;
		goto err_locks;
	}
	err = lib_io_init(&vbd->io, vbd->wake_fd);
	if (err)
		goto err_wake_fd;
	*out = vbd;
	return 0;

err_wake_fd:
	close(vbd->wake_fd);
err_locks:
	pthread_cond_destroy(&vbd->status_changed);
	pthread_mutex_destroy(&vbd->status_lock);
err_free:
	free(vbd);
	return err;
}

/* The thread is gone, and with it everybody else: no page is in use any more. */
static void destroy(struct rwy_vbd *vbd)
{
	lib_pool_unshare(&vbd->io.pool, vbd->ring.xgs);
	lib_ring_close(&vbd->ring);
	rwy_xenbus_close(vbd->bus.xb);
	lib_io_fini(&vbd->io);
	close(vbd->wake_fd);
	pthread_cond_destroy(&vbd->status_changed);
	pthread_mutex_destroy(&vbd->status_lock);
	free(vbd);
}

static int open_handles(struct rwy_vbd *vbd, const char *name, char *why, size_t why_bytes)
{
	int err = rwy_xenbus_open(&vbd->bus.xb);

	if (err) {
		snprintf(why, why_bytes, "cannot reach xenstore: %s", strerror(-err));
		return err;
	}
	err = lib_xenbus_find(vbd->bus.xb, name, &vbd->bus.devid, why, why_bytes);
	if (err)
		return err;
	err = lib_ring_open(&vbd->ring);
	if (err) {
		snprintf(why, why_bytes, "cannot open grants and event channels: %s",
			 strerror(-err));
		return err;
	}
	err = start_thread(vbd);
	if (err)
		snprintf(why, why_bytes, "cannot start a thread: %s", strerror(-err));
	return err;
}

static int wait_until_settled(struct rwy_vbd *vbd, char *why, size_t why_bytes)
{
	int err;

	pthread_mutex_lock(&vbd->status_lock);
	while (!vbd->status.settled)
		pthread_cond_wait(&vbd->status_changed, &vbd->status_lock);
	err = vbd->status.err;
	snprintf(why, why_bytes, "%s", vbd->status.why);
	pthread_mutex_unlock(&vbd->status_lock);
	return err;
}

int rwy_vbd_open(const char *name, const struct rwy_vbd_options *options, struct rwy_vbd **out,
		 char *why, size_t why_bytes)
{
	char unused[RWY_VBD_WHY_BYTES];
	struct rwy_vbd *vbd = NULL;
	int err;

	*out = NULL;
	if (!why || !why_bytes) {
		why = unused;
		why_bytes = sizeof(unused);
	}
	err = create(options, &vbd);
	if (err) {
		snprintf(why, why_bytes, "%s",
			 err == -EINVAL ? "an option is out of range" : strerror(-err));
		return err;
	}
	err = open_handles(vbd, name, why, why_bytes);
	if (err) {
		destroy(vbd);
		return err;
	}
	err = wait_until_settled(vbd, why, why_bytes);
	if (err) {
		rwy_vbd_close(vbd);
		return err;
	}
	*out = vbd;
	return 0;
}

void rwy_vbd_close(struct rwy_vbd *vbd)
{
	if (!vbd)
		return;
	pthread_mutex_lock(&vbd->status_lock);
	vbd->status.close_asked = true;
	pthread_mutex_unlock(&vbd->status_lock);
	wake_thread(vbd);
	pthread_join(vbd->thread, NULL);
	destroy(vbd);
}

/* --- information */

void rwy_vbd_get_info(struct rwy_vbd *vbd, struct rwy_vbd_info *info)
{
	const struct lib_features *features = &vbd->io.features;

	pthread_mutex_lock(&vbd->io.lock);
	*info = (struct rwy_vbd_info){
		.capacity_bytes = features->capacity_sect * RWY_BLK_SECTOR_BYTES,
		.sector_bytes = features->sector_bytes,
		.physical_sector_bytes = features->physical_sector_bytes,
		.devid = vbd->bus.devid,
		.backend_domid = vbd->granted_domid,
		.read_only = features->read_only,
		.removable = features->removable,
		.cdrom = features->cdrom,
		.write_cache = features->flush || features->barrier,
	};
	pthread_mutex_unlock(&vbd->io.lock);
}

int rwy_vbd_status(struct rwy_vbd *vbd, char *why, size_t why_bytes)
{
	int err;

	pthread_mutex_lock(&vbd->status_lock);
	err = vbd->status.err;
	if (!err && !vbd->status.up)
		err = -EAGAIN;
	if (why && why_bytes)
		snprintf(why, why_bytes, "%s",
			 err == -EAGAIN ? "waiting for the backend to come back" : vbd->status.why);
	pthread_mutex_unlock(&vbd->status_lock);
	return err;
}

const char *rwy_vbd_version(void)
{
	return RINGWAY_VERSION;
}

/* --- I/O */

int rwy_vbd_submit(struct rwy_vbd *vbd, struct rwy_vbd_io *io)
{
	if (!io->done)
		return -EINVAL;
	return lib_io_submit(&vbd->io, io);
}

struct blocking_io {
	struct rwy_vbd_io io;
	sem_t done;
	int result;
};

static void wake_waiter(struct rwy_vbd_io *io, int result)
{
	struct blocking_io *blocking = io->user;

	blocking->result = result;
	sem_post(&blocking->done);
}

static int do_and_wait(struct rwy_vbd *vbd, enum rwy_vbd_op op, void *buf, size_t len,
		       uint64_t offset)
{
	struct blocking_io blocking;
	int err;

	if (pthread_equal(pthread_self(), vbd->thread))
		return -EDEADLK;
	sem_init(&blocking.done, 0, 0);
	blocking.io = (struct rwy_vbd_io){
		.op = op,
		.buf = buf,
		.len = len,
		.offset = offset,
		.done = wake_waiter,
		.user = &blocking,
	};
	err = lib_io_submit(&vbd->io, &blocking.io);
	if (!err) {
		while (sem_wait(&blocking.done))
			; /* interrupted by a signal */
		err = blocking.result;
	}
	sem_destroy(&blocking.done);
	return err;
}

int rwy_vbd_pread(struct rwy_vbd *vbd, void *buf, size_t len, uint64_t offset)
{
	return do_and_wait(vbd, RWY_VBD_READ, buf, len, offset);
}

/* The request's one pointer serves both ways; lib_part only reads through it for a write. */
int rwy_vbd_pwrite(struct rwy_vbd *vbd, const void *buf, size_t len, uint64_t offset)
{
	return do_and_wait(vbd, RWY_VBD_WRITE, (void *)buf, len, offset);
}

int rwy_vbd_flush(struct rwy_vbd *vbd)
{
	return do_and_wait(vbd, RWY_VBD_FLUSH, NULL, 0, 0);
}
