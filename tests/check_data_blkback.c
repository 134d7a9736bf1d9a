// SPDX-License-Identifier: MIT
/*
 * A whole device of the data process, from the frontend's ring to the engine and back, against the
 * guests and the fake Xen of data_world.h; the lane, its io_uring and the engines are the real
 * ones. What a hostile frontend may do is here too: it must cost that frontend, and nobody else.
 */
#include "tests/check_main.h"
#include "tests/data_world.h"
#include "backend/data/blkback.h"

#define DISK_SECT  20000u
#define MAX_ROUNDS 1000
#define DATA	   100u /* the first page for data; rings are below it */

static struct lane *lane;
static int disk;
static int nr_broken, nr_detached;

static void note_broken(void *ctx, struct blkback *dev, int err, const char *reason)
{
	(void)ctx;
	(void)dev;
	ck_assert_int_eq(err, -EPROTO);
	ck_assert_str_ne(reason, "");
	nr_broken++;
}

static void note_detached(void *ctx, struct blkback *dev)
{
	(void)ctx;
	(void)dev;
	nr_detached++;
}

static const struct blkback_owner owner = {note_broken, note_detached};

static void open_lane(uint32_t nr_bufs)
{
	rwy_log_init("check", RWY_LOG_ERROR);
	world_open();
	ck_assert_int_eq(lane_create(&lane, &(struct lane_params){.nr_bufs = nr_bufs,
								  .now_ns = world_now_ns}),
			 0);
	nr_broken = nr_detached = 0;
	char path[] = "/tmp/ringway-blkback.XXXXXX";

	disk = mkstemp(path);
	ck_assert_int_ge(disk, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(disk, DISK_SECT * 512), 0);
}

static void setup(void)
{
	open_lane(64);
}

static void teardown(void)
{
	lane_destroy(lane);
	world_close();
	close(disk);
}

static struct ctl_attach attach_message(const struct guest *g, enum ctl_engine engine)
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

static struct blkback *attach_as(const struct ctl_attach *msg, int fd)
{
	char reason[CTL_REASON_BYTES] = "";
	struct blkback *dev;
	int err = blkback_attach(lane, msg, fd, &owner, NULL, &dev, reason);

	ck_assert_msg(err == 0, "attach: %d, %s", err, reason);
	return dev;
}

static struct blkback *attach(const struct guest *g, enum ctl_engine engine)
{
	struct ctl_attach msg = attach_message(g, engine);

	return attach_as(&msg, engine == CTL_ENGINE_FILE ? disk : -1);
}

static void round_of_lane(void)
{
	ck_assert_int_eq(lane_round(lane, false), 0);
}

static void detach(struct blkback *dev)
{
	int before = nr_detached;

	blkback_detach(dev);
	for (int i = 0; i < MAX_ROUNDS && nr_detached == before; i++)
		round_of_lane();
	ck_assert_int_eq(nr_detached, before + 1);
}

/* Rounds until a response is there. */
static struct rwy_blk_response await(struct guest *g)
{
	struct rwy_blk_response rsp = {0};

	for (int i = 0; !guest_take(g, &rsp); i++) {
		ck_assert_msg(i < MAX_ROUNDS, "no response");
		ck_assert_int_eq(lane_round(lane, lane->queue[LANE_RUNNABLE].count == 0), 0);
	}
	return rsp;
}

/* One request to its response; the status. */
static int16_t run(struct guest *g, const struct rwy_blk_request *req)
{
	guest_put(g, req);
	guest_push(g);
	struct rwy_blk_response rsp = await(g);

	ck_assert_uint_eq(rsp.id, req->id);
	return rsp.status;
}

static int16_t run_pages(struct guest *g, enum rwy_blk_op op, uint64_t sector, uint32_t page,
			 uint16_t nr)
{
	struct rwy_blk_request req = guest_request(op, 0xfeed0000 + sector, sector, page, nr);

	return run(g, &req);
}

static void fill(uint32_t page, uint32_t nr, unsigned int seed)
{
	for (uint32_t p = page; p < page + nr; p++)
		for (uint32_t i = 0; i < 4096; i++)
			world.page[p][i] = (char)(i * 3 + i / 256 + p * 5 + seed);
}

START_TEST(blkback_moves_whole_pages_in_every_abi)
{
	struct guest g = {.abi = (enum rwy_blk_abi)_i};
	char file[11][4096];

	guest_init(&g, 0, 1, 1);
	g.abi = (enum rwy_blk_abi)_i;
	ck_assert_int_eq(rwy_ring_front_init(&g.ring, world.page[0], 1, rwy_blk_slot_bytes(g.abi)),
			 0);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	fill(DATA, 11, 1);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 72, DATA, 11), BLKIF_RSP_OKAY);
	ck_assert_int_eq(pread(disk, file, sizeof(file), 72 * 512), (int)sizeof(file));
	ck_assert_mem_eq(file, world.page[DATA], sizeof(file));
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_FLUSH, 0, 0, 0), BLKIF_RSP_OKAY);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 72, DATA + 20, 11), BLKIF_RSP_OKAY);
	ck_assert_mem_eq(world.page[DATA + 20], file, sizeof(file));
	detach(dev);
}
END_TEST

START_TEST(blkback_packs_parts_of_pages)
{
	struct guest g;
	struct rwy_blk_request req = {.op = RWY_BLK_OP_WRITE, .id = 7, .sector = 100, .nr_segs = 3};
	char file[6 * 512];

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	fill(DATA, 3, 2);
	req.seg[0] = (struct rwy_blk_seg){.gref = DATA, .first_sect = 3, .last_sect = 3};
	req.seg[1] = (struct rwy_blk_seg){.gref = DATA + 1, .first_sect = 6, .last_sect = 7};
	req.seg[2] = (struct rwy_blk_seg){.gref = DATA + 2, .first_sect = 0, .last_sect = 2};
	ck_assert_int_eq(run(&g, &req), BLKIF_RSP_OKAY);
	ck_assert_int_eq(pread(disk, file, sizeof(file), 100 * 512), (int)sizeof(file));
	ck_assert_mem_eq(file, world.page[DATA] + 3 * 512, 512);
	ck_assert_mem_eq(file + 512, world.page[DATA + 1] + 6 * 512, 1024);
	ck_assert_mem_eq(file + 1536, world.page[DATA + 2], 1536);

	/* Back into other places; what lies around them stays as it was. */
	req.op = RWY_BLK_OP_READ;
	req.seg[0] = (struct rwy_blk_seg){.gref = DATA + 3, .first_sect = 1, .last_sect = 4};
	req.seg[1] = (struct rwy_blk_seg){.gref = DATA + 4, .first_sect = 7, .last_sect = 7};
	req.seg[2] = (struct rwy_blk_seg){.gref = DATA + 5, .first_sect = 5, .last_sect = 5};
	memset(world.page[DATA + 3], 0x55, 3 * 4096);
	ck_assert_int_eq(run(&g, &req), BLKIF_RSP_OKAY);
	ck_assert_mem_eq(world.page[DATA + 3] + 512, file, 2048);
	ck_assert_mem_eq(world.page[DATA + 4] + 3584, file + 2048, 512);
	ck_assert_mem_eq(world.page[DATA + 5] + 2560, file + 2560, 512);
	ck_assert_int_eq(world.page[DATA + 3][511], 0x55);
	ck_assert_int_eq(world.page[DATA + 3][2560], 0x55);
	ck_assert_int_eq(world.page[DATA + 4][3583], 0x55);
	detach(dev);
}
END_TEST

START_TEST(blkback_serves_a_full_ring_of_16_pages)
{
	struct guest g;
	uint64_t seen = 0;

	teardown();
	open_lane(16); /* far fewer buffers than slots */
	guest_init(&g, 0, 16, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	ck_assert_uint_eq(g.ring.nr_slots, 512);
	fill(DATA, 8, 3);
	for (uint32_t i = 0; i < 512; i++) {
		struct rwy_blk_request req =
			guest_request(RWY_BLK_OP_WRITE, i, i * 8, DATA + i % 8, 1);

		guest_put(&g, &req);
	}
	guest_push(&g);
	for (uint32_t i = 0; i < 512; i++) {
		struct rwy_blk_response rsp = await(&g);

		ck_assert_int_eq(rsp.status, BLKIF_RSP_OKAY);
		seen += rsp.id;
	}
	ck_assert_uint_eq(seen, 512 * 511 / 2);
	for (uint32_t i = 0; i < 512; i++) {
		char file[4096];

		ck_assert_int_eq(pread(disk, file, sizeof(file), i * 4096), (int)sizeof(file));
		ck_assert_mem_eq(file, world.page[DATA + i % 8], sizeof(file));
	}
	ck_assert_uint_eq(lane->bufs.nr_free, 16);
	detach(dev);
}
END_TEST

START_TEST(blkback_fails_only_the_request_with_the_bad_grant)
{
	struct guest g;
	char file[4096];
	struct ctl_stats stats;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	fill(DATA, 8, 4);
	world.granted[DATA + 4] = false;
	struct rwy_blk_request req[4] = {
		guest_request(RWY_BLK_OP_WRITE, 1, 0, DATA, 1),
		guest_request(RWY_BLK_OP_WRITE, 2, 8, DATA + 1, 4), /* the last of four is bad */
		guest_request(RWY_BLK_OP_WRITE, 3, 80, DATA + 5, 1),
		guest_request(RWY_BLK_OP_READ, 4, 0, DATA + 4, 1),
	};

	for (int i = 0; i < 4; i++)
		guest_put(&g, &req[i]);
	guest_push(&g);
	for (int i = 0; i < 4; i++) {
		struct rwy_blk_response rsp = await(&g);
		bool good = rsp.id == 1 || rsp.id == 3;

		ck_assert_int_eq(rsp.status, good ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR);
	}
	ck_assert_int_eq(pread(disk, file, sizeof(file), 0), (int)sizeof(file));
	ck_assert_mem_eq(file, world.page[DATA], sizeof(file));
	ck_assert_int_eq(pread(disk, file, sizeof(file), 80 * 512), (int)sizeof(file));
	ck_assert_mem_eq(file, world.page[DATA + 5], sizeof(file));
	/* Nothing of the bad write reached the disk, not even its good segments. */
	ck_assert_int_eq(pread(disk, file, sizeof(file), 8 * 512), (int)sizeof(file));
	for (uint32_t i = 0; i < sizeof(file); i++)
		ck_assert_int_eq(file[i], 0);
	blkback_stats(dev, &stats);
	ck_assert_uint_eq(stats.io_errors, 2);
	ck_assert_uint_eq(stats.bad_requests, 0);
	ck_assert_uint_eq(stats.in_flight, 0);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA + 6, 1), BLKIF_RSP_OKAY);
	detach(dev);
}
END_TEST

START_TEST(blkback_fails_what_no_grant_copy_could_fetch)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	world.copy_fails = true;
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 0, DATA, 2), BLKIF_RSP_ERROR);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 2), BLKIF_RSP_ERROR);
	world.copy_fails = false;
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 0, DATA, 2), BLKIF_RSP_OKAY);
	detach(dev);
}
END_TEST

START_TEST(blkback_refuses_writes_to_a_read_only_device)
{
	struct guest g;
	char file[4096];
	struct ctl_stats stats;

	guest_init(&g, 0, 1, 1);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);

	msg.flags |= CTL_READ_ONLY; /* although the fd could */
	struct blkback *dev = attach_as(&msg, disk);

	fill(DATA, 1, 5);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 0, DATA, 1), BLKIF_RSP_ERROR);
	ck_assert_int_eq(pread(disk, file, sizeof(file), 0), (int)sizeof(file));
	ck_assert_int_eq(file[1], 0);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	blkback_stats(dev, &stats);
	ck_assert_uint_eq(stats.bad_requests, 1);
	ck_assert_uint_eq(stats.write_requests, 0);
	detach(dev);
}
END_TEST

START_TEST(blkback_refuses_what_reaches_past_the_end)
{
	struct guest g;
	struct ctl_stats stats;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, DISK_SECT - 7, DATA, 1), BLKIF_RSP_ERROR);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, UINT64_MAX - 3, DATA, 1), BLKIF_RSP_ERROR);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, DISK_SECT - 8, DATA, 1), BLKIF_RSP_OKAY);
	blkback_stats(dev, &stats);
	ck_assert_uint_eq(stats.bad_requests, 2);
	detach(dev);
}
END_TEST

START_TEST(blkback_refuses_operations_it_did_not_offer)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_NULL);

	msg.flags = 0;
	struct blkback *dev = attach_as(&msg, -1);

	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_FLUSH, 0, 0, 0), BLKIF_RSP_EOPNOTSUPP);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_BARRIER, 0, DATA, 1), BLKIF_RSP_EOPNOTSUPP);
	detach(dev);
}
END_TEST

START_TEST(blkback_gives_no_old_data_when_the_file_shrank)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	fill(DATA, 1, 6);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 80, DATA, 1), BLKIF_RSP_OKAY);
	ck_assert_int_eq(ftruncate(disk, 16 * 512), 0);
	memset(world.page[DATA + 1], 0x55, 4096);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 80, DATA + 1, 1), BLKIF_RSP_ERROR);
	for (uint32_t i = 0; i < 4096; i++)
		ck_assert_int_eq(world.page[DATA + 1][i], 0x55);
	detach(dev);
}
END_TEST

START_TEST(blkback_goes_silent_when_the_ring_breaks)
{
	struct guest g;
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	uint32_t local = 1 + WORLD_PORT_BASE;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	uint32_t notified = world.port[local].notified;
	uint32_t unmasked = world.port[local].unmasked;
	uint32_t rsp_prod = sring->rsp_prod;

	sring->req_prod += g.ring.nr_slots + 1;
	for (int i = 0; i < 20; i++) {
		world_kick(g.port);
		round_of_lane();
		sring->req_prod++;
	}
	ck_assert_int_eq(nr_broken, 1);
	ck_assert_uint_eq(sring->rsp_prod, rsp_prod);
	ck_assert_uint_eq(world.port[local].notified, notified);
	/* Its events cost nothing any more. */
	ck_assert(world.port[local].masked);
	ck_assert_uint_eq(world.port[local].unmasked, unmasked);
	detach(dev);
	ck_assert_int_eq(nr_broken, 1);
}
END_TEST

START_TEST(blkback_refuses_a_ring_with_impossible_indexes)
{
	struct guest g;
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	char reason[CTL_REASON_BYTES] = "";
	struct blkback *dev;

	guest_init(&g, 0, 1, 1);
	sring->req_prod = 1000;
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_NULL);

	ck_assert_int_eq(blkback_attach(lane, &msg, -1, &owner, NULL, &dev, reason), -EPROTO);
	ck_assert_str_ne(reason, "");
	ck_assert_int_eq(world.mapped, 0);
}
END_TEST

START_TEST(blkback_attach_leaves_nothing_behind_when_it_fails)
{
	struct guest g;
	char reason[CTL_REASON_BYTES];
	struct blkback *dev;
	uint32_t nr_free_slots = lane->uring.nr_free_slots;

	guest_init(&g, 0, 2, 1);
	for (int wrong = 0; wrong < 8; wrong++) {
		struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
		int fd = disk;

		switch (wrong) {
		case 0:
			msg.ring_gref[1] = WORLD_PAGES + 1;
			break;
		case 1:
			msg.evtchn = WORLD_PORTS;
			break;
		case 2:
			msg.nr_ring_pages = CTL_MAX_RING_PAGES + 1;
			break;
		case 3:
			msg.nr_ring_pages = 0;
			break;
		case 4:
			fd = -1;
			break;
		case 5:
			msg.abi = 99;
			break;
		case 6:
			msg.engine = 99;
			break;
		case 7:
			fd = 100000; /* no open file */
			break;
		}
		reason[0] = '\0';
		ck_assert_int_lt(blkback_attach(lane, &msg, fd, &owner, NULL, &dev, reason), 0);
		ck_assert_str_ne(reason, "");
		ck_assert_int_eq(world.mapped, 0);
		ck_assert_uint_eq(lane->uring.nr_free_slots, nr_free_slots);
		ck_assert(!world.port[1 + WORLD_PORT_BASE].bound);
	}
	round_of_lane();
	detach(attach(&g, CTL_ENGINE_FILE));
}
END_TEST

/* A pipe as the target: a read from it stays in flight until somebody writes. */
START_TEST(blkback_detach_answers_what_is_in_flight)
{
	struct guest g;
	char bytes[4096];
	int target[2];
	struct rwy_blk_response rsp;

	guest_init(&g, 0, 1, 1);
	ck_assert_int_eq(pipe(target), 0);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
	struct blkback *dev = attach_as(&msg, target[0]);

	close(target[0]);
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, 0, DATA, 1);

	guest_put(&g, &req);
	guest_push(&g);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.in_flight, 1);
	blkback_detach(dev);
	blkback_detach(dev);
	/* Published after the detach: not taken. */
	req.id = 2;
	guest_put(&g, &req);
	guest_push(&g);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_int_eq(nr_detached, 0);
	ck_assert_int_eq(world.mapped, 1);
	memset(bytes, 0x77, sizeof(bytes));
	ck_assert_int_eq(write(target[1], bytes, sizeof(bytes)), (int)sizeof(bytes));
	while (nr_detached == 0)
		ck_assert_int_eq(lane_round(lane, true), 0);
	ck_assert(guest_take(&g, &rsp));
	ck_assert_uint_eq(rsp.id, 1);
	ck_assert_int_eq(rsp.status, BLKIF_RSP_OKAY);
	ck_assert_mem_eq(world.page[DATA], bytes, sizeof(bytes));
	ck_assert(!guest_take(&g, &rsp));
	ck_assert_int_eq(world.mapped, 0);
	close(target[1]);
}
END_TEST

START_TEST(blkback_gives_back_what_was_in_flight_on_a_broken_ring)
{
	struct guest g;
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	char bytes[4096] = {1};
	int target[2];

	guest_init(&g, 0, 1, 1);
	ck_assert_int_eq(pipe(target), 0);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
	struct blkback *dev = attach_as(&msg, target[0]);
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, 0, DATA, 1);

	close(target[0]);
	guest_put(&g, &req);
	guest_push(&g);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	sring->req_prod += 500;
	world_kick(g.port);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_int_eq(nr_broken, 1);
	blkback_detach(dev);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_int_eq(nr_detached, 0); /* the kernel may still write into its buffer */
	ck_assert_int_eq(write(target[1], bytes, sizeof(bytes)), (int)sizeof(bytes));
	while (nr_detached == 0)
		ck_assert_int_eq(lane_round(lane, true), 0);
	ck_assert_uint_eq(sring->rsp_prod, 0);
	ck_assert_int_eq(world.page[DATA][0], 0);
	ck_assert_uint_eq(lane->bufs.nr_free, 64);
	close(target[1]);
}
END_TEST

START_TEST(blkback_notifies_only_when_asked)
{
	struct guest g;
	uint32_t local = 1 + WORLD_PORT_BASE;
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	ck_assert_uint_eq(world.port[local].notified, 1); /* once at attach, whatever is asked */
	for (int i = 0; i < 5; i++)
		round_of_lane();
	/* The guest wants to hear of the fourth response, not of the first three. */
	sring->rsp_event = 4;
	for (uint64_t id = 1; id <= 4; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA, 1);

		guest_put(&g, &req);
		ck_assert(guest_push(&g)); /* the backend sleeps: it asks for each */
		for (int i = 0; i < 5; i++)
			round_of_lane();
		ck_assert_uint_eq(world.port[local].notified, id < 4 ? 1 : 2);
	}
	/* A batch is published, and notified, once. */
	sring->rsp_event = 5;
	for (uint64_t id = 5; id <= 12; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA, 1);

		guest_put(&g, &req);
	}
	ck_assert(guest_push(&g));
	for (int i = 0; i < 5; i++)
		round_of_lane();
	ck_assert_uint_eq(world.port[local].notified, 3);
	detach(dev);
}
END_TEST

START_TEST(blkback_copies_a_batch_in_one_call)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	for (uint64_t id = 0; id < 32; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_WRITE, id, 0, DATA, 11);

		guest_put(&g, &req);
	}
	guest_push(&g);
	for (int i = 0; i < 32; i++)
		ck_assert_int_eq(await(&g).status, BLKIF_RSP_OKAY);
	ck_assert_int_eq(world.copies, 1);
	detach(dev);
}
END_TEST

START_TEST(blkback_goes_on_where_the_last_backend_stopped)
{
	struct guest g;
	struct rwy_blk_response rsp;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 8, DATA, 1), BLKIF_RSP_OKAY);
	detach(dev);
	/* Sent to nobody: found at the next attach, without an event. */
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 99, 0, DATA, 1);

	guest_put(&g, &req);
	guest_push(&g);
	dev = attach(&g, CTL_ENGINE_NULL);
	ck_assert_uint_eq(world.port[1 + WORLD_PORT_BASE].notified, 1);
	rsp = await(&g);
	ck_assert_uint_eq(rsp.id, 99);
	ck_assert(!guest_take(&g, &rsp));
	detach(dev);
}
END_TEST

/* Answers are thrown away and as many new requests put: the ring is always full. */
static void keep_full(struct guest *g)
{
	struct rwy_blk_response rsp;

	while (guest_take(g, &rsp))
		;
	while (rwy_ring_front_free(&g->ring) > 0) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_WRITE, 0, 0, DATA, 11);

		guest_put(g, &req);
	}
	guest_push(g);
}

START_TEST(blkback_cannot_be_starved_by_other_guests)
{
	struct guest flood[4], calm;
	struct blkback *dev[5];
	struct rwy_blk_response rsp;
	struct ctl_stats stats;

	/* With buffers for all, and with buffers for no more than one request. */
	teardown();
	open_lane(_i ? 1 : 512);
	for (uint32_t i = 0; i < 4; i++) {
		guest_init(&flood[i], i * 16, 16, i + 1);
		dev[i] = attach(&flood[i], CTL_ENGINE_NULL);
	}
	guest_init(&calm, 64, 1, 5);
	dev[4] = attach(&calm, CTL_ENGINE_NULL);
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 4; k++)
			keep_full(&flood[k]);
		round_of_lane();
	}
	for (uint64_t id = 0; id < 20; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA + 20, 1);
		int rounds = 0;

		guest_put(&calm, &req);
		guest_push(&calm);
		while (!guest_take(&calm, &rsp)) {
			for (int k = 0; k < 4; k++)
				keep_full(&flood[k]);
			round_of_lane();
			rounds++;
		}
		ck_assert_int_le(rounds, _i ? 16 : 3);
	}
	for (int i = 0; i < 4; i++) {
		blkback_stats(dev[i], &stats);
		/* Each got its share, in turns of a bounded size. */
		ck_assert_uint_gt(stats.write_requests, 10);
		ck_assert_uint_le(stats.in_flight, _i ? 1 : 2 * DATA_TURN_REQUESTS);
	}
	for (int i = 0; i < 5; i++)
		detach(dev[i]);
	ck_assert_uint_eq(lane->bufs.nr_free, lane->bufs.nr_bufs);
}
END_TEST

START_TEST(blkback_answers_bad_requests_without_end_in_bounded_turns)
{
	struct guest g;
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, DISK_SECT, DATA, 1);
	uint32_t answered = 0;
	struct rwy_blk_response rsp;

	guest_init(&g, 0, 16, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	round_of_lane();
	for (int i = 0; i < 100; i++) {
		uint32_t n = 0;

		while (rwy_ring_front_free(&g.ring) > 0)
			guest_put(&g, &req);
		guest_push(&g);
		round_of_lane();
		while (guest_take(&g, &rsp))
			n++;
		ck_assert_uint_le(n, DATA_TURN_REQUESTS);
		answered += n;
	}
	ck_assert_uint_gt(answered, 90 * DATA_TURN_REQUESTS);
	detach(dev);
}
END_TEST

START_TEST(blkback_answers_many_completions_in_bounded_turns)
{
	struct guest g;
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	char bytes[100 * 512] = {0};
	uint32_t before;
	int target[2];

	teardown();
	open_lane(512);
	guest_init(&g, 0, 16, 1);
	ck_assert_int_eq(pipe(target), 0);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
	struct blkback *dev = attach_as(&msg, target[0]);

	close(target[0]);
	for (uint64_t id = 0; id < 100; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA, 1);

		req.seg[0].last_sect = 0;
		guest_put(&g, &req);
	}
	guest_push(&g);
	while (dev->queue.in_flight < 100)
		round_of_lane();
	/* All complete before the first of them is answered. */
	ck_assert_int_eq(write(target[1], bytes, sizeof(bytes)), (int)sizeof(bytes));
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(uring_run(&lane->uring, 0), 0);
	do {
		before = sring->rsp_prod;
		round_of_lane();
		ck_assert_uint_le(sring->rsp_prod - before, DATA_TURN_REQUESTS);
	} while (sring->rsp_prod < 100);
	close(target[1]);
	detach(dev);
}
END_TEST

START_TEST(blkback_waits_for_a_buffer_without_spinning)
{
	struct guest g;
	char bytes[4096] = {0};
	int target[2];

	teardown();
	open_lane(1);
	guest_init(&g, 0, 1, 1);
	ck_assert_int_eq(pipe(target), 0);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
	struct blkback *dev = attach_as(&msg, target[0]);

	close(target[0]);
	for (uint64_t id = 0; id < 2; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA, 1);

		guest_put(&g, &req);
	}
	guest_push(&g);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.in_flight, 1);
	ck_assert_uint_eq(lane->queue[LANE_RUNNABLE].count, 0);
	ck_assert_uint_eq(lane->queue[LANE_WAITING].count, 1);
	for (uint64_t id = 0; id < 2; id++) {
		ck_assert_int_eq(write(target[1], bytes, sizeof(bytes)), (int)sizeof(bytes));
		ck_assert_uint_eq(await(&g).id, id);
	}
	close(target[1]);
	detach(dev);
}
END_TEST

/* Three tasks of the test's own. */
static void *held;
static uint32_t budget_of_late;

static enum lane_next waiting_turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	(void)task;
	(void)taken;
	return budget > 0 && lane->bufs.nr_free > 0 ? LANE_SLEEP : LANE_NO_BUFFER;
}

static enum lane_next freeing_turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	(void)task;
	(void)budget;
	(void)taken;
	gbuf_put(&lane->bufs, held);
	held = NULL;
	return LANE_SLEEP;
}

static enum lane_next late_turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	(void)task;
	(void)taken;
	budget_of_late = budget;
	return LANE_SLEEP;
}

START_TEST(lane_lets_nobody_overtake_those_who_wait_for_buffers)
{
	struct lane_task waiting = {.turn = waiting_turn}, freeing = {.turn = freeing_turn},
			 late = {.turn = late_turn};

	teardown();
	open_lane(1);
	held = gbuf_get(&lane->bufs);
	ck_assert_int_eq(lane_bind(lane, &waiting, WORLD_DOMID, 1), 0);
	round_of_lane();
	ck_assert_int_eq(waiting.place, LANE_WAITING);
	ck_assert_int_eq(lane_bind(lane, &freeing, WORLD_DOMID, 2), 0);
	ck_assert_int_eq(lane_bind(lane, &late, WORLD_DOMID, 3), 0);
	budget_of_late = 99;
	round_of_lane();
	ck_assert_uint_eq(budget_of_late, 0);
	round_of_lane();
	ck_assert_int_eq(waiting.place, LANE_ASLEEP);
	lane_wake(lane, &late);
	round_of_lane();
	ck_assert_uint_eq(budget_of_late, DATA_TURN_REQUESTS);
	lane_unbind(lane, &waiting);
	lane_unbind(lane, &freeing);
	lane_unbind(lane, &late);
}
END_TEST

START_TEST(lane_reads_no_event_that_is_gone)
{
	struct guest g;
	uint32_t port;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	round_of_lane();
	/* The completion says that there is an event; then the port's owner unbinds it, say. */
	world_kick(g.port);
	ck_assert_int_ge(io_uring_get_events(&lane->uring.ring), 0);
	ck_assert_uint_ge(io_uring_cq_ready(&lane->uring.ring), 1);
	ck_assert_int_eq(read(world.fd[0], &port, sizeof(port)), sizeof(port));
	round_of_lane(); /* data_world.h fails a read that would block */
	ck_assert_uint_eq(dev->queue.task.nr_events, 0);
	detach(dev);
}
END_TEST

START_TEST(lane_unmasks_late_after_events_for_nothing)
{
	struct guest g;
	uint32_t local = 1 + WORLD_PORT_BASE;
	uint32_t events = 0;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	/* No time passes: the storm dies down after a few. */
	for (int i = 0; i < 1000; i++) {
		world_kick(g.port);
		round_of_lane();
	}
	events = (uint32_t)dev->queue.task.nr_events;
	ck_assert_uint_le(events, DATA_SPURIOUS_EVENTS + 1);
	ck_assert(world.port[local].masked);
	/* Then one gets through for each delay. */
	world.now_ns += DATA_SPURIOUS_DELAY_NS;
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.task.nr_events, events + 1);
	/* An event that brings work makes good for all of them. */
	world.now_ns += DATA_SPURIOUS_DELAY_NS;
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert(!world.port[local].masked);
	detach(dev);
}
END_TEST

START_TEST(lane_sleeps_no_longer_than_an_unmask_is_due)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	for (int i = 0; i < 20; i++) {
		world_kick(g.port);
		round_of_lane();
	}
	ck_assert_uint_eq(lane->queue[LANE_DELAYED].count, 1);
	/* Would wait for ever, and Check would end the test, if the delay did not end the wait. */
	ck_assert_int_eq(lane_round(lane, true), 0);
	detach(dev);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_blkback");
	TCase *tc = tcase_create("device");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, blkback_moves_whole_pages_in_every_abi, 0, 3);
	tcase_add_test(tc, blkback_packs_parts_of_pages);
	tcase_add_test(tc, blkback_serves_a_full_ring_of_16_pages);
	tcase_add_test(tc, blkback_fails_only_the_request_with_the_bad_grant);
	tcase_add_test(tc, blkback_fails_what_no_grant_copy_could_fetch);
	tcase_add_test(tc, blkback_refuses_writes_to_a_read_only_device);
	tcase_add_test(tc, blkback_refuses_what_reaches_past_the_end);
	tcase_add_test(tc, blkback_refuses_operations_it_did_not_offer);
	tcase_add_test(tc, blkback_gives_no_old_data_when_the_file_shrank);
	tcase_add_test(tc, blkback_goes_silent_when_the_ring_breaks);
	tcase_add_test(tc, blkback_refuses_a_ring_with_impossible_indexes);
	tcase_add_test(tc, blkback_attach_leaves_nothing_behind_when_it_fails);
	tcase_add_test(tc, blkback_detach_answers_what_is_in_flight);
	tcase_add_test(tc, blkback_gives_back_what_was_in_flight_on_a_broken_ring);
	tcase_add_test(tc, blkback_notifies_only_when_asked);
	tcase_add_test(tc, blkback_copies_a_batch_in_one_call);
	tcase_add_test(tc, blkback_goes_on_where_the_last_backend_stopped);
	tcase_add_loop_test(tc, blkback_cannot_be_starved_by_other_guests, 0, 2);
	tcase_add_test(tc, blkback_answers_bad_requests_without_end_in_bounded_turns);
	tcase_add_test(tc, blkback_answers_many_completions_in_bounded_turns);
	tcase_add_test(tc, blkback_waits_for_a_buffer_without_spinning);
	tcase_add_test(tc, lane_lets_nobody_overtake_those_who_wait_for_buffers);
	tcase_add_test(tc, lane_reads_no_event_that_is_gone);
	tcase_add_test(tc, lane_unmasks_late_after_events_for_nothing);
	tcase_add_test(tc, lane_sleeps_no_longer_than_an_unmask_is_due);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
