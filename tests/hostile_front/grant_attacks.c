// SPDX-License-Identifier: MIT
/* Grants that are not what they should be: never given, of others, read-only, taken back in use. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/blkif.h>
#include "tests/hostile_front/attack.h"

#define OTHER_DOMAIN 0x7abcu /* nobody */

/* A read or a write with this gref has to fail or not, and hurt nothing else. */
static int send_with_gref(struct front *f, enum rwy_blk_op op, uint32_t gref, int16_t status)
{
	struct rwy_blk_request req = front_read_request(f, gref, 0);

	req.op = op;
	req.seg[0].gref = gref;
	front_put_request(f, &req);
	front_push(f);
	return front_drain(f, status);
}

static int both_ways(struct front *f, uint32_t gref, int16_t read_status, int16_t write_status)
{
	int err = send_with_gref(f, RWY_BLK_OP_READ, gref, read_status);

	return err ? err : send_with_gref(f, RWY_BLK_OP_WRITE, gref, write_status);
}

/* 0 and 1 are no such grefs: the toolstack grants the console's page and xenstore's by them. */
static int gref_never_granted(struct front *f)
{
	static const uint32_t grefs[] = {31998,	   32000,    32759,	32760,
					 1u << 20, 1u << 31, UINT32_MAX};
	int err = 0;

	for (size_t i = 0; i < sizeof(grefs) / sizeof(grefs[0]) && !err; i++)
		err = both_ways(f, grefs[i], BLKIF_RSP_ERROR, BLKIF_RSP_ERROR);
	return err;
}

/* Share a page with some domain, run the test on its gref, take it back. */
static int with_page(struct front *f, uint32_t domid, int writable,
		     int (*test)(struct front *f, uint32_t gref))
{
	uint32_t gref;
	void *page = xengntshr_share_pages(f->xgs, domid, 1, &gref, writable);

	if (!page)
		return complain("no page to share: %s", strerror(errno));
	int err = test(f, gref);

	xengntshr_unshare(f->xgs, page, 1);
	return err;
}

static int fails_both_ways(struct front *f, uint32_t gref)
{
	return both_ways(f, gref, BLKIF_RSP_ERROR, BLKIF_RSP_ERROR);
}

static int fails_to_read(struct front *f, uint32_t gref)
{
	return both_ways(f, gref, BLKIF_RSP_ERROR, BLKIF_RSP_OKAY);
}

static int gref_granted_to_another(struct front *f)
{
	return with_page(f, OTHER_DOMAIN, 1, fails_both_ways);
}

static int gref_read_only(struct front *f)
{
	return with_page(f, f->back_domid, 0, fails_to_read);
}

/* One good segment, then a bad one: the request fails as a whole. */
static int gref_bad_in_the_middle(struct front *f)
{
	struct rwy_blk_request req = front_read_request(f, 1, 0);

	req.sector = 0;
	req.nr_segs = 3;
	req.seg[2] = req.seg[0];
	req.seg[1] = (struct rwy_blk_seg){.gref = 31999, .last_sect = 7};
	front_put_request(f, &req);
	req.op = RWY_BLK_OP_WRITE;
	front_put_request(f, &req);
	front_push(f);
	return front_drain(f, BLKIF_RSP_ERROR);
}

static int gref_sweep(struct front *f)
{
	int err = 0;

	for (uint32_t gref = 0; gref < 4096 && !err && front_goes_on(f);) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			struct rwy_blk_request req = front_read_request(f, 1, 0);

			req.op = RWY_BLK_OP_WRITE; /* reads could land on our own memory */
			req.seg[0].gref = gref++;
			front_put_request(f, &req);
		}
		front_push(f);
		err = front_drain_any(f);
	}
	return err;
}

/* A page that comes and goes while requests name it. */
struct revoker {
	pthread_t thread;
	struct front *f;
	atomic_uint gref;
	atomic_bool stop;
};

static void *revoke_on(void *arg)
{
	struct revoker *r = arg;
	uint32_t gref[8];

	while (!atomic_load(&r->stop)) {
		void *pages = xengntshr_share_pages(r->f->xgs, r->f->back_domid, 8, gref, 1);

		if (!pages)
			continue;
		for (int i = 0; i < 8; i++)
			atomic_store(&r->gref, gref[i]);
		xengntshr_unshare(r->f->xgs, pages, 8);
	}
	return NULL;
}

static int data_revoked(struct front *f)
{
	struct revoker r = {.f = f};
	int err = 0;

	if (pthread_create(&r.thread, NULL, revoke_on, &r))
		return -EAGAIN;
	while (front_goes_on(f) && !err) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			struct rwy_blk_request req = front_read_request(f, i, 0);

			req.op = i & 1 ? RWY_BLK_OP_READ : RWY_BLK_OP_WRITE;
			req.seg[0].gref = atomic_load(&r.gref);
			front_put_request(f, &req);
		}
		front_push(f);
		err = front_drain_any(f);
	}
	atomic_store(&r.stop, true);
	pthread_join(r.thread, NULL);
	return err;
}

/* The backend has it mapped and full of requests. */
static int ring_revoked(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		err = front_connect(f, &(struct front_how){.nr_ring_pages = 4});
		for (uint32_t i = 0; i < f->nr_slots && !err; i++) {
			struct rwy_blk_request req = front_read_request(f, i, i);

			front_put_request(f, &req);
		}
		if (err)
			break;
		front_push(f);
		xengntshr_unshare(f->xgs, f->ring, f->nr_ring_pages);
		f->ring = NULL;
		front_notify(f);
		err = front_reset(f);
	}
	return err;
}

/* Publish a good ring, but name this page as its first. */
static int connect_with_ring_ref(struct front *f, uint32_t gref)
{
	const struct front_how how = {0};
	int err = front_make_ring(f, &how);

	if (!err)
		err = front_write_number(f, "ring-ref", gref);
	if (!err)
		err = front_write_number(f, "event-channel", (uint64_t)f->port);
	if (!err)
		err = front_write_state(f, XenbusStateInitialised);
	return err ? err : front_expect_broken(f);
}

static int ring_never_granted(struct front *f)
{
	static const uint32_t grefs[] = {31998, 32001, 1u << 31, UINT32_MAX};
	int err = 0;

	for (size_t i = 0; i < sizeof(grefs) / sizeof(grefs[0]) && !err; i++) {
		err = connect_with_ring_ref(f, grefs[i]);
		if (!err && i + 1 < sizeof(grefs) / sizeof(grefs[0]))
			err = front_reset(f);
	}
	return err;
}

static int ring_read_only(struct front *f)
{
	return with_page(f, f->back_domid, 0, connect_with_ring_ref);
}

static int ring_granted_to_another(struct front *f)
{
	return with_page(f, OTHER_DOMAIN, 1, connect_with_ring_ref);
}

#define ENTRY(name, text, answer, start, fn)         \
	{                                            \
		name, text, answer, start, false, fn \
	}

const struct attack grant_attacks[] = {
	ENTRY("gref-never-granted", "reads and writes with grefs of nothing: ERROR", ANSWER_STATUS,
	      START_CONNECTED, gref_never_granted),
	ENTRY("gref-granted-to-another", "a page that another domain was given: ERROR",
	      ANSWER_STATUS, START_CONNECTED, gref_granted_to_another),
	ENTRY("gref-read-only", "a read into a page granted read-only: ERROR", ANSWER_STATUS,
	      START_CONNECTED, gref_read_only),
	ENTRY("gref-bad-in-the-middle", "one bad segment of three: ERROR", ANSWER_STATUS,
	      START_CONNECTED, gref_bad_in_the_middle),
	ENTRY("gref-sweep", "every gref there could be", ANSWER_STATUS, START_CONNECTED,
	      gref_sweep),
	ENTRY("data-revoked", "data pages are taken back while requests name them", ANSWER_STATUS,
	      START_CONNECTED, data_revoked),
	ENTRY("ring-revoked", "the ring is taken back while the backend has it mapped", ANSWER_ANY,
	      START_ALONE, ring_revoked),
	ENTRY("ring-never-granted", "ring-ref names nothing", ANSWER_BROKEN, START_ALONE,
	      ring_never_granted),
	ENTRY("ring-read-only", "ring-ref names a page granted read-only", ANSWER_BROKEN,
	      START_ALONE, ring_read_only),
	ENTRY("ring-granted-to-another", "ring-ref names a page of another's", ANSWER_BROKEN,
	      START_ALONE, ring_granted_to_another),
	{0},
};
