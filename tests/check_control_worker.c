// SPDX-License-Identifier: MIT
/*
 * Supervision of data processes. The test program is its own data process: started again with the
 * name of a behaviour in the environment, it plays that one on CTL_FD, well or badly.
 */
#include "backend/control/worker.h"
#include "tests/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* The one descriptor of an ATTACH, -1: none. */
static int hear(void *buf, size_t size)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(CTL_FD, &mh, 0) <= 0)
		_exit(0);
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
	if (cm)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

/* Does as it should; the size of the target's file goes back as its count of reads. */
static void play_well(void)
{
	union {
		struct ctl_header header;
		struct ctl_attach attach;
	} msg;
	struct stat st = {0};

	for (;;) {
		int fd = hear(&msg, sizeof(msg));

		if (msg.header.type == CTL_ATTACH) {
			if (msg.attach.capacity_sect == TARGET_SECT && fd >= 0)
				fstat(fd, &st);
			say_result(CTL_ATTACHED, msg.header.device_id, 0, "");
		} else if (msg.header.type == CTL_DETACH) {
			say_result(CTL_DETACHED, msg.header.device_id, 0, "");
		} else {
			struct ctl_stats_reply reply = {
				.header = {CTL_STATS_REPLY, msg.header.device_id}};

			reply.stats.read_requests = (uint64_t)st.st_size;
			say(&reply, sizeof(reply));
		}
	}
}

__attribute__((constructor)) static void maybe_play(void)
{
	const char *play = getenv(PLAY_ENV);
	struct ctl_attach msg;

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
	hear(&msg, sizeof(msg));
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
	hear(&msg, sizeof(msg));
	_exit(0);
}

/* What happened, in order, to one lease and one pool. */
static struct {
	int ready, unready, attached, detached, broken, stats, died, all_left;
	int err;
	struct reason why;
	uint64_t reads;
} seen;
static struct rwy_loop *loop;
static struct worker_pool *pool;
static struct worker_lease lease;

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
}

static void on_died(struct worker_lease *l, const struct reason *why)
{
	ck_assert_ptr_null(l->worker);
	seen.died++;
	seen.why = *why;
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
	.died = on_died,
	.all_left = on_all_left,
};

static void start_pool(const char *play, unsigned int nr_processes)
{
	static char self[4096];
	struct worker_config config = {.binary = self, .nr_processes = nr_processes};
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(len, 0);
	memset(&seen, 0, sizeof(seen));
	memset(&lease, 0, sizeof(lease));
	ck_assert_int_eq(setenv(PLAY_ENV, play, 1), 0);
	ck_assert_int_eq(rwy_loop_create(&loop, NULL, NULL), 0);
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
				      .fd = fd};

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
	tcase_add_test(tc, device_goes_in_and_out);
	tcase_add_test(tc, messages_queue_while_the_socket_is_full);
	tcase_add_test(tc, refusal_is_passed_on_clean);
	tcase_add_test(tc, killed_process_ends_leases_and_is_started_again);
	tcase_add_test(tc, exit_is_told_from_a_signal);
	tcase_add_loop_test(tc, nonsense_gets_it_killed, 0, 4);
	tcase_add_test(tc, another_version_is_not_used);
	tcase_add_test(tc, trouble_is_known_until_a_process_is_ready);
	tcase_add_test(tc, restarts_slow_down);
	tcase_add_test(tc, devices_spread_over_processes);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
