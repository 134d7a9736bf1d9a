// SPDX-License-Identifier: MIT
/*
 * Rules about xenstore that both sides see alike: paths, values, transactions, watches. Checked in
 * dom0, and in the guest where its kernel stands between it and xenstored. Called by main.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/conformance.h"

static bool put(struct run *run, xs_transaction_t t, const char *path, const char *value)
{
	return xs_write(run->xs, t, path, value, strlen(value));
}

static bool has(struct run *run, xs_transaction_t t, const char *path, const char *value)
{
	unsigned len = 0;

	char *seen = xs_read(run->xs, t, path, &len);
	bool same = seen && len == strlen(value) && !memcmp(seen, value, len);
	free(seen);
	return same;
}

static void missing_node_is_ENOENT_to_read(struct run *run)
{
	unsigned len;

	char *value = xs_read(run->xs, XBT_NULL, DOM0_DIR "/none", &len);
	int err = errno;
	free(value);
	errno = err;
	check_refused(run, value, ENOENT, "read in dom0");
	check_refused(run, ask(run, "xs-read 0 " WORK_DIR "/none") >= 0, ENOENT,
		      "read in the guest");
}

static void rm_of_missing_node_needs_only_its_parent(struct run *run)
{
	put(run, XBT_NULL, DOM0_DIR "/a", "");
	check_done(run, xs_rm(run->xs, XBT_NULL, DOM0_DIR "/none"), "rm");
	check_refused(run, xs_rm(run->xs, XBT_NULL, DOM0_DIR "/none/none"), ENOENT,
		      "rm without a parent");
	check_done(run, ask(run, "xs-rm 0 " WORK_DIR "/none") >= 0, "rm in the guest");
}

static void rm_of_the_root_is_EINVAL(struct run *run)
{
	check_refused(run, xs_rm(run->xs, XBT_NULL, "/"), EINVAL, "rm");
}

static void rm_takes_the_children(struct run *run)
{
	put(run, XBT_NULL, DOM0_DIR "/a/b/c", "1");
	check_done(run, xs_rm(run->xs, XBT_NULL, DOM0_DIR "/a"), "rm");
	put(run, XBT_NULL, DOM0_DIR "/a", "1");
	CHECK(run, !has(run, XBT_NULL, DOM0_DIR "/a/b/c", "1"), "the child came back");
}

static void bad_paths_are_EINVAL(struct run *run)
{
	static const char *const paths[] = {
		DOM0_DIR "/a b",   DOM0_DIR "/",    DOM0_DIR "//a",   DOM0_DIR "/a.b",
		DOM0_DIR "/a\xe4", DOM0_DIR "/a:b", "@releaseDomain",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		check_refused(run, put(run, XBT_NULL, paths[i], ""), EINVAL, paths[i]);
	check_done(run, put(run, XBT_NULL, DOM0_DIR "/a-b_c@D9", ""), "write of a good path");
}

static void bad_relative_path_is_EINVAL(struct run *run)
{
	check_refused(run, ask(run, "xs-write 0 " WORK_DIR "/a.b x") >= 0, EINVAL, "write");
}

static void relative_path_is_the_domains_own(struct run *run)
{
	char path[128];

	must(run, "xs-write 0 " WORK_DIR "/a word");
	snprintf(path, sizeof(path), "/local/domain/%u/" WORK_DIR "/a", run->domid);
	CHECK(run, has(run, XBT_NULL, path, "word"), "it is not at %s", path);
}

static void write_makes_the_parents_empty(struct run *run)
{
	check_done(run, put(run, XBT_NULL, DOM0_DIR "/a/b/c", "1"), "write");
	CHECK(run, has(run, XBT_NULL, DOM0_DIR "/a/b", ""), "the parent is not an empty node");
}

static void mkdir_keeps_what_is_there(struct run *run)
{
	put(run, XBT_NULL, DOM0_DIR "/a", "1");
	check_done(run, xs_mkdir(run->xs, XBT_NULL, DOM0_DIR "/a"), "mkdir");
	CHECK(run, has(run, XBT_NULL, DOM0_DIR "/a", "1"), "the value is gone");
}

static void directory_lists_children_alone(struct run *run)
{
	must(run, "xs-write 0 " WORK_DIR "/a/one 1");
	must(run, "xs-write 0 " WORK_DIR "/a/two/three 1");
	long n = must(run, "xs-dir 0 " WORK_DIR "/a");
	CHECK(run, n == 2 && strstr(run->text, "one ") && strstr(run->text, "two "),
	      "%ld children: %s", n, run->text);
}

static void message_of_4096_bytes_is_accepted(struct run *run)
{
	static char value[PAGE_BYTES];
	size_t most = 4096 - sizeof(DOM0_DIR "/a");

	check_done(run, xs_write(run->xs, XBT_NULL, DOM0_DIR "/a", value, most), "4096 bytes");
	check_refused(run, xs_write(run->xs, XBT_NULL, DOM0_DIR "/a", value, most + 1), E2BIG,
		      "4097 bytes");
}

static void node_of_2048_bytes_is_ENOSPC_for_a_guest(struct run *run)
{
	must(run, "xs-write-bytes 0 " WORK_DIR "/a 1900");
	check_refused(run, ask(run, "xs-write-bytes 0 " WORK_DIR "/a 2048") >= 0, ENOSPC, "write");
}

/* ---- transactions ---- */

static void transaction_is_seen_at_its_end(struct run *run)
{
	put(run, XBT_NULL, DOM0_DIR "/a", "old");
	xs_transaction_t t = xs_transaction_start(run->xs);
	check_done(run, t, "start");
	check_done(run, put(run, t, DOM0_DIR "/a", "new"), "write");
	CHECK(run, has(run, t, DOM0_DIR "/a", "new"), "it does not see its own write");
	CHECK(run, has(run, XBT_NULL, DOM0_DIR "/a", "old"), "it is seen before its end");
	check_done(run, xs_transaction_end(run->xs, t, false), "end");
	CHECK(run, has(run, XBT_NULL, DOM0_DIR "/a", "new"), "it is not seen after its end");
}

static void aborted_transaction_leaves_nothing(struct run *run)
{
	xs_transaction_t t = xs_transaction_start(run->xs);

	put(run, t, DOM0_DIR "/a", "new");
	check_done(run, xs_transaction_end(run->xs, t, true), "abort");
	CHECK(run, !has(run, XBT_NULL, DOM0_DIR "/a", "new"), "the write is there");
}

static void conflicting_transaction_is_EAGAIN(struct run *run)
{
	put(run, XBT_NULL, DOM0_DIR "/a", "old");
	xs_transaction_t t = xs_transaction_start(run->xs);
	has(run, t, DOM0_DIR "/a", "old");
	put(run, t, DOM0_DIR "/b", "new");
	put(run, XBT_NULL, DOM0_DIR "/a", "other");
	check_refused(run, xs_transaction_end(run->xs, t, false), EAGAIN, "end");
	CHECK(run, !has(run, XBT_NULL, DOM0_DIR "/b", "new"), "the write is there");
}

static void guests_transaction_conflicts_with_dom0(struct run *run)
{
	char path[128];

	snprintf(path, sizeof(path), "/local/domain/%u/" WORK_DIR "/a", run->domid);
	must(run, "xs-write 0 " WORK_DIR "/a old");
	long t = must(run, "xs-start");
	must(run, "xs-read %ld " WORK_DIR "/a", t);
	must(run, "xs-write %ld " WORK_DIR "/a new", t);
	check_done(run, put(run, XBT_NULL, path, "other"), "write in dom0");
	check_refused(run, ask(run, "xs-end %ld 0", t) >= 0, EAGAIN, "end");
	CHECK(run, has(run, XBT_NULL, path, "other"), "dom0's value is gone");
}

static void transactions_of_different_nodes_do_not_conflict(struct run *run)
{
	put(run, XBT_NULL, DOM0_DIR "/a", "");
	put(run, XBT_NULL, DOM0_DIR "/b", "");
	xs_transaction_t one = xs_transaction_start(run->xs), two = xs_transaction_start(run->xs);
	check_done(run, put(run, one, DOM0_DIR "/a", "1"), "write in one");
	check_done(run, put(run, two, DOM0_DIR "/b", "2"), "write in two");
	check_done(run, xs_transaction_end(run->xs, one, false), "end of one");
	check_done(run, xs_transaction_end(run->xs, two, false), "end of two");
}

static void unknown_transaction_is_ENOENT(struct run *run)
{
	check_refused(run, put(run, 0x7ffffff0, DOM0_DIR "/a", ""), ENOENT, "write in dom0");
	check_refused(run, ask(run, "xs-write 2147483632 " WORK_DIR "/a x") >= 0, ENOENT,
		      "write in the guest");
	check_refused(run, ask(run, "xs-end 2147483632 0") >= 0, ENOENT, "end in the guest");
}

static void ended_transaction_is_ENOENT(struct run *run)
{
	long t = must(run, "xs-start");

	must(run, "xs-end %ld 0", t);
	check_refused(run, ask(run, "xs-write %ld " WORK_DIR "/a x", t) >= 0, ENOENT, "write");
}

static void transactions_of_a_guest_end_with_ENOSPC(struct run *run)
{
	long n = must(run, "xs-start-many 100");

	CHECK(run, !strcmp(run->text, "28"), "it had %ld and then errno %s", n, run->text);
	CHECK(run, n <= 11, "it had %ld instead of at most 11", n);
}

/* ---- watches ---- */

static void check_watch(struct run *run, const char *wanted)
{
	long n = must(run, "xs-event %d", EVENT_WAIT_MS);

	CHECK(run, n && !strcmp(run->text, wanted), "the event is \"%s\" instead of \"%s\"",
	      n ? run->text : "(nothing)", wanted);
}

static void check_no_watch(struct run *run)
{
	CHECK(run, !must(run, "xs-event %d", QUIET_MS), "an event \"%s\"", run->text);
}

static void watch_fires_once_when_it_is_set(struct run *run)
{
	must(run, "xs-watch " WORK_DIR "/none a-token");
	check_watch(run, WORK_DIR "/none a-token");
	check_no_watch(run);
}

static void relative_watch_names_relative_paths(struct run *run)
{
	must(run, "xs-watch " WORK_DIR " tok");
	check_watch(run, WORK_DIR " tok");
	must(run, "xs-write 0 " WORK_DIR "/a/b 1");
	check_watch(run, WORK_DIR "/a/b tok");
}

static void absolute_watch_names_absolute_paths(struct run *run)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), "/local/domain/%u/" WORK_DIR "/a tok", run->domid);
	must(run, "xs-watch /local/domain/%u/" WORK_DIR "/a tok", run->domid);
	check_watch(run, wanted);
	must(run, "xs-write 0 " WORK_DIR "/a 1");
	check_watch(run, wanted);
}

static void watch_fires_for_dom0s_write(struct run *run)
{
	char path[128];

	must(run, "xs-watch " WORK_DIR "/a tok");
	check_watch(run, WORK_DIR "/a tok");
	snprintf(path, sizeof(path), "/local/domain/%u/" WORK_DIR "/a", run->domid);
	check_done(run, put(run, XBT_NULL, path, "1"), "write");
	check_watch(run, WORK_DIR "/a tok");
}

static void watch_fires_when_a_parent_is_removed(struct run *run)
{
	must(run, "xs-write 0 " WORK_DIR "/a/b 1");
	must(run, "xs-watch " WORK_DIR "/a/b tok");
	check_watch(run, WORK_DIR "/a/b tok");
	must(run, "xs-rm 0 " WORK_DIR "/a");
	check_watch(run, WORK_DIR "/a/b tok");
}

static void watch_fires_at_the_end_of_a_transaction(struct run *run)
{
	must(run, "xs-watch " WORK_DIR "/a tok");
	check_watch(run, WORK_DIR "/a tok");
	long t = must(run, "xs-start");
	must(run, "xs-write %ld " WORK_DIR "/a 1", t);
	check_no_watch(run);
	must(run, "xs-end %ld 0", t);
	check_watch(run, WORK_DIR "/a tok");
}

static void watch_does_not_fire_once_it_is_taken_back(struct run *run)
{
	must(run, "xs-watch " WORK_DIR "/a tok");
	check_watch(run, WORK_DIR "/a tok");
	must(run, "xs-unwatch " WORK_DIR "/a tok");
	must(run, "xs-write 0 " WORK_DIR "/a 1");
	check_no_watch(run);
}

static void second_equal_watch_is_EEXIST_in_dom0(struct run *run)
{
	check_done(run, xs_watch(run->xs, DOM0_DIR, "tok"), "watch");
	bool again = xs_watch(run->xs, DOM0_DIR, "tok");
	int err = errno;
	xs_unwatch(run->xs, DOM0_DIR, "tok");
	errno = err;
	check_refused(run, again, EEXIST, "second watch");
}

/* A guest's kernel has a token of its own for each. */
static void second_equal_watch_is_accepted_in_a_guest(struct run *run)
{
	must(run, "xs-watch " WORK_DIR "/a tok");
	must(run, "xs-watch " WORK_DIR "/a tok");
}

static void unwatch_of_no_watch_is_ENOENT_in_dom0(struct run *run)
{
	check_refused(run, xs_unwatch(run->xs, DOM0_DIR, "none"), ENOENT, "unwatch");
}

static void watch_of_bad_path_is_EINVAL(struct run *run)
{
	check_refused(run, ask(run, "xs-watch " WORK_DIR "/a.b tok") >= 0, EINVAL, "watch");
}

static const struct rule rules[] = {
	{"missing_node_is_ENOENT_to_read", missing_node_is_ENOENT_to_read},
	{"rm_of_missing_node_needs_only_its_parent", rm_of_missing_node_needs_only_its_parent},
	{"rm_of_the_root_is_EINVAL", rm_of_the_root_is_EINVAL},
	{"rm_takes_the_children", rm_takes_the_children},
	{"bad_paths_are_EINVAL", bad_paths_are_EINVAL},
	{"bad_relative_path_is_EINVAL", bad_relative_path_is_EINVAL},
	{"relative_path_is_the_domains_own", relative_path_is_the_domains_own},
	{"write_makes_the_parents_empty", write_makes_the_parents_empty},
	{"mkdir_keeps_what_is_there", mkdir_keeps_what_is_there},
	{"directory_lists_children_alone", directory_lists_children_alone},
	{"message_of_4096_bytes_is_accepted", message_of_4096_bytes_is_accepted},
	{"node_of_2048_bytes_is_ENOSPC_for_a_guest", node_of_2048_bytes_is_ENOSPC_for_a_guest},
	{"transaction_is_seen_at_its_end", transaction_is_seen_at_its_end},
	{"aborted_transaction_leaves_nothing", aborted_transaction_leaves_nothing},
	{"conflicting_transaction_is_EAGAIN", conflicting_transaction_is_EAGAIN},
	{"guests_transaction_conflicts_with_dom0", guests_transaction_conflicts_with_dom0},
	{"transactions_of_different_nodes_do_not_conflict",
	 transactions_of_different_nodes_do_not_conflict},
	{"unknown_transaction_is_ENOENT", unknown_transaction_is_ENOENT},
	{"ended_transaction_is_ENOENT", ended_transaction_is_ENOENT},
	{"transactions_of_a_guest_end_with_ENOSPC", transactions_of_a_guest_end_with_ENOSPC},
	{"watch_fires_once_when_it_is_set", watch_fires_once_when_it_is_set},
	{"relative_watch_names_relative_paths", relative_watch_names_relative_paths},
	{"absolute_watch_names_absolute_paths", absolute_watch_names_absolute_paths},
	{"watch_fires_for_dom0s_write", watch_fires_for_dom0s_write},
	{"watch_fires_when_a_parent_is_removed", watch_fires_when_a_parent_is_removed},
	{"watch_fires_at_the_end_of_a_transaction", watch_fires_at_the_end_of_a_transaction},
	{"watch_does_not_fire_once_it_is_taken_back", watch_does_not_fire_once_it_is_taken_back},
	{"second_equal_watch_is_EEXIST_in_dom0", second_equal_watch_is_EEXIST_in_dom0},
	{"second_equal_watch_is_accepted_in_a_guest", second_equal_watch_is_accepted_in_a_guest},
	{"unwatch_of_no_watch_is_ENOENT_in_dom0", unwatch_of_no_watch_is_ENOENT_in_dom0},
	{"watch_of_bad_path_is_EINVAL", watch_of_bad_path_is_EINVAL},
};

const struct rule_group store_rules = RULE_GROUP(rules);
