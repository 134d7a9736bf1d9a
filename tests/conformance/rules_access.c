// SPDX-License-Identifier: MIT
/*
 * Rules about who may do what in xenstore, and how much a guest may have there. Called by main.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/conformance.h"

static void put(struct run *run, const char *path, const char *value)
{
	check_done(run, xs_write(run->xs, XBT_NULL, path, value, strlen(value)), path);
}

static void chown_node(struct run *run, const char *path, uint32_t owner, uint32_t other,
		       unsigned others)
{
	struct xs_permissions perms[] = {{.id = owner, .perms = XS_PERM_NONE},
					 {.id = other, .perms = others}};

	check_done(run, xs_set_permissions(run->xs, XBT_NULL, path, perms, 2), "set_permissions");
}

static void guest_reads_and_writes_its_data(struct run *run)
{
	must(run, "xs-write 0 " WORK_DIR "/a value");
	must(run, "xs-read 0 " WORK_DIR "/a");
	CHECK(run, !strcmp(run->text, "value"), "it read \"%s\"", run->text);
	must(run, "xs-rm 0 " WORK_DIR "/a");
}

static void node_made_by_a_guest_belongs_to_it(struct run *run)
{
	must(run, "xs-mkdir 0 " WORK_DIR "/a");
	long owner = must(run, "xs-owner " WORK_DIR "/a");
	CHECK(run, owner == (long)run->domid, "its owner is %ld", owner);
}

static void guest_reads_but_does_not_write_its_domain_folder(struct run *run)
{
	must(run, "xs-read 0 name");
	check_refused(run, ask(run, "xs-write 0 name other") >= 0, EACCES, "write of name");
	check_refused(run, ask(run, "xs-mkdir 0 conformance") >= 0, EACCES, "mkdir beside name");
	check_refused(run, ask(run, "xs-rm 0 name") >= 0, EACCES, "rm of name");
}

static void dom0s_node_is_EACCES_to_a_guest(struct run *run)
{
	put(run, DOM0_DIR "/a", "1");
	check_refused(run, ask(run, "xs-read 0 " DOM0_DIR "/a") >= 0, EACCES, "read");
	check_refused(run, ask(run, "xs-write 0 " DOM0_DIR "/a 2") >= 0, EACCES, "write");
	check_refused(run, ask(run, "xs-dir 0 " DOM0_DIR) >= 0, EACCES, "directory");
	check_refused(run, ask(run, "xs-rm 0 " DOM0_DIR "/a") >= 0, EACCES, "rm");
}

/* A guest cannot find out what is there. */
static void missing_foreign_node_is_EACCES_to_a_guest(struct run *run)
{
	put(run, DOM0_DIR "/a", "1");
	check_refused(run, ask(run, "xs-read 0 " DOM0_DIR "/none") >= 0, EACCES, "read");
	check_refused(run, ask(run, "xs-write 0 " DOM0_DIR "/none 2") >= 0, EACCES, "write");
	check_refused(run, ask(run, "xs-mkdir 0 " DOM0_DIR "/none") >= 0, EACCES, "mkdir");
}

static void guest_reads_what_dom0_lets_it_read(struct run *run)
{
	put(run, DOM0_DIR "/a", "1");
	chown_node(run, DOM0_DIR "/a", 0, run->domid, XS_PERM_READ);
	must(run, "xs-read 0 " DOM0_DIR "/a");
	check_refused(run, ask(run, "xs-write 0 " DOM0_DIR "/a 2") >= 0, EACCES, "write");
	check_refused(run, ask(run, "xs-chown " DOM0_DIR "/a %u 0", run->domid) >= 0, EACCES,
		      "set_permissions");
}

static void guest_writes_what_dom0_lets_it_write(struct run *run)
{
	put(run, DOM0_DIR "/a", "1");
	chown_node(run, DOM0_DIR "/a", 0, run->domid, XS_PERM_WRITE);
	must(run, "xs-write 0 " DOM0_DIR "/a 2");
	check_refused(run, ask(run, "xs-read 0 " DOM0_DIR "/a") >= 0, EACCES, "read");
}

static void guest_cannot_give_its_node_away(struct run *run)
{
	must(run, "xs-mkdir 0 " WORK_DIR "/a");
	must(run, "xs-chown " WORK_DIR "/a %u 0", run->domid);
	check_refused(run, ask(run, "xs-chown " WORK_DIR "/a 0 %u", run->domid) >= 0, EPERM,
		      "set_permissions");
}

static void dom0_reads_and_writes_all(struct run *run)
{
	char path[128];

	must(run, "xs-write 0 " WORK_DIR "/a 1");
	must(run, "xs-chown " WORK_DIR "/a %u %u", run->domid, NO_SUCH_DOMID);
	snprintf(path, sizeof(path), "/local/domain/%u/" WORK_DIR "/a", run->domid);
	put(run, path, "2");
	must(run, "xs-read 0 " WORK_DIR "/a");
	CHECK(run, !strcmp(run->text, "2"), "the guest reads \"%s\"", run->text);
}

static void guest_hears_nothing_of_nodes_it_cannot_read(struct run *run)
{
	must(run, "xs-watch " DOM0_DIR " tok");
	CHECK(run, must(run, "xs-event %d", EVENT_WAIT_MS), "the first event is missing");
	put(run, DOM0_DIR "/a", "1");
	CHECK(run, !must(run, "xs-event %d", QUIET_MS), "an event \"%s\"", run->text);
}

static void nodes_of_a_guest_end_with_ENOSPC(struct run *run)
{
	long n = must(run, "xs-write-many " WORK_DIR " 2000");

	CHECK(run, !strcmp(run->text, "28"), "it made %ld and then errno %s", n, run->text);
	CHECK(run, n <= 1000, "it made %ld instead of at most 1000", n);
}

static void watches_of_a_guest_end_with_E2BIG(struct run *run)
{
	long n = must(run, "xs-watch-many " WORK_DIR " 300");

	CHECK(run, !strcmp(run->text, "7"), "it had %ld and then errno %s", n, run->text);
	CHECK(run, n <= 129, "it had %ld instead of at most 129", n);
}

/* A refused watch breaks the handle on Linux: each attempt has its own. */
static bool succeeds_in_time(struct run *run, const char *command)
{
	int64_t deadline = now_ms() + EVENT_WAIT_MS;

	do {
		if (ask(run, "%s", command) >= 0)
			return true;
		must(run, "xs-close");
	} while (now_ms() < deadline);
	return false;
}

static void transactions_and_watches_end_with_the_process(struct run *run)
{
	must(run, "xs-start-many 100");
	must(run, "xs-watch-many " WORK_DIR " 300");
	must(run, "kill");
	/* The kernel closes the file of a dead process in its own time. */
	CHECK(run, succeeds_in_time(run, "xs-start"), "no transaction can be started since");
	CHECK(run, succeeds_in_time(run, "xs-watch " WORK_DIR " tok"), "no watch can be set since");
}

static void domain_path_and_introduction_are_known(struct run *run)
{
	char wanted[64];

	char *path = xs_get_domain_path(run->xs, run->domid);
	snprintf(wanted, sizeof(wanted), "/local/domain/%u", run->domid);
	bool right = path && !strcmp(path, wanted);
	free(path);
	CHECK(run, right, "the path is not %s", wanted);
	CHECK(run, xs_is_domain_introduced(run->xs, run->domid), "it is not introduced");
	CHECK(run, !xs_is_domain_introduced(run->xs, NO_SUCH_DOMID),
	      "a domain that does not exist is introduced");
}

static const struct rule rules[] = {
	{"guest_reads_and_writes_its_data", guest_reads_and_writes_its_data},
	{"node_made_by_a_guest_belongs_to_it", node_made_by_a_guest_belongs_to_it},
	{"guest_reads_but_does_not_write_its_domain_folder",
	 guest_reads_but_does_not_write_its_domain_folder},
	{"dom0s_node_is_EACCES_to_a_guest", dom0s_node_is_EACCES_to_a_guest},
	{"missing_foreign_node_is_EACCES_to_a_guest", missing_foreign_node_is_EACCES_to_a_guest},
	{"guest_reads_what_dom0_lets_it_read", guest_reads_what_dom0_lets_it_read},
	{"guest_writes_what_dom0_lets_it_write", guest_writes_what_dom0_lets_it_write},
	{"guest_cannot_give_its_node_away", guest_cannot_give_its_node_away},
	{"dom0_reads_and_writes_all", dom0_reads_and_writes_all},
	{"guest_hears_nothing_of_nodes_it_cannot_read",
	 guest_hears_nothing_of_nodes_it_cannot_read},
	{"nodes_of_a_guest_end_with_ENOSPC", nodes_of_a_guest_end_with_ENOSPC},
	{"watches_of_a_guest_end_with_E2BIG", watches_of_a_guest_end_with_E2BIG},
	{"transactions_and_watches_end_with_the_process",
	 transactions_and_watches_end_with_the_process},
	{"domain_path_and_introduction_are_known", domain_path_and_introduction_are_known},
};

const struct rule_group store_access_rules = RULE_GROUP(rules);
