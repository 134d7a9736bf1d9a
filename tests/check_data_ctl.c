// SPDX-License-Identifier: MIT
/*
 * The data process's side of the control socket, with the test as control: the life of a device in
 * messages, what happens to nonsense, to a control that reads nothing, and to one that is gone. On
 * the fake Xen of data_world.h.
 */
#include <sys/socket.h>
#include "tests/check_main.h"
#include "tests/data_world.h"
#include "tests/descriptors.h"
#include "backend/data/ctl.h"

#define DATA 100u

static struct lane *lane;
static struct ctl ctl;
static struct guest guest;
static int control;

union answer {
	struct ctl_header header;
	struct ctl_hello hello;
	struct ctl_result result;
	struct ctl_stats_reply stats;
};

static void setup(void)
{
	int pair[2];

	rwy_log_init("check", RWY_LOG_ERROR);
	world_open();
	ck_assert_int_eq(lane_create(&lane, &(struct lane_params){.nr_bufs = 64,
								  .now_ns = world_now_ns,
								  .fence_fd = -1}),
			 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	control = pair[0];
	ck_assert_int_eq(ctl_init(&ctl, lane, pair[1]), 0);
	guest_init(&guest, 0, 1, 1);
}

static void teardown(void)
{
	/* Without control the lane lets its devices go, and stops. */
	if (control >= 0)
		close(control);
	ck_assert_int_eq(lane_run(lane), 0);
	ctl_fini(&ctl);
	close(ctl.fd);
	lane_destroy(lane);
	world_close();
}

static void rounds(int n)
{
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(lane_round(lane, false), 0);
}

/* The next answer; its type, or 0 when there is none. */
static uint32_t hear(union answer *answer)
{
	ssize_t n = recv(control, answer, sizeof(*answer), MSG_DONTWAIT);

	if (n <= 0)
		return 0;
	switch (answer->header.type) {
	case CTL_HELLO:
		ck_assert_int_eq(n, sizeof(answer->hello));
		break;
	case CTL_STATS_REPLY:
		ck_assert_int_eq(n, sizeof(answer->stats));
		break;
	default:
		ck_assert_int_eq(n, sizeof(answer->result));
		break;
	}
	return answer->header.type;
}

/* The next answer, which will come. */
static uint32_t await(union answer *answer)
{
	uint32_t type;

	while (!(type = hear(answer)))
		ck_assert_int_eq(lane_round(lane, true), 0);
	return type;
}

static void hear_hello(void)
{
	union answer answer;

	ck_assert_uint_eq(hear(&answer), CTL_HELLO);
	ck_assert_uint_eq(answer.hello.version, CTL_VERSION);
	ck_assert_uint_eq(answer.hello.pid, (uint32_t)getpid());
}

#define MANY_FILES 4u /* more than any message has */

static void say_with(const void *msg, size_t bytes, const int *files, uint32_t nr_files)
{
	const size_t file_bytes = nr_files * sizeof(*files);
	union {
		char space[CMSG_SPACE(MANY_FILES * sizeof(int))];
		struct cmsghdr align;
	} space = {0};
	struct iovec iov = {.iov_base = (void *)msg, .iov_len = bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nr_files > 0) {
		mh.msg_control = &space;
		mh.msg_controllen = CMSG_SPACE(file_bytes);
		*CMSG_FIRSTHDR(&mh) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
						       .cmsg_type = SCM_RIGHTS,
						       .cmsg_len = CMSG_LEN(file_bytes)};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), files, file_bytes);
	}
	ck_assert_int_eq(sendmsg(control, &mh, 0), (ssize_t)bytes);
}

static void say(const void *msg, size_t bytes)
{
	say_with(msg, bytes, NULL, 0);
}

/* With a new journal, and a target if there is one. */
static void say_attach(const struct ctl_attach *msg, int target)
{
	const int files[] = {world_journal(1, RWY_BLK_ABI_NATIVE), target};

	say_with(msg, sizeof(*msg), files, target >= 0 ? 2 : 1);
	close(files[0]);
}

static void say_device(enum ctl_type type, uint32_t id)
{
	struct ctl_device msg = {.header = {.type = type, .device_id = id}};

	say(&msg, sizeof(msg));
}

static struct ctl_attach attach_message(uint32_t id, enum ctl_engine engine)
{
	return (struct ctl_attach){
		.header = {.type = CTL_ATTACH, .device_id = id},
		.domid = WORLD_DOMID,
		.devid = 51712,
		.engine = engine,
		.flags = CTL_FLUSH,
		.evtchn = guest.port,
		.nr_ring_pages = 1,
		.ring_gref = {guest.ring_page},
		.capacity_sect = 1000,
	};
}

static void attach(uint32_t id)
{
	struct ctl_attach msg = attach_message(id, CTL_ENGINE_NULL);
	union answer answer;

	say_attach(&msg, -1);
	ck_assert_uint_eq(await(&answer), CTL_ATTACHED);
	ck_assert_uint_eq(answer.header.device_id, id);
	ck_assert_int_eq(answer.result.err, 0);
}

static void read_a_page(void)
{
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, 0, DATA, 1);

	guest_put(&guest, &req);
	guest_push(&guest);
}

START_TEST(ctl_leads_a_device_through_its_life)
{
	union answer answer;
	struct rwy_blk_response rsp;

	hear_hello();
	attach(17);
	read_a_page();
	rounds(5);
	ck_assert(guest_take(&guest, &rsp));
	say_device(CTL_STATS, 17);
	ck_assert_uint_eq(await(&answer), CTL_STATS_REPLY);
	ck_assert_int_eq(answer.stats.err, 0);
	ck_assert_uint_eq(answer.stats.stats.read_requests, 1);
	ck_assert_uint_eq(answer.stats.stats.read_sect, 8);
	ck_assert_uint_ge(answer.stats.stats.notifies, 1);
	say_device(CTL_DETACH, 17);
	ck_assert_uint_eq(await(&answer), CTL_DETACHED);
	ck_assert_uint_eq(answer.header.device_id, 17);
	ck_assert_int_eq(answer.result.err, 0);
	say_device(CTL_STATS, 17);
	ck_assert_uint_eq(await(&answer), CTL_STATS_REPLY);
	ck_assert_int_eq(answer.stats.err, -ENOENT);
	say_device(CTL_DETACH, 17);
	ck_assert_uint_eq(await(&answer), CTL_DETACHED);
	ck_assert_int_eq(answer.result.err, -ENOENT);
	attach(18);
}
END_TEST

START_TEST(ctl_takes_the_files_and_closes_their_fds)
{
	struct ctl_attach msg = attach_message(1, CTL_ENGINE_FILE);
	union answer answer;
	int target = memfd_create("target", 0);
	int next[2] = {dup(target), dup(target)};

	close(next[0]);
	close(next[1]);
	hear_hello();
	ck_assert_int_eq(ftruncate(target, 1000 * 512), 0);
	say_attach(&msg, target);
	ck_assert_uint_eq(await(&answer), CTL_ATTACHED);
	ck_assert_int_eq(answer.result.err, 0);
	/* Only the file table of the io_uring holds it now, and only a mapping the journal. */
	ck_assert_int_eq(fcntl(next[0], F_GETFD), -1);
	ck_assert_int_eq(fcntl(next[1], F_GETFD), -1);
	close(target);
	read_a_page();
	rounds(5);
	ck_assert_int_eq(lane_round(lane, false), 0);
	say_device(CTL_DETACH, 1);
	ck_assert_uint_eq(await(&answer), CTL_DETACHED);
}
END_TEST

START_TEST(ctl_says_why_an_attach_failed)
{
	struct ctl_attach msg = attach_message(1, CTL_ENGINE_NULL);
	union answer answer;

	hear_hello();
	msg.ring_gref[0] = WORLD_PAGES;
	say_attach(&msg, -1);
	ck_assert_uint_eq(await(&answer), CTL_ATTACHED);
	ck_assert_int_eq(answer.result.err, -EINVAL);
	ck_assert_ptr_nonnull(strstr(answer.result.reason, "ring-ref"));
	ck_assert_ptr_nonnull(strstr(answer.result.reason, "Invalid argument"));
	attach(1);
	/* The number is taken, although the guest has another port and ring for it. */
	msg.ring_gref[0] = 1;
	msg.evtchn = 2;
	say_attach(&msg, -1);
	ck_assert_uint_eq(await(&answer), CTL_ATTACHED);
	ck_assert_int_lt(answer.result.err, 0);
}
END_TEST

/* None, nonsense, or more than anybody asked for: nothing is kept. */
START_TEST(ctl_attaches_nothing_without_a_journal)
{
	struct ctl_attach msg = attach_message(1, CTL_ENGINE_NULL);
	int before = descriptors_open();
	union answer answer;

	hear_hello();
	for (uint32_t nr = 0; nr <= MANY_FILES; nr++) {
		int files[MANY_FILES] = {0};

		for (uint32_t i = 0; i < nr; i++)
			files[i] = memfd_create("file", 0);
		say_with(&msg, sizeof(msg), files, nr);
		for (uint32_t i = 0; i < nr; i++)
			close(files[i]);
		ck_assert_uint_eq(await(&answer), CTL_ATTACHED);
		ck_assert_int_eq(answer.result.err, -EINVAL);
		ck_assert_ptr_nonnull(strstr(answer.result.reason, nr < 2 ? "journal" : "file"));
		ck_assert_int_eq(descriptors_open(), before);
	}
	ck_assert_uint_eq(ctl.nr_devices, 0);
	attach(1);
}
END_TEST

START_TEST(ctl_reports_a_broken_ring_once)
{
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	union answer answer;

	hear_hello();
	attach(3);
	sring->req_prod = 12345;
	world_kick(guest.port);
	ck_assert_uint_eq(await(&answer), CTL_BROKEN);
	ck_assert_uint_eq(answer.header.device_id, 3);
	ck_assert_int_eq(answer.result.err, -EPROTO);
	ck_assert_str_ne(answer.result.reason, "");
	world_kick(guest.port);
	rounds(20);
	ck_assert_uint_eq(hear(&answer), 0);
	say_device(CTL_DETACH, 3);
	ck_assert_uint_eq(await(&answer), CTL_DETACHED);
}
END_TEST

START_TEST(ctl_drops_messages_that_make_no_sense)
{
	struct ctl_attach msg = attach_message(1, CTL_ENGINE_NULL);
	union answer answer;

	hear_hello();
	say("x", 1);
	say(&msg, sizeof(msg) - 1);
	say_device(CTL_ATTACH, 1);
	say_device((enum ctl_type)4711, 1);
	say_device(CTL_HELLO, 1);
	rounds(20);
	ck_assert_uint_eq(hear(&answer), 0);
	ck_assert_uint_eq(ctl.nr_devices, 0);
	attach(1);
}
END_TEST

START_TEST(ctl_waits_for_a_control_that_reads_nothing)
{
	const int nr = 2000;
	struct ctl_device msg = {.header = {.type = CTL_STATS, .device_id = 1}};
	union answer answer;
	struct rwy_blk_response rsp;
	int sent = 0, heard = 0;

	hear_hello();
	attach(1);
	/* Answers fill the socket, then queue up, then no more questions are taken; I/O goes on. */
	while (sent < nr) {
		if (send(control, &msg, sizeof(msg), MSG_DONTWAIT) < 0)
			break;
		sent++;
		rounds(1);
	}
	ck_assert(!STAILQ_EMPTY(&ctl.unsent));
	ck_assert_int_lt(sent, nr);
	read_a_page();
	rounds(5);
	ck_assert(guest_take(&guest, &rsp));
	/* No answer was lost. */
	while (heard < sent) {
		ck_assert_uint_eq(await(&answer), CTL_STATS_REPLY);
		heard++;
	}
	say_device(CTL_DETACH, 1);
	ck_assert_uint_eq(await(&answer), CTL_DETACHED);
}
END_TEST

/* Until the data process waits for room. How many. */
static int fill_the_socket(void)
{
	int nr = 0;

	while (STAILQ_EMPTY(&ctl.unsent)) {
		say_device(CTL_STATS, 1);
		rounds(1);
		nr++;
	}
	return nr;
}

/* News of its own accord, more than go into the socket at once. */
START_TEST(ctl_loses_no_news_that_has_to_wait)
{
	enum {
		NR = 12
	};
	const int smallest = 1;
	struct guest more[NR];
	union answer answer;

	hear_hello();
	ck_assert_int_eq(setsockopt(ctl.fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest)), 0);
	for (uint32_t i = 0; i < NR; i++) {
		guest_init(&more[i], 1 + i, 1, 2 + i);
		guest = more[i];
		attach(100 + i);
	}
	int heard = fill_the_socket();

	for (uint32_t i = 0; i < NR; i++) {
		((struct rwy_sring *)world.page[more[i].ring_page])->req_prod = 12345;
		world_kick(more[i].port);
		rounds(5);
	}
	for (; heard > 0; heard--)
		ck_assert_uint_eq(await(&answer), CTL_STATS_REPLY);
	for (uint32_t i = 0; i < NR; i++) {
		ck_assert_uint_eq(await(&answer), CTL_BROKEN);
		ck_assert_uint_eq(answer.header.device_id, 100 + i);
	}
	/* And it listens again. */
	say_device(CTL_STATS, 100);
	ck_assert_uint_eq(await(&answer), CTL_STATS_REPLY);
	ck_assert_int_eq(answer.stats.err, 0);
}
END_TEST

START_TEST(ctl_leaves_when_nobody_reads_its_answers_any_more)
{
	hear_hello();
	attach(1);
	fill_the_socket();
	close(control);
	control = -1;
	ck_assert_int_eq(lane_run(lane), 0);
	ck_assert_uint_eq(ctl.nr_devices, 0);
	ck_assert_int_eq(world.mapped, 0);
}
END_TEST

START_TEST(ctl_leaves_when_control_asks_and_cannot_be_answered)
{
	hear_hello();
	attach(1);
	ck_assert_int_eq(shutdown(control, SHUT_RD), 0);
	say_device(CTL_STATS, 1);
	ck_assert_int_eq(lane_run(lane), 0);
	ck_assert_uint_eq(ctl.nr_devices, 0);
}
END_TEST

START_TEST(ctl_takes_no_more_devices_than_it_has_room_for)
{
	struct ctl_attach msg = attach_message(0, CTL_ENGINE_NULL);
	union answer answer;

	hear_hello();
	attach(1);
	ctl.nr_devices += DATA_MAX_DEVICES - 1;
	msg.header.device_id = 2;
	msg.ring_gref[0] = 1;
	msg.evtchn = 2;
	say_attach(&msg, -1);
	ck_assert_uint_eq(await(&answer), CTL_ATTACHED);
	ck_assert_int_lt(answer.result.err, 0);
	ck_assert_ptr_nonnull(strstr(answer.result.reason, "too many devices"));
	ck_assert_int_eq(world.mapped, 1);
	ctl.nr_devices -= DATA_MAX_DEVICES - 1;
}
END_TEST

START_TEST(ctl_must_be_able_to_say_hello)
{
	static struct ctl mute; /* the lane knows of it until it ends */

	ck_assert_int_eq(ctl_init(&mute, lane, 9999), -EBADF);
}
END_TEST

/* It died in between: there is nothing to do, and nothing has gone wrong. */
START_TEST(ctl_leaves_when_nobody_hears_its_hello)
{
	static struct ctl second;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	close(pair[0]);
	ck_assert_int_eq(ctl_init(&second, lane, pair[1]), 0);
	ck_assert_int_eq(lane_run(lane), 0);
	ctl_fini(&second);
	close(pair[1]);
}
END_TEST

START_TEST(ctl_leaves_after_control_when_guests_are_answered)
{
	struct rwy_blk_response rsp;

	hear_hello();
	attach(1);
	rounds(3);
	read_a_page();
	/* The lane sees the end and the request in the same round. */
	close(control);
	control = -1;
	ck_assert_int_eq(lane_run(lane), 0);
	ck_assert_uint_eq(ctl.nr_devices, 0);
	ck_assert_int_eq(world.mapped, 0);
	/* Answered, or left in the ring for the next: not taken and lost. */
	uint32_t taken = ((struct rwy_sring *)world.page[0])->rsp_prod;

	ck_assert_int_eq(guest_take(&guest, &rsp), taken == 1);
}
END_TEST

START_TEST(ctl_leaves_at_once_without_devices)
{
	close(control);
	control = -1;
	ck_assert_int_eq(lane_run(lane), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_ctl");
	TCase *tc = tcase_create("messages");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ctl_leads_a_device_through_its_life);
	tcase_add_test(tc, ctl_takes_the_files_and_closes_their_fds);
	tcase_add_test(tc, ctl_says_why_an_attach_failed);
	tcase_add_test(tc, ctl_attaches_nothing_without_a_journal);
	tcase_add_test(tc, ctl_reports_a_broken_ring_once);
	tcase_add_test(tc, ctl_drops_messages_that_make_no_sense);
	tcase_add_test(tc, ctl_waits_for_a_control_that_reads_nothing);
	tcase_add_test(tc, ctl_loses_no_news_that_has_to_wait);
	tcase_add_test(tc, ctl_leaves_when_nobody_reads_its_answers_any_more);
	tcase_add_test(tc, ctl_leaves_when_control_asks_and_cannot_be_answered);
	tcase_add_test(tc, ctl_takes_no_more_devices_than_it_has_room_for);
	tcase_add_test(tc, ctl_must_be_able_to_say_hello);
	tcase_add_test(tc, ctl_leaves_when_nobody_hears_its_hello);
	tcase_add_test(tc, ctl_leaves_after_control_when_guests_are_answered);
	tcase_add_test(tc, ctl_leaves_at_once_without_devices);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
