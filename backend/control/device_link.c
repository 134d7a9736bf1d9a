// SPDX-License-Identifier: MIT
/*
 * Connects devices to data processes and disconnects them, and connects them again to another when
 * one has died. Trusts neither the frontend's nodes (frontend.c bounds them) nor the data process
 * (worker.c checks who speaks about what). Called by device.c and worker.c.
 */
#include "backend/control/device_link.h"
#include "backend/control/device_attach.h"
#include "backend/control/device_journal.h"
#include "backend/control/query.h"
#include "backend/control/watcher.h"
#include <errno.h>
#include <string.h>

#define MAX_ANEW 3u

static struct device *device_of(struct worker_lease *lease)
{
	return (struct device *)((char *)lease - offsetof(struct device, lease));
}

static int read_frontend_node(void *ctx, const char *node, char *buf, size_t size)
{
	const struct backdir *dir = ctx;

	return rwy_xenbus_read(dir->xb, RWY_XENBUS_NO_TX, buf, size, "%s/%s", dir->frontend, node);
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
	dev->journaled = dev->phase == RWY_PHASE_RESUMING;
	return device_attach_or_wait(dev);
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

static void end_stats(struct device *dev)
{
	if (dev->stats_asked) {
		dev->stats_asked = false;
		query_wake(dev->control->query);
	}
	dev->stats_known = false;
}

/* The device is out of the data process, or never was in. */
static void unlink_device(struct device *dev)
{
	end_stats(dev);
	device_attach_undo(dev);
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

static void follow(struct device *dev, enum rwy_xenbus_event event)
{
	if (event != RWY_NR_EVENTS)
		device_handle(dev, event);
}

void device_link_ready(void *ctx)
{
	struct control *control = ctx;
	struct device *dev, *next;

	for (dev = TAILQ_FIRST(&control->devices); dev; dev = next) {
		next = TAILQ_NEXT(dev, all_link);
		if (dev->phase == RWY_PHASE_NEW)
			watcher_mark(control->watcher, dev);
		else if (dev->link == LINK_WAITING)
			follow(dev, device_attach_or_wait(dev));
	}
}

void device_link_unready(void *ctx)
{
	struct control *control = ctx;
	struct device *dev;

	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (dev->phase == RWY_PHASE_NEW)
			watcher_mark(control->watcher, dev);
		else if (dev->link == LINK_WAITING)
			device_attach_say_waiting(dev);
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

/* Its guest has seen nothing but a pause. */
static void say_attached_again(struct device *dev)
{
	uint64_t now_ns = rwy_loop_now_ns(dev->control->loop);

	dev->why.text[0] = '\0';
	rwy_log_limited(&dev->log, now_ns, RWY_LOG_INFO, "attached again after %u ms",
			(unsigned int)((now_ns - dev->lost_ns) / 1000000));
	query_wake(dev->control->query);
}

static enum rwy_xenbus_event not_attached(struct device *dev, bool outdated,
					  const struct reason *why)
{
	unlink_device(dev);
	if (is_closing(dev))
		return RWY_EVENT_DISCONNECTED;
	if (outdated)
		return try_anew(dev);
	device_complain(dev, why);
	return RWY_EVENT_FAILED;
}

void device_link_attached(struct worker_lease *lease, int err, const struct reason *why)
{
	struct device *dev = device_of(lease);

	if (!expects(dev, LINK_ATTACHING, "attached"))
		return;

	bool outdated = dev->phase == RWY_PHASE_CONNECTING && has_other_ring(dev);
	if (err) {
		follow(dev, not_attached(dev, outdated, why));
		return;
	}
	dev->link = LINK_ATTACHED;
	if (is_closing(dev) || outdated)
		detach(dev);
	else if (dev->phase == RWY_PHASE_CONNECTING || dev->phase == RWY_PHASE_RESUMING)
		device_handle(dev, RWY_EVENT_CONNECT_DONE);
	else
		say_attached_again(dev);
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
		follow(dev, try_anew(dev));
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

void device_link_lost(struct worker_lease *lease, const struct worker_end *end)
{
	struct device *dev = device_of(lease);

	dev->lost_ns = rwy_loop_now_ns(dev->control->loop);
	end_stats(dev);
	if (!is_closing(dev))
		reason_set(&dev->why, 0, "waiting for the end of the I/O that was under way: %s",
			   end->why.text);
	query_wake(dev->control->query);
}

static bool is_to_be_quarantined(struct device *dev, const struct worker_end *end)
{
	return end->crashed && device_journal_is_busy(dev) &&
	       quarantine_charge(&dev->quarantine, rwy_loop_now_ns(dev->control->loop));
}

/* To the handshake it is refused from now on: only the toolstack can have it begin anew. */
static enum rwy_xenbus_event put_in_quarantine(struct device *dev, const struct worker_end *end)
{
	struct reason why;

	reason_set(&why, 0,
		   "quarantined: the data process died %u times while it served this disk (%s); "
		   "detach it, and attach it again",
		   QUARANTINE_DEATHS, end->why.text);
	dev->verdict = VERDICT_REFUSED;
	unlink_device(dev);
	device_complain(dev, &why);
	return RWY_EVENT_FAILED;
}

/* What it was detached from is over; what it served goes on with the same ring and journals. */
static enum rwy_xenbus_event go_on_after(struct device *dev, const struct worker_end *end)
{
	bool closing = is_closing(dev);

	if (!closing && is_to_be_quarantined(dev, end))
		return put_in_quarantine(dev, end);
	if (!closing && dev->link != LINK_DETACHING)
		return device_attach_or_wait(dev);
	unlink_device(dev);
	return closing ? RWY_EVENT_DISCONNECTED : try_anew(dev);
}

void device_link_died(struct worker_lease *lease, const struct worker_end *end)
{
	struct device *dev = device_of(lease);

	end_stats(dev);
	follow(dev, go_on_after(dev, end));
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
