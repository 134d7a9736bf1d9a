// SPDX-License-Identifier: MIT
/*
 * The ring as an attacker has it: shared memory, written at will (contract: front.h). Decoding and
 * encoding are ring/'s; the indexes are plain stores, ordered as the protocol asks, so that what an
 * attack does wrong is wrong on purpose only.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/blkif.h>
#include "tests/hostile_front/front.h"

volatile struct rwy_sring *front_sring(struct front *f)
{
	return (volatile struct rwy_sring *)f->ring;
}

uint8_t *front_slot(struct front *f, uint32_t index)
{
	return f->ring + RWY_RING_HEADER_BYTES + (index & (f->nr_slots - 1)) * f->slot_bytes;
}

void front_put(struct front *f, const void *slot)
{
	memcpy(front_slot(f, f->req_prod), slot, f->slot_bytes);
	f->req_prod++;
}

void front_put_request(struct front *f, const struct rwy_blk_request *req)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	rwy_blk_encode_request(f->abi, req, slot);
	front_put(f, slot);
}

void front_notify(struct front *f)
{
	xenevtchn_notify(f->xce, (evtchn_port_t)f->port);
}

void front_push(struct front *f)
{
	__atomic_store_n((uint32_t *)f->ring, f->req_prod, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	front_notify(f);
}

static uint32_t responses(struct front *f)
{
	uint32_t *rsp_prod = (uint32_t *)(f->ring + offsetof(struct rwy_sring, rsp_prod));

	return __atomic_load_n(rsp_prod, __ATOMIC_ACQUIRE) - f->rsp_cons;
}

/* An event of our port, or of one that an attack has opened, or nothing for a while. */
static void wait_event(struct front *f, int ms)
{
	struct pollfd pfd = {.fd = xenevtchn_fd(f->xce), .events = POLLIN};

	if (poll(&pfd, 1, ms) != 1)
		return;
	int port = xenevtchn_pending(f->xce);

	if (port >= 0)
		xenevtchn_unmask(f->xce, (evtchn_port_t)port);
}

static int await_response(struct front *f)
{
	uint64_t end_ns = front_now_ns() + FRONT_LIMIT_MS * 1000000ull;

	while (!responses(f)) {
		front_sring(f)->rsp_event = f->rsp_cons + 1;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (responses(f))
			break;
		if (front_back_state(f) != XenbusStateConnected)
			return -EPIPE;
		if (front_now_ns() >= end_ns)
			return -ETIMEDOUT;
		wait_event(f, 100);
	}
	return 0;
}

int front_take(struct front *f, struct rwy_blk_response *rsp)
{
	uint8_t buf[RWY_BLK_MAX_SLOT_BYTES];
	int err = await_response(f);

	if (err)
		return err;
	memcpy(buf, front_slot(f, f->rsp_cons), f->slot_bytes);
	rwy_blk_decode_response(f->abi, buf, rsp);
	f->rsp_cons++;
	return 0;
}

uint32_t front_take_all(struct front *f)
{
	uint32_t nr = responses(f);

	if (nr > f->nr_slots) /* an attack has written over the index */
		nr = 0;
	f->rsp_cons += nr;
	return nr;
}

int front_drain(struct front *f, int16_t status)
{
	struct rwy_blk_response rsp;

	while (f->rsp_cons != f->req_prod) {
		int err = front_take(f, &rsp);

		if (err)
			return complain("no response: %s", strerror(-err));
		if (rsp.status != status)
			return complain("request %llu of operation %u is answered %d, not %d",
					(unsigned long long)rsp.id, rsp.wire_op, rsp.status,
					status);
	}
	return 0;
}

int front_drain_any(struct front *f)
{
	struct rwy_blk_response rsp;

	while (f->rsp_cons != f->req_prod) {
		int err = front_take(f, &rsp);

		if (err)
			return complain("no response: %s", strerror(-err));
		if (rsp.status != BLKIF_RSP_OKAY && rsp.status != BLKIF_RSP_ERROR &&
		    rsp.status != BLKIF_RSP_EOPNOTSUPP)
			return complain("a response has the status %d", rsp.status);
	}
	return 0;
}

struct rwy_blk_request front_read_request(struct front *f, uint64_t id, uint32_t page)
{
	return (struct rwy_blk_request){
		.op = RWY_BLK_OP_READ,
		.id = id,
		.sector = front_random(f) % (f->capacity_sect - RWY_BLK_PAGE_SECT),
		.nr_segs = 1,
		.seg = {{.gref = f->data_gref[page % FRONT_DATA_PAGES], .last_sect = 7}},
	};
}

int front_expect_service(struct front *f)
{
	struct rwy_blk_request req = front_read_request(f, 0x600d, 0);

	front_put_request(f, &req);
	front_push(f);
	return front_drain(f, BLKIF_RSP_OKAY);
}

int front_expect_broken(struct front *f)
{
	char path[512];
	unsigned int len = 0;
	int err = front_wait_state(f, 1u << XenbusStateClosing | 1u << XenbusStateClosed,
				   "it should have given the device up");

	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/error", f->back);
	char *why = xs_read(f->xs, XBT_NULL, path, &len);
	free(why);
	return why && len ? 0 : complain("the backend closed without saying why");
}
