/* SPDX-License-Identifier: MIT */
/*
 * Devices of the data process for tests: a lane, a disk in a file, and what it takes to attach a
 * frontend of data_world.h and to wait for its answers. The lane, its io_uring and the engines are
 * the real ones. Included by one .c per program.
 */
#pragma once
#include "tests/check_main.h"
#include "tests/data_world.h"
#include "backend/data/blkback.h"

#define DISK_SECT  20000u
#define MAX_ROUNDS 1000
#define DATA	   100u /* the first page for data; rings are below it */

static struct lane *lane;
static int disk;
static int nr_broken, nr_detached;

static inline void note_broken(void *ctx, struct blkback *dev, int err, const char *reason)
{
	(void)ctx;
	(void)dev;
	ck_assert_int_eq(err, -EPROTO);
	ck_assert_str_ne(reason, "");
	nr_broken++;
}

static inline void note_detached(void *ctx, struct blkback *dev)
{
	(void)ctx;
	(void)dev;
	nr_detached++;
}

static const struct blkback_owner owner = {note_broken, note_detached};

static inline void open_lane(uint32_t nr_bufs)
{
	rwy_log_init("check", RWY_LOG_ERROR);
	world_open();
	ck_assert_int_eq(lane_create(&lane, &(struct lane_params){.nr_bufs = nr_bufs,
								  .now_ns = world_now_ns,
								  .fence_fd = -1}),
			 0);
	nr_broken = nr_detached = 0;
	char path[] = "/tmp/ringway-blkback.XXXXXX";

	disk = mkstemp(path);
	ck_assert_int_ge(disk, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(disk, DISK_SECT * 512), 0);
}

static inline void setup(void)
{
	open_lane(64);
}

static inline void teardown(void)
{
	lane_destroy(lane);
	world_close();
	close(disk);
}

static inline struct ctl_attach attach_message(const struct guest *g, enum ctl_engine engine)
{
	struct ctl_attach msg = {
		.header = {.type = CTL_ATTACH, .device_id = g->port},
		.domid = WORLD_DOMID,
		.devid = 51712,
		.abi = (uint32_t)g->abi,
		.engine = engine,
		.flags = CTL_FLUSH,
		.evtchn = g->port,
		.nr_ring_pages = g->nr_ring_pages,
		.capacity_sect = DISK_SECT,
	};

	for (uint32_t i = 0; i < g->nr_ring_pages; i++)
		msg.ring_gref[i] = g->ring_page + i;
	return msg;
}

/* With a target, and a new journal unless the message is nonsense. */
static inline int try_attach(const struct ctl_attach *msg, int fd, struct blkback **dev,
			     char *reason)
{
	bool sane = msg->nr_ring_pages <= CTL_MAX_RING_PAGES && msg->abi <= CTL_ABI_X86_64;
	int journal = sane ? world_journal(msg->nr_ring_pages, (enum rwy_blk_abi)msg->abi) : -1;
	const struct blkback_files files = {.journal = journal, .target = fd};
	int err = blkback_attach(lane, msg, &files, &owner, NULL, dev, reason);

	if (sane)
		close(journal);
	return err;
}

static inline struct blkback *attach_as(const struct ctl_attach *msg, int fd)
{
	char reason[CTL_REASON_BYTES] = "";
	struct blkback *dev;
	int err = try_attach(msg, fd, &dev, reason);

	ck_assert_msg(err == 0, "attach: %d, %s", err, reason);
	return dev;
}

static inline struct blkback *attach(const struct guest *g, enum ctl_engine engine)
{
	struct ctl_attach msg = attach_message(g, engine);

	return attach_as(&msg, engine == CTL_ENGINE_FILE ? disk : -1);
}

static inline void round_of_lane(void)
{
	ck_assert_int_eq(lane_round(lane, false), 0);
}

static inline void detach(struct blkback *dev)
{
	int before = nr_detached;

	blkback_detach(dev);
	for (int i = 0; i < MAX_ROUNDS && nr_detached == before; i++)
		round_of_lane();
	ck_assert_int_eq(nr_detached, before + 1);
}

/* Rounds until a response is there. */
static inline struct rwy_blk_response await(struct guest *g)
{
	struct rwy_blk_response rsp = {0};

	for (int i = 0; !guest_take(g, &rsp); i++) {
		ck_assert_msg(i < MAX_ROUNDS, "no response");
		ck_assert_int_eq(lane_round(lane, lane->queue[LANE_RUNNABLE].count == 0), 0);
	}
	return rsp;
}

/* One request to its response; the status. */
static inline int16_t run(struct guest *g, const struct rwy_blk_request *req)
{
	guest_put(g, req);
	guest_push(g);
	struct rwy_blk_response rsp = await(g);

	ck_assert_uint_eq(rsp.id, req->id);
	return rsp.status;
}

static inline int16_t run_pages(struct guest *g, enum rwy_blk_op op, uint64_t sector, uint32_t page,
				uint16_t nr)
{
	struct rwy_blk_request req = guest_request(op, 0xfeed0000 + sector, sector, page, nr);

	return run(g, &req);
}
