// SPDX-License-Identifier: MIT
/*
 * The handshake of a frontend, as far as attacks keep to it (contract: front.h), over libxenstore
 * as it is: values of any bytes, and no check of anything.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/vdev.h"
#include "tests/hostile_front/front.h"

#define MAX_TRIES 5

int front_write(struct front *f, const char *node, const void *value, unsigned int len)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", f->own, node);
	return xs_write(f->xs, XBT_NULL, path, value, len) ? 0 : -errno;
}

int front_write_number(struct front *f, const char *node, uint64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	return front_write(f, node, text, (unsigned int)len);
}

int front_write_state(struct front *f, enum xenbus_state state)
{
	return front_write_number(f, "state", state);
}

void front_remove(struct front *f, const char *node)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", f->own, node);
	xs_rm(f->xs, XBT_NULL, path);
}

/* -errno, or the number that is in the node. */
static int64_t read_number(struct front *f, const char *dir, const char *node)
{
	char path[512];
	unsigned int len;

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	char *text = xs_read(f->xs, XBT_NULL, path, &len);
	if (!text)
		return -errno;
	int64_t value = strtoll(text, NULL, 10);

	free(text);
	return value;
}

int front_back_state(struct front *f)
{
	int64_t state = read_number(f, f->back, "state");

	return state < 0 || state > XenbusStateReconfigured ? XenbusStateUnknown : (int)state;
}

static void drain_watches(struct front *f)
{
	char **event;

	while ((event = xs_check_watch(f->xs_watch)))
		free(event);
}

int front_wait_state(struct front *f, uint32_t states, const char *what)
{
	uint64_t end_ns = front_now_ns() + FRONT_LIMIT_MS * 1000000ull;

	for (;;) {
		drain_watches(f);
		int state = front_back_state(f);
		if (states & 1u << state)
			return 0;

		uint64_t now_ns = front_now_ns();
		if (now_ns >= end_ns)
			return complain("%s: the backend stays in state %d", what, state);
		struct pollfd pfd = {.fd = xs_fileno(f->xs_watch), .events = POLLIN};

		poll(&pfd, 1, (int)((end_ns - now_ns) / 1000000 + 1));
	}
}

static int find_backend(struct front *f)
{
	char path[128];
	unsigned int len;

	snprintf(path, sizeof(path), "%s/backend", f->own);
	char *back = xs_read(f->xs, XBT_NULL, path, &len);
	if (!back)
		return complain("no disk %u here", f->devid);
	snprintf(f->back, sizeof(f->back), "%s", back);
	free(back);
	f->back_domid = (uint32_t)read_number(f, f->own, "backend-id");
	snprintf(path, sizeof(path), "%.100s/state", f->back);
	if (!xs_watch(f->xs_watch, path, "state"))
		return -errno;
	return front_wait_state(f, 1u << XenbusStateInitWait, "before the attack");
}

static void read_offer(struct front *f)
{
	int64_t segs = read_number(f, f->back, "feature-max-indirect-segments");

	f->capacity_sect = (uint64_t)read_number(f, f->back, "sectors");
	f->read_only = read_number(f, f->back, "info") & 4;
	f->indirect_segs = segs > 0 ? (uint16_t)segs : 0;
	f->discard = read_number(f, f->back, "feature-discard") == 1;
	f->barrier = read_number(f, f->back, "feature-barrier") == 1;
}

int front_open(struct front *f, const char *vdev)
{
	f->port = -1;
	if (rwy_vdev_parse(vdev, &f->devid))
		return complain("%s is no disk", vdev);
	snprintf(f->own, sizeof(f->own), "device/vbd/%u", f->devid);
	f->xs = xs_open(0);
	f->xs_watch = xs_open(0);
	f->xgs = xengntshr_open(NULL, 0);
	f->xce = xenevtchn_open(NULL, 0);
	if (!f->xs || !f->xs_watch || !f->xgs || !f->xce)
		return complain("no Xen here: %s", strerror(errno));
	f->data = xengntshr_share_pages(f->xgs, 0, FRONT_DATA_PAGES, f->data_gref, 1);
	if (!f->data)
		return complain("no pages to grant: %s", strerror(errno));
	int err = find_backend(f);

	if (!err)
		read_offer(f);
	return err;
}

void front_close(struct front *f)
{
	front_drop_ring(f);
	if (f->xce)
		xenevtchn_close(f->xce);
	if (f->xgs)
		xengntshr_close(f->xgs);
	if (f->xs)
		xs_close(f->xs);
	if (f->xs_watch)
		xs_close(f->xs_watch);
}

int front_make_ring(struct front *f, const struct front_how *how)
{
	front_drop_ring(f);
	f->abi = how->abi;
	f->nr_ring_pages = how->nr_ring_pages ? how->nr_ring_pages : 1;
	f->slot_bytes = rwy_blk_slot_bytes(f->abi);
	f->nr_slots = rwy_ring_slots(f->nr_ring_pages, f->slot_bytes);
	f->ring = xengntshr_share_pages(f->xgs, f->back_domid, (int)f->nr_ring_pages, f->ring_gref,
					1);
	if (!f->ring)
		return complain("no pages for a ring: %s", strerror(errno));
	memset(f->ring, 0, f->nr_ring_pages * RWY_RING_PAGE_BYTES);
	f->req_prod = 0;
	f->rsp_cons = 0;
	front_sring(f)->req_event = 1;
	front_sring(f)->rsp_event = 1;
	front_sring(f)->req_prod = how->req_prod_ahead;
	f->port = xenevtchn_bind_unbound_port(f->xce, f->back_domid);
	return f->port < 0 ? complain("no port: %s", strerror(errno)) : 0;
}

void front_drop_ring(struct front *f)
{
	if (f->port >= 0)
		xenevtchn_unbind(f->xce, (evtchn_port_t)f->port);
	f->port = -1;
	if (f->ring)
		xengntshr_unshare(f->xgs, f->ring, f->nr_ring_pages);
	f->ring = NULL;
}

static int write_ring_refs(struct front *f, const struct front_how *how)
{
	char node[24];
	uint32_t order = 0;

	front_remove(f, "num-ring-pages");
	front_remove(f, "ring-page-order");
	front_remove(f, "ring-ref");
	if (f->nr_ring_pages == 1)
		return front_write_number(f, "ring-ref", f->ring_gref[0]);
	while (1u << order < f->nr_ring_pages)
		order++;
	int err = front_write_number(f, "ring-page-order", order);

	for (uint32_t i = 0; !err && i < f->nr_ring_pages; i++) {
		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = front_write_number(f, node, f->ring_gref[how->same_page ? 0 : i]);
	}
	return err;
}

int front_publish(struct front *f, const struct front_how *how)
{
	const char *protocol = rwy_blk_abi_name(how->abi);
	int err = front_make_ring(f, how);

	if (!err)
		err = write_ring_refs(f, how);
	if (!err)
		err = front_write_number(f, "event-channel", (uint64_t)f->port);
	front_remove(f, "multi-queue-num-queues");
	front_remove(f, "protocol");
	if (!err && how->abi != RWY_BLK_ABI_NATIVE)
		err = front_write(f, "protocol", protocol, (unsigned int)strlen(protocol));
	return err ? err : front_write_state(f, XenbusStateInitialised);
}

/* A backend that has yet to see what an attack wrote before may close once more first. */
int front_connect(struct front *f, const struct front_how *how)
{
	const uint32_t ended = 1u << XenbusStateClosing | 1u << XenbusStateClosed;

	for (int tries = 0; tries < MAX_TRIES; tries++) {
		int err = front_publish(f, how);

		if (!err)
			err = front_wait_state(f, 1u << XenbusStateConnected | ended, "connecting");
		if (err)
			return err;
		if (front_back_state(f) == XenbusStateConnected)
			return front_write_state(f, XenbusStateConnected);
		err = front_reset(f);
		if (err)
			return err;
	}
	return complain("a good ring is refused");
}

/* The backend may be anywhere. In InitWait, where one is that has looked late, it has nothing to
 * close. */
int front_reset(struct front *f)
{
	const uint32_t closed = 1u << XenbusStateClosed;
	int err = front_write_state(f, XenbusStateClosing);

	if (!err)
		err = front_wait_state(f, closed | 1u << XenbusStateClosing, "asked to close");
	if (!err)
		err = front_write_state(f, XenbusStateClosed);
	if (!err)
		err = front_wait_state(f, closed | 1u << XenbusStateInitWait, "closing");
	front_drop_ring(f);
	if (!err)
		err = front_write_state(f, XenbusStateInitialising);
	if (!err)
		err = front_wait_state(f, 1u << XenbusStateInitWait, "beginning again");
	return err;
}
