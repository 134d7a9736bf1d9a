/* SPDX-License-Identifier: MIT */
/*
 * A world around the data process's modules, for tests: guests' memory, event channels and grants,
 * as the functions of libxengnttab and libxenevtchn that a lane calls. Defined in the test program,
 * they come before the shared libraries' own. One gref is one page of one flat memory; a port is a
 * number with its masked and pending bits; the fd is a pipe of ports. Included by one .c per
 * program.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/xen.h>
#include "backend/data/lane.h"
#include "backend/journal.h"
#include <xen/grant_table.h>
#include "ring/blk_wire.h"
#include "ring/ring.h"

#define WORLD_PAGES	512u
#define WORLD_PORTS	256u
#define WORLD_PORT_BASE 7u /* a local port is the remote one plus this */
#define WORLD_DOMID	5u

static struct {
	char page[WORLD_PAGES][4096] __attribute__((aligned(4096)));
	bool granted[WORLD_PAGES];
	int mapped;	      /* pages mapped now */
	void (*on_map)(void); /* called when more were, or NULL */
	int copies;	      /* calls of grant copy */
	bool copy_fails;
	int nr_handles;			  /* open now */
	int evtchn_errno, gnttab_errno;	  /* what opening fails with, or 0 */
	int pending_errno;		  /* what the next read of an event fails with, or 0 */
	int release_errno;		  /* what unmap and unbind fail with, or 0 */
	uint32_t next_port;		  /* what the next bind gives instead, or 0 */
	struct xentoollog_logger *logger; /* that the handles were opened with */
	int fd[2];			  /* the pipe */
	struct {
		bool bound, masked, pending;
		uint32_t notified;
		uint32_t unmasked;
	} port[WORLD_PORTS];
	uint64_t now_ns;
} world;

static uint64_t world_now_ns(void)
{
	return world.now_ns;
}

static void world_open(void)
{
	memset(&world, 0, sizeof(world));
	memset(world.granted, 1, sizeof(world.granted));
	ck_assert_int_eq(pipe(world.fd), 0);
}

static void world_close(void)
{
	close(world.fd[0]);
	close(world.fd[1]);
}

/* The guest sends its event. */
static void world_kick(uint32_t remote_port)
{
	uint32_t local = remote_port + WORLD_PORT_BASE;

	if (!world.port[local].bound || world.port[local].pending)
		return;
	world.port[local].pending = true;
	if (!world.port[local].masked)
		ck_assert_int_eq(write(world.fd[1], &local, sizeof(local)), sizeof(local));
}

struct xengntdev_handle {
	int unused;
};

static struct xengntdev_handle the_gnttab;

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)flags;
	if (world.gnttab_errno) {
		errno = world.gnttab_errno;
		return NULL;
	}
	world.logger = logger;
	world.nr_handles++;
	return &the_gnttab;
}

int xengnttab_close(xengnttab_handle *xgt)
{
	(void)xgt;
	ck_assert_int_eq(world.mapped, 0);
	world.nr_handles--;
	return 0;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
				      uint32_t *refs, int prot)
{
	(void)xgt;
	(void)prot;
	for (uint32_t i = 0; i < count; i++) {
		if (domid == WORLD_DOMID && refs[i] < WORLD_PAGES && world.granted[refs[i]] &&
		    refs[i] == refs[0] + i)
			continue;
		errno = EINVAL;
		return NULL;
	}
	world.mapped += (int)count;
	if (world.on_map)
		world.on_map();
	return world.page[refs[0]];
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	(void)xgt;
	(void)start;
	if (world.release_errno) {
		errno = world.release_errno;
		return -1;
	}
	world.mapped -= (int)count;
	return 0;
}

static int16_t world_copy(xengnttab_grant_copy_segment_t *seg)
{
	bool from_guest = seg->flags & GNTCOPY_source_gref;
	const union xengnttab_copy_ptr *guest = from_guest ? &seg->source : &seg->dest;

	if (guest->foreign.domid != WORLD_DOMID)
		return GNTST_bad_domain;
	if (guest->foreign.ref >= WORLD_PAGES || !world.granted[guest->foreign.ref])
		return GNTST_bad_gntref;
	if (guest->foreign.offset + seg->len > 4096)
		return GNTST_bad_copy_arg;
	char *at = world.page[guest->foreign.ref] + guest->foreign.offset;

	if (from_guest)
		memcpy(seg->dest.virt, at, seg->len);
	else
		memcpy(at, seg->source.virt, seg->len);
	return GNTST_okay;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
			 xengnttab_grant_copy_segment_t *segs)
{
	(void)xgt;
	world.copies++;
	if (world.copy_fails) {
		errno = EFAULT;
		return -1;
	}
	for (uint32_t i = 0; i < count; i++)
		segs[i].status = world_copy(&segs[i]);
	return 0;
}

int xengnttab_fd(xengnttab_handle *xgt)
{
	(void)xgt;
	return -1;
}

struct xenevtchn_handle {
	int unused;
};

static struct xenevtchn_handle the_evtchn;

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)flags;
	if (world.evtchn_errno) {
		errno = world.evtchn_errno;
		return NULL;
	}
	world.logger = logger;
	world.nr_handles++;
	return &the_evtchn;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	(void)xce;
	for (uint32_t i = 0; i < WORLD_PORTS; i++)
		ck_assert(!world.port[i].bound);
	world.nr_handles--;
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	(void)xce;
	return world.fd[0];
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
						     evtchn_port_t remote_port)
{
	uint32_t local = remote_port + WORLD_PORT_BASE;

	(void)xce;
	if (domid != WORLD_DOMID || local >= WORLD_PORTS || world.port[local].bound) {
		errno = EINVAL;
		return -1;
	}
	if (world.next_port)
		return (int)world.next_port;
	memset(&world.port[local], 0, sizeof(world.port[local]));
	world.port[local].bound = true;
	return (int)local;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	if (world.next_port && port == world.next_port) {
		world.next_port = 0;
		return 0;
	}
	ck_assert(world.port[port].bound);
	if (world.release_errno) {
		errno = world.release_errno;
		return -1;
	}
	world.port[port].bound = false;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	ck_assert(world.port[port].bound);
	world.port[port].notified++;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint32_t port;
	struct pollfd pfd = {.fd = world.fd[0], .events = POLLIN};

	(void)xce;
	if (world.pending_errno) {
		errno = world.pending_errno;
		world.pending_errno = 0;
		return -1;
	}
	ck_assert_msg(poll(&pfd, 1, 0) == 1, "a read that would block");
	ck_assert_int_eq(read(world.fd[0], &port, sizeof(port)), sizeof(port));
	world.port[port].pending = false;
	world.port[port].masked = true;
	return (int)port;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	ck_assert(world.port[port].bound && world.port[port].masked);
	world.port[port].masked = false;
	world.port[port].unmasked++;
	if (world.port[port].pending)
		ck_assert_int_eq(write(world.fd[1], &port, sizeof(port)), sizeof(port));
	return 0;
}

/* The journal of a ring, as control makes it: in memory, and closed by the caller. */
static inline int world_journal(uint32_t nr_ring_pages, enum rwy_blk_abi abi)
{
	uint32_t nr_entries = rwy_ring_slots(nr_ring_pages, rwy_blk_slot_bytes(abi));
	struct journal_header header = {
		.magic = JOURNAL_MAGIC,
		.version = JOURNAL_VERSION,
		.nr_entries = nr_entries,
		.entry_bytes = JOURNAL_ENTRY_BYTES,
	};
	int fd = memfd_create("journal", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)journal_file_bytes(nr_entries)), 0);
	ck_assert_int_eq(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	return fd;
}

/* A frontend: its ring in the world's pages from first_page, its port, and its last responses. */
struct guest {
	struct rwy_ring_front ring;
	uint32_t ring_page;
	uint32_t nr_ring_pages;
	uint32_t port;
	enum rwy_blk_abi abi;
};

static void guest_init(struct guest *g, uint32_t ring_page, uint32_t nr_ring_pages, uint32_t port)
{
	*g = (struct guest){.ring_page = ring_page, .nr_ring_pages = nr_ring_pages, .port = port};
	ck_assert_int_eq(rwy_ring_front_init(&g->ring, world.page[ring_page], nr_ring_pages,
					     rwy_blk_slot_bytes(g->abi)),
			 0);
}

static void guest_put(struct guest *g, const struct rwy_blk_request *req)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES] = {0};
	int len = rwy_blk_encode_request(g->abi, req, slot);

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(rwy_ring_front_put_request(&g->ring, slot, (uint32_t)len), 0);
}

/* Publish, and send the event if it is asked for; was it? */
static bool guest_push(struct guest *g)
{
	bool asked = rwy_ring_front_push(&g->ring);

	if (asked)
		world_kick(g->port);
	return asked;
}

/* The next response, if there is one. */
static bool guest_take(struct guest *g, struct rwy_blk_response *rsp)
{
	uint8_t buf[RWY_BLK_MAX_SLOT_BYTES];
	int n = rwy_ring_front_poll(&g->ring);

	ck_assert_int_ge(n, 0);
	if (!rwy_ring_front_take_response(&g->ring, buf, rwy_blk_response_bytes(g->abi)))
		return false;
	rwy_blk_decode_response(g->abi, buf, rsp);
	return true;
}

/* A request for whole pages from first_page on. */
static struct rwy_blk_request guest_request(enum rwy_blk_op op, uint64_t id, uint64_t sector,
					    uint32_t first_page, uint16_t nr_pages)
{
	struct rwy_blk_request req = {.op = op, .id = id, .sector = sector, .nr_segs = nr_pages};

	for (uint16_t i = 0; i < nr_pages; i++)
		req.seg[i] = (struct rwy_blk_seg){.gref = first_page + i, .last_sect = 7};
	return req;
}
