// SPDX-License-Identifier: MIT
/*
 * ringwayd's command line over its configuration file over the defaults; what is refused, with which
 * exit status, and in how many words. The data process is found as in a build tree and as installed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "backend/control/options.h"
#include "common/paths.h"
#include "tests/check_main.h"

#define GO_ON	 (-1)
#define MAX_ARGS 8

static char said[4096]; /* what the last parse wrote to stderr */

static void read_back(int fd)
{
	ssize_t len = pread(fd, said, sizeof(said) - 1, 0);

	said[len > 0 ? len : 0] = '\0';
}

/* The words after the program's name; the last is NULL. */
static int parse(struct options *o, char *const words[])
{
	char *argv[MAX_ARGS + 2] = {"ringwayd"};
	int argc = 1, saved = dup(STDERR_FILENO), fd = memfd_create("stderr", 0);

	while (words[argc - 1]) {
		ck_assert_int_le(argc, MAX_ARGS);
		argv[argc] = words[argc - 1];
		argc++;
	}
	dup2(fd, STDERR_FILENO);
	int status = options_parse(o, argc, argv);
	dup2(saved, STDERR_FILENO);
	close(saved);
	read_back(fd);
	close(fd);
	return status;
}

#define PARSE(o, ...) parse(o, (char *const[]){__VA_ARGS__, NULL})

static void assert_one_line(const char *expected)
{
	const char *end = strchr(said, '\n');

	ck_assert_ptr_nonnull(end);
	ck_assert_str_eq(end, "\n");
	ck_assert_msg(strstr(said, expected) != NULL, "\"%s\" is not in: %s", expected, said);
}

/* Nothing of the machine's own counts; /bin/sh is as good a data process as any. */
static void set_up(void)
{
	unsetenv(RWY_RUNDIR_ENV);
	setenv(CONF_PATH_ENV, "/dev/null", 1);
}

static char *conf_file(const char *text)
{
	static char path[64];
	int fd = memfd_create("conf", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

START_TEST(options_have_defaults)
{
	struct options o;

	ck_assert_int_eq(PARSE(&o, "--data-binary", "/bin/sh"), GO_ON);
	ck_assert_str_eq(o.rundir, RWY_RUNDIR);
	ck_assert_str_eq(o.conf.data_binary, "/bin/sh");
	ck_assert_uint_eq(o.conf.nr_processes, 1);
	ck_assert_int_eq(o.conf.log_level, RWY_LOG_INFO);
	ck_assert(!o.no_sandbox);
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(options_take_the_run_directory_from_the_environment)
{
	struct options o;

	setenv(RWY_RUNDIR_ENV, "/a", 1);
	ck_assert_int_eq(PARSE(&o, "--data-binary", "/bin/sh"), GO_ON);
	ck_assert_str_eq(o.rundir, "/a");
	ck_assert_int_eq(PARSE(&o, "--data-binary", "/bin/sh", "--rundir", "/b"), GO_ON);
	ck_assert_str_eq(o.rundir, "/b");
	setenv(RWY_RUNDIR_ENV, "", 1);
	ck_assert_int_eq(PARSE(&o, "--data-binary", "/bin/sh"), GO_ON);
	ck_assert_str_eq(o.rundir, RWY_RUNDIR);
}
END_TEST

START_TEST(options_of_the_file_are_used)
{
	struct options o;
	char *file = conf_file("processes = 3\nlog-level = debug\ndata-binary = /bin/sh\n");

	ck_assert_int_eq(PARSE(&o, "--config", file), GO_ON);
	ck_assert_uint_eq(o.conf.nr_processes, 3);
	ck_assert_int_eq(o.conf.log_level, RWY_LOG_DEBUG);
	ck_assert_str_eq(o.conf.data_binary, "/bin/sh");

	setenv(CONF_PATH_ENV, file, 1);
	ck_assert_int_eq(PARSE(&o, "--no-sandbox"), GO_ON);
	ck_assert_uint_eq(o.conf.nr_processes, 3);
	ck_assert(o.no_sandbox);
	ck_assert_int_eq(PARSE(&o, "--config", "/dev/null", "--data-binary", "/bin/sh"), GO_ON);
	ck_assert_uint_eq(o.conf.nr_processes, 1);
}
END_TEST

/* Wherever in the command line the file is named. */
START_TEST(options_of_the_command_line_win_over_the_file)
{
	struct options o;
	char *file = conf_file("processes = 3\nlog-level = debug\ndata-binary = /bin/true\n");

	ck_assert_int_eq(PARSE(&o, "--processes", "5", "--log-level=info", "--data-binary",
			       "/bin/sh", "--config", file),
			 GO_ON);
	ck_assert_uint_eq(o.conf.nr_processes, 5);
	ck_assert_int_eq(o.conf.log_level, RWY_LOG_INFO);
	ck_assert_str_eq(o.conf.data_binary, "/bin/sh");
	ck_assert_int_eq(PARSE(&o, "--log-level=info", "-v", "--data-binary", "/bin/sh"), GO_ON);
	ck_assert_int_eq(o.conf.log_level, RWY_LOG_DEBUG);
}
END_TEST

START_TEST(options_without_sense_are_usage_errors)
{
	struct options o;

	ck_assert_int_eq(PARSE(&o, "--no-such"), EXIT_USAGE);
	assert_one_line("unknown option: --no-such; try --help");
	ck_assert_int_eq(PARSE(&o, "extra"), EXIT_USAGE);
	assert_one_line("unexpected argument: extra; try --help");
	ck_assert_int_eq(PARSE(&o, "--config"), EXIT_USAGE);
	assert_one_line("value missing: --config; try --help");
	ck_assert_int_eq(PARSE(&o, "--processes", "0"), EXIT_USAGE);
	assert_one_line("--processes takes a number from 1 to 256, not \"0\"; try --help");
	ck_assert_int_eq(PARSE(&o, "--log-level", "loud"), EXIT_USAGE);
	assert_one_line("--log-level takes info or debug, not \"loud\"; try --help");
	ck_assert_int_eq(PARSE(&o, "--data-binary", "sh"), EXIT_USAGE);
	assert_one_line("--data-binary takes an absolute path, not \"sh\"; try --help");
}
END_TEST

START_TEST(options_refuse_a_bad_or_missing_file)
{
	struct options o;

	ck_assert_int_eq(PARSE(&o, "--config", "/nonexistent/x"), EXIT_REFUSED);
	assert_one_line("/nonexistent/x: No such file or directory");
	ck_assert_int_eq(PARSE(&o, "--config", conf_file("x = 1\n")), EXIT_REFUSED);
	assert_one_line(":1: the key \"x\" is not known");
	setenv(CONF_PATH_ENV, "/nonexistent/y", 1);
	ck_assert_int_eq(PARSE(&o, "-v"), EXIT_REFUSED);
	assert_one_line("/nonexistent/y: No such file or directory");
}
END_TEST

START_TEST(options_refuse_a_data_binary_that_cannot_be_executed)
{
	struct options o;

	ck_assert_int_eq(PARSE(&o, "--data-binary", "/etc/passwd"), EXIT_REFUSED);
	assert_one_line("can't execute data-binary /etc/passwd: Permission denied");
}
END_TEST

START_TEST(options_can_be_checked_alone)
{
	struct options o;

	ck_assert_int_eq(PARSE(&o, "--check-config", "--data-binary", "/bin/sh"), EXIT_SUCCESS);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(PARSE(&o, "--check-config", "--data-binary", "/nonexistent"),
			 EXIT_REFUSED);
	ck_assert_int_eq(PARSE(&o, "--check-config", "--config", conf_file("[x]\n")), EXIT_REFUSED);
	assert_one_line(":1: sections are not known here");
	ck_assert_int_eq(PARSE(&o, "--check-config", "--no-such"), EXIT_USAGE);
}
END_TEST

static void make_program(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* A copy of this very program, which parses when it is told to by its name. */
static void assert_finds(const char *folder, const char *program, const char *expected)
{
	char command[512];

	snprintf(command, sizeof(command), "%s/%s/ringwayd-finds %s%s", folder, program, folder,
		 expected);
	ck_assert_msg(system(command) == 0, "%s", command);
}

START_TEST(options_find_the_data_process_wherever_they_are_installed)
{
	char folder[] = "/tmp/check_options.XXXXXX", command[512], path[256];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(
		command, sizeof(command),
		"mkdir -p %s/a/sbin %s/a/libexec/ringway %s/bin && "
		"cp /proc/%d/exe %s/a/sbin/ringwayd-finds && cp /proc/%d/exe %s/bin/ringwayd-finds",
		folder, folder, folder, (int)getpid(), folder, (int)getpid(), folder);
	ck_assert_int_eq(system(command), 0);
	assert_finds(folder, "a/sbin", "/nothing");
	snprintf(path, sizeof(path), "%s/a/libexec/ringway/ringwayd-data", folder);
	make_program(path);
	assert_finds(folder, "a/sbin", "/a/libexec/ringway/ringwayd-data");
	snprintf(path, sizeof(path), "%s/bin/ringwayd-data", folder);
	make_program(path);
	assert_finds(folder, "bin", "/bin/ringwayd-data");

	/* As a whole it can be moved. */
	snprintf(command, sizeof(command), "mv %s/a %s/b", folder, folder);
	ck_assert_int_eq(system(command), 0);
	assert_finds(folder, "b/sbin", "/b/libexec/ringway/ringwayd-data");
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static Suite *control_options_suite(void)
{
	Suite *s = suite_create("control_options");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, options_have_defaults);
	tcase_add_test(tc, options_take_the_run_directory_from_the_environment);
	tcase_add_test(tc, options_of_the_file_are_used);
	tcase_add_test(tc, options_of_the_command_line_win_over_the_file);
	tcase_add_test(tc, options_without_sense_are_usage_errors);
	tcase_add_test(tc, options_refuse_a_bad_or_missing_file);
	tcase_add_test(tc, options_refuse_a_data_binary_that_cannot_be_executed);
	tcase_add_test(tc, options_can_be_checked_alone);
	tcase_add_test(tc, options_find_the_data_process_wherever_they_are_installed);
	suite_add_tcase(s, tc);
	return s;
}

/* As ringwayd-finds EXPECTED: is that the data process, or is there none and none is expected? */
static int play_ringwayd(const char *expected)
{
	struct options o;
	char *argv[] = {"ringwayd", NULL};

	if (!freopen("/dev/null", "w", stderr))
		return EXIT_FAILURE;
	if (options_parse(&o, 1, argv) == GO_ON)
		return strcmp(o.conf.data_binary, expected) ? EXIT_FAILURE : EXIT_SUCCESS;
	return access(expected, F_OK) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strstr(argv[0], "/ringwayd-finds"))
		return play_ringwayd(argv[1]);

	SRunner *runner = srunner_create(control_options_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
