// SPDX-License-Identifier: MIT
/*
 * libringway's public functions on loopback Xen, against the small backend of vbd_backend.h: open,
 * use, close, and all the ways in which a backend can refuse, vanish, come back or lie. One process
 * plays both domains.
 */
#include "tests/vbd_disk.h"
#include <err.h>
#include <spawn.h>
#include <time.h>
#include "frontend/user/lib_handshake.h"

START_TEST(disk_opens_works_closes_and_opens_again)
{
	struct rwy_vbd_info info;

	begin();
	for (unsigned int i = 0; i < 3; i++) {
		must_open(NULL);
		ck_assert_str_eq(why, "");
		ck_assert_int_eq(front_state(), XenbusStateConnected);
		ck_assert_int_eq(rwy_vbd_status(vbd, why, sizeof(why)), 0);
		rwy_vbd_get_info(vbd, &info);
		ck_assert_uint_eq(info.capacity_bytes, DISK_SECT * 512);
		ck_assert_uint_eq(info.sector_bytes, 512);
		ck_assert_uint_eq(info.devid, DEVID);
		ck_assert_uint_eq(info.backend_domid, 0);
		ck_assert(info.write_cache && !info.read_only);
		write_and_read_back(i);
		ck_assert_uint_eq(b.flushes, i + 1);
		rwy_vbd_close(vbd);
		ck_assert_uint_eq(b.disconnects, i + 1);
		AWAIT(back_state() == XenbusStateInitWait);
		ck_assert_int_eq(front_state(), XenbusStateInitialising);
	}
}
END_TEST

struct ring_order {
	int max_order;
	uint32_t most, pages;
};

static const struct ring_order orders[] = {
	{-1, 0, 1}, {0, 0, 1}, {1, 0, 2}, {4, 0, 4}, {4, 16, 16}, {4, 3, 2}, {9, 16, 16},
};

START_TEST(ring_is_as_large_as_both_allow)
{
	struct rwy_vbd_options options = {.max_ring_pages = orders[_i].most};

	b.max_order = orders[_i].max_order;
	begin();
	must_open(&options);
	ck_assert_uint_eq(b.nr_ring_pages, orders[_i].pages);
	write_and_read_back(7);
	rwy_vbd_close(vbd);
}
END_TEST

static bool is_in_our_directory(const char *node)
{
	char value[RWY_XENBUS_VALUE_BYTES];

	return rwy_xenbus_read(dom0, RWY_XENBUS_NO_TX, value, sizeof(value), "%s/%s", b.front,
			       node) >= 0;
}

/* Linux's frontend publishes a ring of one page and takes nothing of ours away. */
START_TEST(closed_disk_has_no_ring_any_more)
{
	static const char *const nodes[] = {"ring-ref",	     "ring-page-order",	  "ring-ref0",
					    "ring-ref1",     "ring-ref2",	  "ring-ref3",
					    "event-channel", "feature-persistent"};

	b.max_order = _i ? 2 : -1;
	begin();
	must_open(NULL);
	ck_assert(is_in_our_directory(nodes[_i ? 1 : 0]));
	rwy_vbd_close(vbd);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		ck_assert_msg(!is_in_our_directory(nodes[i]), "%s stays", nodes[i]);
	ck_assert(is_in_our_directory("backend"));
}
END_TEST

/* What another driver, or one with a larger ring, has left in our directory. */
START_TEST(leftovers_of_earlier_drivers_do_no_harm)
{
	static const char *const nodes[] = {"multi-queue-num-queues", "ring-page-order",
					    "ring-ref"};
	char path[128];
	uint32_t number;

	b.max_order = _i ? 2 : -1;
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", b.front, nodes[i]);
		rwy_xenbus_write(dom0, RWY_XENBUS_NO_TX, path, "3");
	}
	begin();
	must_open(NULL);
	ck_assert_uint_eq(b.nr_ring_pages, _i ? 4 : 1);
	ck_assert_int_eq(rwy_xenbus_read_u32(dom0, RWY_XENBUS_NO_TX, 0, 9, &number, "%s/%s",
					     b.front, nodes[0]),
			 -ENOENT);
	ck_assert_int_eq(rwy_xenbus_read_u32(dom0, RWY_XENBUS_NO_TX, 0, 9, &number, "%s/%s",
					     b.front, nodes[_i ? 2 : 1]),
			 -ENOENT);
	rwy_vbd_close(vbd);
}
END_TEST

START_TEST(disks_are_found_by_name)
{
	struct rwy_vbd_options bad = {.reserved = {0, 1}};

	begin();
	must_fail("bogus", -EINVAL, "bogus");
	must_fail("xvdq", -ENOENT, "xvdq");
	ck_assert_int_eq(open_disk("xvda", &bad), -EINVAL);
	ck_assert_int_eq(rwy_vbd_open("xvdq", NULL, &vbd, NULL, 0), -ENOENT);
	ck_assert_int_eq(open_disk("51712", NULL), 0);
	rwy_vbd_close(vbd);
	ck_assert_int_eq(open_disk(NULL, NULL), 0);
	rwy_vbd_close(vbd);
	rwy_vbd_close(NULL);
}
END_TEST

START_TEST(several_disks_must_be_told_apart)
{
	char path[128];

	begin();
	snprintf(path, sizeof(path), "/local/domain/%u/device/vbd/51728/backend", world.a);
	ck_assert_int_eq(rwy_xenbus_write(dom0, RWY_XENBUS_NO_TX, path, "/nowhere"), 0);
	must_fail(NULL, -ENOTUNIQ, "2 disks");
	rwy_xenbus_remove(dom0, RWY_XENBUS_NO_TX, "/local/domain/%u/device/vbd", world.a);
	must_fail(NULL, -ENOENT, "no disks");
}
END_TEST

START_TEST(read_only_disk_refuses_writes)
{
	struct rwy_vbd_info info;
	uint8_t buf[512] = {1};

	b.read_only = true;
	begin();
	must_open(NULL);
	rwy_vbd_get_info(vbd, &info);
	ck_assert(info.read_only);
	ck_assert_int_eq(rwy_vbd_pwrite(vbd, buf, sizeof(buf), 0), -EROFS);
	ck_assert_int_eq(rwy_vbd_pread(vbd, buf, sizeof(buf), 0), 0);
	ck_assert_int_eq(rwy_vbd_pread(vbd, buf, sizeof(buf), 1), -EINVAL);
	rwy_vbd_close(vbd);
	ck_assert_uint_eq(b.disk[0], 0);
}
END_TEST

START_TEST(refusal_is_told_in_the_backends_words)
{
	time_t start = time(NULL);

	b.refusal = "policy: not for you";
	b.refuse_at_offer = _i;
	if (_i) /* as it would be found: refused before anybody asked */
		vbd_backend_refuse(&b);
	begin();
	ck_assert_int_eq(open_disk("xvda", NULL), -EACCES);
	ck_assert_str_eq(why, "backend refused: policy: not for you");
	ck_assert_uint_eq(b.connects, 0);
	ck_assert_int_ne(front_state(), XenbusStateConnected);
	ck_assert_int_lt(time(NULL) - start, 7); /* long before the timeout of 10 s */
}
END_TEST

/* Refused once, granted after: the refusal left behind keeps nobody out. */
START_TEST(stale_refusal_does_not_keep_us_out)
{
	b.refusal = "once";
	vbd_backend_refuse(&b);
	b.refusal = NULL;
	begin();
	must_open(NULL);
	rwy_vbd_close(vbd);
}
END_TEST

/* Refused while connecting, as when a data process dies there, but not the next time: nothing is
 * left that would end the disk later. */
START_TEST(refusal_that_is_taken_back_leaves_no_deadline)
{
	b.refusal = "once";
	b.refuse_once = true;
	begin();
	must_open(NULL);
	ck_assert_uint_eq(lib_handshake_next_ns(vbd), 0);
	rwy_vbd_close(vbd);
}
END_TEST

START_TEST(silent_backend_is_given_up)
{
	b.silent = true;
	begin();
	must_fail("xvda", -ETIMEDOUT, "InitWait");
	ck_assert_int_ne(front_state(), XenbusStateInitialised);
	vbd_backend_lock(&b);
	b.silent = false;
	vbd_backend_order(&b);
	must_open(NULL);
	rwy_vbd_close(vbd);
}
END_TEST

static const char *const senseless[] = {"99999999999999999999", "-1", "", "0x10",
					"18014398509481984"};

START_TEST(senseless_capacity_is_refused)
{
	b.sectors_text = senseless[_i];
	begin();
	must_fail("xvda", -EPROTO, "sectors");
}
END_TEST

/* This program again, as another process of the guest, which opens the disk and stays. Not a mere
 * fork: a child of a process with threads may do little more than exec. Ours to kill. */
static pid_t start_victim(void)
{
	char self[] = "/proc/self/exe", number[16], told;
	char *argv[] = {self, NULL};
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	snprintf(number, sizeof(number), "%d", ends[1]);
	setenv("VBD_VICTIM", number, 1);
	unsetenv("WORLD_PRELOADED");
	ck_assert_int_eq(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	unsetenv("VBD_VICTIM");
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &told, 1), 1);
	close(ends[0]);
	return pid;
}

static void be_victim(int tell_fd)
{
	if (open_disk("xvda", NULL))
		errx(1, "victim: %s", why);
	if (write(tell_fd, "", 1) != 1)
		err(1, "victim");
	for (;;)
		pause();
}

/* Also where the backend (QEMU, xen-blkback) waits for the close that the dead one owes it. */
START_TEST(killed_frontend_is_followed_by_another)
{
	b.patient = _i;
	begin();
	for (int i = 0; i < 3; i++) {
		pid_t pid = start_victim();

		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		ck_assert_int_eq(front_state(), XenbusStateConnected);
		ck_assert_int_eq(back_state(), XenbusStateConnected);
	}
	must_open(NULL);
	write_and_read_back(1);
	rwy_vbd_close(vbd);
}
END_TEST

/* The one before us died in its close; what the backend has to say of it is no refusal of ours. */
START_TEST(half_closed_disk_is_closed_and_opened)
{
	char state[128];

	snprintf(state, sizeof(state), "%s/state", b.front);
	b.patient = _i;
	begin();
	vbd_backend_lock(&b);
	vbd_backend_write(&b, "error", "left half-way");
	vbd_backend_set_state(&b, XenbusStateClosing);
	rwy_xenbus_write(dom0, RWY_XENBUS_NO_TX, state, "%d", XenbusStateClosing);
	pthread_mutex_unlock(&b.lock);
	must_open(NULL);
	write_and_read_back(1);
	rwy_vbd_close(vbd);
}
END_TEST

/* --- backends that go away while requests are under way */

/* Requests that no backend has answered, and a backend that has forgotten them: the next one does them. */
static void outlive(bool *order)
{
	begin();
	must_open(&(struct rwy_vbd_options){.max_data_pages = 176});
	for (uint32_t i = 0; i < 3; i++) {
		submit_held();
		vbd_backend_lock(&b);
		b.hold = false;
		b.nr_held = 0; /* forgotten, as by a process that died */
		vbd_backend_write(&b, "error", "stopped"); /* which is no refusal */
		*order = true;
		vbd_backend_order(&b);
		AWAIT(nr_done == 6);
		for (int k = 0; k < 6; k++) {
			ck_assert_int_eq(pending[k].result, 0);
			ck_assert_int_eq(memcmp(b.disk + pending[k].io.offset, pending[k].buf,
						sizeof(pending[k].buf)),
					 0);
		}
		ck_assert_uint_eq(b.connects, i + 2);
		memset(b.disk, 0, sizeof(b.disk));
	}
	ck_assert_int_eq(rwy_vbd_status(vbd, NULL, 0), 0);
	write_and_read_back(3);
	rwy_vbd_close(vbd);
}

START_TEST(requests_outlive_a_restart_of_the_backend)
{
	outlive(&b.restart);
}
END_TEST

START_TEST(requests_outlive_a_backend_that_is_begun_anew)
{
	outlive(&b.anew);
}
END_TEST

START_TEST(backend_that_does_not_come_back_is_given_up)
{
	begin();
	must_open(&few_pages);
	submit_held();
	vbd_backend_lock(&b);
	vbd_backend_write(&b, "error", "gone fishing");
	b.away = true;
	b.restart = true;
	vbd_backend_order(&b);
	AWAIT(rwy_vbd_status(vbd, NULL, 0));
	all_must_end(-ETIMEDOUT, "come back in time (it is Closed: gone fishing)");
	rwy_vbd_close(vbd);
}
END_TEST

START_TEST(detached_disk_ends_its_requests)
{
	begin();
	must_open(&few_pages);
	submit_held();
	vbd_backend_lock(&b);
	vbd_backend_write(&b, "online", "0");
	b.restart = true;
	vbd_backend_order(&b);
	all_must_end(-ESHUTDOWN, "detached");
	AWAIT(back_state() == XenbusStateClosed);
	ck_assert_int_eq(front_state(), XenbusStateClosed);
	rwy_vbd_close(vbd);
	ck_assert_int_eq(front_state(), XenbusStateClosed);
}
END_TEST

START_TEST(removed_disk_ends_its_requests_and_leaves_no_node)
{
	char **names;
	unsigned int n;

	begin();
	must_open(&few_pages);
	submit_held();
	rwy_xenbus_remove(dom0, RWY_XENBUS_NO_TX, "%s", b.front);
	rwy_xenbus_remove(dom0, RWY_XENBUS_NO_TX, "%s", b.back);
	all_must_end(-ESHUTDOWN, "removed");
	rwy_vbd_close(vbd);
	ck_assert_int_eq(rwy_xenbus_list(dom0, RWY_XENBUS_NO_TX, &names, &n, "%s", b.front),
			 -ENOENT);
}
END_TEST

/* Our directory is gone and the backend's is not: nothing that we write may bring ours back, even
 * where we have the right to (a disk of dom0's own). */
START_TEST(directory_that_was_removed_stays_removed)
{
	char **names, parent[64];
	unsigned int n;

	snprintf(parent, sizeof(parent), "/local/domain/%u/device/vbd", world.a);
	rwy_xenbus_set_owner_reader(dom0, RWY_XENBUS_NO_TX, parent, world.a, 0);
	begin();
	must_open(&few_pages);
	submit_held();
	rwy_xenbus_remove(dom0, RWY_XENBUS_NO_TX, "%s", b.front);
	vbd_backend_lock(&b);
	vbd_backend_set_state(&b, XenbusStateClosing);
	vbd_backend_order(&b);
	AWAIT(rwy_vbd_status(vbd, NULL, 0) == -EAGAIN || nr_done == 6);
	vbd_backend_lock(&b);
	vbd_backend_set_state(&b, XenbusStateClosed);
	vbd_backend_order(&b);
	all_must_end(-ESHUTDOWN, "cannot follow");
	rwy_vbd_close(vbd);
	ck_assert_int_eq(rwy_xenbus_list(dom0, RWY_XENBUS_NO_TX, &names, &n, "%s", b.front),
			 -ENOENT);
}
END_TEST

static void *close_disk(void *arg)
{
	(void)arg;
	rwy_vbd_close(vbd);
	return NULL;
}

/* Our pages may be mapped until the backend is Closed: until then they are ours to keep granted. */
START_TEST(close_waits_until_the_backend_has_let_go)
{
	pthread_t closer;

	b.slow = true;
	begin();
	must_open(NULL);
	ck_assert_int_eq(pthread_create(&closer, NULL, close_disk, NULL), 0);
	AWAIT(front_state() == XenbusStateClosed);
	ck_assert_int_eq(pthread_tryjoin_np(closer, NULL), EBUSY);
	vbd_backend_lock(&b);
	b.slow = false;
	vbd_backend_order(&b);
	pthread_join(closer, NULL);
	ck_assert_uint_eq(b.disconnects, 1);
	ck_assert_int_eq(front_state(), XenbusStateInitialising);
}
END_TEST

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

START_TEST(close_gives_a_slow_backend_its_time_and_no_more)
{
	uint64_t start, took;

	b.slow = true;
	begin();
	must_open(&impatient);
	start = now_ms();
	rwy_vbd_close(vbd);
	took = now_ms() - start;
	ck_assert_uint_eq(b.disconnects, 0);
	ck_assert_uint_ge(took, impatient.connect_timeout_ms);
	ck_assert_uint_lt(took, 10 * impatient.connect_timeout_ms);
}
END_TEST

START_TEST(close_is_quick_when_the_backend_is_begun_anew)
{
	pthread_t closer;
	uint64_t start;

	begin();
	must_open(NULL);
	vbd_backend_lock(&b); /* it is dead */
	start = now_ms();
	ck_assert_int_eq(pthread_create(&closer, NULL, close_disk, NULL), 0);
	AWAIT(front_state() == XenbusStateClosing);
	vbd_backend_set_state(&b, XenbusStateInitialising);
	pthread_join(closer, NULL);
	ck_assert_uint_lt(now_ms() - start, 8000); /* a step that nobody takes is given 10 s */
	vbd_backend_order(&b);
}
END_TEST

START_TEST(lying_backend_is_left_for_good)
{
	begin();
	must_open(&few_pages);
	submit_held();
	vbd_backend_lock(&b);
	b.hold = false;
	b.lie = true;
	vbd_backend_order(&b);
	all_must_end(-EPROTO, "not outstanding");
	AWAIT(front_state() == XenbusStateInitialising);
	ck_assert_uint_eq(b.disconnects, 1);
	ck_assert_uint_eq(b.connects, 1);
	rwy_vbd_close(vbd);
}
END_TEST

/* The backend never answers: close is bounded, and every request is called back. */
START_TEST(close_does_not_wait_for_ever)
{
	begin();
	must_open(&few_pages);
	submit_held();
	rwy_vbd_close(vbd);
	ck_assert_int_eq(nr_done, 6);
	for (int k = 0; k < 6; k++)
		ck_assert_int_eq(pending[k].result, -ESHUTDOWN);
}
END_TEST

START_TEST(close_waits_for_requests_under_way)
{
	begin();
	must_open(&(struct rwy_vbd_options){.max_data_pages = 176});
	submit_held();
	vbd_backend_lock(&b);
	b.hold = false;
	vbd_backend_order(&b);
	rwy_vbd_close(vbd);
	ck_assert_int_eq(nr_done, 6);
	for (int k = 0; k < 6; k++)
		ck_assert_int_eq(pending[k].result, 0);
}
END_TEST

START_TEST(resize_is_seen_while_open)
{
	struct rwy_vbd_info info;
	uint8_t buf[512];

	b.sectors = 1024;
	begin();
	must_open(NULL);
	ck_assert_int_eq(rwy_vbd_pread(vbd, buf, 512, 1024 * 512), -EINVAL);
	vbd_backend_lock(&b);
	b.sectors = 2048;
	b.resized = true;
	vbd_backend_order(&b);
	do
		rwy_vbd_get_info(vbd, &info);
	while (info.capacity_bytes != 2048 * 512);
	ck_assert_int_eq(rwy_vbd_pread(vbd, buf, 512, 1024 * 512), 0);
	rwy_vbd_close(vbd);
}
END_TEST

static int from_callback;

static void call_from_callback(struct rwy_vbd_io *io, int result)
{
	(void)io;
	(void)result;
	from_callback = rwy_vbd_flush(vbd);
	nr_done++;
}

START_TEST(blocking_in_a_callback_is_refused)
{
	struct rwy_vbd_io io = {.op = RWY_VBD_FLUSH};

	begin();
	must_open(NULL);
	ck_assert_int_eq(rwy_vbd_submit(vbd, &io), -EINVAL);
	io.done = call_from_callback;
	ck_assert_int_eq(rwy_vbd_submit(vbd, &io), 0);
	AWAIT(nr_done == 1);
	ck_assert_int_eq(from_callback, -EDEADLK);
	rwy_vbd_close(vbd);
}
END_TEST

#define NR(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *vbd_life_suite(void)
{
	Suite *suite = suite_create("vbd_life");
	TCase *tcase = tcase_create("vbd_life");

	if (getenv("VBD_VICTIM"))
		be_victim(atoi(getenv("VBD_VICTIM")));
	tcase_set_timeout(tcase, 30);
	tcase_add_unchecked_fixture(tcase, world_up, world_down);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, disk_opens_works_closes_and_opens_again);
	tcase_add_loop_test(tcase, ring_is_as_large_as_both_allow, 0, NR(orders));
	tcase_add_loop_test(tcase, closed_disk_has_no_ring_any_more, 0, 2);
	tcase_add_loop_test(tcase, leftovers_of_earlier_drivers_do_no_harm, 0, 2);
	tcase_add_test(tcase, disks_are_found_by_name);
	tcase_add_test(tcase, several_disks_must_be_told_apart);
	tcase_add_test(tcase, read_only_disk_refuses_writes);
	tcase_add_loop_test(tcase, refusal_is_told_in_the_backends_words, 0, 2);
	tcase_add_test(tcase, stale_refusal_does_not_keep_us_out);
	tcase_add_test(tcase, refusal_that_is_taken_back_leaves_no_deadline);
	tcase_add_test(tcase, silent_backend_is_given_up);
	tcase_add_loop_test(tcase, senseless_capacity_is_refused, 0, NR(senseless));
	tcase_add_loop_test(tcase, killed_frontend_is_followed_by_another, 0, 2);
	tcase_add_loop_test(tcase, half_closed_disk_is_closed_and_opened, 0, 2);
	tcase_add_test(tcase, requests_outlive_a_restart_of_the_backend);
	tcase_add_test(tcase, requests_outlive_a_backend_that_is_begun_anew);
	tcase_add_test(tcase, close_is_quick_when_the_backend_is_begun_anew);
	tcase_add_test(tcase, backend_that_does_not_come_back_is_given_up);
	tcase_add_test(tcase, detached_disk_ends_its_requests);
	tcase_add_test(tcase, removed_disk_ends_its_requests_and_leaves_no_node);
	tcase_add_test(tcase, directory_that_was_removed_stays_removed);
	tcase_add_test(tcase, close_waits_until_the_backend_has_let_go);
	tcase_add_test(tcase, close_gives_a_slow_backend_its_time_and_no_more);
	tcase_add_test(tcase, lying_backend_is_left_for_good);
	tcase_add_test(tcase, close_does_not_wait_for_ever);
	tcase_add_test(tcase, close_waits_for_requests_under_way);
	tcase_add_test(tcase, resize_is_seen_while_open);
	tcase_add_test(tcase, blocking_in_a_callback_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

CHECK_MAIN(vbd_life_suite)
