// SPDX-License-Identifier: MIT
/*
 * ringwayd, the control process: sees the vbds that the toolstack makes in xenstore, judges them,
 * opens their disks, and has data processes serve them. Trusts dom0's xenstore nodes and its admin;
 * no guest and no data process.
 */
#include "backend/control/control.h"
#include "backend/control/device_link.h"
#include "backend/control/instance.h"
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

static void on_died(struct worker_lease *lease, const struct reason *why)
{
	struct status *status = status_of(lease);

	device_link_died(lease, why);
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
	.died = on_died,
	.all_left = on_all_left,
};

void control_device_settled(struct control *control)
{
	struct device *dev;

	if (control->phase != CONTROL_DRAINING)
		return;
	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (!device_is_settled(dev))
			return;
	}
	control->phase = CONTROL_LEAVING;
	rwy_info("all devices are closed");
	worker_pool_leave(control->pool);
}

/* Nothing that a guest has been answered for may be lost, so there is no time limit; systemd has
 * one. Stopping may destroy the device at hand and no other. */
static void drain(struct control *control)
{
	struct device *dev, *next;

	control->phase = CONTROL_DRAINING;
	status_stopping(control->status);
	rwy_info("stopping: closing all devices");
	for (dev = TAILQ_FIRST(&control->devices); dev; dev = next) {
		next = TAILQ_NEXT(dev, all_link);
		device_stop(dev);
	}
	control_device_settled(control);
}

static void on_signal(void *ctx, int signo)
{
	struct control *control = ctx;

	if (signo == SIGHUP) {
		rwy_info("SIGHUP: nothing to do; policy is live, the rest is read at start");
		return;
	}
	if (control->phase == CONTROL_RUNNING) {
		drain(control);
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

/* Each part, or a line about what could not be had. */
static int start(struct control *c)
{
	const struct worker_config workers = {
		.binary = c->options->conf.data_binary,
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
	struct device *dev;

	while ((dev = TAILQ_FIRST(&c->devices)))
		device_destroy(dev);
	watcher_destroy(c->watcher);
	query_destroy(c->query);
	worker_pool_destroy(c->pool);
	policy_destroy(c->policy);
	rwy_xenbus_close(c->xb);
	status_destroy(c->status);
	rwy_loop_destroy(c->loop);
}

static int serve(const struct options *options)
{
	struct control c = {.phase = CONTROL_RUNNING, .options = options};
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
