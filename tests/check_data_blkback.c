// SPDX-License-Identifier: MIT
/*
 * A whole device of the data process, from the frontend's ring to the engine and back, on the fake
 * Xen of data_world.h. What a hostile frontend may do is here too: it must cost that frontend, and
 * nobody else.
 */
#include "tests/data_device.h"

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

/* Data pages that are the ring's own: what is read from the disk comes out as indexes. */
START_TEST(blkback_breaks_a_ring_that_a_guest_reads_the_disk_into)
{
	struct guest g, other;
	uint32_t local = 1 + WORLD_PORT_BASE;

	guest_init(&g, 0, 1, 1);
	guest_init(&other, 1, 1, 2);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);
	struct blkback *honest = attach(&other, CTL_ENGINE_NULL);
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, 0, g.ring_page, 1);

	guest_put(&g, &req);
	guest_push(&g);
	for (int i = 0; i < 20; i++)
		round_of_lane();
	ck_assert_int_eq(nr_broken, 1);
	ck_assert_uint_eq(dev->queue.in_flight, 0);
	/* Nothing happens to it any more, whatever it sends; the other one is served. */
	uint32_t notified = world.port[local].notified;

	world_kick(g.port);
	ck_assert_int_eq(run_pages(&other, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	ck_assert_int_eq(nr_broken, 1);
	ck_assert_uint_eq(world.port[local].notified, notified);
	detach(dev);
	detach(honest);
	ck_assert_uint_eq(lane->bufs.nr_free, 64);
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

	ck_assert_int_eq(try_attach(&msg, -1, &dev, reason), -EPROTO);
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
	for (int wrong = 0; wrong < 11; wrong++) {
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
		case 8:
			msg.domid = DOMID_SELF;
			break;
		case 9: /* whose end in bytes is none that a file can have */
			msg.capacity_sect = RWY_BLK_MAX_CAPACITY_SECT + 1;
			break;
		case 10:
			msg.engine = CTL_ENGINE_NULL; /* and yet a file */
			break;
		}
		reason[0] = '\0';
		ck_assert_int_lt(try_attach(&msg, fd, &dev, reason), 0);
		ck_assert_str_ne(reason, "");
		ck_assert_int_eq(strstr(reason, "domain id") != NULL, wrong == 8);
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

/* More than a turn's worth, in the ring and not taken: only a detach refuses them, once each. */
START_TEST(blkback_detach_refuses_what_is_left_in_the_ring)
{
	bool for_good = _i;
	struct guest g;
	struct rwy_blk_response rsp;
	uint64_t answered = 0;

	guest_init(&g, 0, 4, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	round_of_lane();
	for (uint64_t id = 0; id < 60; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_WRITE, id, 0, DATA, 1);

		guest_put(&g, &req);
	}
	guest_push(&g);
	if (for_good)
		blkback_detach(dev);
	blkback_leave(dev);
	while (nr_detached == 0)
		round_of_lane();
	while (guest_take(&g, &rsp)) {
		ck_assert_int_eq(rsp.status, BLKIF_RSP_ERROR);
		ck_assert_uint_lt(rsp.id, 60);
		ck_assert(!(answered & 1ull << rsp.id));
		answered |= 1ull << rsp.id;
	}
	ck_assert_uint_eq(answered, for_good ? (1ull << 60) - 1 : 0);
	ck_assert_uint_eq(lane->bufs.nr_free, 64);
	ck_assert_int_eq(world.mapped, 0);
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
	tcase_add_test(tc, blkback_breaks_a_ring_that_a_guest_reads_the_disk_into);
	tcase_add_test(tc, blkback_refuses_a_ring_with_impossible_indexes);
	tcase_add_test(tc, blkback_attach_leaves_nothing_behind_when_it_fails);
	tcase_add_test(tc, blkback_detach_answers_what_is_in_flight);
	tcase_add_loop_test(tc, blkback_detach_refuses_what_is_left_in_the_ring, 0, 2);
	tcase_add_test(tc, blkback_gives_back_what_was_in_flight_on_a_broken_ring);
	tcase_add_test(tc, blkback_notifies_only_when_asked);
	tcase_add_test(tc, blkback_copies_a_batch_in_one_call);
	tcase_add_test(tc, blkback_goes_on_where_the_last_backend_stopped);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
