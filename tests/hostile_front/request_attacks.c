// SPDX-License-Identifier: MIT
/*
 * Bad requests on a good ring: each has one right status, in each of the three ABIs, and the ring
 * goes on. What ring/'s codec will not encode is patched into the slot.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/blkif.h>
#include "tests/hostile_front/attack.h"

#define ID 0x1122334455667788u

/* Makes the bad request out of a good read, in its slot; says which status it must get. */
typedef int16_t (*spoil_fn)(struct front *f, struct rwy_blk_request *req, uint8_t *slot);

static void encode(struct front *f, const struct rwy_blk_request *req, uint8_t *slot)
{
	rwy_blk_encode_request(f->abi, req, slot);
}

static int send_bad(struct front *f, spoil_fn spoil)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES] = {0};
	struct rwy_blk_request req = front_read_request(f, ID, 0);
	struct rwy_blk_response rsp;
	int16_t status = spoil(f, &req, slot);
	uint8_t op = slot[0] == BLKIF_OP_INDIRECT ? slot[1] : slot[0];

	front_put(f, slot);
	front_push(f);
	int err = front_take(f, &rsp);
	if (err)
		return complain("no response: %s", strerror(-err));
	if (rsp.status != status || rsp.id != ID || rsp.wire_op != op)
		return complain("answered %d, id %#llx, operation %u; to be answered %d, operation "
				"%u (%s)",
				rsp.status, (unsigned long long)rsp.id, rsp.wire_op, status, op,
				rwy_blk_abi_name(f->abi));
	return front_expect_service(f);
}

static int in_each_abi(struct front *f, spoil_fn spoil)
{
	static const enum rwy_blk_abi abis[] = {RWY_BLK_ABI_NATIVE, RWY_BLK_ABI_X86_32,
						RWY_BLK_ABI_X86_64};
	int err = 0;

	for (int i = 0; i < 3 && !err; i++) {
		err = front_connect(f, &(struct front_how){.abi = abis[i]});
		for (int n = 0; n < 3 && !err; n++)
			err = send_bad(f, spoil);
		if (!err && i < 2)
			err = front_reset(f);
	}
	return err;
}

/* An attack by the name of its rule. */
#define BAD(name)                                                                                 \
	static int16_t spoil_##name(struct front *f, struct rwy_blk_request *req, uint8_t *slot); \
	static int name(struct front *f)                                                          \
	{                                                                                         \
		return in_each_abi(f, spoil_##name);                                              \
	}                                                                                         \
	static int16_t spoil_##name(struct front *f, struct rwy_blk_request *req, uint8_t *slot)

BAD(unknown_operation)
{
	encode(f, req, slot);
	do
		slot[0] = (uint8_t)front_random(f);
	while (slot[0] <= BLKIF_OP_INDIRECT);
	return BLKIF_RSP_EOPNOTSUPP;
}

BAD(barrier_not_offered)
{
	req->op = RWY_BLK_OP_BARRIER;
	encode(f, req, slot);
	return f->barrier ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP;
}

BAD(discard_not_offered)
{
	req->op = RWY_BLK_OP_DISCARD;
	req->nr_segs = 0;
	req->nr_sect = 8;
	encode(f, req, slot);
	return f->discard ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP;
}

static int16_t indirect(struct front *f, struct rwy_blk_request *req, uint8_t *slot,
			uint16_t nr_segs, int16_t status)
{
	req->op = RWY_BLK_OP_INDIRECT;
	req->inner = RWY_BLK_OP_READ;
	req->nr_segs = nr_segs;
	for (uint32_t i = 0; i < RWY_BLK_MAX_INDIRECT_PAGES; i++)
		req->indirect_gref[i] = f->data_gref[i + 1];
	encode(f, req, slot);
	memcpy(slot + 2, &nr_segs, sizeof(nr_segs));
	return f->indirect_segs ? status : BLKIF_RSP_EOPNOTSUPP;
}

/* Its pages hold random bytes: every segment is nonsense. */
BAD(indirect_of_garbage)
{
	front_random_bytes(f, f->data + 4096, 4096 * RWY_BLK_MAX_INDIRECT_PAGES);
	f->data[4096 + 4] = 0xff;
	return indirect(f, req, slot, 1, BLKIF_RSP_ERROR);
}

BAD(indirect_segments_over_offer)
{
	return indirect(f, req, slot, UINT16_MAX, BLKIF_RSP_ERROR);
}

BAD(indirect_inner_operation)
{
	int16_t status = indirect(f, req, slot, 1, BLKIF_RSP_ERROR);

	slot[1] = BLKIF_OP_DISCARD;
	return status;
}

BAD(write_to_read_only)
{
	req->op = RWY_BLK_OP_WRITE;
	encode(f, req, slot);
	return BLKIF_RSP_ERROR;
}

BAD(no_segments)
{
	encode(f, req, slot);
	slot[1] = 0;
	return BLKIF_RSP_ERROR;
}

BAD(too_many_segments)
{
	encode(f, req, slot);
	slot[1] = (uint8_t)(12 + front_random(f) % 244);
	return BLKIF_RSP_ERROR;
}

BAD(segments_on_flush)
{
	encode(f, req, slot);
	slot[0] = BLKIF_OP_FLUSH_DISKCACHE;
	return BLKIF_RSP_ERROR;
}

/* In the middle of good ones. */
static int16_t bad_segment(struct front *f, struct rwy_blk_request *req, uint8_t *slot,
			   uint8_t first, uint8_t last)
{
	uint32_t bad = (uint32_t)front_random(f) % RWY_BLK_MAX_DIRECT_SEGS;

	req->sector = 0;
	req->nr_segs = RWY_BLK_MAX_DIRECT_SEGS;
	for (uint32_t i = 0; i < RWY_BLK_MAX_DIRECT_SEGS; i++)
		req->seg[i] = (struct rwy_blk_seg){.gref = f->data_gref[i], .last_sect = 7};
	req->seg[bad].first_sect = first;
	req->seg[bad].last_sect = last;
	encode(f, req, slot);
	return BLKIF_RSP_ERROR;
}

BAD(segment_past_page)
{
	return bad_segment(f, req, slot, 0, (uint8_t)(8 + front_random(f) % 248));
}

BAD(segment_backwards)
{
	uint8_t last = (uint8_t)(front_random(f) % 7);

	return bad_segment(f, req, slot, (uint8_t)(last + 1 + front_random(f) % (255 - last)),
			   last);
}

BAD(past_end)
{
	req->sector = f->capacity_sect - (uint64_t)(front_random(f) % 8);
	encode(f, req, slot);
	return BLKIF_RSP_ERROR;
}

BAD(sector_wraps)
{
	static const uint64_t wrapping[] = {UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 1ull << 55};

	req->sector = wrapping[front_random(f) % 4];
	encode(f, req, slot);
	return BLKIF_RSP_ERROR;
}

/* The first indirect page flips between a good segment and nonsense, or is granted and not. */
struct flipper {
	pthread_t thread;
	struct front *f;
	atomic_uint gref;
	bool revoke;
	atomic_bool stop;
};

static void flip_page(struct flipper *s, uint8_t *page)
{
	struct rwy_blk_seg seg = {.gref = s->f->data_gref[0], .last_sect = 7};

	rwy_blk_encode_segs(&seg, 1, page);
	if (!s->revoke)
		memset(page, 0xff, RWY_BLK_SEG_BYTES);
}

static void *flip_on(void *arg)
{
	struct flipper *s = arg;
	uint32_t gref;

	while (!atomic_load(&s->stop)) {
		uint8_t *page = s->f->data + RWY_RING_PAGE_BYTES;

		if (s->revoke)
			page = xengntshr_share_pages(s->f->xgs, s->f->back_domid, 1, &gref, 1);
		if (!page)
			continue;
		flip_page(s, page);
		if (!s->revoke)
			continue;
		atomic_store(&s->gref, gref);
		xengntshr_unshare(s->f->xgs, page, 1);
	}
	return NULL;
}

static int indirect_while(struct front *f, bool revoke)
{
	struct flipper s = {.f = f, .gref = f->data_gref[1], .revoke = revoke};
	int err = 0;

	if (pthread_create(&s.thread, NULL, flip_on, &s))
		return -EAGAIN;
	while (front_goes_on(f) && !err) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			uint8_t slot[RWY_BLK_MAX_SLOT_BYTES] = {0};
			struct rwy_blk_request req = front_read_request(f, ID, 0);

			req.indirect_gref[0] = atomic_load(&s.gref);
			req.op = RWY_BLK_OP_INDIRECT;
			encode(f, &req, slot);
			front_put(f, slot);
		}
		front_push(f);
		err = f->indirect_segs ? front_drain_any(f) : front_drain(f, BLKIF_RSP_EOPNOTSUPP);
	}
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	return err;
}

static int indirect_page_changes(struct front *f)
{
	return indirect_while(f, false);
}

static int indirect_page_revoked(struct front *f)
{
	return indirect_while(f, true);
}

static int same_id_many_times(struct front *f)
{
	struct rwy_blk_response rsp;

	while (front_goes_on(f)) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			struct rwy_blk_request req = front_read_request(f, ID, i);

			front_put_request(f, &req);
		}
		front_push(f);
		while (f->rsp_cons != f->req_prod) {
			if (front_take(f, &rsp) || rsp.id != ID || rsp.status != BLKIF_RSP_OKAY)
				return complain("requests of one id are not answered each");
		}
	}
	return 0;
}

static int one_page_in_all_segments(struct front *f)
{
	while (front_goes_on(f)) {
		struct rwy_blk_request req = front_read_request(f, ID, 0);

		req.sector = 0;
		req.nr_segs = RWY_BLK_MAX_DIRECT_SEGS;
		for (uint32_t i = 1; i < RWY_BLK_MAX_DIRECT_SEGS; i++)
			req.seg[i] = req.seg[0];
		front_put_request(f, &req);
		front_push(f);
		if (front_drain(f, BLKIF_RSP_OKAY))
			return -EPROTO;
	}
	return 0;
}

/* Reads that land on the indexes and slots of the very ring that asked for them. */
static int segments_in_the_ring(struct front *f)
{
	struct rwy_blk_response rsp;
	int err = 0;

	while (front_goes_on(f) && !err) {
		err = front_connect(f, &(struct front_how){0});
		for (int i = 0; i < 32 && !err; i++) {
			struct rwy_blk_request req = front_read_request(f, ID, 0);

			req.op = i & 1 ? RWY_BLK_OP_WRITE : RWY_BLK_OP_READ;
			req.seg[0].gref = f->ring_gref[0];
			front_put_request(f, &req);
			front_push(f);
			if (front_take(f, &rsp) == -EPIPE)
				break;
			if (front_sring(f)->rsp_prod != f->rsp_cons)
				break; /* overwritten: nothing can be told from it any more */
		}
		if (!err)
			err = front_reset(f);
	}
	return err;
}

/* Slots of one ABI on a ring of another. */
static int wrong_abi(struct front *f)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
	int err = front_connect(f, &(struct front_how){.abi = RWY_BLK_ABI_X86_32});

	for (int i = 0; i < 100 && !err; i++) {
		struct rwy_blk_request req = front_read_request(f, ID, 0);

		rwy_blk_encode_request(RWY_BLK_ABI_X86_64, &req, slot);
		front_put(f, slot);
		front_push(f);
		err = front_drain_any(f);
	}
	return err;
}

static int flood(struct front *f, spoil_fn spoil, int16_t status)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			uint8_t slot[RWY_BLK_MAX_SLOT_BYTES] = {0};
			struct rwy_blk_request req = front_read_request(f, ID, 0);

			spoil(f, &req, slot);
			front_put(f, slot);
		}
		front_push(f);
		err = front_drain(f, status);
	}
	return err;
}

static int bad_request_flood(struct front *f)
{
	return flood(f, spoil_unknown_operation, BLKIF_RSP_EOPNOTSUPP);
}

static int barrier_flood(struct front *f)
{
	return flood(f, spoil_barrier_not_offered,
		     f->barrier ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP);
}

static int discard_flood(struct front *f)
{
	return flood(f, spoil_discard_not_offered,
		     f->discard ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP);
}

static int16_t spoil_flush(struct front *f, struct rwy_blk_request *req, uint8_t *slot)
{
	req->op = RWY_BLK_OP_FLUSH;
	req->nr_segs = 0;
	encode(f, req, slot);
	return BLKIF_RSP_OKAY;
}

static int flush_flood(struct front *f)
{
	int err = front_connect(f, &(struct front_how){.nr_ring_pages = RWY_RING_MAX_PAGES});

	return err ? err : flood(f, spoil_flush, BLKIF_RSP_OKAY);
}

/* A write before each flush, so that every flush has something to do. */
static int write_and_flush_flood(struct front *f)
{
	int err = front_connect(f, &(struct front_how){.nr_ring_pages = RWY_RING_MAX_PAGES});

	while (front_goes_on(f) && !err) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			struct rwy_blk_request req = front_read_request(f, ID, i);

			req.op = i & 1 ? RWY_BLK_OP_FLUSH : RWY_BLK_OP_WRITE;
			req.nr_segs = i & 1 ? 0 : 1;
			front_put_request(f, &req);
		}
		front_push(f);
		err = front_drain(f, BLKIF_RSP_OKAY);
	}
	return err;
}

#define RULE(attack_name, text, fn)                                      \
	{                                                                \
		attack_name, text, ANSWER_STATUS, START_ALONE, false, fn \
	}
#define IN_PLACE(attack_name, text, fn)                                      \
	{                                                                    \
		attack_name, text, ANSWER_STATUS, START_CONNECTED, false, fn \
	}

const struct attack request_attacks[] = {
	RULE("unknown-operation", "EOPNOTSUPP, with the operation byte as it came",
	     unknown_operation),
	RULE("barrier-not-offered", "EOPNOTSUPP", barrier_not_offered),
	RULE("discard-not-offered", "EOPNOTSUPP", discard_not_offered),
	RULE("indirect-of-garbage", "ERROR, or EOPNOTSUPP when indirect is not offered",
	     indirect_of_garbage),
	RULE("indirect-segments-over-offer", "ERROR, or EOPNOTSUPP", indirect_segments_over_offer),
	RULE("indirect-inner-operation", "ERROR, or EOPNOTSUPP", indirect_inner_operation),
	{"write-to-read-only", "ERROR", ANSWER_STATUS, START_ALONE, true, write_to_read_only},
	RULE("no-segments", "ERROR", no_segments),
	RULE("too-many-segments", "ERROR", too_many_segments),
	RULE("segments-on-flush", "ERROR", segments_on_flush),
	RULE("segment-past-page", "ERROR", segment_past_page),
	RULE("segment-backwards", "ERROR", segment_backwards),
	RULE("past-end", "ERROR", past_end),
	RULE("sector-wraps", "ERROR", sector_wraps),
	IN_PLACE("indirect-page-changes", "while it is read; EOPNOTSUPP when not offered",
		 indirect_page_changes),
	IN_PLACE("indirect-page-revoked", "while it is read; EOPNOTSUPP when not offered",
		 indirect_page_revoked),
	IN_PLACE("same-id-many-times", "an answer for each", same_id_many_times),
	IN_PLACE("one-page-in-all-segments", "OKAY", one_page_in_all_segments),
	{"segments-in-the-ring", "reads land on the ring itself", ANSWER_ANY, START_ALONE, false,
	 segments_in_the_ring},
	RULE("wrong-abi", "slots of another ABI than the ring's", wrong_abi),
	IN_PLACE("bad-request-flood", "bad requests at full speed; EOPNOTSUPP each",
		 bad_request_flood),
	IN_PLACE("barrier-flood", "barriers at full speed", barrier_flood),
	IN_PLACE("discard-flood", "discards at full speed", discard_flood),
	RULE("flush-flood", "flushes at full speed on a large ring", flush_flood),
	RULE("write-and-flush-flood", "a flush after each small write, on a large ring",
	     write_and_flush_flood),
	{0},
};
