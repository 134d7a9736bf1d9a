// SPDX-License-Identifier: MIT
/*
 * ringwayd, the control process: sees the vbds that the toolstack makes in xenstore, judges them,
 * opens their disks, and has data processes serve them. Trusts dom0's xenstore nodes and its admin;
 * no guest and no data process.
 */
#include "backend/control/control.h"
#include "backend/control/device_link.h"
#include "backend/control/instance.h"
#include "backend/control/journal_file.h"
#include "backend/control/options.h"
#include "backend/control/policy.h"
#include "backend/control/query.h"
#include "backend/control/status.h"
#include "backend/control/watcher.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void on_worker_ready(void *ctx)
{
	struct control *control = ctx;

	device_link_ready(control);
	status_ready(control->status);
}

static void on_worker_unready(void *ctx)
{
	struct control *control = ctx;

	device_link_unready(control);
	if (worker_pool_has_leftovers(control->pool))
		status_ready(control->status); /* it runs; its guests wait for others */
	status_touch(control->status);
}

/* Asked before the device is told: it may be gone then. */
static struct status *status_of(const struct worker_lease *lease)
{
	const char *dev = (const char *)lease - offsetof(struct device, lease);

	return ((const struct device *)dev)->control->status;
}

static void on_attached(struct worker_lease *lease, int err, const struct reason *why)
{
	struct status *status = status_of(lease);

	device_link_attached(lease, err, why);
	status_touch(status);
}

static void on_detached(struct worker_lease *lease, int err, const struct reason *why)
{
	struct status *status = status_of(lease);

	device_link_detached(lease, err, why);
	status_touch(status);
}

static void on_died(struct worker_lease *lease, const struct worker_end *end)
{
	struct status *status = status_of(lease);

	device_link_died(lease, end);
	status_touch(status);
}

static void on_all_left(void *ctx)
{
	struct control *control = ctx;

	rwy_loop_stop(control->loop, EXIT_SUCCESS);
}

static const struct worker_events worker_events = {
	.ready = on_worker_ready,
	.unready = on_worker_unready,
	.attached = on_attached,
	.detached = on_detached,
	.broken = device_link_broken,
	.stats = device_link_stats,
	.lost = device_link_lost,
	.died = on_died,
	.all_left = on_all_left,
};

/* From here on nothing that happens in xenstore is our business, and nobody is answered. */
static void let_go(struct control *c)
{
	struct device *dev;

	while ((dev = TAILQ_FIRST(&c->devices)))
		device_destroy(dev);
	watcher_destroy(c->watcher);
	c->watcher = NULL;
	query_destroy(c->query);
	c->query = NULL;
}

/*
 * What guests have in flight is answered, and they then wait for the next ringwayd: nothing tells
 * them otherwise.
 */
static void leave(struct control *c)
{
	c->leaving = true;
	status_stopping(c->status);
	rwy_info("leaving: guests' disks pause until the next ringwayd");
	let_go(c);
	worker_pool_leave(c->pool);
}

static void on_signal(void *ctx, int signo)
{
	struct control *control = ctx;

	if (signo == SIGHUP) {
		rwy_info("SIGHUP: nothing to do; policy is live, the rest is read at start");
		return;
	}
	if (!control->leaving) {
		leave(control);
		return;
	}
	rwy_warn("signal %d again: leaving without waiting; data processes finish on their own",
		 signo);
	rwy_loop_stop(control->loop, EXIT_FAILURE);
}

/* One descriptor per device, and more in the data processes, which inherit the limit. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int listen_to_signals(struct control *control)
{
	struct rwy_loop_source *source;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return rwy_loop_add_signals(control->loop, &set, on_signal, control, &source);
}

static bool is_there(void *ctx, uint32_t domid, uint32_t devid)
{
	struct backdir dir;

	backdir_init(&dir, ctx, domid, devid);
	return backdir_owner(&dir) != BACKDIR_ABSENT;
}

static int open_journals(struct control *c)
{
	c->journal_fd = journal_file_open_dir(c->options->rundir);
	if (c->journal_fd < 0)
		return c->journal_fd;
	journal_file_sweep(c->journal_fd, is_there, c->xb);
	return 0;
}

/* Each part, or a line about what could not be had. */
static int start(struct control *c)
{
	const struct worker_config workers = {
		.binary = c->options->conf.data_binary,
		.rundir = c->options->rundir,
		.nr_processes = c->options->conf.nr_processes,
		.no_sandbox = c->options->no_sandbox,
		.verbose = c->options->conf.log_level == RWY_LOG_DEBUG,
	};
	const char *what = "signals and timers";
	int err = listen_to_signals(c);

	if (!err)
		err = status_create(&c->status, c);
	if (!err) {
		what = "xenstore";
		err = rwy_xenbus_open(&c->xb);
	}
	if (!err) {
		what = "journals";
		err = open_journals(c);
	}
	if (!err) {
		what = "policy";
		err = policy_create(&c->policy, c->xb);
	}
	if (!err) {
		what = "data processes";
		err = worker_pool_create(&c->pool, c->loop, &workers, &worker_events, c);
	}
	if (!err) {
		what = "query socket";
		err = query_create(&c->query, c, c->options->rundir);
	}
	if (!err) {
		what = "watching xenstore";
		err = watcher_create(&c->watcher, c);
	}
	if (err)
		rwy_error("%s: %s", what, strerror(-err));
	return err;
}

static void stop(struct control *c)
{
	let_go(c);
	worker_pool_destroy(c->pool);
	policy_destroy(c->policy);
	if (c->journal_fd >= 0)
		close(c->journal_fd);
	rwy_xenbus_close(c->xb);
	status_destroy(c->status);
	rwy_loop_destroy(c->loop);
}

static int serve(const struct options *options)
{
	struct control c = {.options = options, .journal_fd = -1};
	int status = EXIT_FAULT;

	TAILQ_INIT(&c.devices);
	int err = rwy_loop_create(&c.loop, NULL, NULL);
	if (err) {
		rwy_error("event loop: %s", strerror(-err));
		return EXIT_FAULT;
	}
	if (!start(&c)) {
		rwy_info("ringwayd %s runs, %u data process(es)", RINGWAY_VERSION,
			 options->conf.nr_processes);
		status = rwy_loop_run(c.loop);
	}
	stop(&c);
	return status == EXIT_SUCCESS ? EXIT_SUCCESS : EXIT_FAULT;
}

int main(int argc, char **argv)
{
	struct options options;

	rwy_log_init("ringwayd", RWY_LOG_INFO);
	int status = options_parse(&options, argc, argv);
	if (status >= 0)
		return status;
	rwy_log_init("ringwayd", options.conf.log_level);
	raise_limits();
	int lock_fd = instance_lock(options.rundir);
	if (lock_fd < 0)
		return EXIT_REFUSED;
	status = serve(&options);
	close(lock_fd);
	return status;
}
