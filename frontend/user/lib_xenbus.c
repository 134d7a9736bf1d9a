// SPDX-License-Identifier: MIT
/*
 * A disk's nodes in xenstore (contract: lib_xenbus.h). Everything under bus->back is the backend's
 * and untrusted; our own directory is written by us and the toolstack.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "common/vdev.h"
#include "common/xs_parse.h"
#include "frontend/user/lib_xenbus.h"

#define VBDS	   "device/vbd"
#define VBD	   VBDS "/%u"
#define PATH_BYTES 64u /* of our own paths */

static int find_only(struct rwy_xenbus *xb, uint32_t *devid, char *why, size_t why_bytes)
{
	_rwy_free char **names = NULL;
	unsigned int count = 0, i, found = 0;
	int err = rwy_xenbus_list(xb, RWY_XENBUS_NO_TX, &names, &count, VBDS);
	uint32_t id;

	if (err && err != -ENOENT) {
		snprintf(why, why_bytes, "cannot list the disks: %s", strerror(-err));
		return err;
	}
	for (i = 0; !err && i < count; i++) {
		if (rwy_xs_parse_component(names[i], RWY_VDEV_MAX_ID, &id))
			continue;
		*devid = id;
		found++;
	}
	if (found == 1)
		return 0;
	if (!found)
		snprintf(why, why_bytes, "this domain has no disks");
	else
		snprintf(why, why_bytes, "this domain has %u disks: name one", found);
	return found ? -ENOTUNIQ : -ENOENT;
}

int lib_xenbus_find(struct rwy_xenbus *xb, const char *name, uint32_t *devid, char *why,
		    size_t why_bytes)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int len;

	if (!name)
		return find_only(xb, devid, why, why_bytes);
	if (rwy_vdev_parse(name, devid)) {
		snprintf(why, why_bytes, "%.40s is no disk name: use xvda or an id such as 51712",
			 name);
		return -EINVAL;
	}
	len = rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value), VBD "/backend", *devid);
	if (len >= 0)
		return 0;
	if (len == -ENOENT)
		snprintf(why, why_bytes, "this domain has no disk %.40s", name);
	else
		snprintf(why, why_bytes, "cannot read the nodes of disk %.40s: %s", name,
			 strerror(-len));
	return len;
}

static void state_changed(void *ctx, const char *path)
{
	struct lib_xenbus *bus = ctx;

	(void)path;
	bus->dirty = true;
}

int lib_xenbus_follow(struct lib_xenbus *bus)
{
	char back[RWY_XENBUS_PATH_BYTES];
	int err;

	err = rwy_xenbus_read(bus->xb, RWY_XENBUS_NO_TX, back, sizeof(back), VBD "/backend",
			      bus->devid);
	if (err < 0)
		return err;
	err = rwy_xenbus_read_u32(bus->xb, RWY_XENBUS_NO_TX, 0, DOMID_FIRST_RESERVED - 1,
				  &bus->backend_domid, VBD "/backend-id", bus->devid);
	if (err)
		return err;
	if (bus->watch && strcmp(back, bus->back) == 0)
		return 0;
	lib_xenbus_unfollow(bus);
	memcpy(bus->back, back, sizeof(back));
	return rwy_xenbus_add_watch(bus->xb, state_changed, bus, &bus->watch, "%s/state",
				    bus->back);
}

void lib_xenbus_unfollow(struct lib_xenbus *bus)
{
	rwy_xenbus_remove_watch(bus->watch);
	bus->watch = NULL;
}

enum xenbus_state lib_xenbus_peer(struct lib_xenbus *bus)
{
	bus->dirty = false;
	return rwy_xenbus_read_state(bus->xb, "%s/state", bus->back);
}

enum xenbus_state lib_xenbus_own(struct lib_xenbus *bus)
{
	return rwy_xenbus_read_state(bus->xb, VBD "/state", bus->devid);
}

/* What a transaction on our directory is about. */
struct publication {
	struct lib_xenbus *bus;
	const struct lib_ring *ring; /* NULL: the state alone */
	enum xenbus_state state;
};

__attribute__((format(printf, 4, 5))) static int write_node(struct lib_xenbus *bus,
							    xs_transaction_t tx, const char *node,
							    const char *fmt, ...)
{
	char path[PATH_BYTES], value[RWY_XENBUS_VALUE_BYTES];
	va_list args;

	snprintf(path, sizeof(path), VBD "/%s", bus->devid, node);
	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	return rwy_xenbus_write(bus->xb, tx, path, "%s", value);
}

static int remove_node(struct lib_xenbus *bus, xs_transaction_t tx, const char *node)
{
	return rwy_xenbus_remove(bus->xb, tx, VBD "/%s", bus->devid, node);
}

/* One page is ring-ref, as every backend knows it; more are ring-page-order and ring-ref<n>. */
static int write_refs(struct lib_xenbus *bus, xs_transaction_t tx, const struct lib_ring *ring)
{
	char node[PATH_BYTES];
	uint32_t i, order = 0;
	int err;

	if (ring->nr_pages == 1) {
		err = remove_node(bus, tx, "ring-page-order");
		return err ? err : write_node(bus, tx, "ring-ref", "%u", ring->gref[0]);
	}
	while (1u << order < ring->nr_pages)
		order++;
	err = remove_node(bus, tx, "ring-ref");
	if (!err)
		err = write_node(bus, tx, "ring-page-order", "%u", order);
	for (i = 0; !err && i < ring->nr_pages; i++) {
		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = write_node(bus, tx, node, "%u", ring->gref[i]);
	}
	return err;
}

/* The data pages stay granted while we are connected, so a backend may keep them mapped. */
static int write_ring(struct lib_xenbus *bus, xs_transaction_t tx, const struct lib_ring *ring)
{
	int err = remove_node(bus, tx, "multi-queue-num-queues");

	if (!err)
		err = write_refs(bus, tx, ring);
	if (!err)
		err = write_node(bus, tx, "event-channel", "%d", ring->port);
	if (!err)
		err = write_node(bus, tx, "protocol", "%s", rwy_blk_abi_name(RWY_BLK_ABI_NATIVE));
	if (!err)
		err = write_node(bus, tx, "feature-persistent", "1");
	return err;
}

static int publish(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct publication *p = ctx;
	char value[RWY_XENBUS_VALUE_BYTES];
	int err;

	err = rwy_xenbus_read(xb, tx, value, sizeof(value), VBD "/backend", p->bus->devid);
	if (err < 0)
		return err;
	err = p->ring ? write_ring(p->bus, tx, p->ring) : 0;
	return err ? err : write_node(p->bus, tx, "state", "%d", p->state);
}

int lib_xenbus_write_state(struct lib_xenbus *bus, enum xenbus_state state)
{
	struct publication p = {.bus = bus, .state = state};

	return rwy_xenbus_transact(bus->xb, publish, &p);
}

int lib_xenbus_publish(struct lib_xenbus *bus, const struct lib_ring *ring, enum xenbus_state state)
{
	struct publication p = {.bus = bus, .ring = ring, .state = state};

	return rwy_xenbus_transact(bus->xb, publish, &p);
}

/* How many ring pages there are to withdraw, and whose. */
struct withdrawal {
	struct lib_xenbus *bus;
	uint32_t nr_ring_pages;
};

static int remove_ring(struct lib_xenbus *bus, xs_transaction_t tx, uint32_t nr_ring_pages)
{
	static const char *const nodes[] = {"ring-ref", "ring-page-order", "event-channel",
					    "feature-persistent"};
	char node[PATH_BYTES];
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(nodes) / sizeof(nodes[0]); i++)
		err = remove_node(bus, tx, nodes[i]);
	for (uint32_t i = 0; !err && i < nr_ring_pages; i++) {
		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = remove_node(bus, tx, node);
	}
	return err;
}

static int withdraw(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct withdrawal *w = ctx;
	uint32_t state;
	int err = rwy_xenbus_read_u32(xb, tx, 0, XenbusStateReconfigured, &state, VBD "/state",
				      w->bus->devid);

	if (err || state != XenbusStateClosed)
		return err;
	err = remove_ring(w->bus, tx, w->nr_ring_pages);
	return err ? err : write_node(w->bus, tx, "state", "%d", XenbusStateInitialising);
}

int lib_xenbus_withdraw(struct lib_xenbus *bus, uint32_t nr_ring_pages)
{
	struct withdrawal w = {.bus = bus, .nr_ring_pages = nr_ring_pages};

	return rwy_xenbus_transact(bus->xb, withdraw, &w);
}

uint32_t lib_xenbus_ring_pages(struct lib_xenbus *bus, uint32_t most)
{
	uint32_t order = 0, pages = 1;

	if (rwy_xenbus_read_u32(bus->xb, RWY_XENBUS_NO_TX, 0, 16, &order, "%s/max-ring-page-order",
				bus->back))
		order = 0;
	while (order-- && pages * 2 <= most)
		pages *= 2;
	return pages;
}

static int get_node(void *ctx, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	struct lib_xenbus *bus = ctx;

	return rwy_xenbus_read_u64(bus->xb, RWY_XENBUS_NO_TX, min, max, out, "%s/%s", bus->back,
				   name);
}

int lib_xenbus_features(struct lib_xenbus *bus, struct lib_features *features, const char **bad)
{
	return lib_features_read(features, get_node, bus, bad);
}

/* A backend without the node (some never write it) counts as online. */
bool lib_xenbus_online(struct lib_xenbus *bus)
{
	uint32_t online = 1;
	int err = rwy_xenbus_read_u32(bus->xb, RWY_XENBUS_NO_TX, 0, 1, &online, "%s/online",
				      bus->back);

	if (err == -ENOENT || err == -EACCES)
		return lib_xenbus_exists(bus);
	return err || online;
}

/* Of a directory that is gone, xenstored tells a guest EACCES when its parent is not for guests. */
bool lib_xenbus_exists(struct lib_xenbus *bus)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int len = rwy_xenbus_read(bus->xb, RWY_XENBUS_NO_TX, value, sizeof(value), "%s/state",
				  bus->back);

	return len != -ENOENT && len != -EACCES && len != -EPIPE;
}

void lib_xenbus_error(struct lib_xenbus *bus, char *text)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	size_t i;

	if (rwy_xenbus_read(bus->xb, RWY_XENBUS_NO_TX, value, sizeof(value), "%s/error",
			    bus->back) < 0)
		value[0] = '\0';
	for (i = 0; i < LIB_XENBUS_ERROR_BYTES - 1 && value[i]; i++)
		text[i] = value[i] >= ' ' && value[i] < 0x7f ? value[i] : '?';
	text[i] = '\0';
}
