// SPDX-License-Identifier: MIT
/*
 * ringwayd-data as a program: what it says to who runs it by hand, and that it ends, with a status
 * that tells why, wherever it cannot serve. Nothing of Xen is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "backend/ctl_msg.h"
#include "tests/check_main.h"

#define EXIT_USAGE 2
#define NO_FD	   -1

static char program[PATH_MAX];
static char out[4096], err[4096]; /* what the last run wrote */

static void find_program(void)
{
	char exe[PATH_MAX - 32];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	ck_assert_int_gt(len, 0);
	exe[len] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(program, sizeof(program), "%s/../bin/ringwayd-data", exe);
}

static void take_text(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	close(fd);
}

static void hand_over(int fd, int as)
{
	if (fd < 0)
		close(as);
	else
		dup2(fd, as);
}

/* Run it with one argument or none, its control socket and its fence; its exit status. */
static int run_with(const char *arg, int ctl_fd, int fence_fd)
{
	int to_out = memfd_create("out", MFD_CLOEXEC), to_err = memfd_create("err", MFD_CLOEXEC);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		dup2(to_out, STDOUT_FILENO);
		dup2(to_err, STDERR_FILENO);
		ctl_fd = fcntl(ctl_fd, F_DUPFD_CLOEXEC, 100);
		hand_over(fence_fd, CTL_FENCE_FD);
		hand_over(ctl_fd, CTL_FD);
		execl(program, "ringwayd-data", arg, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	take_text(to_out, out, sizeof(out));
	take_text(to_err, err, sizeof(err));
	return WEXITSTATUS(status);
}

static int run(const char *arg, int ctl_fd)
{
	int fence[2];

	ck_assert_int_eq(pipe2(fence, O_CLOEXEC), 0);
	int status = run_with(arg, ctl_fd, fence[1]);

	close(fence[0]);
	close(fence[1]);
	return status;
}

START_TEST(help_and_version_are_answers)
{
	ck_assert_int_eq(run("--help", NO_FD), EXIT_SUCCESS);
	ck_assert_ptr_nonnull(strstr(out, "Usage: ringwayd-data"));
	ck_assert_ptr_nonnull(strstr(out, "--no-sandbox"));
	ck_assert_str_eq(err, "");
	ck_assert_int_eq(run("--version", NO_FD), EXIT_SUCCESS);
	ck_assert_str_eq(out, "ringwayd-data (Ringway) " RINGWAY_VERSION "\n");
	ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(unknown_arguments_are_usage_errors)
{
	static const char *const wrong[] = {"--bogus", "argument", "-x"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(run(wrong[i], NO_FD), EXIT_USAGE);
		ck_assert_str_eq(out, "");
		ck_assert_ptr_nonnull(strstr(err, "Usage: ringwayd-data"));
	}
}
END_TEST

START_TEST(control_socket_is_the_only_way_in)
{
	int pair[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(run(NULL, NO_FD), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(err, "no control socket"));
	ck_assert_int_eq(run(NULL, null), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(err, "no control socket"));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(run(NULL, pair[1]), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(err, "no control socket"));
	close(pair[0]);
	close(pair[1]);
	close(null);
}
END_TEST

START_TEST(fence_has_to_be_one)
{
	int pair[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(run_with(NULL, pair[1], NO_FD), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(err, "fd 4 is no fence"));
	ck_assert_int_eq(run_with(NULL, pair[1], null), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(err, "fd 4 is no fence"));
	close(pair[0]);
	close(pair[1]);
	close(null);
}
END_TEST

START_TEST(without_xen_it_fails_before_it_says_hello)
{
	struct ctl_hello hello;
	int pair[2];

	if (access("/dev/xen/evtchn", F_OK) == 0)
		return; /* this is Xen */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(run(NULL, pair[1]), EXIT_FAILURE);
	ck_assert_ptr_nonnull(strstr(err, "event-channel device"));
	close(pair[1]);
	ck_assert_int_eq(recv(pair[0], &hello, sizeof(hello), 0), 0);
	close(pair[0]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_program");
	TCase *tc = tcase_create("program");

	tcase_add_checked_fixture(tc, find_program, NULL);
	tcase_add_test(tc, help_and_version_are_answers);
	tcase_add_test(tc, unknown_arguments_are_usage_errors);
	tcase_add_test(tc, control_socket_is_the_only_way_in);
	tcase_add_test(tc, fence_has_to_be_one);
	tcase_add_test(tc, without_xen_it_fails_before_it_says_hello);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
