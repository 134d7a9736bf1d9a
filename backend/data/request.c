// SPDX-License-Identifier: MIT
/* Implementation of request.h. Called by blkqueue.c. */
#include <errno.h>
#include <stdlib.h>
#include "backend/data/request.h"

int request_set_init(struct request_set *set, const struct journal *journal, struct blkqueue *queue)
{
	set->all = calloc(journal->nr_entries, sizeof(*set->all));
	if (!set->all)
		return -ENOMEM;
	STAILQ_INIT(&set->free);
	for (uint32_t i = 0; i < journal->nr_entries; i++) {
		struct request *req = &set->all[i];

		req->queue = queue;
		req->entry = &journal->entry[i];
		if (journal_is_free(req->entry))
			STAILQ_INSERT_TAIL(&set->free, req, link);
	}
	return 0;
}

void request_set_fini(struct request_set *set)
{
	free(set->all);
}

struct request *request_get(struct request_set *set)
{
	struct request *req = STAILQ_FIRST(&set->free);

	STAILQ_REMOVE_HEAD(&set->free, link);
	return req;
}

void request_put(struct request_set *set, struct request *req)
{
	/* On top: the tag used last is the one in the cache. */
	STAILQ_INSERT_HEAD(&set->free, req, link);
}

enum rwy_blk_fault request_open(struct request *req, enum rwy_blk_abi abi,
				const struct rwy_blk_limits *limits)
{
	rwy_blk_decode_request(abi, req->entry->slot, &req->blk);
	enum rwy_blk_fault fault = rwy_blk_validate(&req->blk, limits);

	req->status = rwy_blk_fault_status(fault);
	req->buf = NULL;
	return fault;
}

void request_prepare_io(struct request *req)
{
	struct engine_io *io = &req->io;

	io->iov = &req->iov;
	io->nr_iov = 1;
	io->offset_bytes = req->blk.sector * RWY_BLK_SECTOR_BYTES;
	req->iov.iov_base = req->buf;
	req->iov.iov_len = req->blk.nr_sect * RWY_BLK_SECTOR_BYTES;
	switch (req->blk.op) {
	case RWY_BLK_OP_READ:
		io->op = ENGINE_READ;
		break;
	case RWY_BLK_OP_WRITE:
		io->op = ENGINE_WRITE;
		break;
	default:
		io->op = ENGINE_FLUSH;
		io->nr_iov = 0;
		break;
	}
}
