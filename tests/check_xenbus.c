// SPDX-License-Identifier: MIT
/*
 * xenstore access against a real xenstored: the program starts a loopback Xen of its own in a
 * temporary directory and runs itself again in dom0 there. What a store cannot be made to do at will
 * (storms, stale events, dying) is in check_xenbus_events.c.
 */
#include "common/xenbus.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define TOP	      "/test"
#define NO_TX	      RWY_XENBUS_NO_TX
#define INSIDE_ENV    "CHECK_XENBUS_INSIDE"
#define EVENT_WAIT_MS 5000

static struct rwy_xenbus *xb;

static void set_up(void)
{
	ck_assert_int_eq(rwy_xenbus_open(&xb), 0);
	ck_assert_int_eq(rwy_xenbus_remove(xb, NO_TX, TOP), 0);
	ck_assert_int_eq(rwy_xenbus_mkdir(xb, NO_TX, TOP), 0);
}

static void tear_down(void)
{
	rwy_xenbus_remove(xb, NO_TX, TOP);
	rwy_xenbus_close(xb);
}

/* Any bytes, as a guest could write them. */
static void write_raw(const char *path, const void *bytes, size_t len)
{
	ck_assert(xs_write(rwy_xenbus_handle(xb), NO_TX, path, bytes, (unsigned int)len));
}

static void write_text(const char *path, const char *text)
{
	write_raw(path, text, strlen(text));
}

/* ---- nodes */

START_TEST(value_is_read_back)
{
	char buf[RWY_XENBUS_VALUE_BYTES];

	ck_assert_int_eq(rwy_xenbus_write(xb, NO_TX, TOP "/3/name", "%s-%d", "vm", 7), 0);
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/%d/%s", 3, "name"), 4);
	ck_assert_str_eq(buf, "vm-7");
}
END_TEST

START_TEST(absent_node_and_long_path_are_errors)
{
	char buf[8], component[RWY_XENBUS_PATH_BYTES];

	memset(component, 'a', sizeof(component) - 1);
	component[sizeof(component) - 1] = '\0';
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/none"), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), "/%s", component),
			 -ENAMETOOLONG);
	ck_assert_int_eq(rwy_xenbus_remove(xb, NO_TX, "/%s", component), -ENAMETOOLONG);
	ck_assert_int_eq(rwy_xenbus_read_state(xb, "/%s", component), XenbusStateUnknown);
}
END_TEST

START_TEST(value_that_does_not_fit_is_refused)
{
	char buf[4] = "old";

	write_text(TOP "/v", "abcd");
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/v"), -ENAMETOOLONG);
	ck_assert_str_eq(buf, "old");
	write_text(TOP "/v", "abc");
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/v"), 3);
}
END_TEST

START_TEST(control_bytes_of_a_guest_are_refused)
{
	char buf[16];

	write_raw(TOP "/v", "a\0b", 3);
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/v"), -EINVAL);
	write_text(TOP "/v", "a\nb");
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/v"), -EINVAL);
	write_text(TOP "/v", "");
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/v"), 0);
	ck_assert_str_eq(buf, "");
}
END_TEST

START_TEST(numbers_are_bounded)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {{"5", 0},	      {"9", 0},	     {"4", -ERANGE},   {"10", -ERANGE},
		     {"-5", -EINVAL}, {"", -EINVAL}, {"5\n", -EINVAL}, {"4294967301", -ERANGE}};
	char longest[3000];
	uint64_t wide;
	uint32_t number;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_text(TOP "/n", cases[i].text);
		ck_assert_int_eq(rwy_xenbus_read_u32(xb, NO_TX, 5, 9, &number, TOP "/n"),
				 cases[i].err);
		ck_assert_int_eq(rwy_xenbus_read_u64(xb, NO_TX, 5, 9, &wide, TOP "/n"),
				 cases[i].err);
	}
	memset(longest, '1', sizeof(longest));
	write_raw(TOP "/n", longest, sizeof(longest));
	ck_assert_int_eq(rwy_xenbus_read_u64(xb, NO_TX, 0, UINT64_MAX, &wide, TOP "/n"), -EINVAL);
	ck_assert_int_eq(rwy_xenbus_read_u32(xb, NO_TX, 0, 9, &number, TOP "/none"), -ENOENT);
}
END_TEST

START_TEST(state_is_unknown_unless_it_is_a_state)
{
	static const char *const wrong[] = {"", "9", "-1", "abc", "4 ", "18446744073709551620"};

	ck_assert_int_eq(rwy_xenbus_read_state(xb, TOP "/state"), XenbusStateUnknown);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		write_text(TOP "/state", wrong[i]);
		ck_assert_int_eq(rwy_xenbus_read_state(xb, TOP "/state"), XenbusStateUnknown);
	}
	for (int state = 0; state <= XenbusStateReconfigured; state++) {
		rwy_xenbus_write(xb, NO_TX, TOP "/state", "%d", state);
		ck_assert_int_eq(rwy_xenbus_read_state(xb, TOP "/%s", "state"), state);
	}
}
END_TEST

START_TEST(value_too_long_to_read_is_not_written)
{
	char longest[RWY_XENBUS_VALUE_BYTES + 1], buf[RWY_XENBUS_VALUE_BYTES];

	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(rwy_xenbus_write(xb, NO_TX, TOP "/v", "%s", longest), -E2BIG);
	longest[sizeof(longest) - 2] = '\0';
	ck_assert_int_eq(rwy_xenbus_write(xb, NO_TX, TOP "/v", "%s", longest), 0);
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/v"), 1024);
}
END_TEST

START_TEST(children_are_listed)
{
	char **names;
	unsigned int count;

	ck_assert_int_eq(rwy_xenbus_list(xb, NO_TX, &names, &count, TOP "/none"), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_list(xb, NO_TX, &names, &count, TOP), 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_ptr_null(names);
	write_text(TOP "/a", "1");
	write_text(TOP "/b/c", "2");
	ck_assert_int_eq(rwy_xenbus_list(xb, NO_TX, &names, &count, "%s", TOP), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(names[0], "a");
	ck_assert_str_eq(names[1], "b");
	free(names);
}
END_TEST

START_TEST(remove_takes_the_subtree_and_may_find_nothing)
{
	char buf[8];

	write_text(TOP "/a/b/c", "1");
	ck_assert_int_eq(rwy_xenbus_remove(xb, NO_TX, TOP "/%s", "a"), 0);
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/a/b/c"), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_remove(xb, NO_TX, TOP "/a"), 0);
	ck_assert_int_eq(rwy_xenbus_remove(xb, NO_TX, TOP "/no/such/parent"), 0);
}
END_TEST

START_TEST(permissions_name_owner_and_one_reader)
{
	struct xs_permissions *perms;
	unsigned int count;

	write_text(TOP "/p", "1");
	ck_assert_int_eq(rwy_xenbus_set_owner_reader(xb, NO_TX, TOP "/p", 0, 3), 0);
	perms = xs_get_permissions(rwy_xenbus_handle(xb), NO_TX, TOP "/p", &count);
	ck_assert_uint_eq(count, 2);
	ck_assert(perms[0].id == 0 && perms[0].perms == XS_PERM_NONE);
	ck_assert(perms[1].id == 3 && perms[1].perms == XS_PERM_READ);
	free(perms);
	ck_assert_int_eq(rwy_xenbus_set_owner_reader(xb, NO_TX, TOP "/p", 0, 0), 0);
	perms = xs_get_permissions(rwy_xenbus_handle(xb), NO_TX, TOP "/p", &count);
	ck_assert_uint_eq(count, 1);
	ck_assert(perms[0].id == 0 && perms[0].perms == XS_PERM_NONE);
	free(perms);
	ck_assert_int_eq(rwy_xenbus_set_owner_reader(xb, NO_TX, TOP "/none/x", 0, 0), -ENOENT);
}
END_TEST

/* ---- transactions */

struct attempt {
	struct rwy_xenbus *rival; /* writes what the body has read, that many times */
	int conflicts;
	int runs;
	int result;
};

static int body(struct rwy_xenbus *b, xs_transaction_t tx, void *ctx)
{
	struct attempt *a = ctx;
	char buf[16];

	a->runs++;
	rwy_xenbus_read(b, tx, buf, sizeof(buf), TOP "/seen");
	if (a->conflicts > 0) {
		a->conflicts--;
		ck_assert_int_eq(rwy_xenbus_write(a->rival, NO_TX, TOP "/seen", "%d", a->runs), 0);
	}
	ck_assert_int_eq(rwy_xenbus_write(b, tx, TOP "/a", "1"), 0);
	ck_assert_int_eq(rwy_xenbus_write(b, tx, TOP "/b", "1"), 0);
	return a->result;
}

static void check_written(bool written)
{
	char buf[8];
	int expected = written ? 1 : -ENOENT;

	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/a"), expected);
	ck_assert_int_eq(rwy_xenbus_read(xb, NO_TX, buf, sizeof(buf), TOP "/b"), expected);
}

START_TEST(transaction_commits)
{
	struct attempt a = {0};

	ck_assert_int_eq(rwy_xenbus_transact(xb, body, &a), 0);
	ck_assert_int_eq(a.runs, 1);
	check_written(true);
}
END_TEST

START_TEST(transaction_whose_body_fails_leaves_nothing)
{
	struct attempt a = {.result = -EPERM};

	ck_assert_int_eq(rwy_xenbus_transact(xb, body, &a), -EPERM);
	ck_assert_int_eq(a.runs, 1);
	check_written(false);
}
END_TEST

START_TEST(transaction_runs_again_after_a_conflict)
{
	struct attempt a = {.conflicts = 2};

	write_text(TOP "/seen", "0");
	ck_assert_int_eq(rwy_xenbus_open(&a.rival), 0);
	ck_assert_int_eq(rwy_xenbus_transact(xb, body, &a), 0);
	ck_assert_int_eq(a.runs, 3);
	check_written(true);
	rwy_xenbus_close(a.rival);
}
END_TEST

START_TEST(transaction_gives_up_in_the_end)
{
	struct attempt a = {.conflicts = INT_MAX};

	write_text(TOP "/seen", "0");
	ck_assert_int_eq(rwy_xenbus_open(&a.rival), 0);
	ck_assert_int_eq(rwy_xenbus_transact(xb, body, &a), -EAGAIN);
	ck_assert_int_eq(a.runs, 64);
	check_written(false);
	rwy_xenbus_close(a.rival);
}
END_TEST

/* ---- domains */

START_TEST(domain_is_found_by_id_and_name)
{
	uint32_t domid = 99;

	write_text("/local/domain/101/name", "alpha");
	write_text("/local/domain/102/name", "twin");
	write_text("/local/domain/103/name", "twin");
	write_text("/local/domain/0104/name", "alias");
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "0", &domid), 0);
	ck_assert_uint_eq(domid, 0);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "alpha", &domid), 0);
	ck_assert_uint_eq(domid, 101);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "102", &domid), 0);
	ck_assert_uint_eq(domid, 102);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "twin", &domid), -ENOTUNIQ);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "alias", &domid), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "nobody", &domid), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "199", &domid), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "", &domid), -ENOENT);
	ck_assert_int_eq(rwy_xenbus_find_domain(xb, "../0", &domid), -ENOENT);
	for (unsigned int id = 101; id <= 103; id++)
		rwy_xenbus_remove(xb, NO_TX, "/local/domain/%u", id);
	rwy_xenbus_remove(xb, NO_TX, "/local/domain/0104");
}
END_TEST

/* ---- watches */

struct seen {
	unsigned int calls;
	char last[RWY_XENBUS_PATH_BYTES];
	struct rwy_xenbus_watch *watch;
	bool remove;
};

static void saw(void *ctx, const char *path)
{
	struct seen *seen = ctx;

	seen->calls++;
	snprintf(seen->last, sizeof(seen->last), "%s", path);
	if (seen->remove)
		rwy_xenbus_remove_watch(seen->watch);
}

static bool fd_is_readable(int timeout_ms)
{
	struct pollfd p = {.fd = rwy_xenbus_fd(xb), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void dispatch_next(void)
{
	ck_assert(fd_is_readable(EVENT_WAIT_MS));
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), 0);
}

static void add_watch(struct seen *seen, const char *path)
{
	ck_assert_int_eq(rwy_xenbus_add_watch(xb, saw, seen, &seen->watch, "%s", path), 0);
}

START_TEST(watch_fires_first_for_its_path_then_for_changes_below)
{
	struct seen seen = {0};

	ck_assert(!fd_is_readable(0));
	add_watch(&seen, TOP);
	dispatch_next();
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert_str_eq(seen.last, TOP);
	ck_assert(!fd_is_readable(0));
	write_text(TOP "/3/51712/state", "1");
	dispatch_next();
	ck_assert_uint_eq(seen.calls, 2);
	ck_assert_str_eq(seen.last, TOP "/3/51712/state");
}
END_TEST

START_TEST(watches_on_one_path_are_apart)
{
	struct seen a = {0}, b = {0};

	add_watch(&a, TOP);
	dispatch_next();
	add_watch(&b, TOP);
	dispatch_next();
	ck_assert_uint_eq(a.calls, 1);
	ck_assert_uint_eq(b.calls, 1);
	rwy_xenbus_remove_watch(a.watch);
	write_text(TOP "/x", "1");
	dispatch_next();
	ck_assert_uint_eq(a.calls, 1);
	ck_assert_str_eq(b.last, TOP "/x");
}
END_TEST

START_TEST(watch_may_remove_itself)
{
	struct seen seen = {.remove = true}, other = {0};

	add_watch(&seen, TOP);
	dispatch_next();
	add_watch(&other, TOP);
	dispatch_next();
	write_text(TOP "/x", "1");
	dispatch_next();
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert_uint_eq(other.calls, 2);
}
END_TEST

START_TEST(watch_that_is_refused_leaves_nothing)
{
	struct seen seen = {0};

	ck_assert_int_eq(rwy_xenbus_add_watch(xb, saw, &seen, &seen.watch, "/bad path"), -EINVAL);
	ck_assert_int_eq(rwy_xenbus_add_watch(xb, saw, &seen, &seen.watch, "/%0600d", 1),
			 -ENAMETOOLONG);
	rwy_xenbus_remove_watch(NULL);
	add_watch(&seen, TOP);
	dispatch_next();
	ck_assert_uint_eq(seen.calls, 1);
}
END_TEST

START_TEST(special_watches_work)
{
	struct seen seen = {0};

	add_watch(&seen, "@releaseDomain");
	dispatch_next();
	ck_assert_str_eq(seen.last, "@releaseDomain");
}
END_TEST

START_TEST(handle_may_close_with_watches_and_events_left)
{
	struct seen seen = {0};

	add_watch(&seen, TOP);
	add_watch(&seen, TOP "/a");
	write_text(TOP "/a/b", "1");
	ck_assert(fd_is_readable(EVENT_WAIT_MS));
	rwy_xenbus_close(xb);
	rwy_xenbus_close(NULL);
	ck_assert_int_eq(rwy_xenbus_open(&xb), 0);
}
END_TEST

static TCase *nodes_case(void)
{
	TCase *tc = tcase_create("nodes");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, value_is_read_back);
	tcase_add_test(tc, absent_node_and_long_path_are_errors);
	tcase_add_test(tc, value_that_does_not_fit_is_refused);
	tcase_add_test(tc, control_bytes_of_a_guest_are_refused);
	tcase_add_test(tc, numbers_are_bounded);
	tcase_add_test(tc, state_is_unknown_unless_it_is_a_state);
	tcase_add_test(tc, value_too_long_to_read_is_not_written);
	tcase_add_test(tc, children_are_listed);
	tcase_add_test(tc, remove_takes_the_subtree_and_may_find_nothing);
	tcase_add_test(tc, permissions_name_owner_and_one_reader);
	tcase_add_test(tc, transaction_commits);
	tcase_add_test(tc, transaction_whose_body_fails_leaves_nothing);
	tcase_add_test(tc, transaction_runs_again_after_a_conflict);
	tcase_add_test(tc, transaction_gives_up_in_the_end);
	tcase_add_test(tc, domain_is_found_by_id_and_name);
	return tc;
}

static TCase *watches_case(void)
{
	TCase *tc = tcase_create("watches");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 3 * EVENT_WAIT_MS / 1000.0);
	tcase_add_test(tc, watch_fires_first_for_its_path_then_for_changes_below);
	tcase_add_test(tc, watches_on_one_path_are_apart);
	tcase_add_test(tc, watch_may_remove_itself);
	tcase_add_test(tc, watch_that_is_refused_leaves_nothing);
	tcase_add_test(tc, special_watches_work);
	tcase_add_test(tc, handle_may_close_with_watches_and_events_left);
	return tc;
}

static Suite *xenbus_suite(void)
{
	Suite *suite = suite_create("xenbus");

	suite_add_tcase(suite, nodes_case());
	suite_add_tcase(suite, watches_case());
	return suite;
}

/* ---- the loopback Xen around it */

/* Runs argv and waits; its exit status, or -1. */
static int run(char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* $XENLOOP, or bin/xenloop beside this program's folder. */
static void find_xenloop(const char *self, char *xenloop, size_t size)
{
	const char *from_env = getenv("XENLOOP");
	const char *slash = strrchr(self, '/');

	if (from_env)
		snprintf(xenloop, size, "%s", from_env);
	else
		snprintf(xenloop, size, "%.*s/../bin/xenloop", (int)(slash - self), self);
}

static int run_in_dom0(void)
{
	char self[PATH_MAX], xenloop[2 * PATH_MAX];
	char dir[] = "/tmp/check_xenbus-XXXXXX";
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status;

	if (len < 0 || !mkdtemp(dir))
		return EXIT_FAILURE;
	self[len] = '\0';
	find_xenloop(self, xenloop, sizeof(xenloop));
	status = run((char *[]){xenloop, "-d", dir, "up", NULL});
	if (status == 0) {
		setenv(INSIDE_ENV, "1", 1);
		status = run((char *[]){xenloop, "-d", dir, "exec", "0", "--", self, NULL});
		run((char *[]){xenloop, "-d", dir, "down", NULL});
	}
	rmdir(dir);
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_suite(void)
{
	SRunner *runner = srunner_create(xenbus_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(void)
{
	return getenv(INSIDE_ENV) ? run_suite() : run_in_dom0();
}
