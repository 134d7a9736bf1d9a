/* SPDX-License-Identifier: MIT */
/*
 * A small blkif backend in memory for tests of frontends on loopback Xen: it lives in dom0, in a
 * thread of the test, closes the way xen-blkback does (Closing on Closing, lets go on Closed), and
 * does otherwise when told to. The test sets the fields under "orders" before or while it runs (through
 * vbd_backend_order). Included by vbd_disk.h only.
 */
#pragma once
#include "tests/xenloop_world.h" /* first: xenctrl.h wants to meet Xen's headers before others do */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "common/xenbus.h"
#include "ring/blk_wire.h"
#include "ring/ring.h"

#define DISK_SECT 4096u
#define DEVID	  51712u

struct vbd_backend {
	/* orders */
	uint32_t sectors;	  /* what the node says; the disk has DISK_SECT */
	const char *sectors_text; /* instead, when not NULL */
	const char *sector_size;
	int max_order; /* -1: no max-ring-page-order */
	bool read_only;
	bool silent;	      /* never connects */
	const char *refusal;  /* goes Closed with this error instead of connecting */
	bool refuse_at_offer; /* already when it is to offer */
	bool refuse_once;     /* and then no more */
	bool hold;	      /* takes requests, answers none */
	bool lie;	      /* answers with ids of its own */
	bool away;	      /* does not offer again */
	bool slow;	      /* does not act on the frontend's Closed */
	bool restart;	      /* close once, then offer again */
	bool patient;	      /* does not let go when a new frontend begins without a close */
	bool anew;	      /* die without a word; the toolstack has its nodes begun anew */
	bool resized;	      /* write its size and state again */

	/* what it has seen */
	uint32_t connects, disconnects, flushes, nr_ring_pages;

	uint32_t domid;
	char front[64], back[64];
	struct rwy_xenbus *xb;
	struct rwy_xenbus_watch *watch;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	struct rwy_ring_back ring;
	void *pages;
	int port;
	enum xenbus_state state;
	struct rwy_blk_request held[RWY_RING_MAX_PAGES * 32];
	uint32_t nr_held;
	int wake_fd;
	bool stop;
	pthread_mutex_t lock; /* orders, seen, state */
	pthread_t thread;
	uint8_t disk[DISK_SECT * 512];
};

static inline void vbd_backend_write(struct vbd_backend *b, const char *node, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", b->back, node);
	ck_assert_int_eq(rwy_xenbus_write(b->xb, RWY_XENBUS_NO_TX, path, "%s", value), 0);
}

static inline void vbd_backend_set_state(struct vbd_backend *b, enum xenbus_state state)
{
	char text[8];

	b->state = state;
	snprintf(text, sizeof(text), "%d", state);
	vbd_backend_write(b, "state", text);
}

static inline void vbd_backend_write_sectors(struct vbd_backend *b)
{
	char text[32];

	snprintf(text, sizeof(text), "%u", b->sectors);
	vbd_backend_write(b, "sectors", b->sectors_text ? b->sectors_text : text);
}

static inline void vbd_backend_refuse(struct vbd_backend *b)
{
	vbd_backend_write(b, "error", b->refusal);
	vbd_backend_set_state(b, XenbusStateClosing);
	vbd_backend_set_state(b, XenbusStateClosed);
}

static inline void vbd_backend_offer(struct vbd_backend *b)
{
	char text[16];

	if (b->away)
		return;
	if (b->refusal && b->refuse_at_offer) {
		vbd_backend_refuse(b);
		return;
	}
	snprintf(text, sizeof(text), "%d", b->max_order);
	if (b->max_order >= 0)
		vbd_backend_write(b, "max-ring-page-order", text);
	vbd_backend_write(b, "feature-flush-cache", "1");
	vbd_backend_set_state(b, XenbusStateInitWait);
}

static inline uint32_t vbd_backend_front_u32(struct vbd_backend *b, const char *node)
{
	uint32_t value = UINT32_MAX;

	rwy_xenbus_read_u32(b->xb, RWY_XENBUS_NO_TX, 0, UINT32_MAX, &value, "%s/%s", b->front,
			    node);
	return value;
}

static inline void vbd_backend_connect(struct vbd_backend *b)
{
	uint32_t refs[RWY_RING_MAX_PAGES], order, i;
	char node[32];

	order = vbd_backend_front_u32(b, "ring-page-order");
	b->nr_ring_pages = order == UINT32_MAX ? 1 : 1u << order;
	ck_assert_uint_le(b->nr_ring_pages, RWY_RING_MAX_PAGES);
	refs[0] = vbd_backend_front_u32(b, "ring-ref");
	for (i = 0; order != UINT32_MAX && i < b->nr_ring_pages; i++) {
		snprintf(node, sizeof(node), "ring-ref%u", i);
		refs[i] = vbd_backend_front_u32(b, node);
	}
	b->pages = xengnttab_map_domain_grant_refs(b->xgt, b->nr_ring_pages, b->domid, refs,
						   PROT_READ | PROT_WRITE);
	b->port = xenevtchn_bind_interdomain(b->xce, b->domid,
					     vbd_backend_front_u32(b, "event-channel"));
	if (!b->pages || b->port < 0)
		return; /* a dead frontend's ring: wait for the next */
	ck_assert_int_eq(rwy_ring_back_attach(&b->ring, b->pages, b->nr_ring_pages,
					      rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE)),
			 0);
	vbd_backend_write_sectors(b);
	vbd_backend_write(b, "sector-size", b->sector_size);
	vbd_backend_write(b, "info", b->read_only ? "4" : "0");
	b->connects++;
	b->nr_held = 0;
	vbd_backend_set_state(b, XenbusStateConnected);
}

static inline void vbd_backend_disconnect(struct vbd_backend *b)
{
	if (!b->pages)
		return;
	if (b->port >= 0)
		xenevtchn_unbind(b->xce, (evtchn_port_t)b->port);
	b->port = -1;
	ck_assert_int_eq(xengnttab_unmap(b->xgt, b->pages, b->nr_ring_pages), 0);
	b->pages = NULL;
	b->disconnects++;
}

static inline void vbd_backend_on_peer(struct vbd_backend *b, enum xenbus_state peer)
{
	switch (peer) {
	case XenbusStateInitialising:
		if (b->state == XenbusStateConnected && !b->patient) {
			vbd_backend_disconnect(b);
			vbd_backend_set_state(b, XenbusStateClosed);
		}
		if (b->state == XenbusStateClosed || b->state == XenbusStateInitialising)
			vbd_backend_offer(b);
		break;
	case XenbusStateInitialised:
		if (b->state != XenbusStateInitWait || b->silent)
			break;
		if (!b->refusal) {
			vbd_backend_connect(b);
			break;
		}
		vbd_backend_refuse(b);
		if (b->refuse_once)
			b->refusal = NULL;
		break;
	case XenbusStateClosing:
		if (b->state == XenbusStateConnected || b->state == XenbusStateInitWait)
			vbd_backend_set_state(b, XenbusStateClosing);
		break;
	case XenbusStateClosed:
		if (b->slow)
			break;
		vbd_backend_disconnect(b);
		if (b->state != XenbusStateClosed)
			vbd_backend_set_state(b, XenbusStateClosed);
		break;
	default:
		break;
	}
}

static inline void vbd_backend_move(struct vbd_backend *b, const struct rwy_blk_request *req)
{
	uint64_t at = req->sector * 512;

	for (uint32_t i = 0; i < req->nr_segs; i++) {
		const struct rwy_blk_seg *seg = &req->seg[i];
		uint32_t len = (seg->last_sect - seg->first_sect + 1u) * 512;
		uint8_t *page = xengnttab_map_grant_ref(b->xgt, b->domid, seg->gref,
							PROT_READ | PROT_WRITE);

		ck_assert_ptr_nonnull(page);
		ck_assert_uint_le(at + len, sizeof(b->disk));
		if (req->op == RWY_BLK_OP_READ)
			memcpy(page + seg->first_sect * 512, b->disk + at, len);
		else
			memcpy(b->disk + at, page + seg->first_sect * 512, len);
		xengnttab_unmap(b->xgt, page, 1);
		at += len;
	}
}

static inline void vbd_backend_answer(struct vbd_backend *b, const struct rwy_blk_request *req)
{
	struct rwy_blk_response rsp = {.id = req->id, .wire_op = req->wire_op};
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
	uint32_t len;

	if (req->op == RWY_BLK_OP_FLUSH)
		b->flushes++;
	else
		vbd_backend_move(b, req);
	if (b->lie)
		rsp.id ^= 1u << 20;
	len = rwy_blk_encode_response(RWY_BLK_ABI_NATIVE, &rsp, slot);
	ck_assert_int_eq(rwy_ring_back_put_response(&b->ring, slot, len), 0);
}

static inline void vbd_backend_serve(struct vbd_backend *b)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	if (!b->pages)
		return;
	do {
		while (rwy_ring_back_take_request(&b->ring, slot,
						  rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE)))
			rwy_blk_decode_request(RWY_BLK_ABI_NATIVE, slot, &b->held[b->nr_held++]);
	} while (rwy_ring_back_arm(&b->ring, 1) > 0);
	while (!b->hold && b->nr_held)
		vbd_backend_answer(b, &b->held[--b->nr_held]);
	if (rwy_ring_back_push(&b->ring))
		xenevtchn_notify(b->xce, (evtchn_port_t)b->port);
}

static inline void vbd_backend_on_orders(struct vbd_backend *b)
{
	vbd_backend_on_peer(b, rwy_xenbus_read_state(b->xb, "%s/state", b->front));
	if (b->restart && b->state == XenbusStateConnected) {
		b->restart = false;
		vbd_backend_set_state(b, XenbusStateClosing);
	}
	if (b->anew && b->state == XenbusStateConnected) {
		b->anew = false;
		vbd_backend_disconnect(b);
		vbd_backend_set_state(b, XenbusStateInitialising);
	}
	if (b->resized) {
		b->resized = false;
		vbd_backend_write_sectors(b);
		vbd_backend_write(b, "sector-size", b->sector_size);
		vbd_backend_set_state(b, b->state);
	}
}

static inline void vbd_backend_peer_changed(void *ctx, const char *path)
{
	struct vbd_backend *b = ctx;

	(void)path;
	vbd_backend_on_peer(b, rwy_xenbus_read_state(b->xb, "%s/state", b->front));
}

static inline void *vbd_backend_run(void *arg)
{
	struct vbd_backend *b = arg;
	bool stop = false;

	while (!stop) {
		struct pollfd fds[] = {
			{.fd = b->wake_fd, .events = POLLIN},
			{.fd = rwy_xenbus_fd(b->xb), .events = POLLIN},
			{.fd = xenevtchn_fd(b->xce), .events = POLLIN},
		};
		uint64_t count;
		int port;

		poll(fds, 3, -1);
		pthread_mutex_lock(&b->lock);
		if (fds[0].revents && read(b->wake_fd, &count, sizeof(count)) > 0)
			vbd_backend_on_orders(b);
		if (fds[1].revents)
			rwy_xenbus_dispatch(b->xb);
		if (fds[2].revents) {
			port = xenevtchn_pending(b->xce);
			if (port >= 0)
				xenevtchn_unmask(b->xce, (evtchn_port_t)port);
		}
		vbd_backend_serve(b);
		stop = b->stop;
		pthread_mutex_unlock(&b->lock);
	}
	return NULL;
}

/* Change orders between lock and order. */
static inline void vbd_backend_lock(struct vbd_backend *b)
{
	pthread_mutex_lock(&b->lock);
}

static inline void vbd_backend_order(struct vbd_backend *b)
{
	uint64_t one = 1;

	pthread_mutex_unlock(&b->lock);
	ck_assert_int_eq(write(b->wake_fd, &one, sizeof(one)), sizeof(one));
}

/* A toolstack's part: the nodes of a new disk. */
static inline void vbd_backend_make_nodes(struct vbd_backend *b)
{
	static const char *const nodes[][2] = {
		{"backend-id", "0"}, {"virtual-device", "51712"}, {"state", "1"}};
	char path[128], number[16];

	ck_assert_int_eq(rwy_xenbus_mkdir(b->xb, RWY_XENBUS_NO_TX, b->back), 0);
	ck_assert_int_eq(rwy_xenbus_set_owner_reader(b->xb, RWY_XENBUS_NO_TX, b->back, 0, b->domid),
			 0);
	vbd_backend_write(b, "frontend", b->front);
	snprintf(number, sizeof(number), "%u", b->domid);
	vbd_backend_write(b, "frontend-id", number);
	vbd_backend_write(b, "online", "1");
	vbd_backend_write(b, "state", "1");
	ck_assert_int_eq(rwy_xenbus_mkdir(b->xb, RWY_XENBUS_NO_TX, b->front), 0);
	ck_assert_int_eq(
		rwy_xenbus_set_owner_reader(b->xb, RWY_XENBUS_NO_TX, b->front, b->domid, 0), 0);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->front, nodes[i][0]);
		rwy_xenbus_write(b->xb, RWY_XENBUS_NO_TX, path, "%s", nodes[i][1]);
	}
	snprintf(path, sizeof(path), "%s/backend", b->front);
	rwy_xenbus_write(b->xb, RWY_XENBUS_NO_TX, path, "%s", b->back);
}

/* Nodes and handles, in dom0; orders are zero but for those that make an honest backend. */
static inline void vbd_backend_init(struct vbd_backend *b, uint32_t domid)
{
	memset(b, 0, sizeof(*b));
	b->sectors = DISK_SECT;
	b->sector_size = "512";
	b->max_order = 2;
	b->domid = domid;
	b->port = -1;
	b->state = XenbusStateClosed;
	snprintf(b->front, sizeof(b->front), "/local/domain/%u/device/vbd/%u", domid, DEVID);
	snprintf(b->back, sizeof(b->back), "/local/domain/0/backend/vbd/%u/%u", domid, DEVID);
	pthread_mutex_init(&b->lock, NULL);
	b->wake_fd = eventfd(0, EFD_CLOEXEC);
	world_as(0);
	b->xgt = xengnttab_open(NULL, 0);
	b->xce = xenevtchn_open(NULL, 0);
	ck_assert(b->xgt && b->xce);
	ck_assert_int_eq(rwy_xenbus_open(&b->xb), 0);
	vbd_backend_make_nodes(b);
}

static inline void vbd_backend_start(struct vbd_backend *b)
{
	ck_assert_int_eq(rwy_xenbus_add_watch(b->xb, vbd_backend_peer_changed, b, &b->watch,
					      "%s/state", b->front),
			 0);
	ck_assert_int_eq(pthread_create(&b->thread, NULL, vbd_backend_run, b), 0);
}

static inline void vbd_backend_stop(struct vbd_backend *b)
{
	vbd_backend_lock(b);
	b->stop = true;
	vbd_backend_order(b);
	pthread_join(b->thread, NULL);
	vbd_backend_disconnect(b);
	rwy_xenbus_remove(b->xb, RWY_XENBUS_NO_TX, "%s", b->front);
	rwy_xenbus_remove(b->xb, RWY_XENBUS_NO_TX, "%s", b->back);
	rwy_xenbus_close(b->xb);
	xenevtchn_close(b->xce);
	xengnttab_close(b->xgt);
	close(b->wake_fd);
	pthread_mutex_destroy(&b->lock);
}
