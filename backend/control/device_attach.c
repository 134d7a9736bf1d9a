// SPDX-License-Identifier: MIT
/*
 * Hands devices to data processes. Trusts what frontend.c has bounded, and that worker.c checks who
 * speaks about what. Called by device_link.c.
 */
#include "backend/control/device_attach.h"
#include "backend/control/device_journal.h"
#include "backend/control/verdict.h"
#include <errno.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

_Static_assert(FRONTEND_MAX_QUEUES == WORKER_MAX_QUEUES, "one limit, said twice");

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
static int describe_attach(struct device *dev, uint32_t queue, struct worker_attach *attach,
			   struct reason *why)
{
	attach->journal_fd = device_journal_open(dev, queue, why);
	if (attach->journal_fd < 0)
		return attach->journal_fd;
	describe_queue(dev, queue, &attach->msg);
	attach->target_fd = queue ? target_open_again(&dev->target) : dev->target.fd;
	return 0;
}

static void close_fds(struct worker_attach *queues, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		close(queues[i].journal_fd);
		if (i && queues[i].target_fd >= 0)
			close(queues[i].target_fd);
	}
}

static enum rwy_xenbus_event send_attach(struct device *dev)
{
	struct worker_attach queues[FRONTEND_MAX_QUEUES];
	struct reason why;
	uint32_t nr = 0;
	int err = 0;

	while (!err && nr < dev->frontend.nr_queues) {
		err = describe_attach(dev, nr, &queues[nr], &why);
		nr += !err;
	}
	if (!err) {
		dev->journaled = true;
		dev->link = LINK_ATTACHING;
		worker_attach(&dev->lease, queues, nr);
	}
	close_fds(queues, nr);
	if (!err)
		return RWY_NR_EVENTS;
	device_attach_undo(dev);
	device_complain(dev, &why);
	return RWY_EVENT_FAILED;
}

/*
 * Complain only about processes that fail: one that is just being started will be there at once. A
 * disk in use only pauses: `ringway show` tells, and nothing is written that its guest could see.
 */
void device_attach_say_waiting(struct device *dev)
{
	const struct reason *trouble = worker_pool_trouble(dev->control->pool);
	struct reason why;

	reason_set(&why, 0, "waiting for a data process to get ready%s%s; see ringwayd's log",
		   trouble ? ": " : "", trouble ? trouble->text : "");
	if (trouble && dev->phase == RWY_PHASE_CONNECTING)
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
	reason_set(&dev->why, 0, "waiting for %s, of the same VM, to let go of the target",
		   sibling->name);
	rwy_log_limited(&sibling->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_INFO,
			"closing: its VM has connected as %s", dev->name);
	device_handle(sibling, RWY_EVENT_CLOSE);
}

/* What only goes on was connected before the other: that is where the VM runs now. */
static enum rwy_xenbus_event give_way(struct device *dev, const struct device *sibling)
{
	struct reason why;

	reason_set(&why, -EBUSY, "its VM has connected as %s", sibling->name);
	device_attach_undo(dev);
	device_complain(dev, &why);
	return RWY_EVENT_FAILED;
}

enum rwy_xenbus_event device_attach_or_wait(struct device *dev)
{
	struct device *sibling = find_attached_sibling(dev);

	if (sibling && dev->phase != RWY_PHASE_CONNECTING)
		return give_way(dev, sibling);
	dev->link = LINK_WAITING;
	if (sibling)
		wait_for_sibling(dev, sibling);
	else if (!worker_take(dev->control->pool, &dev->lease))
		return send_attach(dev);
	else
		device_attach_say_waiting(dev);
	return RWY_NR_EVENTS;
}

static void wake_sibling(const struct device *dev)
{
	struct device *other;

	TAILQ_FOREACH(other, &dev->control->devices, all_link)
	{
		if (other->link == LINK_WAITING && verdict_is_sibling(other, dev) &&
		    device_attach_or_wait(other) != RWY_NR_EVENTS)
			device_handle(other, RWY_EVENT_FAILED);
	}
}

void device_attach_undo(struct device *dev)
{
	worker_drop(&dev->lease);
	dev->link = LINK_NONE;
	if (dev->journaled)
		device_journal_remove(dev);
	wake_sibling(dev);
}
