// SPDX-License-Identifier: MIT
/*
 * Supervision of data processes. The test program is its own data process: started again with the
 * name of a behaviour in the environment, it plays that one on CTL_FD, well or badly.
 */
#include "backend/control/worker.h"
#include "backend/control/worker_fence.h"
#include "tests/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PLAY_ENV    "CHECK_CONTROL_WORKER_PLAY"
#define GIVE_UP_NS  20000000000ull
#define TARGET_SECT 77

static void say(const void *msg, size_t len)
{
	if (send(CTL_FD, msg, len, 0) != (ssize_t)len)
		_exit(10);
}

static void say_hello(uint32_t version)
{
	struct ctl_hello hello = {
		.header = {.type = CTL_HELLO}, .version = version, .pid = (uint32_t)getpid()};

	say(&hello, sizeof(hello));
}

static void say_result(uint32_t type, uint32_t id, int err, const char *reason)
{
	struct ctl_result result = {.header = {.type = type, .device_id = id}, .err = err};

	snprintf(result.reason, sizeof(result.reason), "%s", reason);
	say(&result, sizeof(result));
}

/* The descriptors of an ATTACH, -1: none. */
static void hear(void *buf, size_t size, int fds[2])
{
	char control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control)};

	fds[0] = fds[1] = -1;
	if (recvmsg(CTL_FD, &mh, 0) <= 0)
		_exit(0);
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
	if (cm)
		memcpy(fds, CMSG_DATA(cm), cm->cmsg_len - CMSG_LEN(0));
}

/* Does as it should; the size of the target's file goes back as its count of reads, the journal's
 * as that of writes. */
static void play_well(void)
{
	union {
		struct ctl_header header;
		struct ctl_attach attach;
	} msg;
	struct stat journal = {0}, target = {0};
	int fds[2];

	for (;;) {
		hear(&msg, sizeof(msg), fds);
		if (msg.header.type == CTL_ATTACH) {
			if (msg.attach.capacity_sect == TARGET_SECT) {
				fstat(fds[0], &journal);
				fstat(fds[1], &target);
			}
			say_result(CTL_ATTACHED, msg.header.device_id, 0, "");
		} else if (msg.header.type == CTL_DETACH) {
			say_result(CTL_DETACHED, msg.header.device_id, 0, "");
		} else {
			struct ctl_stats_reply reply = {
				.header = {CTL_STATS_REPLY, msg.header.device_id}};

			reply.stats.read_requests = (uint64_t)target.st_size;
			reply.stats.write_requests = (uint64_t)journal.st_size;
			say(&reply, sizeof(reply));
		}
	}
}

/* Dies, and leaves the fence to another, as the kernel has it for I/O, until the file ends. */
static void hold_fence(int until_fd)
{
	char byte;

	if (!fork()) {
		close(CTL_FD);
		_exit(read(until_fd, &byte, 1) != 0);
	}
	if (write(CTL_FENCE_FD, "rubbish", 7) != 7)
		_exit(11);
	raise(SIGKILL);
}

__attribute__((constructor)) static void maybe_play(void)
{
	const char *play = getenv(PLAY_ENV);
	struct ctl_attach msg;
	int fds[2];

	if (!play)
		return;
	if (!strcmp(play, "old version"))
		say_hello(CTL_VERSION + 1);
	else if (!strcmp(play, "crash"))
		raise(SIGKILL);
	else
		say_hello(CTL_VERSION);

	if (!strcmp(play, "well"))
		play_well();
	if (!strcmp(play, "deaf"))
		pause();
	hear(&msg, sizeof(msg), fds);
	if (!strcmp(play, "refuse"))
		say_result(CTL_ATTACHED, msg.header.device_id, -EPROTO, "gref 8\nis not granted");
	else if (!strcmp(play, "foreign device"))
		say_result(CTL_ATTACHED, msg.header.device_id + 1, 0, "");
	else if (!strcmp(play, "short message"))
		say(&msg, sizeof(struct ctl_header));
	else if (!strcmp(play, "unknown message"))
		say(&(struct ctl_header){.type = 99}, sizeof(struct ctl_header));
	else if (!strcmp(play, "two hellos"))
		say_hello(CTL_VERSION);
	else if (!strcmp(play, "exit"))
		_exit(3);
	else if (!strcmp(play, "ill"))
		raise(SIGILL); /* not one that a sanitizer takes for itself */
	else if (!strcmp(play, "hang"))
		pause();
	else if (!strcmp(play, "hold"))
		hold_fence(fds[1]);
	hear(&msg, sizeof(msg), fds);
	_exit(0);
}

/* What happened, in order, to one lease and one pool. */
static struct {
	int ready, unready, attached, detached, broken, stats, lost, died, all_left;
	bool crashed;
	int err;
	struct reason why;
	uint64_t reads, writes;
} seen;
static struct rwy_loop *loop;
static struct worker_pool *pool;
static struct worker_lease lease;
static char rundir[64];
static int journal_fd;
static uint64_t skipped_ns;

static uint64_t tell_time(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + skipped_ns;
}

static void on_ready(void *ctx)
{
	(void)ctx;
	seen.ready++;
}

static void on_unready(void *ctx)
{
	(void)ctx;
	seen.unready++;
}

static void on_attached(struct worker_lease *l, int err, const struct reason *why)
{
	ck_assert_ptr_eq(l, &lease);
	seen.attached++;
	seen.err = err;
	seen.why = *why;
}

static void on_detached(struct worker_lease *l, int err, const struct reason *why)
{
	(void)err;
	(void)why;
	seen.detached++;
	worker_drop(l);
}

static void on_broken(struct worker_lease *l, int err, const struct reason *why)
{
	(void)l;
	(void)err;
	(void)why;
	seen.broken++;
}

static void on_stats(struct worker_lease *l, const struct ctl_stats *stats)
{
	(void)l;
	seen.stats++;
	seen.reads = stats->read_requests;
	seen.writes = stats->write_requests;
}

static void on_lost(struct worker_lease *l, const struct worker_end *end)
{
	ck_assert_ptr_nonnull(l->worker);
	seen.lost++;
	seen.why = end->why;
}

static void on_died(struct worker_lease *l, const struct worker_end *end)
{
	ck_assert_ptr_null(l->worker);
	ck_assert_int_eq(seen.lost, seen.died + 1);
	ck_assert_str_eq(seen.why.text, end->why.text);
	seen.died++;
	seen.crashed = end->crashed;
}

static void on_all_left(void *ctx)
{
	(void)ctx;
	seen.all_left++;
}

static const struct worker_events events = {
	.ready = on_ready,
	.unready = on_unready,
	.attached = on_attached,
	.detached = on_detached,
	.broken = on_broken,
	.stats = on_stats,
	.lost = on_lost,
	.died = on_died,
	.all_left = on_all_left,
};

static void make_rundir(void)
{
	strcpy(rundir, "/tmp/check_worker.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rundir));
	journal_fd = memfd_create("journal", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(journal_fd, 1234), 0);
}

/* Removes it: a fence that is left in it makes that fail. */
static void remove_rundir(void)
{
	ck_assert_int_eq(rmdir(rundir), 0);
	close(journal_fd);
}

static void start_pool(const char *play, unsigned int nr_processes)
{
	static char self[4096];
	struct worker_config config = {
		.binary = self, .rundir = rundir, .nr_processes = nr_processes};
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(len, 0);
	memset(&seen, 0, sizeof(seen));
	memset(&lease, 0, sizeof(lease));
	ck_assert_int_eq(setenv(PLAY_ENV, play, 1), 0);
	ck_assert_int_eq(rwy_loop_create(&loop, tell_time, NULL), 0);
	ck_assert_int_eq(worker_pool_create(&pool, loop, &config, &events, NULL), 0);
}

static void run_until(const int *counter, int wanted)
{
	uint64_t end = rwy_loop_now_ns(loop) + GIVE_UP_NS;

	while (*counter < wanted) {
		ck_assert_msg(rwy_loop_now_ns(loop) < end, "waited in vain");
		ck_assert_int_eq(rwy_loop_run_once(loop, 1000000000ull), 0);
	}
}

static void stop_pool(void)
{
	worker_drop(&lease);
	seen.all_left = 0;
	worker_pool_leave(pool);
	run_until(&seen.all_left, 1);
	worker_pool_destroy(pool);
	rwy_loop_destroy(loop);
}

static void take_and_attach(int fd)
{
	struct worker_attach queue = {.msg = {.nr_ring_pages = 1, .capacity_sect = TARGET_SECT},
				      .journal_fd = journal_fd,
				      .target_fd = fd};

	run_until(&seen.ready, 1);
	ck_assert_int_eq(worker_take(pool, &lease), 0);
	worker_attach(&lease, &queue, 1);
}

START_TEST(device_goes_in_and_out)
{
	FILE *file = tmpfile();

	start_pool("well", 1);
	ck_assert_int_eq(worker_take(pool, &lease), -EAGAIN);
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(ftruncate(fileno(file), 4711), 0);
	take_and_attach(fileno(file));
	run_until(&seen.attached, 1);
	ck_assert_int_eq(seen.err, 0);
	worker_ask_stats(&lease);
	run_until(&seen.stats, 1);
	ck_assert_uint_eq(seen.reads, 4711);
	ck_assert_uint_eq(seen.writes, 1234);
	worker_detach(&lease);
	run_until(&seen.detached, 1);
	ck_assert_int_eq(seen.died, 0);
	fclose(file);
	stop_pool();
}
END_TEST

/* More than the socket takes: nothing blocks, nothing is lost. */
START_TEST(messages_queue_while_the_socket_is_full)
{
	start_pool("well", 1);
	take_and_attach(-1);
	run_until(&seen.attached, 1);
	for (int i = 0; i < 2000; i++)
		worker_ask_stats(&lease);
	run_until(&seen.stats, 2000);
	stop_pool();
}
END_TEST

START_TEST(refusal_is_passed_on_clean)
{
	start_pool("refuse", 1);
	take_and_attach(-1);
	run_until(&seen.attached, 1);
	ck_assert_int_eq(seen.err, -EPROTO);
	ck_assert_str_eq(seen.why.text, "gref 8?is not granted");
	stop_pool();
}
END_TEST

START_TEST(killed_process_ends_leases_and_is_started_again)
{
	start_pool("well", 1);
	take_and_attach(-1);
	run_until(&seen.attached, 1);

	pid_t pid = worker_lease_pid(&lease);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	run_until(&seen.died, 1);
	ck_assert_ptr_nonnull(strstr(seen.why.text, "signal 9"));
	ck_assert(!seen.crashed); /* somebody wanted it so */
	run_until(&seen.ready, 2);
	ck_assert_int_eq(worker_take(pool, &lease), 0);
	ck_assert_int_ne(worker_lease_pid(&lease), pid);
	ck_assert_uint_eq(worker_pool_info(pool, 0).nr_restarts, 1);
	stop_pool();
}
END_TEST

START_TEST(exit_is_told_from_a_signal)
{
	start_pool("exit", 1);
	take_and_attach(-1);
	run_until(&seen.died, 1);
	ck_assert_ptr_nonnull(strstr(seen.why.text, "status 3"));
	ck_assert(seen.crashed);
	stop_pool();
}
END_TEST

START_TEST(fault_of_its_own_is_a_crash)
{
	start_pool("ill", 1);
	take_and_attach(-1);
	run_until(&seen.died, 1);
	ck_assert_ptr_nonnull(strstr(seen.why.text, "ILL"));
	ck_assert(seen.crashed);
	stop_pool();
}
END_TEST

static void pass_ms(unsigned int ms)
{
	uint64_t end = rwy_loop_now_ns(loop) + ms * 1000000ull;

	while (rwy_loop_now_ns(loop) < end)
		ck_assert_int_eq(rwy_loop_run_once(loop, 10000000), 0);
}

START_TEST(one_that_does_not_answer_is_killed)
{
	start_pool("hang", 1);
	take_and_attach(-1);
	skipped_ns += 14000000000ull;
	pass_ms(50);
	ck_assert_int_eq(seen.lost, 0);
	skipped_ns += 2000000000ull;
	run_until(&seen.died, 1);
	ck_assert_ptr_nonnull(strstr(seen.why.text, "does not answer"));
	ck_assert(seen.crashed);
	stop_pool();
}
END_TEST

/* It is asked nothing, or has answered: that it is silent is no fault. */
START_TEST(one_that_has_answered_may_be_silent)
{
	start_pool("well", 1);
	take_and_attach(-1);
	run_until(&seen.attached, 1);
	worker_ask_stats(&lease);
	run_until(&seen.stats, 1);
	skipped_ns += 60000000000ull;
	pass_ms(50);
	ck_assert_int_eq(seen.lost, 0);
	stop_pool();
}
END_TEST

/* A data process whose I/O goes on after its death, until *release is closed. */
static void die_with_io_under_way(int *release)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	start_pool("hold", 1);
	ck_assert_int_eq(setenv(PLAY_ENV, "well", 1), 0); /* the next */
	take_and_attach(ends[0]);
	close(ends[0]);
	run_until(&seen.lost, 1);
	*release = ends[1];
}

START_TEST(lease_ends_and_another_is_started_when_the_last_io_has_ended)
{
	int release;

	die_with_io_under_way(&release);
	worker_detach(&lease); /* there is nobody to be told */
	worker_ask_stats(&lease);
	pass_ms(300);
	ck_assert_int_eq(seen.died, 0);
	ck_assert_str_eq(worker_pool_info(pool, 0).state, "fencing");
	ck_assert_int_eq(worker_pool_info(pool, 0).pid, 0);
	ck_assert_uint_eq(worker_pool_info(pool, 0).nr_devices, 1);
	ck_assert_int_eq(worker_lease_pid(&lease), 0);
	skipped_ns += 6000000000ull; /* a line in the log, and no more */
	pass_ms(50);
	ck_assert_int_eq(seen.died, 0);
	close(release);
	run_until(&seen.died, 1);
	run_until(&seen.ready, 2);
	stop_pool();
}
END_TEST

/* 0: the last I/O ends. 1: it does not, and the next ringwayd is to wait for it. */
START_TEST(leaving_waits_for_the_last_io_but_not_for_ever)
{
	glob_t fences;
	char pattern[96];
	int release;

	die_with_io_under_way(&release);
	worker_pool_leave(pool);
	pass_ms(200);
	ck_assert_int_eq(seen.all_left, 0);
	if (_i == 0)
		close(release);
	else
		skipped_ns += 31000000000ull;
	run_until(&seen.all_left, 1);
	ck_assert_int_eq(seen.died, 0);
	snprintf(pattern, sizeof(pattern), "%s/fence.*", rundir);
	ck_assert_int_eq(glob(pattern, 0, NULL, &fences), _i ? 0 : GLOB_NOMATCH);
	worker_drop(&lease);
	worker_pool_destroy(pool);
	rwy_loop_destroy(loop);
	if (_i == 1) {
		close(release);
		unlink(fences.gl_pathv[0]);
	}
	globfree(&fences);
}
END_TEST

/* A ringwayd that has died leaves its data process, or what that has under way, to the next. */
START_TEST(none_is_ready_before_the_io_of_a_predecessor_has_ended)
{
	int release;

	die_with_io_under_way(&release);
	worker_drop(&lease);
	worker_pool_destroy(pool);
	rwy_loop_destroy(loop);

	start_pool("well", 2);
	while (strcmp(worker_pool_info(pool, 0).state, "ready") ||
	       strcmp(worker_pool_info(pool, 1).state, "ready"))
		pass_ms(10);
	ck_assert_int_eq(seen.ready, 0);
	ck_assert_int_eq(worker_take(pool, &lease), -EAGAIN);
	ck_assert_ptr_null(worker_pool_trouble(pool));
	skipped_ns += 6000000000ull;
	run_until(&seen.unready, 1);
	ck_assert_ptr_nonnull(strstr(worker_pool_trouble(pool)->text, "before this one"));
	close(release);
	run_until(&seen.ready, 2);
	ck_assert_ptr_null(worker_pool_trouble(pool));
	take_and_attach(-1);
	run_until(&seen.attached, 1);
	stop_pool();
}
END_TEST

/* Neither hears that its ringwayd is gone, nor is that all of it. */
START_TEST(data_process_of_a_predecessor_that_does_not_leave_is_killed)
{
	start_pool("deaf", 1);
	run_until(&seen.ready, 1);
	worker_pool_destroy(pool);
	rwy_loop_destroy(loop);

	start_pool("well", 1);
	while (strcmp(worker_pool_info(pool, 0).state, "ready"))
		pass_ms(10);
	skipped_ns += 6000000000ull;
	run_until(&seen.unready, 1);
	skipped_ns += 23000000000ull;
	pass_ms(50);
	ck_assert_int_eq(seen.ready, 0);
	skipped_ns += 2000000000ull;
	run_until(&seen.ready, 1);
	stop_pool();
}
END_TEST

/* A name that says whose a fence is may be old, and the number another's by now. */
START_TEST(only_the_holder_of_a_fence_is_taken_for_it)
{
	int dir = open(rundir, O_PATH | O_DIRECTORY), write_fd;
	struct worker_fence fence;
	char *start;
	pid_t pid;

	ck_assert_int_eq(worker_fence_create(&fence, dir, &write_fd), 0);
	ck_assert_int_eq(worker_fence_open_holder(&fence, &pid), -ESRCH);
	worker_fence_name_holder(&fence, getpid());
	int holder = worker_fence_open_holder(&fence, &pid);
	ck_assert_int_ge(holder, 0);
	ck_assert_int_eq(pid, getpid());
	close(holder);
	start = strrchr(fence.name, '.') + 1;
	*start = *start == '1' ? '2' : '1';
	ck_assert_int_eq(worker_fence_open_holder(&fence, &pid), -ESRCH);
	*start = '\0';
	ck_assert_int_eq(worker_fence_open_holder(&fence, &pid), -ESRCH);
	close(write_fd);
	glob_t left;
	char pattern[96];

	snprintf(pattern, sizeof(pattern), "%s/fence.*", rundir);
	ck_assert_int_eq(glob(pattern, 0, NULL, &left), 0);
	ck_assert_uint_eq(left.gl_pathc, 1);
	unlink(left.gl_pathv[0]);
	globfree(&left);
	worker_fence_drop(&fence);
	close(dir);
}
END_TEST

/* And one that nobody holds is swept away; what only has such a name stays. */
START_TEST(fence_that_is_down_keeps_nobody_waiting)
{
	char fence[96], file[96];

	snprintf(fence, sizeof(fence), "%s/fence.77", rundir);
	snprintf(file, sizeof(file), "%s/fence.d", rundir);
	ck_assert_int_eq(mkfifo(fence, 0600), 0);
	ck_assert_int_eq(mkdir(file, 0700), 0);
	start_pool("well", 1);
	run_until(&seen.ready, 1);
	ck_assert_int_eq(access(fence, F_OK), -1);
	stop_pool();
	ck_assert_int_eq(rmdir(file), 0);
}
END_TEST

START_TEST(one_that_had_lived_a_while_is_started_again_at_once)
{
	start_pool("well", 1);
	take_and_attach(-1);
	run_until(&seen.attached, 1);
	skipped_ns += 1000000000ull;
	ck_assert_int_eq(kill(worker_lease_pid(&lease), SIGKILL), 0);
	run_until(&seen.died, 1);
	ck_assert_str_eq(worker_pool_info(pool, 0).state, "starting");
	stop_pool();
}
END_TEST

START_TEST(nonsense_gets_it_killed)
{
	static const char *const plays[] = {"foreign device", "short message", "unknown message",
					    "two hellos"};

	start_pool(plays[_i], 1);
	take_and_attach(-1);
	run_until(&seen.died, 1);
	ck_assert_int_eq(seen.attached, 0);
	ck_assert_ptr_null(strstr(seen.why.text, "signal"));
	ck_assert(seen.crashed);
	stop_pool();
}
END_TEST

START_TEST(another_version_is_not_used)
{
	start_pool("old version", 1);
	uint64_t end = rwy_loop_now_ns(loop) + GIVE_UP_NS;

	while (worker_pool_info(pool, 0).nr_restarts < 2) {
		ck_assert(rwy_loop_now_ns(loop) < end);
		ck_assert_int_eq(rwy_loop_run_once(loop, 1000000000ull), 0);
	}
	ck_assert_int_eq(seen.ready, 0);
	stop_pool();
}
END_TEST

/* For as long as none is ready: who waits wants to know why. */
START_TEST(trouble_is_known_until_a_process_is_ready)
{
	start_pool("crash", 1);
	ck_assert_ptr_null(worker_pool_trouble(pool));
	run_until(&seen.unready, 1);
	ck_assert_ptr_nonnull(worker_pool_trouble(pool));
	ck_assert_ptr_nonnull(strstr(worker_pool_trouble(pool)->text, "signal 9"));
	ck_assert_int_eq(setenv(PLAY_ENV, "well", 1), 0);
	run_until(&seen.ready, 1);
	ck_assert_ptr_null(worker_pool_trouble(pool));
	stop_pool();
}
END_TEST

/* Each pause is longer than the one before: 100, 200, 400 ms. */
START_TEST(restarts_slow_down)
{
	start_pool("crash", 1);
	uint64_t begin = rwy_loop_now_ns(loop);

	while (worker_pool_info(pool, 0).nr_restarts < 3) {
		ck_assert(rwy_loop_now_ns(loop) < begin + GIVE_UP_NS);
		ck_assert_int_eq(rwy_loop_run_once(loop, 1000000000ull), 0);
	}
	ck_assert_uint_ge(rwy_loop_now_ns(loop) - begin, 700000000ull);
	stop_pool();
}
END_TEST

START_TEST(devices_spread_over_processes)
{
	struct worker_lease leases[6] = {0};

	start_pool("well", 3);
	run_until(&seen.ready, 3);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(worker_take(pool, &leases[i]), 0);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(worker_pool_info(pool, i).nr_devices, 2);
	for (int i = 0; i < 6; i++)
		worker_drop(&leases[i]);
	stop_pool();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("control_worker");
	TCase *tc = tcase_create("worker");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_rundir, remove_rundir);
	tcase_add_test(tc, device_goes_in_and_out);
	tcase_add_test(tc, messages_queue_while_the_socket_is_full);
	tcase_add_test(tc, refusal_is_passed_on_clean);
	tcase_add_test(tc, killed_process_ends_leases_and_is_started_again);
	tcase_add_test(tc, exit_is_told_from_a_signal);
	tcase_add_test(tc, fault_of_its_own_is_a_crash);
	tcase_add_test(tc, one_that_does_not_answer_is_killed);
	tcase_add_test(tc, one_that_has_answered_may_be_silent);
	tcase_add_test(tc, lease_ends_and_another_is_started_when_the_last_io_has_ended);
	tcase_add_loop_test(tc, leaving_waits_for_the_last_io_but_not_for_ever, 0, 2);
	tcase_add_test(tc, none_is_ready_before_the_io_of_a_predecessor_has_ended);
	tcase_add_test(tc, data_process_of_a_predecessor_that_does_not_leave_is_killed);
	tcase_add_test(tc, only_the_holder_of_a_fence_is_taken_for_it);
	tcase_add_test(tc, fence_that_is_down_keeps_nobody_waiting);
	tcase_add_test(tc, one_that_had_lived_a_while_is_started_again_at_once);
	tcase_add_loop_test(tc, nonsense_gets_it_killed, 0, 4);
	tcase_add_test(tc, another_version_is_not_used);
	tcase_add_test(tc, trouble_is_known_until_a_process_is_ready);
	tcase_add_test(tc, restarts_slow_down);
	tcase_add_test(tc, devices_spread_over_processes);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
