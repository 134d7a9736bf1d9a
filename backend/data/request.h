/* SPDX-License-Identifier: MIT */
/*
 * A tag: one request of a guest from the moment its slot was copied to the moment it was answered.
 * A queue has as many as its ring has slots, made once at attach, and each has an entry of the
 * queue's journal. Trust: decoded from the entry's slot, which no guest reaches, and validated by
 * request_open; nothing of it is read from shared memory afterwards. Threads:
 * the lane's.
 */
#pragma once
#include <sys/queue.h>
#include <sys/uio.h>
#include "backend/data/journal.h"
#include "backend/engine/engine.h"
#include "ring/blk_wire.h"

struct blkqueue;

struct request {
	STAILQ_ENTRY(request) link; /* free tags, a batch, flushes, or owed answers */
	struct blkqueue *queue;
	struct journal_entry *entry;
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

/* Tag n has entry n of the journal; those whose entry is not free are not, either. -ENOMEM. */
int request_set_init(struct request_set *set, const struct journal *journal,
		     struct blkqueue *queue);
/* No request is in flight. */
void request_set_fini(struct request_set *set);

/* A free tag. There is one: the ring lets no more requests in than there are tags. */
struct request *request_get(struct request_set *set);
/* Answered: the tag is free. Its buffer has been given back. */
void request_put(struct request_set *set, struct request *req);

/*
 * Decode what the entry's slot holds, and judge it: RWY_BLK_OK, or what is wrong with it; then the
 * status is set and the request is only to be answered.
 */
enum rwy_blk_fault request_open(struct request *req, enum rwy_blk_abi abi,
				const struct rwy_blk_limits *limits);

/* Point the engine's I/O at the request's buffer and range; the fields done and owner stay. */
void request_prepare_io(struct request *req);
