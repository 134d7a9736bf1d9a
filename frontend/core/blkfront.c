// SPDX-License-Identifier: MIT
/*
 * The block frontend's core (contract: blkfront.h): tags, ids, and the judgement of responses. It
 * trusts its caller and nothing the backend writes; shared memory is touched by ring/ only. Called
 * by frontend/user and, one day, by a kernel module.
 *
 * An id on the wire is (serial << 16) | tag. The serial never repeats in the life of a ring, so an
 * id names one request and not just one slot of the table.
 */
#include "frontend/core/blkfront.h"

#define TAG_BITS 16u
#define TAG_MASK ((1u << TAG_BITS) - 1)

RWY_STATIC_ASSERT(RWY_BLKFRONT_MAX_TAGS < TAG_MASK,
		  "a tag, and nr_tags as the end of the list, fit");

uint32_t rwy_blkfront_slots(uint32_t nr_pages)
{
	return rwy_ring_slots(nr_pages, rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE));
}

int rwy_blkfront_init(struct rwy_blkfront *bf, const struct rwy_blkfront_config *config)
{
	uint32_t nr_slots = rwy_blkfront_slots(config->nr_pages);
	uint32_t i;
	int err;

	memset(bf, 0, sizeof(*bf));
	bf->fault = RWY_BLKFRONT_RING_OVERRUN; /* until the ring is there, any call is harmless */
	if (!nr_slots || nr_slots > RWY_BLKFRONT_MAX_TAGS || config->nr_tags < nr_slots ||
	    !config->tags || !config->platform || !config->platform->notify)
		return -EINVAL;
	err = rwy_ring_front_init(&bf->ring, config->sring_pages, config->nr_pages,
				  rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE));
	if (err)
		return err;
	bf->tags = config->tags;
	bf->nr_tags = nr_slots;
	for (i = 0; i < nr_slots; i++)
		bf->tags[i] = (struct rwy_blkfront_tag){.next_free = (uint16_t)(i + 1)};
	bf->handle = config->handle;
	bf->platform = config->platform;
	bf->platform_ctx = config->platform_ctx;
	bf->fault = RWY_BLKFRONT_OK;
	return 0;
}

int rwy_blkfront_set_limits(struct rwy_blkfront *bf, const struct rwy_blk_limits *limits)
{
	if (limits->capacity_sect > RWY_BLK_MAX_CAPACITY_SECT)
		return -EINVAL;
	bf->limits = *limits;
	bf->limits.indirect_segs = 0; /* this frontend sends none */
	bf->ready = true;
	return 0;
}

/* The operation that the response to a request must carry. */
static uint8_t wire_op_of(enum rwy_blk_op op)
{
	switch (op) {
	case RWY_BLK_OP_READ:
		return BLKIF_OP_READ;
	case RWY_BLK_OP_WRITE:
		return BLKIF_OP_WRITE;
	case RWY_BLK_OP_BARRIER:
		return BLKIF_OP_WRITE_BARRIER;
	case RWY_BLK_OP_FLUSH:
		return BLKIF_OP_FLUSH_DISKCACHE;
	case RWY_BLK_OP_DISCARD:
		return BLKIF_OP_DISCARD;
	case RWY_BLK_OP_INDIRECT:
	case RWY_BLK_OP_UNKNOWN:
		break;
	}
	return 0xff;
}

static int judge(struct rwy_blkfront *bf, struct rwy_blk_request *req)
{
	switch (rwy_blk_validate(req, &bf->limits)) {
	case RWY_BLK_OK:
		return 0;
	case RWY_BLK_READ_ONLY:
		return -EROFS;
	case RWY_BLK_NOT_OFFERED:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static bool carries_segments(enum rwy_blk_op op)
{
	return op == RWY_BLK_OP_READ || op == RWY_BLK_OP_WRITE || op == RWY_BLK_OP_BARRIER;
}

static int to_wire(struct rwy_blkfront *bf, const struct rwy_blkfront_request *request, uint64_t id,
		   void *slot)
{
	struct rwy_blk_request req = {
		.op = request->op,
		.wire_op = wire_op_of(request->op),
		.handle = bf->handle,
		.id = id,
	};
	int err;

	if (request->op != RWY_BLK_OP_FLUSH)
		req.sector = request->sector;
	if (request->op == RWY_BLK_OP_DISCARD) {
		req.nr_sect = request->nr_sect;
		req.flag = request->flag;
	}
	if (carries_segments(request->op)) {
		if (request->nr_segs > RWY_BLK_MAX_DIRECT_SEGS)
			return -EINVAL;
		req.nr_segs = request->nr_segs;
		memcpy(req.seg, request->seg, request->nr_segs * sizeof(req.seg[0]));
	}
	err = judge(bf, &req);
	return err ? err : rwy_blk_encode_request(RWY_BLK_ABI_NATIVE, &req, slot);
}

int rwy_blkfront_put_request(struct rwy_blkfront *bf, const struct rwy_blkfront_request *request)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
	struct rwy_blkfront_tag *tag;
	uint64_t id;
	int len, err;

	if (bf->fault)
		return -EPROTO;
	if (!bf->ready)
		return -ENOTCONN;
	if (bf->first_free == bf->nr_tags)
		return -ENOSPC;
	tag = &bf->tags[bf->first_free];
	id = (bf->serial + 1) << TAG_BITS | bf->first_free;
	len = to_wire(bf, request, id, slot);
	if (len < 0)
		return len;
	err = rwy_ring_front_put_request(&bf->ring, slot, (uint32_t)len);
	if (err)
		return err;
	bf->serial++;
	bf->nr_outstanding++;
	bf->first_free = tag->next_free;
	tag->id = id;
	tag->cookie = request->cookie;
	tag->wire_op = wire_op_of(request->op);
	return 0;
}

void rwy_blkfront_push(struct rwy_blkfront *bf)
{
	if (!bf->fault && rwy_ring_front_push(&bf->ring))
		bf->platform->notify(bf->platform_ctx);
}

static int broken(struct rwy_blkfront *bf, enum rwy_blkfront_fault fault)
{
	bf->fault = fault;
	return -EPROTO;
}

static void put_tag(struct rwy_blkfront *bf, struct rwy_blkfront_tag *tag)
{
	tag->id = 0;
	tag->next_free = bf->first_free;
	bf->first_free = (uint16_t)(tag - bf->tags);
	bf->nr_outstanding--;
}

/* A status we don't know is a failure like any other: it must never count as success. */
static int status_of(int16_t wire_status)
{
	if (wire_status == BLKIF_RSP_OKAY)
		return 0;
	return wire_status == BLKIF_RSP_EOPNOTSUPP ? -EOPNOTSUPP : -EIO;
}

/* rsp is a private copy. The order of the checks is that of the reliance on them. */
static int match(struct rwy_blkfront *bf, const struct rwy_blk_response *rsp,
		 struct rwy_blkfront_completion *completion)
{
	uint32_t index = (uint32_t)(rsp->id & TAG_MASK);
	struct rwy_blkfront_tag *tag;

	if (index >= bf->nr_tags)
		return broken(bf, RWY_BLKFRONT_BAD_TAG);
	tag = &bf->tags[index];
	if (!tag->id || tag->id != rsp->id)
		return broken(bf, RWY_BLKFRONT_NOT_OUTSTANDING);
	if (tag->wire_op != rsp->wire_op)
		return broken(bf, RWY_BLKFRONT_WRONG_OP);
	*completion = (struct rwy_blkfront_completion){
		.cookie = tag->cookie,
		.status = status_of(rsp->status),
	};
	put_tag(bf, tag);
	return 1;
}

int rwy_blkfront_take_completion(struct rwy_blkfront *bf,
				 struct rwy_blkfront_completion *completion)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
	uint32_t len = rwy_blk_response_bytes(RWY_BLK_ABI_NATIVE);
	struct rwy_blk_response rsp;
	int waiting;

	if (bf->fault)
		return -EPROTO;
	if (!rwy_ring_front_take_response(&bf->ring, slot, len)) {
		waiting = rwy_ring_front_poll(&bf->ring);
		if (waiting < 0)
			return broken(bf, RWY_BLKFRONT_RING_OVERRUN);
		if (waiting == 0 || !rwy_ring_front_take_response(&bf->ring, slot, len))
			return 0;
	}
	rwy_blk_decode_response(RWY_BLK_ABI_NATIVE, slot, &rsp);
	return match(bf, &rsp, completion);
}

int rwy_blkfront_arm(struct rwy_blkfront *bf, uint32_t after)
{
	int waiting;

	if (bf->fault)
		return -EPROTO;
	waiting = rwy_ring_front_arm(&bf->ring, after);
	return waiting < 0 ? broken(bf, RWY_BLKFRONT_RING_OVERRUN) : waiting;
}

bool rwy_blkfront_take_abandoned(struct rwy_blkfront *bf,
				 struct rwy_blkfront_completion *completion)
{
	uint32_t i;

	for (i = 0; bf->nr_outstanding && i < bf->nr_tags; i++) {
		struct rwy_blkfront_tag *tag = &bf->tags[i];

		if (!tag->id)
			continue;
		*completion = (struct rwy_blkfront_completion){
			.cookie = tag->cookie,
			.status = -EIO,
		};
		put_tag(bf, tag);
		return true;
	}
	return false;
}

const char *rwy_blkfront_fault_text(enum rwy_blkfront_fault fault)
{
	static const char *const text[] = {
		[RWY_BLKFRONT_OK] = "no fault",
		[RWY_BLKFRONT_RING_OVERRUN] = "more responses than requests",
		[RWY_BLKFRONT_BAD_TAG] = "a response to a request that can't exist",
		[RWY_BLKFRONT_NOT_OUTSTANDING] = "a response to a request that is not outstanding",
		[RWY_BLKFRONT_WRONG_OP] = "a response with another operation than its request's",
	};

	return (unsigned int)fault < RWY_BLKFRONT_NR_FAULTS ? text[fault] : "unknown fault";
}
