// SPDX-License-Identifier: MIT
/*
 * What the log writes, byte by byte and write by write: stderr is replaced by one end of a packet
 * socket, so that each write(2) is received as one packet.
 */
#include "common/log.h"
#include "tests/check_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

static int saved_stderr;
static int log_end;
static char packet[8192];

static void set_up(void)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	close(ends[1]);
	log_end = ends[0];
	unsetenv("JOURNAL_STREAM");
	rwy_log_init("prog", RWY_LOG_INFO);
}

static void tear_down(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(log_end);
}

/* The next packet as a string; "" when there is none. */
static const char *next_write(void)
{
	ssize_t n = recv(log_end, packet, sizeof(packet) - 1, MSG_DONTWAIT);

	packet[n > 0 ? n : 0] = '\0';
	return packet;
}

START_TEST(line_is_program_and_text_in_one_write)
{
	rwy_log(RWY_LOG_INFO, "attached %s as %d", "a.img", 51712);
	ck_assert_str_eq(next_write(), "prog: attached a.img as 51712\n");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(limited_line_names_its_device)
{
	struct rwy_log_limit limit = {.name = "vbd 3/51712"};

	rwy_log_limited(&limit, 5 * SECOND_NS, RWY_LOG_ERROR, "bad gref %u", 77);
	ck_assert_str_eq(next_write(), "prog: vbd 3/51712: bad gref 77\n");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(level_is_a_threshold)
{
	rwy_debug("not shown");
	rwy_info("info");
	rwy_warn("warning");
	rwy_error("error");
	ck_assert_str_eq(next_write(), "prog: info\n");
	ck_assert_str_eq(next_write(), "prog: warning\n");
	ck_assert_str_eq(next_write(), "prog: error\n");
	rwy_log_init("prog", RWY_LOG_ERROR);
	ck_assert_int_eq(rwy_log_level(), RWY_LOG_ERROR);
	rwy_warn("not shown");
	rwy_error("shown");
	ck_assert_str_eq(next_write(), "prog: shown\n");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(journal_gets_priorities)
{
	char stream[64];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	rwy_log_init("prog", RWY_LOG_DEBUG);
	rwy_error("e");
	rwy_warn("w");
	rwy_info("i");
	rwy_debug("d");
	ck_assert_str_eq(next_write(), "<3>prog: e\n");
	ck_assert_str_eq(next_write(), "<4>prog: w\n");
	ck_assert_str_eq(next_write(), "<6>prog: i\n");
	ck_assert_str_eq(next_write(), "<7>prog: d\n");
}
END_TEST

START_TEST(journal_of_a_parent_is_not_ours)
{
	setenv("JOURNAL_STREAM", "8:12345", 1);
	rwy_log_init("prog", RWY_LOG_INFO);
	rwy_error("e");
	ck_assert_str_eq(next_write(), "prog: e\n");
}
END_TEST

START_TEST(guest_bytes_cannot_forge_a_line)
{
	rwy_error("name '%s'", "x\nprog: vbd 1/51712: fine\r\x1b[2J\t\x7f\xc3\xa9\\x0a");
	ck_assert_str_eq(next_write(),
			 "prog: name 'x\\x0aprog: vbd 1/51712: fine\\x0d\\x1b[2J\\x09\\x7f"
			 "\\xc3\\xa9\\\\x0a'\n");
	ck_assert_str_eq(next_write(), "");
}
END_TEST

START_TEST(guest_bytes_in_a_device_name_are_escaped)
{
	struct rwy_log_limit limit = {.name = "v\nm"};

	rwy_log_limited(&limit, 0, RWY_LOG_ERROR, "text");
	ck_assert_str_eq(next_write(), "prog: v\\x0am: text\n");
}
END_TEST

/* The longest text, the longest escaped text, and lengths around the limits. */
START_TEST(long_line_is_cut_and_says_so)
{
	static const char fills[] = {'a', '\n'};
	char text[3000];

	for (size_t len = 0; len < sizeof(text); len += 7) {
		const char *line;
		size_t line_len;

		memset(text, fills[_i], len);
		text[len] = '\0';
		rwy_error("%s", text);
		line = next_write();
		line_len = strlen(line);
		ck_assert_uint_le(line_len, 2048);
		ck_assert_int_eq(line[line_len - 1], '\n');
		ck_assert_ptr_eq(strchr(line, '\n'), line + line_len - 1);
		if (len > 1024)
			ck_assert_str_eq(line + line_len - 4, "...\n");
		if (len < 400)
			ck_assert_uint_eq(line_len, 7 + len * (fills[_i] == '\n' ? 4 : 1));
		ck_assert_str_eq(next_write(), "");
	}
}
END_TEST

START_TEST(errno_is_kept_and_usable)
{
	errno = ENOENT;
	rwy_error("open: %m");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(next_write(), "prog: open: No such file or directory\n");
	close(STDERR_FILENO);
	errno = EACCES;
	rwy_error("nobody hears this");
	ck_assert_int_eq(errno, EACCES);
}
END_TEST

/* ---- the limiter */

static unsigned int storm(struct rwy_log_limit *limit, uint64_t now_ns, unsigned int lines)
{
	unsigned int written = 0;

	for (unsigned int i = 0; i < lines; i++) {
		rwy_log_limited(limit, now_ns, RWY_LOG_WARNING, "line");
		if (next_write()[0])
			written++;
	}
	return written;
}

START_TEST(burst_goes_through_and_no_more)
{
	struct rwy_log_limit limit = {.name = "d"};

	ck_assert_uint_eq(storm(&limit, 100 * SECOND_NS, 1000), RWY_LOG_BURST_LINES);
	ck_assert_uint_eq(storm(&limit, 109 * SECOND_NS, 1000), 0);
}
END_TEST

START_TEST(storm_gets_a_line_per_window_with_the_left_out_count)
{
	struct rwy_log_limit limit = {.name = "d"};

	storm(&limit, 100 * SECOND_NS, 1000);
	rwy_log_limited(&limit, 110 * SECOND_NS, RWY_LOG_WARNING, "line");
	ck_assert_str_eq(next_write(), "prog: d: line (990 lines left out before)\n");
	ck_assert_uint_eq(storm(&limit, 111 * SECOND_NS, 50), 0);
	rwy_log_limited(&limit, 121 * SECOND_NS, RWY_LOG_WARNING, "line");
	ck_assert_str_eq(next_write(), "prog: d: line (50 lines left out before)\n");
	ck_assert_uint_eq(storm(&limit, 122 * SECOND_NS, 50), 0);
}
END_TEST

START_TEST(storm_of_a_day_is_bounded)
{
	struct rwy_log_limit limit = {.name = "d"};
	unsigned int written = 0;

	for (uint64_t s = 0; s < 86400; s++)
		written += storm(&limit, s * SECOND_NS, 2);
	ck_assert_uint_le(written, 86400 / 10 + RWY_LOG_BURST_LINES);
}
END_TEST

START_TEST(quiet_window_gives_the_burst_back)
{
	struct rwy_log_limit limit = {.name = "d"};

	storm(&limit, 100 * SECOND_NS, 15);
	ck_assert_uint_eq(storm(&limit, 300 * SECOND_NS, 15), RWY_LOG_BURST_LINES);
}
END_TEST

START_TEST(window_without_overflow_leaves_the_burst)
{
	struct rwy_log_limit limit = {.name = "d"};

	for (uint64_t window = 0; window < 5; window++)
		ck_assert_uint_eq(storm(&limit, window * RWY_LOG_WINDOW_NS, RWY_LOG_BURST_LINES),
				  RWY_LOG_BURST_LINES);
}
END_TEST

START_TEST(left_out_is_said_once)
{
	struct rwy_log_limit limit = {.name = "d"};

	storm(&limit, 0, 12);
	rwy_log_limited(&limit, 100 * SECOND_NS, RWY_LOG_WARNING, "one");
	ck_assert_str_eq(next_write(), "prog: d: one (2 lines left out before)\n");
	rwy_log_limited(&limit, 100 * SECOND_NS, RWY_LOG_WARNING, "two");
	ck_assert_str_eq(next_write(), "prog: d: two\n");
}
END_TEST

START_TEST(left_out_is_said_after_a_text_that_was_cut)
{
	struct rwy_log_limit limit = {.name = "d"};
	char text[1200];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	storm(&limit, 0, 12);
	rwy_log_limited(&limit, 100 * SECOND_NS, RWY_LOG_WARNING, "%s", text);
	ck_assert_ptr_nonnull(strstr(next_write(), "\\x0a... (2 lines left out before)\n"));
}
END_TEST

START_TEST(hidden_levels_do_not_use_up_the_burst)
{
	struct rwy_log_limit limit = {.name = "d"};

	for (unsigned int i = 0; i < 100; i++)
		rwy_log_limited(&limit, 0, RWY_LOG_DEBUG, "hidden");
	ck_assert_uint_eq(storm(&limit, 0, 100), RWY_LOG_BURST_LINES);
}
END_TEST

START_TEST(devices_are_limited_apart)
{
	struct rwy_log_limit a = {.name = "a"}, b = {.name = "b"};

	storm(&a, 0, 100);
	ck_assert_uint_eq(storm(&b, 0, 100), RWY_LOG_BURST_LINES);
}
END_TEST

#define LINES_PER_THREAD 200

static void *log_lines(void *arg)
{
	for (int i = 0; i < LINES_PER_THREAD; i++)
		rwy_info("%s", (const char *)arg);
	return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
	pthread_t a, b;

	ck_assert_int_eq(pthread_create(&a, NULL, log_lines, (void *)"aaaaaaaaaaaaaaaa"), 0);
	ck_assert_int_eq(pthread_create(&b, NULL, log_lines, (void *)"bbbbbbbbbbbbbbbb"), 0);
	for (int i = 0; i < 2 * LINES_PER_THREAD; i++) {
		ssize_t n = recv(log_end, packet, sizeof(packet) - 1, 0);

		ck_assert_int_gt(n, 0);
		packet[n] = '\0';
		ck_assert(strcmp(packet, "prog: aaaaaaaaaaaaaaaa\n") == 0 ||
			  strcmp(packet, "prog: bbbbbbbbbbbbbbbb\n") == 0);
	}
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}
END_TEST

static TCase *log_case(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	return tc;
}

static TCase *lines_case(void)
{
	TCase *tc = log_case("lines");

	tcase_add_test(tc, line_is_program_and_text_in_one_write);
	tcase_add_test(tc, limited_line_names_its_device);
	tcase_add_test(tc, level_is_a_threshold);
	tcase_add_test(tc, journal_gets_priorities);
	tcase_add_test(tc, journal_of_a_parent_is_not_ours);
	tcase_add_test(tc, guest_bytes_cannot_forge_a_line);
	tcase_add_test(tc, guest_bytes_in_a_device_name_are_escaped);
	tcase_add_loop_test(tc, long_line_is_cut_and_says_so, 0, 2);
	tcase_add_test(tc, errno_is_kept_and_usable);
	tcase_add_test(tc, lines_of_threads_do_not_mix);
	return tc;
}

static TCase *limiter_case(void)
{
	TCase *tc = log_case("limiter");

	tcase_add_test(tc, burst_goes_through_and_no_more);
	tcase_add_test(tc, storm_gets_a_line_per_window_with_the_left_out_count);
	tcase_add_test(tc, storm_of_a_day_is_bounded);
	tcase_add_test(tc, quiet_window_gives_the_burst_back);
	tcase_add_test(tc, window_without_overflow_leaves_the_burst);
	tcase_add_test(tc, left_out_is_said_once);
	tcase_add_test(tc, left_out_is_said_after_a_text_that_was_cut);
	tcase_add_test(tc, hidden_levels_do_not_use_up_the_burst);
	tcase_add_test(tc, devices_are_limited_apart);
	return tc;
}

static Suite *log_suite(void)
{
	Suite *suite = suite_create("log");

	suite_add_tcase(suite, lines_case());
	suite_add_tcase(suite, limiter_case());
	return suite;
}

CHECK_MAIN(log_suite)
