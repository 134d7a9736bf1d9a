/* SPDX-License-Identifier: MIT */
/*
 * A tag: one request of a guest from the moment its slot was copied to the moment it was answered.
 * A queue has as many as its ring has slots, made once at attach. Trust: decoded from a private
 * copy and validated by request_take; nothing of it is read from shared memory afterwards. Threads:
 * the lane's.
 */
#pragma once
#include <sys/queue.h>
#include <sys/uio.h>
#include "backend/engine/engine.h"
#include "ring/blk_wire.h"

struct blkqueue;

struct request {
	STAILQ_ENTRY(request) link; /* free tags, a batch, flushes, or owed answers */
	struct blkqueue *queue;
	struct rwy_blk_request blk;
	int16_t status;	   /* BLKIF_RSP_* to answer with */
	uint32_t first_op; /* its first segment in the grant copy under way */
	void *buf;	   /* its grant buffer, or NULL; data is packed from the start */
	struct iovec iov;
	struct engine_io io;
};
STAILQ_HEAD(request_list, request);

/* All tags of a queue. */
struct request_set {
	struct request *all;
	struct request_list free;
};

/* -ENOMEM. */
int request_set_init(struct request_set *set, uint32_t nr, struct blkqueue *queue);
/* No request is in flight. */
void request_set_fini(struct request_set *set);

/*
 * Decode a slot's private copy into a free tag and judge it: *fault says how; unless it is
 * RWY_BLK_OK, the status is set and the request is only to be answered. Never fails: the ring lets
 * no more requests in than there are tags.
 */
struct request *request_take(struct request_set *set, enum rwy_blk_abi abi, const void *slot,
			     const struct rwy_blk_limits *limits, enum rwy_blk_fault *fault);
/* Answered: the tag is free. Its buffer has been given back. */
void request_put(struct request_set *set, struct request *req);

/* Point the engine's I/O at the request's buffer and range; the fields done and owner stay. */
void request_prepare_io(struct request *req);
