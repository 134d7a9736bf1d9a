// SPDX-License-Identifier: MIT
/*
 * Attaches devices to data processes and detaches them. Trusts neither the frontend's nodes
 * (frontend.c bounds them) nor the data process (worker.c checks who speaks about what). Called by
 * device.c and worker.c.
 */
#include "backend/control/device_link.h"
#include "backend/control/query.h"
#include "backend/control/verdict.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MAX_ANEW 3u

_Static_assert(FRONTEND_MAX_QUEUES == WORKER_MAX_QUEUES, "one limit, said twice");

static struct device *device_of(struct worker_lease *lease)
{
	return (struct device *)((char *)lease - offsetof(struct device, lease));
}

static int read_frontend_node(void *ctx, const char *node, char *buf, size_t size)
{
	const struct backdir *dir = ctx;

	return rwy_xenbus_read(dir->xb, RWY_XENBUS_NO_TX, buf, size, "%s/%s", dir->frontend, node);
}

static void describe_queue(const struct device *dev, uint32_t queue, struct ctl_attach *msg)
{
	const struct frontend_queue *q = &dev->frontend.queues[queue];

	*msg = (struct ctl_attach){
		.domid = dev->dir.domid,
		.devid = dev->dir.devid,
		.abi = dev->frontend.abi,
		.engine = dev->target.kind == TARGET_NULL ? CTL_ENGINE_NULL : CTL_ENGINE_FILE,
		.flags = CTL_FLUSH | (dev->target.writable ? 0 : CTL_READ_ONLY) |
			 (dev->target.direct ? CTL_DIRECT : 0),
		.evtchn = q->evtchn,
		.nr_ring_pages = dev->frontend.nr_ring_pages,
		.capacity_sect = dev->target.capacity_sect,
	};
	memcpy(msg->ring_gref, q->ring_gref, sizeof(msg->ring_gref));
}

/*
 * Each queue has an open file of its own where that can be had: the kernel tells of a write that
 * failed in its cache once for each, and each queue's flushes are to hear of it.
 */
static void send_attach(struct device *dev)
{
	struct worker_attach queues[FRONTEND_MAX_QUEUES];
	uint32_t nr = dev->frontend.nr_queues;

	for (uint32_t i = 0; i < nr; i++) {
		describe_queue(dev, i, &queues[i].msg);
		queues[i].fd = i ? target_open_again(&dev->target) : dev->target.fd;
	}
	dev->link = LINK_ATTACHING;
	worker_attach(&dev->lease, queues, nr);
	for (uint32_t i = 1; i < nr; i++) {
		if (queues[i].fd >= 0)
			close(queues[i].fd);
	}
}

/* Complain only about processes that fail: one that is just being started will be there at once. */
static void say_waiting(struct device *dev)
{
	const struct reason *trouble = worker_pool_trouble(dev->control->pool);
	struct reason why;

	reason_set(&why, 0, "waiting for a data process to get ready%s%s; see ringwayd's log",
		   trouble ? ": " : "", trouble ? trouble->text : "");
	if (trouble)
		device_complain(dev, &why);
	else
		dev->why = why;
}

/* Its VM's disk on the same target, of the domain that it has migrated away from. */
static struct device *find_attached_sibling(const struct device *dev)
{
	struct device *other;

	TAILQ_FOREACH(other, &dev->control->devices, all_link)
	{
		if (other->link != LINK_NONE && verdict_is_sibling(dev, other))
			return other;
	}
	return NULL;
}

/*
 * The VM runs here now: what its source domain has in flight ends before this one's first request.
 */
static void wait_for_sibling(struct device *dev, struct device *sibling)
{
	dev->link = LINK_WAITING;
	reason_set(&dev->why, 0, "waiting for %s, of the same VM, to let go of the target",
		   sibling->name);
	rwy_log_limited(&sibling->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_INFO,
			"closing: its VM has connected as %s", dev->name);
	device_handle(sibling, RWY_EVENT_CLOSE);
}

static void attach_or_wait(struct device *dev)
{
	struct device *sibling = find_attached_sibling(dev);

	if (sibling) {
		wait_for_sibling(dev, sibling);
		return;
	}
	if (!worker_take(dev->control->pool, &dev->lease)) {
		send_attach(dev);
		return;
	}
	dev->link = LINK_WAITING;
	say_waiting(dev);
}

static int parse(struct device *dev, struct frontend *frontend, struct reason *why)
{
	struct frontend_reader reader = {.read = read_frontend_node, .ctx = &dev->dir};

	return frontend_parse(&reader, frontend, why);
}

static enum rwy_xenbus_event connect_now(struct device *dev)
{
	struct reason why;

	if (parse(dev, &dev->frontend, &why)) {
		device_complain(dev, &why);
		return RWY_EVENT_FAILED;
	}
	attach_or_wait(dev);
	return RWY_NR_EVENTS;
}

enum rwy_xenbus_event device_link_connect(struct device *dev)
{
	dev->nr_anew = 0;
	return connect_now(dev);
}

static void detach(struct device *dev)
{
	dev->link = LINK_DETACHING;
	worker_detach(&dev->lease);
}

static void wake_sibling(const struct device *dev)
{
	struct device *other;

	TAILQ_FOREACH(other, &dev->control->devices, all_link)
	{
		if (other->link == LINK_WAITING && verdict_is_sibling(other, dev))
			attach_or_wait(other);
	}
}

/* The device is out of the data process, or never was in. */
static void unlink_device(struct device *dev)
{
	worker_drop(&dev->lease);
	dev->link = LINK_NONE;
	if (dev->stats_asked) {
		dev->stats_asked = false;
		query_wake(dev->control->query);
	}
	dev->stats_known = false;
	wake_sibling(dev);
}

enum rwy_xenbus_event device_link_disconnect(struct device *dev)
{
	switch (dev->link) {
	case LINK_NONE:
	case LINK_WAITING:
		unlink_device(dev);
		return RWY_EVENT_DISCONNECTED;
	case LINK_ATTACHED:
		detach(dev);
		break;
	case LINK_ATTACHING: /* its outcome decides what is to be undone */
	case LINK_DETACHING:
		break;
	}
	return RWY_NR_EVENTS;
}

static bool is_closing(const struct device *dev)
{
	return dev->phase == RWY_PHASE_CLOSING || dev->phase == RWY_PHASE_REMOVING;
}

/*
 * A frontend that died between its 3 and our 4 may have been replaced by one that found our 2, and
 * wrote its own ring and another 3: a state that does not change shows nothing of that.
 */
static bool has_other_ring(struct device *dev)
{
	struct frontend now;
	struct reason why;

	return parse(dev, &now, &why) || memcmp(&now, &dev->frontend, sizeof(now)) != 0;
}

/* One that answers what it was not asked is only worth a line: it can hurt no more than itself. */
static bool expects(struct device *dev, enum device_link link, const char *what)
{
	if (dev->link == link)
		return true;
	rwy_log_limited(&dev->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_WARNING,
			"data process %d said \"%s\" unasked; ignored",
			(int)worker_lease_pid(&dev->lease), what);
	return false;
}

void device_link_ready(void *ctx)
{
	struct control *control = ctx;
	struct device *dev;

	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (dev->link == LINK_WAITING)
			attach_or_wait(dev);
	}
}

void device_link_unready(void *ctx)
{
	struct control *control = ctx;
	struct device *dev;

	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (dev->link == LINK_WAITING)
			say_waiting(dev);
	}
}

/* One that changes its ring as often as we look would have us map and unmap for good. */
static enum rwy_xenbus_event try_anew(struct device *dev)
{
	struct reason why;

	if (dev->nr_anew++ < MAX_ANEW)
		return connect_now(dev);
	reason_set(&why, -EPROTO, "the frontend changed its ring again and again while connecting");
	device_complain(dev, &why);
	return RWY_EVENT_FAILED;
}

static void connect_anew(struct device *dev)
{
	enum rwy_xenbus_event event = try_anew(dev);

	if (event != RWY_NR_EVENTS)
		device_handle(dev, event);
}

void device_link_attached(struct worker_lease *lease, int err, const struct reason *why)
{
	struct device *dev = device_of(lease);

	if (!expects(dev, LINK_ATTACHING, "attached"))
		return;

	bool outdated = !is_closing(dev) && has_other_ring(dev);
	if (err) {
		unlink_device(dev);
		if (is_closing(dev)) {
			device_handle(dev, RWY_EVENT_DISCONNECTED);
			return;
		}
		if (outdated) {
			connect_anew(dev);
			return;
		}
		device_complain(dev, why);
		device_handle(dev, RWY_EVENT_FAILED);
		return;
	}
	dev->link = LINK_ATTACHED;
	if (is_closing(dev) || outdated)
		detach(dev);
	else
		device_handle(dev, RWY_EVENT_CONNECT_DONE);
}

void device_link_detached(struct worker_lease *lease, int err, const struct reason *why)
{
	struct device *dev = device_of(lease);

	if (!expects(dev, LINK_DETACHING, "detached"))
		return;
	if (err)
		device_complain(dev, why);
	unlink_device(dev);
	if (dev->phase == RWY_PHASE_CONNECTING)
		connect_anew(dev);
	else
		device_handle(dev, RWY_EVENT_DISCONNECTED);
}

/* After our DETACH has crossed it, it is no news. */
void device_link_broken(struct worker_lease *lease, int err, const struct reason *why)
{
	struct device *dev = device_of(lease);

	(void)err;
	if (dev->link == LINK_DETACHING || !expects(dev, LINK_ATTACHED, "broken"))
		return;
	device_complain(dev, why);
	device_handle(dev, RWY_EVENT_FAILED);
}

void device_link_died(struct worker_lease *lease, const struct reason *why)
{
	struct device *dev = device_of(lease);

	unlink_device(dev);
	if (is_closing(dev)) {
		device_handle(dev, RWY_EVENT_DISCONNECTED);
		return;
	}
	device_complain(dev, why);
	device_handle(dev, RWY_EVENT_FAILED);
}

void device_link_ask_stats(struct device *dev)
{
	if (dev->link != LINK_ATTACHED || dev->stats_asked)
		return;
	dev->stats_asked = true;
	worker_ask_stats(&dev->lease);
}

void device_link_stats(struct worker_lease *lease, const struct ctl_stats *stats)
{
	struct device *dev = device_of(lease);

	if (!dev->stats_asked)
		return;
	dev->stats_asked = false;
	dev->stats_known = stats != NULL;
	if (stats)
		dev->stats = *stats;
	query_wake(dev->control->query);
}
