// SPDX-License-Identifier: MIT
/* ringwayd.conf: what each key takes, what a file may look like, and the one line about what not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "backend/control/conf.h"
#include "tests/check_main.h"

/* A file with these bytes; its path is in `path`. */
static int file_with(const char *bytes, size_t len, char path[64])
{
	int fd = memfd_create("conf", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static int load_bytes(struct conf *conf, const char *bytes, size_t len, struct reason *why)
{
	char path[64];
	int fd = file_with(bytes, len, path);

	conf_init(conf);
	why->text[0] = '\0';

	int err = conf_load(conf, path, why);
	/* What comes after the path, which is another each time. */
	if (!strncmp(why->text, path, strlen(path)))
		memmove(why->text, why->text + strlen(path), strlen(why->text + strlen(path)) + 1);
	close(fd);
	return err;
}

static int load(struct conf *conf, const char *text, struct reason *why)
{
	return load_bytes(conf, text, strlen(text), why);
}

static void assert_refused(const char *text, const char *expected)
{
	struct conf conf;
	struct reason why;

	ck_assert_msg(load(&conf, text, &why) == -EINVAL, "taken: %s", text);
	ck_assert_str_eq(why.text, expected);
}

static void assert_default(const struct conf *conf)
{
	ck_assert_uint_eq(conf->nr_processes, 1);
	ck_assert_int_eq(conf->log_level, RWY_LOG_INFO);
	ck_assert_str_eq(conf->data_binary, "");
}

START_TEST(conf_that_says_nothing_changes_nothing)
{
	static const char *const texts[] = {
		"", "\n\n", "# a comment\n; another\n  \t\n", "# no line end", "\r\n",
	};
	struct conf conf;
	struct reason why;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(load(&conf, texts[i], &why), 0);
		assert_default(&conf);
	}
}
END_TEST

START_TEST(conf_takes_every_key)
{
	struct conf conf;
	struct reason why;

	ck_assert_int_eq(load(&conf,
			      "processes = 256\nlog-level=debug\r\n"
			      "\tdata-binary   =   /a b/c#d ; the place\n",
			      &why),
			 0);
	ck_assert_uint_eq(conf.nr_processes, 256);
	ck_assert_int_eq(conf.log_level, RWY_LOG_DEBUG);
	ck_assert_str_eq(conf.data_binary, "/a b/c#d");
}
END_TEST

START_TEST(conf_takes_a_last_line_without_end)
{
	struct conf conf;
	struct reason why;

	ck_assert_int_eq(load(&conf, "# x\nprocesses = 7", &why), 0);
	ck_assert_uint_eq(conf.nr_processes, 7);
}
END_TEST

START_TEST(conf_refuses_bad_values)
{
	assert_refused("processes = 0\n", ":1: processes takes a number from 1 to 256, not \"0\"");
	assert_refused("\n\nprocesses = 257\n",
		       ":3: processes takes a number from 1 to 256, not \"257\"");
	assert_refused("processes = -1\n",
		       ":1: processes takes a number from 1 to 256, not \"-1\"");
	assert_refused("processes = 99999999999999999999\n",
		       ":1: processes takes a number from 1 to 256, not \"99999999999999999999\"");
	assert_refused("processes =\n", ":1: processes takes a number from 1 to 256, not \"\"");
	assert_refused("processes = 2 # two\n",
		       ":1: processes takes a number from 1 to 256, not \"2 # two\"");
	assert_refused("log-level = warning\n",
		       ":1: log-level takes info or debug, not \"warning\"");
	assert_refused("data-binary = bin/ringwayd-data\n",
		       ":1: data-binary takes an absolute path, not \"bin/ringwayd-data\"");
	assert_refused("data-binary = \"/bin/x\"\n",
		       ":1: data-binary takes an absolute path, not \"\"/bin/x\"\"");
}
END_TEST

START_TEST(conf_refuses_unknown_keys)
{
	assert_refused("process = 1\n", ":1: the key \"process\" is not known; known are: "
					"processes, log-level, data-binary");
	assert_refused("Processes = 1\n", ":1: the key \"Processes\" is not known; known are: "
					  "processes, log-level, data-binary");
	assert_refused(" = 1\n", ":1: the key \"\" is not known; known are: "
				 "processes, log-level, data-binary");
}
END_TEST

START_TEST(conf_refuses_a_key_set_twice)
{
	assert_refused("processes = 1\n#\nprocesses = 1\n",
		       ":3: processes is set for the second time");
}
END_TEST

/* To inih, the indented line would be more of the value before it. */
START_TEST(conf_takes_an_indented_line_for_a_line)
{
	struct conf conf;
	struct reason why;

	ck_assert_int_eq(load(&conf, "processes = 3\n  log-level = debug\n", &why), 0);
	ck_assert_uint_eq(conf.nr_processes, 3);
	ck_assert_int_eq(conf.log_level, RWY_LOG_DEBUG);
}
END_TEST

START_TEST(conf_refuses_lines_of_another_form)
{
	assert_refused("processes\n", ":1: not of the form KEY = VALUE");
	assert_refused("[ringwayd]\n", ":1: sections are not known here; write KEY = VALUE");
	assert_refused("processes = 1\n  [data\n",
		       ":2: sections are not known here; write KEY = VALUE");
}
END_TEST

START_TEST(conf_names_the_first_of_several_faults)
{
	assert_refused("# x\nnonsense\nprocesses = 0\nprocess = 1\n",
		       ":2: not of the form KEY = VALUE");
	assert_refused("processes = 0\nnonsense\nprocess = 1\n",
		       ":1: processes takes a number from 1 to 256, not \"0\"");
	assert_refused("nonsense\n[section]\n", ":1: not of the form KEY = VALUE");
}
END_TEST

START_TEST(conf_refuses_a_line_too_long_for_inih)
{
	char text[400], expected[400];
	struct conf conf;
	struct reason why;

	/* 199 characters fit. */
	int len = snprintf(text, sizeof(text), "data-binary = /");
	memset(text + len, 'x', 199 - (size_t)len);
	strcpy(text + 199, "\n");
	ck_assert_int_eq(load(&conf, text, &why), 0);
	ck_assert_uint_eq(strlen(conf.data_binary), 199 - strlen("data-binary = "));

	strcpy(text + 199, "x\n");
	snprintf(expected, sizeof(expected), ":1: the line is longer than 199 characters");
	assert_refused(text, expected);
	memset(text, '#', 300);
	strcpy(text + 300, "\n");
	assert_refused(text, expected);
}
END_TEST

START_TEST(conf_refuses_what_is_no_text)
{
	static const char nul[] = "processes = 1\0\n", escape[] = "processes = \x1b[1m\n";
	struct conf conf;
	struct reason why;

	ck_assert_int_eq(load_bytes(&conf, nul, sizeof(nul) - 1, &why), -EINVAL);
	ck_assert_str_eq(why.text, ":1: a control character; this is no text file");
	ck_assert_int_eq(load_bytes(&conf, escape, sizeof(escape) - 1, &why), -EINVAL);
	ck_assert_str_eq(why.text, ":1: a control character; this is no text file");
	ck_assert_int_eq(load(&conf,
			      "# gr\xc3\xb6\xc3\x9f"
			      "er\nprocesses = 2\n",
			      &why),
			 0);
	ck_assert_uint_eq(conf.nr_processes, 2);
}
END_TEST

START_TEST(conf_says_why_a_file_cannot_be_read)
{
	struct conf conf;
	struct reason why;

	conf_init(&conf);
	ck_assert_int_eq(conf_load(&conf, "/nonexistent/ringwayd.conf", &why), -ENOENT);
	ck_assert_str_eq(why.text, "/nonexistent/ringwayd.conf: No such file or directory");
	ck_assert_int_eq(conf_load(&conf, "/", &why), -EISDIR);
	ck_assert_str_eq(why.text, "/: Is a directory");
	ck_assert_int_eq(conf_load(&conf, "/dev/null", &why), 0);
	/* Endless, and no line end in it. */
	ck_assert_int_eq(conf_load(&conf, "/dev/zero", &why), -EINVAL);
	assert_default(&conf);
}
END_TEST

START_TEST(conf_set_leaves_the_rest_when_it_refuses)
{
	struct conf conf;
	struct reason why;

	conf_init(&conf);
	ck_assert_int_eq(conf_set(&conf, CONF_PROCESSES, "9", &why), 0);
	ck_assert_int_eq(conf_set(&conf, CONF_PROCESSES, "x", &why), -EINVAL);
	ck_assert_str_eq(why.text, "processes takes a number from 1 to 256, not \"x\"");
	ck_assert_uint_eq(conf.nr_processes, 9);
}
END_TEST

static Suite *control_conf_suite(void)
{
	Suite *s = suite_create("control_conf");
	TCase *tc = tcase_create("conf");

	tcase_add_test(tc, conf_that_says_nothing_changes_nothing);
	tcase_add_test(tc, conf_takes_every_key);
	tcase_add_test(tc, conf_takes_a_last_line_without_end);
	tcase_add_test(tc, conf_refuses_bad_values);
	tcase_add_test(tc, conf_refuses_unknown_keys);
	tcase_add_test(tc, conf_refuses_a_key_set_twice);
	tcase_add_test(tc, conf_takes_an_indented_line_for_a_line);
	tcase_add_test(tc, conf_refuses_lines_of_another_form);
	tcase_add_test(tc, conf_names_the_first_of_several_faults);
	tcase_add_test(tc, conf_refuses_a_line_too_long_for_inih);
	tcase_add_test(tc, conf_refuses_what_is_no_text);
	tcase_add_test(tc, conf_says_why_a_file_cannot_be_read);
	tcase_add_test(tc, conf_set_leaves_the_rest_when_it_refuses);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(control_conf_suite)
