// SPDX-License-Identifier: MIT
/* Implementation of request.h. Called by blkqueue.c. */
#include <errno.h>
#include <stdlib.h>
#include "backend/data/request.h"

int request_set_init(struct request_set *set, uint32_t nr, struct blkqueue *queue)
{
	set->all = calloc(nr, sizeof(*set->all));
	if (!set->all)
		return -ENOMEM;
	STAILQ_INIT(&set->free);
	for (uint32_t i = 0; i < nr; i++) {
		set->all[i].queue = queue;
		STAILQ_INSERT_TAIL(&set->free, &set->all[i], link);
	}
	return 0;
}

void request_set_fini(struct request_set *set)
{
	free(set->all);
}

struct request *request_take(struct request_set *set, enum rwy_blk_abi abi, const void *slot,
			     const struct rwy_blk_limits *limits, enum rwy_blk_fault *fault)
{
	struct request *req = STAILQ_FIRST(&set->free);

	STAILQ_REMOVE_HEAD(&set->free, link);
	rwy_blk_decode_request(abi, slot, &req->blk);
	*fault = rwy_blk_validate(&req->blk, limits);
	req->status = rwy_blk_fault_status(*fault);
	req->buf = NULL;
	return req;
}

void request_put(struct request_set *set, struct request *req)
{
	/* On top: the tag used last is the one in the cache. */
	STAILQ_INSERT_HEAD(&set->free, req, link);
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
