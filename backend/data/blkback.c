// SPDX-License-Identifier: MIT
/* Implementation of blkback.h. Called by ctl and, upwards, by blkqueue. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backend/data/blkback.h"

RWY_STATIC_ASSERT((int)CTL_ABI_NATIVE == RWY_BLK_ABI_NATIVE &&
			  (int)CTL_ABI_X86_32 == RWY_BLK_ABI_X86_32 &&
			  (int)CTL_ABI_X86_64 == RWY_BLK_ABI_X86_64,
		  "control and ring/ number the ABIs alike");
RWY_STATIC_ASSERT(CTL_MAX_RING_PAGES <= RWY_RING_MAX_PAGES, "every ring that can be asked for");

static const struct engine_ops *engine_of(uint32_t ctl_engine)
{
	switch (ctl_engine) {
	case CTL_ENGINE_FILE:
		return &engine_file;
	case CTL_ENGINE_NULL:
		return &engine_null;
	default:
		return NULL;
	}
}

/* NULL, or what is wrong with a message. */
static const char *judge(const struct ctl_attach *msg, const struct blkback_files *files)
{
	if (msg->domid >= DOMID_FIRST_RESERVED)
		return "no such domain id";
	if (msg->abi > CTL_ABI_X86_64)
		return "unknown protocol";
	if (msg->nr_ring_pages < 1 || msg->nr_ring_pages > CTL_MAX_RING_PAGES)
		return "bad number of ring pages";
	if (msg->capacity_sect > RWY_BLK_MAX_CAPACITY_SECT)
		return "the target is too large";
	if (!engine_of(msg->engine))
		return "unknown engine";
	if ((msg->engine == CTL_ENGINE_FILE) != (files->target >= 0))
		return "the target's file is missing, or one came that nobody asked for";
	return NULL;
}

static struct blkback *create(struct lane *lane, const struct ctl_attach *msg)
{
	struct blkback *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	dev->lane = lane;
	dev->id = msg->header.device_id;
	dev->domid = msg->domid;
	dev->abi = (enum rwy_blk_abi)msg->abi;
	dev->limits = (struct rwy_blk_limits){
		.capacity_sect = msg->capacity_sect,
		.read_only = msg->flags & CTL_READ_ONLY,
		.flush = msg->flags & CTL_FLUSH,
	};
	dev->log = guestlog_get(&lane->logs, msg->domid, msg->devid, lane->now_ns());
	if (!dev->log) {
		free(dev);
		return NULL;
	}
	return dev;
}

static void destroy(struct blkback *dev)
{
	guestlog_put(dev->log, dev->lane->now_ns());
	free(dev);
}

static int open_journal(struct blkback *dev, const struct ctl_attach *msg, int fd,
			const char **what)
{
	uint32_t slot_bytes = rwy_blk_slot_bytes(dev->abi);

	return journal_open(&dev->journal, fd, rwy_ring_slots(msg->nr_ring_pages, slot_bytes),
			    what);
}

static int open_engine(struct blkback *dev, const struct ctl_attach *msg, int fd)
{
	const struct engine_params params = {
		.fd = fd,
		.direct = msg->flags & CTL_DIRECT,
		.lost = &dev->journal.header->lost,
	};

	return engine_of(msg->engine)->open(&dev->lane->uring.host, &params, &dev->engine);
}

/* The device has its journal: engine and queue. */
static int start(struct blkback *dev, const struct ctl_attach *msg, int target, const char **what)
{
	const struct blkqueue_params params = {
		.ring_gref = msg->ring_gref,
		.nr_ring_pages = msg->nr_ring_pages,
		.evtchn = msg->evtchn,
		.journal = &dev->journal,
	};

	*what = "cannot open the engine";
	int err = open_engine(dev, msg, target);

	if (err)
		return err;
	err = blkqueue_start(&dev->queue, dev, &params, what);
	if (err)
		dev->engine->ops->close(dev->engine);
	return err;
}

int blkback_attach(struct lane *lane, const struct ctl_attach *msg,
		   const struct blkback_files *files, const struct blkback_owner *owner,
		   void *owner_ctx, struct blkback **out, char *reason)
{
	const char *what = judge(msg, files);
	struct blkback *dev;
	int err = -EINVAL;

	if (what)
		goto err_say;
	what = "no memory for the device";
	err = -ENOMEM;
	dev = create(lane, msg);
	if (!dev)
		goto err_say;
	dev->owner = owner;
	dev->owner_ctx = owner_ctx;
	err = open_journal(dev, msg, files->journal, &what);
	if (err)
		goto err_destroy;
	journal_set_busy(&dev->journal, true);
	err = start(dev, msg, files->target, &what);
	journal_set_busy(&dev->journal, false);
	if (err)
		goto err_close_journal;
	*out = dev;
	return 0;

err_close_journal:
	journal_close(&dev->journal);
err_destroy:
	destroy(dev);
err_say:
	snprintf(reason, CTL_REASON_BYTES, "%s: %s", what, strerror(-err));
	return err;
}

void blkback_detach(struct blkback *dev)
{
	blkqueue_stop(&dev->queue, true);
}

void blkback_leave(struct blkback *dev)
{
	blkqueue_stop(&dev->queue, false);
}

void blkback_stats(const struct blkback *dev, struct ctl_stats *stats)
{
	*stats = dev->stats;
	stats->events = dev->queue.task.nr_events;
	stats->notifies = dev->queue.task.nr_notifies;
	stats->in_flight = dev->queue.in_flight;
}

void blkback_broken(struct blkback *dev, int err, const char *reason)
{
	dev->owner->broken(dev->owner_ctx, dev, err, reason);
}

void blkback_stopped(struct blkback *dev)
{
	dev->engine->ops->close(dev->engine);
	journal_close(&dev->journal);
	dev->owner->detached(dev->owner_ctx, dev);
	destroy(dev);
}
