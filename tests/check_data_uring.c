// SPDX-License-Identifier: MIT
/*
 * The lane's io_uring where the kernel refuses: an old one, one short of memory, one with limits.
 * The calls of liburing that a lane makes are defined here and come before the library's own, which
 * they go on to unless a test has them fail. On the fake Xen of data_world.h.
 */
#include <dlfcn.h>
#include <poll.h>
#include <sys/eventfd.h>
#include "tests/data_device.h"
#include "tests/descriptors.h"

/* What a kernel before 6.1 does not know. */
#define MODERN (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

static struct {
	bool is_old;	    /* refuses MODERN */
	unsigned int flags; /* of the last ring that was asked for */
	int init, files;    /* what these fail with, or 0 */
	int register_op;    /* the opcode of io_uring_register that fails */
	int register_err;
	int submit; /* all submits fail with this, or 0 */
	int update; /* changes of the file table fail with this, or 0 */
} kernel;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	kernel.flags = p->flags;
	if (kernel.is_old && p->flags & MODERN)
		return -EINVAL;
	if (kernel.init)
		return kernel.init;
	return NEXT(io_uring_queue_init_params)(entries, ring, p);
}

int io_uring_register_files(struct io_uring *ring, const int *files, unsigned int nr)
{
	return kernel.files ? kernel.files : NEXT(io_uring_register_files)(ring, files, nr);
}

int io_uring_register_files_update(struct io_uring *ring, unsigned int off, const int *files,
				   unsigned int nr)
{
	if (kernel.update)
		return kernel.update;
	return NEXT(io_uring_register_files_update)(ring, off, files, nr);
}

int io_uring_register(unsigned int fd, unsigned int opcode, const void *arg, unsigned int nr)
{
	if (kernel.register_err && (int)opcode == kernel.register_op)
		return kernel.register_err;
	return NEXT(io_uring_register)(fd, opcode, arg, nr);
}

int io_uring_submit(struct io_uring *ring)
{
	return kernel.submit ? kernel.submit : NEXT(io_uring_submit)(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned int nr)
{
	return kernel.submit ? kernel.submit : NEXT(io_uring_submit_and_wait)(ring, nr);
}

static void forget_faults(void)
{
	memset(&kernel, 0, sizeof(kernel));
}

static void setup_device(void)
{
	forget_faults();
	setup();
}

START_TEST(uring_is_restricted_on_an_old_kernel_too)
{
	struct io_uring_cqe *cqe;
	struct uring u;
	char byte;

	forget_faults();
	kernel.is_old = true;
	ck_assert_int_eq(uring_init(&u, 4), 0);
	ck_assert_uint_eq(kernel.flags & MODERN, 0);
	struct io_uring_sqe *sqe = u.host.get_sqe(&u.host);

	/* An fd of the process, not of the table. */
	io_uring_prep_readv(sqe, 0, &(struct iovec){&byte, 1}, 1, 0);
	ck_assert_int_eq(io_uring_submit_and_wait(&u.ring, 1), 1);
	ck_assert_int_eq(io_uring_peek_cqe(&u.ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, -EACCES);
	uring_fini(&u);
}
END_TEST

START_TEST(uring_serves_a_disk_on_an_old_kernel)
{
	struct guest g;

	teardown();
	kernel.is_old = true;
	setup();
	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	memset(world.page[DATA], 0x5a, 4096);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 8, DATA, 1), BLKIF_RSP_OKAY);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 8, DATA + 1, 1), BLKIF_RSP_OKAY);
	ck_assert_mem_eq(world.page[DATA + 1], world.page[DATA], 4096);
	detach(dev);
}
END_TEST

/* A ring that is not restricted must not be used: no step may be left out. */
START_TEST(uring_is_made_whole_or_not_at_all)
{
	struct uring u;
	int before = descriptors_open();

	for (int step = 0; step < 4; step++) {
		int err = -ENOMEM - step;

		forget_faults();
		switch (step) {
		case 0:
			kernel.init = err;
			break;
		case 1:
			kernel.files = err;
			break;
		default:
			kernel.register_op = step == 2 ? IORING_REGISTER_RESTRICTIONS
						       : IORING_REGISTER_ENABLE_RINGS;
			kernel.register_err = err;
			break;
		}
		ck_assert_int_eq(uring_init(&u, 4), err);
		ck_assert_int_eq(descriptors_open(), before);
	}
}
END_TEST

START_TEST(uring_table_stays_within_the_process_limit)
{
	struct rlimit limit;
	struct uring u;
	int nr = 0, slot;

	forget_faults();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(uring_init(&u, 1000), 0);
	while ((slot = u.host.add_file(&u.host, STDERR_FILENO)) >= 0) {
		ck_assert_int_eq(slot, nr);
		nr++;
	}
	ck_assert_int_eq(slot, -ENFILE);
	ck_assert_int_eq(nr, 64);
	uring_fini(&u);
}
END_TEST

START_TEST(uring_does_not_reuse_a_slot_that_it_could_not_empty)
{
	struct uring u;

	forget_faults();
	ck_assert_int_eq(uring_init(&u, 2), 0);
	int slot = u.host.add_file(&u.host, STDERR_FILENO);

	ck_assert_int_eq(slot, 0);
	kernel.update = -ENOMEM;
	u.host.remove_file(&u.host, slot);
	ck_assert_int_eq(u.host.add_file(&u.host, STDERR_FILENO), -ENOMEM);
	kernel.update = 0;
	ck_assert_int_eq(u.host.add_file(&u.host, STDERR_FILENO), 1);
	ck_assert_int_eq(u.host.add_file(&u.host, STDERR_FILENO), -ENFILE);
	uring_fini(&u);
}
END_TEST

static uint32_t nr_filled;

static void note_filled(struct engine_event *event, int32_t res, uint32_t flags)
{
	(void)event;
	(void)res;
	(void)flags;
	nr_filled--;
}

/* Take all the entries there are: I/O that the kernel does not accept at this moment. */
static void fill_submission_queue(struct io_uring *ring, int slot, struct engine_event *event)
{
	struct io_uring_sqe *sqe;

	event->fn = note_filled;
	while ((sqe = io_uring_get_sqe(ring))) {
		io_uring_prep_fsync(sqe, slot, 0);
		sqe->flags |= IOSQE_FIXED_FILE;
		io_uring_sqe_set_data(sqe, event);
		nr_filled++;
	}
}

/* A poll that says what became of it. */
struct told_poll {
	struct uring_poll poll; /* first: the poll is the told poll */
	int nr_calls;
	int32_t res;
};

static void tell(struct engine_event *event, int32_t res, uint32_t flags)
{
	struct told_poll *told = (struct told_poll *)event;

	(void)flags;
	told->nr_calls++;
	told->res = res;
}

static void start_poll(struct uring *u, struct told_poll *told, int slot)
{
	*told = (struct told_poll){.poll.event.fn = tell};
	uring_add_poll(u, &told->poll);
	ck_assert_int_eq(uring_poll(u, slot, POLLIN, &told->poll), 0);
}

static void run_rounds(struct uring *u)
{
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(uring_run(u, 0), 0);
}

/* Before Linux 6.13 a removed file stays open, and locked, as long as an older poll waits. */
START_TEST(uring_renews_its_polls_when_a_file_is_removed)
{
	struct uring u;
	struct told_poll told[2];
	int fd = eventfd(0, EFD_CLOEXEC);

	forget_faults();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(uring_init(&u, 8), 0);
	int watched = u.host.add_file(&u.host, fd);

	for (int i = 0; i < 2; i++)
		start_poll(&u, &told[i], watched);
	run_rounds(&u);
	ck_assert_int_eq(told[0].nr_calls + told[1].nr_calls, 0);
	for (int i = 0; i < 2; i++)
		u.host.remove_file(&u.host, u.host.add_file(&u.host, STDERR_FILENO));
	run_rounds(&u);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(told[i].nr_calls, 1);
		ck_assert_int_eq(told[i].res, -ECANCELED);
	}
	uring_fini(&u);
	close(fd);
}
END_TEST

START_TEST(uring_renews_its_polls_when_there_is_room_again)
{
	struct uring u;
	struct told_poll told;
	int fd = eventfd(0, EFD_CLOEXEC);

	forget_faults();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(uring_init(&u, 8), 0);
	start_poll(&u, &told, u.host.add_file(&u.host, fd));
	run_rounds(&u);
	int slot = u.host.add_file(&u.host, STDERR_FILENO);
	struct engine_event filler;

	fill_submission_queue(&u.ring, slot, &filler);
	kernel.submit = -EBUSY;
	u.host.remove_file(&u.host, slot);
	run_rounds(&u);
	ck_assert_int_eq(told.nr_calls, 0);
	kernel.submit = 0;
	while (nr_filled || !told.nr_calls)
		ck_assert_int_eq(uring_run(&u, 0), 0);
	ck_assert_int_eq(told.res, -ECANCELED);
	uring_fini(&u);
	close(fd);
}
END_TEST

START_TEST(lane_hears_events_after_a_disk_is_gone)
{
	struct guest g, other;

	guest_init(&g, 0, 1, 1);
	guest_init(&other, 1, 1, 2);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);
	struct blkback *other_dev = attach(&other, CTL_ENGINE_FILE);

	for (int i = 0; i < 5; i++)
		round_of_lane();
	detach(other_dev);
	for (int i = 0; i < 5; i++)
		round_of_lane();
	uint64_t before = dev->queue.task.nr_events;

	world_kick(g.port);
	for (int i = 0; i < 5; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.task.nr_events, before + 1);
	detach(dev);
}
END_TEST

START_TEST(uring_goes_on_when_the_kernel_takes_nothing_for_a_while)
{
	static const int passing[] = {-EAGAIN, -EBUSY, -EINTR};
	struct guest g;
	struct rwy_blk_response rsp;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	memset(world.page[DATA], 0xa5, 4096);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_WRITE, 0, DATA, 1), BLKIF_RSP_OKAY);
	for (int i = 0; i < 3; i++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, 0, DATA + 1, 1);

		memset(world.page[DATA + 1], 0, 4096);
		guest_put(&g, &req);
		guest_push(&g);
		lane_wake(lane, &dev->queue.task);
		kernel.submit = passing[i];
		for (int n = 0; n < 20; n++)
			round_of_lane();
		ck_assert(!guest_take(&g, &rsp)); /* it has not begun */
		ck_assert_uint_eq(dev->queue.in_flight, 1);
		kernel.submit = 0;
		ck_assert_int_eq(await(&g).status, BLKIF_RSP_OKAY);
		ck_assert_mem_eq(world.page[DATA + 1], world.page[DATA], 4096);
	}
	detach(dev);
}
END_TEST

START_TEST(lane_ends_when_its_io_uring_fails)
{
	rwy_log_init("check", RWY_LOG_ERROR);
	kernel.submit = -EBADF;
	ck_assert_int_eq(lane_round(lane, false), -EBADF);
	ck_assert_int_eq(lane_run(lane), -EBADF);
	kernel.submit = 0;
}
END_TEST

START_TEST(lane_loses_no_event_to_a_full_submission_queue)
{
	struct guest g;
	struct engine_event filler;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	for (int i = 0; i < 5; i++)
		round_of_lane();
	fill_submission_queue(&lane->uring.ring, lane->evtchn_watch.slot, &filler);
	ck_assert_uint_ge(nr_filled, DATA_SQ_ENTRIES / 2);
	kernel.submit = -EBUSY;
	/* The poll is over with this event, and cannot be armed again; then there is another. */
	world_kick(g.port);
	for (int i = 0; i < 20; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.task.nr_events, 1);
	world_kick(g.port);
	for (int i = 0; i < 20; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.task.nr_events, 1);
	kernel.submit = 0;
	while (nr_filled || dev->queue.task.nr_events < 2)
		ck_assert_int_eq(lane_round(lane, true), 0);
	ck_assert_uint_eq(dev->queue.task.nr_events, 2);
	detach(dev);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_uring");
	TCase *tc = tcase_create("birth");

	tcase_add_test(tc, uring_is_restricted_on_an_old_kernel_too);
	tcase_add_test(tc, uring_is_made_whole_or_not_at_all);
	tcase_add_test(tc, uring_table_stays_within_the_process_limit);
	tcase_add_test(tc, uring_does_not_reuse_a_slot_that_it_could_not_empty);
	tcase_add_test(tc, uring_renews_its_polls_when_a_file_is_removed);
	tcase_add_test(tc, uring_renews_its_polls_when_there_is_room_again);
	suite_add_tcase(s, tc);

	tc = tcase_create("life");
	tcase_add_checked_fixture(tc, setup_device, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, uring_serves_a_disk_on_an_old_kernel);
	tcase_add_test(tc, uring_goes_on_when_the_kernel_takes_nothing_for_a_while);
	tcase_add_test(tc, lane_hears_events_after_a_disk_is_gone);
	tcase_add_test(tc, lane_ends_when_its_io_uring_fails);
	tcase_add_test(tc, lane_loses_no_event_to_a_full_submission_queue);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
