// SPDX-License-Identifier: MIT
/* What the service manager hears: once that all is ready, then of changes, and not too often. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "backend/control/device.h"
#include "backend/control/status.h"
#include "tests/check_main.h"

#define SECOND_NS 1000000000ull

static struct control control;
static struct status *status;
static uint64_t now_ns;
static int manager; /* the service manager's end */
static char heard[1024];

static uint64_t tell_time(void *ctx)
{
	(void)ctx;
	return now_ns;
}

/* In the abstract name space: nothing to remove. */
static void set_up(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "check_status.%d",
			   (int)getpid());

	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(
		bind(manager, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)),
		0);
	address.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", address.sun_path, 1);

	now_ns = 5 * SECOND_NS;
	memset(&control, 0, sizeof(control));
	TAILQ_INIT(&control.devices);
	ck_assert_int_eq(rwy_loop_create(&control.loop, tell_time, NULL), 0);
	ck_assert_int_eq(status_create(&status, &control), 0);
}

static void tear_down(void)
{
	status_destroy(status);
	rwy_loop_destroy(control.loop);
	close(manager);
}

static const char *hear(void)
{
	ssize_t len = recv(manager, heard, sizeof(heard) - 1, 0);

	heard[len > 0 ? len : 0] = '\0';
	return heard;
}

static void pass(uint64_t ns)
{
	now_ns += ns;
	ck_assert_int_eq(rwy_loop_run_once(control.loop, 0), 0);
}

START_TEST(status_says_ready_once)
{
	status_ready(status);
	ck_assert_str_eq(hear(), "READY=1");
	ck_assert_str_eq(hear(), "STATUS=Serving 0 disks");
	status_ready(status);
	pass(2 * SECOND_NS);
	ck_assert_str_eq(hear(), "");
}
END_TEST

START_TEST(status_counts_disks_that_are_attached)
{
	struct device devices[2] = {{.link = LINK_ATTACHED}, {.link = LINK_ATTACHING}};

	TAILQ_INSERT_TAIL(&control.devices, &devices[0], all_link);
	TAILQ_INSERT_TAIL(&control.devices, &devices[1], all_link);
	status_touch(status);
	pass(0);
	ck_assert_str_eq(hear(), "STATUS=Serving 1 disk");
	devices[1].link = LINK_ATTACHED;
	status_touch(status);
	pass(SECOND_NS);
	ck_assert_str_eq(hear(), "STATUS=Serving 2 disks");
}
END_TEST

START_TEST(status_is_told_once_a_second_however_often_it_changes)
{
	struct device device = {.link = LINK_ATTACHED};

	TAILQ_INSERT_TAIL(&control.devices, &device, all_link);
	status_ready(status);
	hear();
	ck_assert_str_eq(hear(), "STATUS=Serving 1 disk");
	for (int i = 0; i < 9; i++) {
		device.link = i % 2 ? LINK_ATTACHED : LINK_NONE;
		status_touch(status);
		pass(SECOND_NS / 10);
		ck_assert_str_eq(hear(), "");
	}
	pass(SECOND_NS / 10);
	ck_assert_str_eq(hear(), "STATUS=Serving 0 disks");
}
END_TEST

START_TEST(status_says_last_that_it_stops)
{
	struct device device = {.link = LINK_ATTACHED};

	status_ready(status);
	hear();
	hear();
	TAILQ_INSERT_TAIL(&control.devices, &device, all_link);
	status_touch(status);
	status_stopping(status);
	ck_assert_str_eq(hear(), "STOPPING=1\nSTATUS=Waiting for guests' I/O");
	pass(2 * SECOND_NS);
	ck_assert_str_eq(hear(), "");
}
END_TEST

static Suite *control_status_suite(void)
{
	Suite *s = suite_create("control_status");
	TCase *tc = tcase_create("status");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, status_says_ready_once);
	tcase_add_test(tc, status_counts_disks_that_are_attached);
	tcase_add_test(tc, status_is_told_once_a_second_however_often_it_changes);
	tcase_add_test(tc, status_says_last_that_it_stops);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(control_status_suite)
