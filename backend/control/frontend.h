/* SPDX-License-Identifier: MIT */
/*
 * What a block frontend published about its ring: parsed and bounded, from any source of node
 * values, so that it can be tested without xenstore. Every value is the guest's. Called by
 * device_link.c. Source: Xen's io/blkif.h, and what its frontends are known to write.
 */
#pragma once
#include "backend/control/reason.h"
#include "backend/ctl_msg.h"
#include <stddef.h>
#include <stdint.h>

#define FRONTEND_MAX_RING_ORDER 4u /* 16 pages, CTL_MAX_RING_PAGES */
/*
 * Several queues are not offered, but served to a frontend that chose them from what xen-blkback
 * had offered on the same device before it was unbound: stock blkfront can't be made to choose anew.
 */
#define FRONTEND_MAX_QUEUES 16u

/* Reads the value of one node of the frontend's directory into buf as a string; its length,
 * -ENOENT, or another -errno. */
struct frontend_reader {
	int (*read)(void *ctx, const char *node, char *buf, size_t size);
	void *ctx;
};

struct frontend_queue {
	uint32_t evtchn;
	uint32_t ring_gref[CTL_MAX_RING_PAGES];
};

struct frontend {
	enum ctl_abi abi;
	uint32_t nr_ring_pages; /* of each queue: a power of two, 1 to CTL_MAX_RING_PAGES */
	uint32_t nr_queues;	/* 1 to FRONTEND_MAX_QUEUES */
	struct frontend_queue queues[FRONTEND_MAX_QUEUES];
};

/* 0, or -EPROTO with the reason: a node is missing, garbled, or asks for what was not offered. */
int frontend_parse(const struct frontend_reader *reader, struct frontend *f, struct reason *why);

/* The `protocol` node's value for an ABI; "native" for native. */
const char *frontend_abi_name(enum ctl_abi abi);
