// SPDX-License-Identifier: MIT
/*
 * Parses a frontend's nodes. Trusts none of them. Called by device_link.c when the frontend says
 * Initialised or Connected.
 */
#include "backend/control/frontend.h"
#include "common/xs_parse.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/protocols.h>

#define VALUE_BYTES 64u /* the longest value that could make sense, and more */
#define NODE_BYTES  48u

static const char *const abi_names[] = {
	[CTL_ABI_NATIVE] = "native",
	[CTL_ABI_X86_32] = XEN_IO_PROTO_ABI_X86_32,
	[CTL_ABI_X86_64] = XEN_IO_PROTO_ABI_X86_64,
};

_Static_assert(1u << FRONTEND_MAX_RING_ORDER == CTL_MAX_RING_PAGES, "one limit, said twice");

const char *frontend_abi_name(enum ctl_abi abi)
{
	return abi_names[abi];
}

/* 0, -ENOENT without a reason, or -EPROTO with one. */
static int read_number(const struct frontend_reader *r, const char *node, uint32_t min,
		       uint32_t max, uint32_t *out, struct reason *why)
{
	char value[VALUE_BYTES];
	int len = r->read(r->ctx, node, value, sizeof(value));

	if (len == -ENOENT)
		return -ENOENT;
	if (len == -ENAMETOOLONG || len == -EINVAL)
		return reason_set(why, -EPROTO, "the frontend's node %s is no number", node);
	if (len < 0)
		return reason_set(why, -EPROTO, "the frontend's node %s can't be read: %s", node,
				  strerror(-len));

	int err = rwy_xs_parse_u32(value, (size_t)len, min, max, out);
	if (err == -ERANGE)
		return reason_set(why, -EPROTO,
				  "the frontend's node %s is \"%s\", not in the range %u to %u",
				  node, value, min, max);
	if (err)
		return reason_set(why, -EPROTO, "the frontend's node %s is \"%s\", no number", node,
				  value);
	return 0;
}

static int require_number(const struct frontend_reader *r, const char *node, uint32_t min,
			  uint32_t *out, struct reason *why)
{
	int err = read_number(r, node, min, UINT32_MAX, out, why);

	if (err == -ENOENT)
		return reason_set(why, -EPROTO, "the frontend's node %s is missing", node);
	return err;
}

static int parse_protocol(const struct frontend_reader *r, enum ctl_abi *abi, struct reason *why)
{
	char value[VALUE_BYTES];
	int len = r->read(r->ctx, "protocol", value, sizeof(value));

	*abi = CTL_ABI_NATIVE;
	if (len == -ENOENT || (len >= 0 && !strcmp(value, XEN_IO_PROTO_ABI_NATIVE)))
		return 0;
	for (unsigned int i = CTL_ABI_X86_32; len >= 0 && i <= CTL_ABI_X86_64; i++) {
		if (!strcmp(value, abi_names[i])) {
			*abi = (enum ctl_abi)i;
			return 0;
		}
	}
	if (len < 0)
		return reason_set(why, -EPROTO, "the frontend's node protocol can't be read: %s",
				  strerror(-len));
	return reason_set(why, -EPROTO,
			  "the frontend's node protocol is \"%s\"; spoken here are %s and %s",
			  value, abi_names[CTL_ABI_X86_32], abi_names[CTL_ABI_X86_64]);
}

/* One queue goes without saying. */
static int parse_nr_queues(const struct frontend_reader *r, uint32_t *nr_queues, struct reason *why)
{
	int err = read_number(r, "multi-queue-num-queues", 1, FRONTEND_MAX_QUEUES, nr_queues, why);

	if (err == -ENOENT)
		*nr_queues = 1;
	return err == -ENOENT ? 0 : err;
}

/* The standard node, or else the older one that counts pages; neither: one page. */
static int parse_ring_size(const struct frontend_reader *r, uint32_t *nr_pages, struct reason *why)
{
	uint32_t order;
	int err = read_number(r, "ring-page-order", 0, FRONTEND_MAX_RING_ORDER, &order, why);

	if (!err)
		*nr_pages = 1u << order;
	if (err != -ENOENT)
		return err;

	err = read_number(r, "num-ring-pages", 1, CTL_MAX_RING_PAGES, nr_pages, why);
	if (err == -ENOENT) {
		*nr_pages = 1;
		return 0;
	}
	if (!err && (*nr_pages & (*nr_pages - 1)))
		return reason_set(why, -EPROTO,
				  "the frontend's node num-ring-pages is %u, no power of two",
				  *nr_pages);
	return err;
}

/* A ring of one page is named ring-ref by most frontends and ring-ref0 by some. */
static int parse_page(const struct frontend_reader *r, const char *folder, uint32_t *gref,
		      struct reason *why)
{
	char node[NODE_BYTES];

	snprintf(node, sizeof(node), "%sring-ref", folder);
	int err = read_number(r, node, 0, UINT32_MAX, gref, why);
	if (err != -ENOENT)
		return err;
	snprintf(node, sizeof(node), "%sring-ref0", folder);
	err = read_number(r, node, 0, UINT32_MAX, gref, why);
	if (err == -ENOENT)
		return reason_set(why, -EPROTO, "the frontend's node %sring-ref is missing",
				  folder);
	return err;
}

static int parse_ring(const struct frontend_reader *r, const char *folder, uint32_t nr_pages,
		      struct frontend_queue *q, struct reason *why)
{
	char node[NODE_BYTES];
	int err = 0;

	if (nr_pages == 1)
		err = parse_page(r, folder, &q->ring_gref[0], why);
	for (uint32_t i = 0; !err && nr_pages > 1 && i < nr_pages; i++) {
		snprintf(node, sizeof(node), "%sring-ref%u", folder, i);
		err = require_number(r, node, 0, &q->ring_gref[i], why);
	}
	if (err)
		return err;
	snprintf(node, sizeof(node), "%sevent-channel", folder);
	return require_number(r, node, 1, &q->evtchn, why);
}

/* One queue's nodes are in the frontend's own directory; a frontend may also give it a folder. */
static bool has_folder(const struct frontend_reader *r, const struct frontend *f)
{
	char value[VALUE_BYTES];

	return f->nr_queues > 1 ||
	       (r->read(r->ctx, "event-channel", value, sizeof(value)) == -ENOENT &&
		r->read(r->ctx, "queue-0/event-channel", value, sizeof(value)) != -ENOENT);
}

static int parse_queues(const struct frontend_reader *r, struct frontend *f, struct reason *why)
{
	bool in_folders = has_folder(r, f);
	char folder[NODE_BYTES / 2] = "";
	int err = 0;

	for (uint32_t i = 0; !err && i < f->nr_queues; i++) {
		if (in_folders)
			snprintf(folder, sizeof(folder), "queue-%u/", i);
		err = parse_ring(r, folder, f->nr_ring_pages, &f->queues[i], why);
	}
	return err;
}

int frontend_parse(const struct frontend_reader *reader, struct frontend *f, struct reason *why)
{
	int err;

	memset(f, 0, sizeof(*f));
	err = parse_protocol(reader, &f->abi, why);
	if (!err)
		err = parse_nr_queues(reader, &f->nr_queues, why);
	if (!err)
		err = parse_ring_size(reader, &f->nr_ring_pages, why);
	if (!err)
		err = parse_queues(reader, f, why);
	return err;
}
