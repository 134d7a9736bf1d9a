/* SPDX-License-Identifier: MIT */
/*
 * A vbd: what control offered to its frontend, where its blocks are, what it did so far, and its
 * queue. Trust: control's numbers are checked for what would hurt this process, not for sense; the
 * guest's only ever reach the queue. Owned by ctl. Threads: the lane's.
 */
#pragma once
#include <sys/queue.h>
#include "backend/ctl_msg.h"
#include "backend/data/blkqueue.h"
#include "backend/data/guestlog.h"
#include "backend/data/journal.h"
#include "backend/engine/engine.h"
#include "ring/blk_wire.h"

struct blkback;

/* Who attached the device is told, from the lane's round, never from inside attach or detach. */
struct blkback_owner {
	/* The peer broke the protocol; the device is silent and waits for detach. At most once. */
	void (*broken)(void *ctx, struct blkback *dev, int err, const char *reason);
	/* Detached; the device is freed when this returns. */
	void (*detached)(void *ctx, struct blkback *dev);
};

struct blkback {
	struct lane *lane;
	uint32_t id; /* control's */
	uint32_t domid;
	struct guestlog *log;
	enum rwy_blk_abi abi;
	struct rwy_blk_limits limits;
	struct journal journal; /* of its queue; the engine's losses are in it too */
	struct engine *engine;
	struct ctl_stats stats; /* in_flight, events and notifies are filled in by blkback_stats */
	struct blkqueue queue;
	const struct blkback_owner *owner;
	void *owner_ctx;
	LIST_ENTRY(blkback) link; /* the owner's */
};

/* What comes with a message: -1 for what does not. */
struct blkback_files {
	int journal;
	int target; /* of engines that have one */
};

/*
 * Serve a frontend, from where the journal says that another process has left it. The files stay the
 * caller's, who may close them afterwards. On failure -errno, one sentence in reason
 * (CTL_REASON_BYTES), and nothing left behind.
 */
int blkback_attach(struct lane *lane, const struct ctl_attach *msg,
		   const struct blkback_files *files, const struct blkback_owner *owner,
		   void *owner_ctx, struct blkback **dev, char *reason);
/* Answer what is in flight, refuse what is left in the ring, then leave: ends in owner->detached.
 * Idempotent. */
void blkback_detach(struct blkback *dev);
/* The same, but what is left in the ring is for the next backend. */
void blkback_leave(struct blkback *dev);
void blkback_stats(const struct blkback *dev, struct ctl_stats *stats);

/* For blkqueue: the ring broke; the queue stopped. */
void blkback_broken(struct blkback *dev, int err, const char *reason);
void blkback_stopped(struct blkback *dev);
