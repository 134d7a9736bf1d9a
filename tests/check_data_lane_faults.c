// SPDX-License-Identifier: MIT
/*
 * A lane whose surroundings fail: Xen's devices, the kernel's limits, ports without end. It either
 * goes on, or ends with an error and leaves nothing behind. On the fake Xen of data_world.h.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <xentoollog.h>
#include "tests/data_device.h"
#include "tests/descriptors.h"

/* What is logged from here on, instead of on stderr. */
static struct {
	int fd;
	int stderr_before;
	char text[4096];
} captured;

static void capture_log(void)
{
	captured.fd = memfd_create("log", MFD_CLOEXEC);
	captured.stderr_before = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(captured.fd, STDERR_FILENO), 0);
}

static const char *captured_log(void)
{
	ssize_t n = pread(captured.fd, captured.text, sizeof(captured.text) - 1, 0);

	ck_assert_int_ge(n, 0);
	captured.text[n] = '\0';
	dup2(captured.stderr_before, STDERR_FILENO);
	close(captured.stderr_before);
	close(captured.fd);
	return captured.text;
}

static void open_world(void)
{
	rwy_log_init("check", RWY_LOG_INFO);
	world_open();
}

/* A lane that cannot be made says what is wrong, and leaves no handle and no fd. */
static void must_not_create(uint32_t nr_bufs, int err, const char *reason)
{
	struct lane *made = NULL;

	capture_log();
	int before = descriptors_open();
	int got = lane_create(&made, &(struct lane_params){nr_bufs, world_now_ns, -1});
	int after = descriptors_open();
	const char *log = captured_log();

	ck_assert_int_eq(got, err);
	ck_assert_ptr_null(made);
	ck_assert_int_eq(after, before);
	ck_assert_int_eq(world.nr_handles, 0);
	ck_assert_msg(strstr(log, reason) && strstr(log, strerror(-err)), "it says: %s", log);
}

START_TEST(lane_needs_the_event_channel_device)
{
	world.evtchn_errno = EACCES;
	must_not_create(64, -EACCES, "event-channel device");
}
END_TEST

START_TEST(lane_needs_the_grant_device)
{
	world.gnttab_errno = ENOENT;
	must_not_create(64, -ENOENT, "grant device");
}
END_TEST

START_TEST(lane_needs_room_for_its_buffers)
{
	/* More than there is address space. */
	must_not_create(UINT32_MAX, -ENOMEM, "grant buffers");
}
END_TEST

START_TEST(lane_needs_an_io_uring)
{
	struct lane *made = NULL;

	capture_log();
	rlim_t before = descriptors_leave(0);
	int got = lane_create(&made, &(struct lane_params){64, world_now_ns, -1});

	descriptors_give_back(before);
	ck_assert_ptr_nonnull(strstr(captured_log(), "io_uring"));
	ck_assert_int_eq(got, -EMFILE);
	ck_assert_ptr_null(made);
	ck_assert_int_eq(world.nr_handles, 0);
}
END_TEST

START_TEST(lane_needs_an_event_fd_that_can_be_watched)
{
	int fd = world.fd[0];

	world.fd[0] = 9999; /* not open */
	must_not_create(64, -EBADF, "watch the event channel");
	world.fd[0] = fd;
}
END_TEST

static void vlog(xentoollog_level level, const char *context, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void vlog(xentoollog_level level, const char *context, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	world.logger->vmessage(world.logger, level, EINVAL, context, format, args);
	va_end(args);
}

/* A guest can make the libraries complain at will. */
START_TEST(lane_keeps_the_libraries_words_for_debugging)
{
	rwy_log_init("check", RWY_LOG_INFO);
	capture_log();
	vlog(XTL_ERROR, "gnttab", "map of %d failed", 42);
	ck_assert_str_eq(captured_log(), "");
	rwy_log_init("check", RWY_LOG_DEBUG);
	capture_log();
	vlog(XTL_ERROR, "gnttab", "map of %d failed", 42);
	vlog(XTL_ERROR, NULL, "%0300d", 7);
	world.logger->destroy(world.logger); /* it is nobody's to free */
	vlog(XTL_ERROR, "gnttab", "still there");
	const char *log = captured_log();

	ck_assert_ptr_nonnull(strstr(log, "check: gnttab: map of 42 failed\n"));
	ck_assert_ptr_nonnull(strstr(log, "check: xen: 000"));
	ck_assert_ptr_nonnull(strstr(log, "check: gnttab: still there\n"));
	ck_assert_uint_lt(strlen(log), 400);
}
END_TEST

START_TEST(lane_serves_ports_of_any_number)
{
	struct guest few, many;
	const uint32_t high = 200 - WORLD_PORT_BASE;

	guest_init(&few, 0, 1, 1);
	guest_init(&many, 1, 1, high);
	struct blkback *first = attach(&few, CTL_ENGINE_NULL);
	struct blkback *second = attach(&many, CTL_ENGINE_NULL);

	/* Both in the table, before and after it grew. */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(run_pages(&many, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
		ck_assert_int_eq(run_pages(&few, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	}
	ck_assert_uint_ge(first->queue.task.nr_events, 3);
	ck_assert_uint_ge(second->queue.task.nr_events, 3);
	detach(second);
	ck_assert_int_eq(run_pages(&few, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	detach(first);
}
END_TEST

START_TEST(lane_refuses_a_port_that_no_domain_has)
{
	struct guest g;
	char reason[CTL_REASON_BYTES] = "";
	struct blkback *dev;
	uint32_t nr_ports = lane->nr_ports;

	guest_init(&g, 0, 1, 1);
	world.next_port = 1u << 17;
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_NULL);

	ck_assert_int_eq(try_attach(&msg, -1, &dev, reason), -ERANGE);
	ck_assert_ptr_nonnull(strstr(reason, "event-channel"));
	ck_assert_uint_eq(world.next_port, 0); /* it was unbound again */
	ck_assert_int_eq(world.mapped, 0);
	ck_assert_uint_eq(lane->nr_ports, nr_ports);
	detach(attach(&g, CTL_ENGINE_NULL));
}
END_TEST

START_TEST(lane_ignores_events_of_ports_that_are_gone)
{
	const uint32_t gone[] = {3, WORLD_PORTS - 1};
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	round_of_lane();
	/* One within the table, one beyond it. */
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(write(world.fd[1], &gone[i], sizeof(gone[i])), sizeof(gone[i]));
	for (int i = 0; i < 3; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.task.nr_events, 0);
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	detach(dev);
}
END_TEST

START_TEST(lane_reads_an_event_again_after_an_interruption)
{
	static const int passing[] = {EINTR, EAGAIN};
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	for (int i = 0; i < 2; i++) {
		for (int n = 0; n < 5; n++)
			round_of_lane();
		world.pending_errno = passing[i];
		ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
		ck_assert_int_eq(world.pending_errno, 0);
	}
	detach(dev);
}
END_TEST

/* Rounds until one fails; its error. */
static int error_of_lane(void)
{
	int err = 0;

	for (int i = 0; i < MAX_ROUNDS && !err; i++)
		err = lane_round(lane, false);
	return err;
}

START_TEST(lane_ends_when_events_cannot_be_read)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	round_of_lane();
	world.pending_errno = EIO;
	world_kick(g.port);
	ck_assert_int_eq(error_of_lane(), -EIO);
	capture_log();
	ck_assert_int_eq(lane_run(lane), -EIO);
	ck_assert_ptr_nonnull(strstr(captured_log(), "the lane failed: "));
	lane->err = 0; /* for what follows */
	detach(dev);
}
END_TEST

START_TEST(lane_ends_when_the_event_device_is_gone)
{
	round_of_lane();
	close(world.fd[1]); /* a hang-up, and nothing to read */
	ck_assert_int_eq(error_of_lane(), -EIO);
	world.fd[1] = dup(STDERR_FILENO);
}
END_TEST

/* A lane in a process of its own, which lives until it is killed. */
static pid_t fork_lane(int evtchn_fd, int fence_fd)
{
	const struct lane_params params = {64, world_now_ns, fence_fd};
	struct lane *made;
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();

	if (pid == 0) {
		close(world.fd[0]);
		world.fd[0] = evtchn_fd;
		if (lane_create(&made, &params))
			_exit(1);
		close(fence_fd);
		for (int i = 0; i < 3; i++)
			lane_round(made, false);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* The event channels are closed when the process is gone; the fence when its io_uring is, too. */
START_TEST(lane_lets_go_of_all_when_it_is_killed)
{
	int evtchn[2], fence[2];
	char byte;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(pipe2(evtchn, O_NONBLOCK), 0);
		ck_assert_int_eq(pipe2(fence, O_NONBLOCK), 0);
		pid_t pid = fork_lane(evtchn[0], fence[1]);

		close(evtchn[0]);
		close(fence[1]);
		ck_assert_int_eq(read(fence[0], &byte, 1), -1);
		ck_assert_int_eq(errno, EAGAIN);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		ck_assert_int_eq(write(evtchn[1], "e", 1), -1);
		ck_assert_int_eq(errno, EPIPE);
		ck_assert_int_eq(poll(&(struct pollfd){.fd = fence[0]}, 1, -1), 1);
		ck_assert_int_eq(read(fence[0], &byte, 1), 0);
		close(evtchn[1]);
		close(fence[0]);
	}
}
END_TEST

START_TEST(lane_needs_a_fence_that_it_can_hold)
{
	struct lane *made;

	capture_log();
	ck_assert_int_eq(lane_create(&made, &(struct lane_params){64, world_now_ns, 9999}), -EBADF);
	ck_assert_ptr_nonnull(strstr(captured_log(), "cannot hold the fence"));
	ck_assert_int_eq(world.nr_handles, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_lane_faults");
	TCase *tc = tcase_create("birth");

	tcase_add_checked_fixture(tc, open_world, world_close);
	tcase_add_test(tc, lane_needs_the_event_channel_device);
	tcase_add_test(tc, lane_needs_the_grant_device);
	if (!SANITIZED) /* which would keep account of each byte */
		tcase_add_test(tc, lane_needs_room_for_its_buffers);
	tcase_add_test(tc, lane_needs_an_io_uring);
	tcase_add_test(tc, lane_needs_an_event_fd_that_can_be_watched);
	tcase_add_test(tc, lane_needs_a_fence_that_it_can_hold);
	tcase_add_test(tc, lane_lets_go_of_all_when_it_is_killed);
	suite_add_tcase(s, tc);

	tc = tcase_create("life");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, lane_keeps_the_libraries_words_for_debugging);
	tcase_add_test(tc, lane_serves_ports_of_any_number);
	tcase_add_test(tc, lane_refuses_a_port_that_no_domain_has);
	tcase_add_test(tc, lane_ignores_events_of_ports_that_are_gone);
	tcase_add_test(tc, lane_reads_an_event_again_after_an_interruption);
	tcase_add_test(tc, lane_ends_when_events_cannot_be_read);
	tcase_add_test(tc, lane_ends_when_the_event_device_is_gone);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
