// SPDX-License-Identifier: MIT
/*
 * Unit tests of the ringway command's parts that need no xenstore: escaping, tables, options, the
 * bounded question to ringwayd (over a socket pair), deadlines.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_query.h"
#include "backend/cli/cli_text.h"
#include "backend/cli/cli_wait.h"
#include "backend/cli/cmd_attach.h"
#include "tests/check_main.h"

#define MAX_WORDS 16
#define NS_PER_MS 1000000ull
#define SOON_NS	  (50 * NS_PER_MS)
#define LATER_NS  (20000 * NS_PER_MS)

static void assert_escapes(const char *text, const char *expected)
{
	char *escaped = cli_text_escape(text);

	ck_assert_str_eq(escaped, expected);
	free(escaped);
}

START_TEST(escape_lets_only_printable_ascii_through)
{
	assert_escapes("", "");
	assert_escapes("file:/srv/a b~.img", "file:/srv/a b~.img");
	assert_escapes("\x1b[2J\a\n\t\x7f", "\\x1b[2J\\x07\\x0a\\x09\\x7f");
	assert_escapes("\xc2\x9b\xff", "\\xc2\\x9b\\xff");
	assert_escapes("a\\x1b", "a\\\\x1b");
}
END_TEST

START_TEST(escape_of_every_byte_is_printable)
{
	for (int byte = 1; byte < 256; byte++) {
		char text[2] = {(char)byte, '\0'};
		char *escaped = cli_text_escape(text);

		for (const char *p = escaped; *p; p++)
			ck_assert_msg(*p >= 0x20 && *p < 0x7f, "byte %d comes out raw", byte);
		free(escaped);
	}
}
END_TEST

static const struct cli_text_column columns[] = {
	{"NAME", false},
	{"N", true},
	{"EXTRA", false},
	{"LAST", false},
};

static void assert_table(const struct cli_text_table *table, const char *expected)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	cli_text_table_print(table, out);
	fclose(out);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(table_fits_its_columns_to_their_content)
{
	struct cli_text_table *table = cli_text_table_create(columns, 4);
	const char *const first[] = {"a-long-name", "7", "x", "end"};
	const char *const second[] = {"b", "12345", NULL, ""};

	ck_assert_int_eq(cli_text_table_add_row(table, first), 0);
	ck_assert_int_eq(cli_text_table_add_row(table, second), 0);
	assert_table(table, "NAME             N  EXTRA  LAST\n"
			    "a-long-name      7  x      end\n"
			    "b            12345  -      -\n");
	cli_text_table_destroy(table);
}
END_TEST

START_TEST(table_leaves_empty_columns_out)
{
	struct cli_text_table *table = cli_text_table_create(columns, 4);
	const char *const row[] = {"a", "1", "", NULL};

	ck_assert_int_eq(cli_text_table_add_row(table, row), 0);
	assert_table(table, "NAME  N\n"
			    "a     1\n");
	cli_text_table_destroy(table);
}
END_TEST

START_TEST(table_without_rows_is_its_titles)
{
	struct cli_text_table *table = cli_text_table_create(columns, 4);

	assert_table(table, "NAME  N  EXTRA  LAST\n");
	cli_text_table_destroy(table);
}
END_TEST

START_TEST(table_escapes_cells)
{
	struct cli_text_table *table = cli_text_table_create(columns, 4);
	const char *const row[] = {"\x1b[31m", "1", "x", "y"};

	ck_assert_int_eq(cli_text_table_add_row(table, row), 0);
	assert_table(table, "NAME      N  EXTRA  LAST\n"
			    "\\x1b[31m  1  x      y\n");
	cli_text_table_destroy(table);
}
END_TEST

/* cmd_attach_parse on words that a NULL ends. */
static int parse_words(struct cmd_attach_options *options, const char *const *words)
{
	static char *argv[MAX_WORDS];
	int argc = 0;

	for (; words[argc]; argc++)
		argv[argc] = (char *)words[argc];
	argv[argc] = NULL;
	optind = 0;
	return cmd_attach_parse(argc, argv, options);
}

#define PARSE_ATTACH(options, ...) \
	parse_words(options, (const char *const[]){"attach", ##__VA_ARGS__, NULL})

START_TEST(attach_has_defaults)
{
	struct cmd_attach_options options;

	ck_assert_int_eq(PARSE_ATTACH(&options, "guest1", "file:/a.img"), 0);
	ck_assert_str_eq(options.domain, "guest1");
	ck_assert_str_eq(options.target, "file:/a.img");
	ck_assert(!options.vdev_given);
	ck_assert(options.writable);
	ck_assert(options.wait);
	ck_assert_uint_eq(options.timeout_ns, 10000000000ull);
}
END_TEST

START_TEST(attach_takes_options_in_any_order)
{
	struct cmd_attach_options options;

	ck_assert_int_eq(PARSE_ATTACH(&options, "--mode", "r", "3", "--timeout=90", "null:1G",
				      "--vdev", "xvdc", "--no-wait"),
			 0);
	ck_assert_str_eq(options.domain, "3");
	ck_assert_str_eq(options.target, "null:1G");
	ck_assert(options.vdev_given);
	ck_assert_uint_eq(options.devid, 51744);
	ck_assert(!options.writable);
	ck_assert(!options.wait);
	ck_assert_uint_eq(options.timeout_ns, 90000000000ull);
}
END_TEST

START_TEST(attach_refuses_wrong_usage)
{
	struct cmd_attach_options options;
	char long_target[RWY_XENBUS_VALUE_BYTES + 1];

	memset(long_target, 'a', sizeof(long_target) - 1);
	long_target[sizeof(long_target) - 1] = '\0';
	ck_assert_int_lt(PARSE_ATTACH(&options), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "extra"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", ""), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "file:/a\n"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", long_target), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "--nonsense"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "-x"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "--mode"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "--mode", "rw"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "--vdev", "nvme0"), 0);
	ck_assert_int_lt(PARSE_ATTACH(&options, "guest1", "t", "--no-wait=1"), 0);
}
END_TEST

START_TEST(attach_knows_help)
{
	struct cmd_attach_options options;

	ck_assert_int_eq(PARSE_ATTACH(&options, "--help"), 1);
	ck_assert_int_eq(PARSE_ATTACH(&options, "-h"), 1);
}
END_TEST

START_TEST(timeouts_are_bounded)
{
	static const char *const bad[] = {
		"0", "-1", "3601", "1.5", "", " 1", "1s", "0x10", "99999999999999999999"};
	uint64_t ns = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(cli_options_seconds(bad[i], &ns) == -EINVAL, "%s is taken", bad[i]);
	ck_assert_uint_eq(ns, 7);
	ck_assert_int_eq(cli_options_seconds("3600", &ns), 0);
	ck_assert_uint_eq(ns, 3600000000000ull);
}
END_TEST

/* Ask a ringwayd that has already answered: text, then EOF. */
static int ask_one_that_says(const char *text, json_t **reply, char *line, size_t size)
{
	int fds[2], room = 1 << 20;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	ck_assert_int_eq(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
	shutdown(fds[1], SHUT_WR);
	int err = cli_query_ask(fds[0], cli_wait_now_ns() + LATER_NS, reply, "verdict %u %u", 3u,
				51712u);
	ssize_t got = read(fds[1], line, size - 1);
	line[got > 0 ? got : 0] = '\0';
	close(fds[1]);
	return err;
}

START_TEST(query_sends_a_line_and_reads_an_object)
{
	json_t *reply = NULL;
	char line[64];

	ck_assert_int_eq(
		ask_one_that_says("{\"verdict\": \"granted\"}\n", &reply, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "verdict 3 51712\n");
	ck_assert_str_eq(json_string_value(json_object_get(reply, "verdict")), "granted");
	json_decref(reply);
}
END_TEST

START_TEST(query_reads_long_replies)
{
	json_t *reply = NULL, *sent = json_object();
	char key[16], line[64];

	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		json_object_set_new(sent, key, json_integer(i));
	}
	char *text = json_dumps(sent, 0);
	ck_assert_uint_gt(strlen(text), 65536);
	ck_assert_int_eq(ask_one_that_says(text, &reply, line, sizeof(line)), 0);
	ck_assert(json_equal(reply, sent));
	free(text);
	json_decref(sent);
	json_decref(reply);
}
END_TEST

START_TEST(query_sees_a_daemon_that_is_gone)
{
	int fds[2];
	json_t *reply = NULL;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[1]);
	ck_assert_int_eq(cli_query_ask(fds[0], cli_wait_now_ns() + LATER_NS, &reply, "show"),
			 -EPIPE);
}
END_TEST

START_TEST(query_refuses_other_replies)
{
	json_t *reply = NULL;
	char line[64];

	ck_assert_int_eq(ask_one_that_says("", &reply, line, sizeof(line)), -EPIPE);
	ck_assert_int_eq(ask_one_that_says("granted\n", &reply, line, sizeof(line)), -EBADMSG);
	ck_assert_int_eq(ask_one_that_says("[1]", &reply, line, sizeof(line)), -EBADMSG);
	ck_assert_int_eq(ask_one_that_says("{\"a\": 1", &reply, line, sizeof(line)), -EBADMSG);
	ck_assert_int_eq(ask_one_that_says("{} {}", &reply, line, sizeof(line)), -EBADMSG);
	ck_assert_int_eq(ask_one_that_says("{\"error\": \"x\"}", &reply, line, sizeof(line)),
			 -EBADMSG);
	ck_assert_ptr_null(reply);
}
END_TEST

START_TEST(query_ends_at_its_deadline)
{
	int fds[2];
	json_t *reply = NULL;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(cli_query_ask(fds[0], cli_wait_now_ns() + SOON_NS, &reply, "show"),
			 -ETIMEDOUT);
	close(fds[1]);
}
END_TEST

START_TEST(query_finds_no_daemon)
{
	ck_assert_int_eq(setenv("RINGWAY_RUNDIR", "/nonexistent", 1), 0);
	ck_assert(cli_query_is_down(cli_query_open()));
	char long_name[200];
	memset(long_name, 'd', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	ck_assert_int_eq(setenv("RINGWAY_RUNDIR", long_name, 1), 0);
	ck_assert_int_eq(cli_query_open(), -ENAMETOOLONG);
	ck_assert(!cli_query_is_down(-EACCES));
}
END_TEST

START_TEST(deadlines_are_rounded_up_and_bounded)
{
	uint64_t now_ns = cli_wait_now_ns();

	ck_assert_int_eq(cli_wait_left_ms(now_ns), 0);
	ck_assert_int_eq(cli_wait_left_ms(0), 0);
	int left_ms = cli_wait_left_ms(cli_wait_now_ns() + LATER_NS);
	ck_assert_int_gt(left_ms, 0);
	ck_assert_int_le(left_ms, 20000);
	ck_assert_int_gt(cli_wait_left_ms(UINT64_MAX), 0);
}
END_TEST

static Suite *cli_suite(void)
{
	Suite *suite = suite_create("cli_format");
	TCase *tcase = tcase_create("text");

	tcase_add_test(tcase, escape_lets_only_printable_ascii_through);
	tcase_add_test(tcase, escape_of_every_byte_is_printable);
	tcase_add_test(tcase, table_fits_its_columns_to_their_content);
	tcase_add_test(tcase, table_leaves_empty_columns_out);
	tcase_add_test(tcase, table_without_rows_is_its_titles);
	tcase_add_test(tcase, table_escapes_cells);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("options");
	tcase_add_test(tcase, attach_has_defaults);
	tcase_add_test(tcase, attach_takes_options_in_any_order);
	tcase_add_test(tcase, attach_refuses_wrong_usage);
	tcase_add_test(tcase, attach_knows_help);
	tcase_add_test(tcase, timeouts_are_bounded);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("query");
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, query_sends_a_line_and_reads_an_object);
	tcase_add_test(tcase, query_reads_long_replies);
	tcase_add_test(tcase, query_sees_a_daemon_that_is_gone);
	tcase_add_test(tcase, query_refuses_other_replies);
	tcase_add_test(tcase, query_ends_at_its_deadline);
	tcase_add_test(tcase, query_finds_no_daemon);
	tcase_add_test(tcase, deadlines_are_rounded_up_and_bounded);
	suite_add_tcase(suite, tcase);
	return suite;
}

CHECK_MAIN(cli_suite)
