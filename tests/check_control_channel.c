// SPDX-License-Identifier: MIT
/*
 * The control process's end of the message socket, with the test as data process: one that reads
 * nothing for a while, one that is gone, and one that sends what no data process should.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "backend/control/channel.h"
#include "tests/check_main.h"
#include "tests/descriptors.h"

#define MANY 400 /* more than a socket holds */

struct message {
	struct ctl_header header;
	uint32_t number;
};

static struct rwy_loop *loop;
static struct channel *channel;
static int data; /* the other end */
static uint32_t nr_messages, nr_lost, last_number;
static char lost_why[64];
static bool close_at_message;

static void heard(void *ctx, const struct ctl_header *msg, size_t len)
{
	ck_assert_ptr_eq(ctx, &nr_messages);
	ck_assert_uint_ge(len, sizeof(*msg));
	nr_messages++;
	if (len >= sizeof(struct message))
		last_number = ((const struct message *)msg)->number;
	if (close_at_message)
		channel_close(channel);
}

static void lost(void *ctx, const char *why)
{
	ck_assert_ptr_eq(ctx, &nr_messages);
	snprintf(lost_why, sizeof(lost_why), "%s", why);
	nr_lost++;
}

static const struct channel_events events = {.message = heard, .lost = lost};

static void setup(void)
{
	int pair[2];

	nr_messages = nr_lost = last_number = 0;
	close_at_message = false;
	ck_assert_int_eq(rwy_loop_create(&loop, NULL, NULL), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	data = pair[1];
	ck_assert_int_eq(channel_create(&channel, loop, pair[0], &events, &nr_messages), 0);
}

static void teardown(void)
{
	channel_destroy(channel);
	rwy_loop_destroy(loop);
	if (data >= 0)
		close(data);
}

static void rounds(int n)
{
	while (n-- > 0)
		ck_assert_int_eq(rwy_loop_run_once(loop, 0), 0);
}

static int say(uint32_t number, int fd)
{
	struct message msg = {.header = {.type = CTL_ATTACH}, .number = number};

	return channel_send(channel, &msg, sizeof(msg), &fd, fd < 0 ? 0 : 1);
}

/* A file that only its message and its size tell from others. */
static int file_of(uint32_t number)
{
	int fd = memfd_create("target", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 1 + number), 0);
	return fd;
}

/* The next message as the data process sees it, with its file; false when there is none. */
static bool hear(struct message *msg, int *fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control)};

	*fd = -1;
	if (recvmsg(data, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(*msg))
		return false;
	if (CMSG_FIRSTHDR(&mh))
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(*fd));
	return true;
}

START_TEST(messages_wait_for_room_in_order_with_their_files)
{
	int before = descriptors_open(), fd;
	struct message msg;

	for (uint32_t i = 0; i < MANY; i++) {
		/* Room that comes while others wait is theirs. */
		if (i == MANY - 10) {
			for (uint32_t n = 0; n < 10; n++)
				ck_assert(hear(&msg, &fd) && msg.number == n &&
					  (fd < 0 || !close(fd)));
		}
		fd = i % 3 ? -1 : file_of(i);
		ck_assert_int_eq(say(i, fd), 0);
		if (fd >= 0)
			close(fd); /* borrowed */
	}
	rounds(3);
	for (uint32_t i = 10; i < MANY; i++) {
		while (!hear(&msg, &fd))
			rounds(1);
		ck_assert_uint_eq(msg.number, i);
		ck_assert_int_eq(fd >= 0, i % 3 == 0);
		if (fd < 0)
			continue;
		ck_assert_int_eq(lseek(fd, 0, SEEK_END), 1 + i);
		close(fd);
	}
	rounds(2);
	ck_assert(!hear(&msg, &fd));
	ck_assert_int_eq(descriptors_open(), before);
	ck_assert_uint_eq(nr_lost, 0);
	/* And what does not have to wait goes at once. */
	ck_assert_int_eq(say(MANY, -1), 0);
	ck_assert(hear(&msg, &fd));
}
END_TEST

START_TEST(file_that_cannot_wait_is_refused)
{
	int fd = file_of(1);
	uint32_t nr = 0;

	struct message msg;

	/* It is full at the end: then a message needs memory, and its file a descriptor. */
	for (; nr < MANY; nr++)
		ck_assert_int_eq(say(nr, -1), 0);
	rlim_t before = descriptors_leave(0);
	int got = say(nr, fd);

	descriptors_give_back(before);
	ck_assert_int_eq(got, -EMFILE);
	close(fd);
	/* It is not sent without its file. */
	for (uint32_t i = 0; i < nr; i++) {
		while (!hear(&msg, &fd))
			rounds(1);
		ck_assert_uint_eq(msg.number, i);
	}
	rounds(2);
	ck_assert(!hear(&msg, &fd));
}
END_TEST

START_TEST(message_of_a_wrong_length_loses_the_channel)
{
	char msg[CHANNEL_MESSAGE_BYTES + 1] = {0};
	const size_t good = sizeof(struct ctl_header), most = CHANNEL_MESSAGE_BYTES;

	ck_assert_int_eq(send(data, msg, good, 0), good);
	ck_assert_int_eq(send(data, msg, most, 0), most);
	rounds(1);
	ck_assert_uint_eq(nr_messages, 2);
	ck_assert_uint_eq(nr_lost, 0);
	ck_assert_int_gt(send(data, msg, _i ? most + 1 : good - 1, 0), 0);
	ck_assert_int_eq(send(data, msg, good, 0), good);
	rounds(3);
	ck_assert_uint_eq(nr_messages, 2); /* nothing follows */
	ck_assert_uint_eq(nr_lost, 1);
	ck_assert_str_eq(lost_why, "sent a message of a wrong length");
	ck_assert_int_eq(say(1, -1), -EPIPE);
}
END_TEST

START_TEST(end_of_the_data_process_is_told_once)
{
	ck_assert_int_eq(send(data, &(struct message){.number = 7}, sizeof(struct message), 0),
			 sizeof(struct message));
	close(data);
	data = -1;
	rounds(5);
	ck_assert_uint_eq(nr_messages, 1); /* its last words count */
	ck_assert_uint_eq(last_number, 7);
	ck_assert_uint_eq(nr_lost, 1);
	ck_assert_str_eq(lost_why, "closed its socket");
	ck_assert_int_eq(say(1, -1), -EPIPE);
}
END_TEST

/* What it was never told goes, and so do the files that were for it. */
START_TEST(end_of_a_data_process_that_read_nothing_leaves_no_file)
{
	int fd = file_of(1), before = descriptors_open();

	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(say(i, fd), 0);
	ck_assert_int_gt(descriptors_open(), before);
	close(data);
	data = -1;
	rounds(5);
	ck_assert_uint_eq(nr_lost, 1);
	channel_destroy(channel);
	channel = NULL;
	ck_assert_int_eq(descriptors_open(),
			 before - 2); /* both ends of the socket are gone, too */
	close(fd);
}
END_TEST

/* At once, and queued: two files arrive as two, in their order. */
START_TEST(two_files_go_with_one_message)
{
	const int fds[] = {file_of(10), file_of(20)};
	union {
		char space[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control;
	struct message msg = {.header = {.type = CTL_ATTACH}};
	int got[2], before = descriptors_open();

	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(channel_send(channel, &msg, sizeof(msg), fds, 2), 0);
	for (int i = 0; i < MANY; i++) {
		struct iovec iov = {.iov_base = &msg, .iov_len = sizeof(msg)};
		struct msghdr mh = {.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof(control)};

		rounds(1);
		ck_assert_int_eq(recvmsg(data, &mh, MSG_CMSG_CLOEXEC), sizeof(msg));
		ck_assert_uint_eq(CMSG_FIRSTHDR(&mh)->cmsg_len, CMSG_LEN(sizeof(got)));
		memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(got));
		for (int k = 0; k < 2; k++) {
			ck_assert_int_eq(lseek(got[k], 0, SEEK_END), k ? 21 : 11);
			close(got[k]);
		}
	}
	ck_assert_int_eq(descriptors_open(), before);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void end_wait(void *ctx)
{
	*(bool *)ctx = true;
}

START_TEST(channel_rests_when_all_is_sent)
{
	struct rwy_loop_timer *timer;
	struct message msg;
	bool over = false;
	int fd, nr = 0;

	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_int_eq(say(i, -1), 0);
	for (uint32_t i = 0; i < MANY; i++)
		while (!hear(&msg, &fd))
			rounds(1);
	rounds(2);
	/* Nothing to do until the timer: no round ends before. */
	ck_assert_int_eq(rwy_loop_add_timer(loop, end_wait, &over, &timer), 0);
	rwy_loop_arm_timer(timer, rwy_loop_now_ns(loop) + 5000000);
	while (!over) {
		ck_assert_int_eq(rwy_loop_run_once(loop, UINT64_MAX), 0);
		nr++;
	}
	ck_assert_int_le(nr, 2);
}
END_TEST

START_TEST(channel_closed_at_a_message_hears_no_more)
{
	const struct message msg = {0};

	close_at_message = true;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(send(data, &msg, sizeof(msg), 0), sizeof(msg));
	rounds(3);
	ck_assert_uint_eq(nr_messages, 1);
	ck_assert_uint_eq(nr_lost, 0);
	ck_assert_int_eq(say(1, -1), -EPIPE);
	channel_close(channel); /* again */
}
END_TEST

/* A data process that has gone mad does not keep the others waiting. */
START_TEST(flood_of_messages_is_taken_in_bounded_rounds)
{
	const struct message msg = {0};
	uint32_t sent = 0;

	while (send(data, &msg, sizeof(msg), MSG_DONTWAIT) > 0)
		sent++;
	ck_assert_uint_gt(sent, 64);
	rounds(1);
	ck_assert_uint_eq(nr_messages, 64);
	rounds(MANY);
	ck_assert_uint_eq(nr_messages, sent);
}
END_TEST

START_TEST(descriptors_from_a_data_process_are_not_taken)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	struct message msg = {.number = 5};
	struct iovec iov = {.iov_base = &msg, .iov_len = sizeof(msg)};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control)};
	int before = descriptors_open(), fd = STDERR_FILENO;

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(data, &mh, 0), sizeof(msg));
	rounds(1);
	ck_assert_uint_eq(last_number, 5);
	ck_assert_int_eq(descriptors_open(), before);
}
END_TEST

START_TEST(what_breaks_the_contract_is_refused)
{
	static const char msg[CHANNEL_MESSAGE_BYTES + 1];
	const int fds[CHANNEL_MAX_FDS + 1] = {0};
	struct channel *none;

	ck_assert_int_eq(channel_send(channel, msg, sizeof(msg), NULL, 0), -EINVAL);
	ck_assert_int_eq(channel_send(channel, msg, 8, fds, CHANNEL_MAX_FDS + 1), -EINVAL);
	ck_assert_int_eq(channel_create(&none, loop, 9999, &events, NULL), -EBADF);
	channel_destroy(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("control_channel");
	TCase *tc = tcase_create("channel");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, messages_wait_for_room_in_order_with_their_files);
	tcase_add_test(tc, file_that_cannot_wait_is_refused);
	tcase_add_loop_test(tc, message_of_a_wrong_length_loses_the_channel, 0, 2);
	tcase_add_test(tc, end_of_the_data_process_is_told_once);
	tcase_add_test(tc, end_of_a_data_process_that_read_nothing_leaves_no_file);
	tcase_add_test(tc, two_files_go_with_one_message);
	tcase_add_test(tc, channel_rests_when_all_is_sent);
	tcase_add_test(tc, channel_closed_at_a_message_hears_no_more);
	tcase_add_test(tc, flood_of_messages_is_taken_in_bounded_rounds);
	tcase_add_test(tc, descriptors_from_a_data_process_are_not_taken);
	tcase_add_test(tc, what_breaks_the_contract_is_refused);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
