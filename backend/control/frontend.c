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

/* One queue is offered by silence; a frontend may say 1 all the same. */
static int check_queues(const struct frontend_reader *r, struct reason *why)
{
	uint32_t nr_queues;
	int err = read_number(r, "multi-queue-num-queues", 1, 1, &nr_queues, why);

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
static int parse_ring(const struct frontend_reader *r, struct frontend *f, struct reason *why)
{
	char node[24];
	int err;

	if (f->nr_ring_pages == 1) {
		err = read_number(r, "ring-ref", 0, UINT32_MAX, &f->ring_gref[0], why);
		if (err != -ENOENT)
			return err;
		err = read_number(r, "ring-ref0", 0, UINT32_MAX, &f->ring_gref[0], why);
		if (err == -ENOENT)
			return reason_set(why, -EPROTO, "the frontend's node ring-ref is missing");
		return err;
	}
	for (uint32_t i = 0; i < f->nr_ring_pages; i++) {
		snprintf(node, sizeof(node), "ring-ref%u", i);
		err = require_number(r, node, 0, &f->ring_gref[i], why);
		if (err)
			return err;
	}
	return 0;
}

int frontend_parse(const struct frontend_reader *reader, struct frontend *f, struct reason *why)
{
	int err;

	memset(f, 0, sizeof(*f));
	err = parse_protocol(reader, &f->abi, why);
	if (!err)
		err = check_queues(reader, why);
	if (!err)
		err = parse_ring_size(reader, &f->nr_ring_pages, why);
	if (!err)
		err = parse_ring(reader, f, why);
	if (!err)
		err = require_number(reader, "event-channel", 1, &f->evtchn, why);
	return err;
}
