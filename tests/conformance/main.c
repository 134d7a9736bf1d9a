// SPDX-License-Identifier: MIT
/*
 * conformance: assertions about what Xen, its kernel drivers and xenstored do for a program that
 * uses libxengnttab, libxenevtchn and libxenstore. It runs on loopback Xen and on real Xen (4.17, a
 * Linux 6.1 dom0 and domU) alike, so that what differs shows; each rule is what real Xen does.
 * Needs root on real Xen. Run by tests/e2e/conformance.sh, and by hand in any pair of domains.
 *
 * What xenloop is known not to do as Xen does, and `--known xenloop` therefore expects (known.c):
 * - In a grant copy, a bad local address is a fault of the caller instead of EFAULT.
 * - Writing a port to the fd of an event handle does not unmask it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

static const struct rule_group *const groups[] = {
	&map_rules,  &share_rules, &copy_rules,	 &notify_rules,
	&port_rules, &event_rules, &store_rules, &store_access_rules,
};
#define NR_GROUPS (sizeof(groups) / sizeof(groups[0]))

struct options {
	const char *only;
	const char *known;
	bool list;
};

struct counts {
	unsigned passed, failed, skipped, known;
};

static const char usage_text[] =
	"usage: conformance guest                   in a domU: serve the dom0 side until killed\n"
	"       conformance dom0 [OPTION...] DOMID  in dom0: check all rules against that domU\n"
	"       conformance --list                  the names of the rules\n"
	"Either side may be started first. A rule says what real Xen does. Output is a line per "
	"rule:\n"
	"  ok NAME | not ok NAME: what was seen | skip NAME: reason | known NAME: reason\n"
	"and last: N passed, N failed, N skipped[, N known].\n"
	"  --only NAME     this rule alone\n"
	"  --known WORLD   rules that WORLD (xenloop) is known to break are shown as known, and "
	"fail\n"
	"                  if they pass\n"
	"Exit status: 0 all passed, 1 some failed, 2 the rules could not be run.\n";

static void print_list(void)
{
	for (size_t g = 0; g < NR_GROUPS; g++)
		for (size_t r = 0; r < groups[g]->nr_rules; r++)
			printf("%s\n", groups[g]->rules[r].name);
}

/* ---- one rule ---- */

static void release(struct run *run)
{
	end_child(run, SIGKILL);
	for (unsigned i = 0; i < run->nr_mappings; i++) {
		struct run_mapping *mapping = &run->mappings[i];
		if (!run->xgt || xengnttab_unmap(run->xgt, mapping->addr, mapping->pages))
			munmap(mapping->addr, mapping->pages * PAGE_BYTES);
	}
	run->nr_mappings = 0;
	if (run->xgt)
		xengnttab_close(run->xgt);
	if (run->xce)
		xenevtchn_close(run->xce);
	run->xgt = NULL;
	run->xce = NULL;
	xs_rm(run->xs, XBT_NULL, DOM0_DIR);
}

/* A worker without a past, an empty folder in the store, new handles. */
static void prepare(struct run *run)
{
	struct xs_permissions guest_only = {.id = run->domid, .perms = XS_PERM_NONE};
	char path[128];

	must(run, "kill");
	snprintf(path, sizeof(path), "/local/domain/%u/" WORK_DIR, run->domid);
	xs_rm(run->xs, XBT_NULL, path);
	check_done(run, xs_mkdir(run->xs, XBT_NULL, path), "making the guest's folder");
	check_done(run, xs_set_permissions(run->xs, XBT_NULL, path, &guest_only, 1),
		   "giving the guest its folder");
	run->xgt = xengnttab_open(NULL, 0);
	check_done(run, run->xgt, "xengnttab_open");
	run->xce = xenevtchn_open(NULL, 0);
	check_done(run, run->xce, "xenevtchn_open");
}

static void check_rule(struct run *run, const struct rule *rule)
{
	run->outcome = PASSED;
	if (!setjmp(run->out)) {
		prepare(run);
		rule->fn(run);
	}
	release(run);
}

static void report(const struct run *run, const struct rule *rule, const char *world,
		   struct counts *counts)
{
	const char *known = world ? known_reason(world, rule->name) : NULL;

	if (run->outcome == SKIPPED) {
		printf("skip %s: %s\n", rule->name, run->seen);
		counts->skipped++;
	} else if (known && run->outcome == FAILED) {
		printf("known %s: %s\n", rule->name, known);
		counts->known++;
	} else if (known) {
		printf("not ok %s: passes, but is in the table of what %s breaks\n", rule->name,
		       world);
		counts->failed++;
	} else if (run->outcome == FAILED) {
		printf("not ok %s: %s\n", rule->name, run->seen);
		counts->failed++;
	} else {
		printf("ok %s\n", rule->name);
		counts->passed++;
	}
	fflush(stdout);
}

/* ---- all of them ---- */

/* The nodes that the guest reads and writes, and a watch on its reply. */
static bool open_link(struct run *run)
{
	struct xs_permissions guest_only = {.id = run->domid, .perms = XS_PERM_NONE};
	char path[128];

	run->xs = xs_open(0);
	if (!run->xs)
		return false;
	snprintf(run->nonce, sizeof(run->nonce), "%d-%llx", getpid(), (long long)now_ms());
	snprintf(path, sizeof(path), "/local/domain/%u/" LINK_DIR, run->domid);
	xs_rm(run->xs, XBT_NULL, path);
	if (!xs_mkdir(run->xs, XBT_NULL, path) ||
	    !xs_set_permissions(run->xs, XBT_NULL, path, &guest_only, 1))
		return false;
	snprintf(path, sizeof(path), "/local/domain/%u/" LINK_DIR "/reply", run->domid);
	return xs_watch(run->xs, path, "reply");
}

static int check_all(struct run *run, const struct options *options)
{
	struct counts counts = {0};

	for (size_t g = 0; g < NR_GROUPS; g++) {
		for (size_t r = 0; r < groups[g]->nr_rules; r++) {
			const struct rule *rule = &groups[g]->rules[r];
			if (options->only && strcmp(options->only, rule->name))
				continue;
			check_rule(run, rule);
			report(run, rule, options->known, &counts);
		}
	}
	printf("%u passed, %u failed, %u skipped", counts.passed, counts.failed, counts.skipped);
	if (options->known)
		printf(", %u known", counts.known);
	printf("\n");
	return counts.failed ? 1 : 0;
}

static bool is_rule(const char *name)
{
	for (size_t g = 0; g < NR_GROUPS; g++)
		for (size_t r = 0; r < groups[g]->nr_rules; r++)
			if (!strcmp(groups[g]->rules[r].name, name))
				return true;
	return false;
}

/* Ask outside of a rule. False, and a reason in run->seen, if the guest does not answer. */
static bool guest_does(struct run *run, const char *command)
{
	if (setjmp(run->out))
		return false;
	ask(run, "%s", command);
	return true;
}

static int dom0_main(const char *domid, const struct options *options)
{
	static struct run run;
	char *end;

	run.domid = strtoul(domid, &end, 10);
	if (*end || end == domid) {
		fprintf(stderr, "conformance: %s is not a domain id\n", domid);
		return 2;
	}
	if (!open_link(&run)) {
		fprintf(stderr, "conformance: cannot make " LINK_DIR " of domain %s: %s\n", domid,
			strerror(errno));
		return 2;
	}
	if (!guest_does(&run, "hello")) {
		fprintf(stderr, "conformance: is `conformance guest` running in domain %s? %s\n",
			domid, run.seen);
		return 2;
	}
	int rc = check_all(&run, options);
	guest_does(&run, "kill");
	xs_close(run.xs);
	return rc;
}

static int usage(void)
{
	fputs(usage_text, stderr);
	return 2;
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {{"only", required_argument, NULL, 'o'},
					      {"known", required_argument, NULL, 'k'},
					      {"list", no_argument, NULL, 'l'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'o':
			options->only = optarg;
			break;
		case 'k':
			options->known = optarg;
			break;
		case 'l':
			options->list = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			printf("\n");
			print_known();
			exit(0);
		default:
			return usage();
		}
	}
	if (options->known && !known_world(options->known)) {
		fprintf(stderr, "conformance: no table for %s\n", options->known);
		return 2;
	}
	if (options->only && !is_rule(options->only)) {
		fprintf(stderr, "conformance: no rule is named %s; see --list\n", options->only);
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {0};

	signal(SIGPIPE, SIG_IGN);
	if (parse(argc, argv, &options))
		return 2;
	if (options.list) {
		print_list();
		return 0;
	}
	argv += optind;
	argc -= optind;
	if (argc == 1 && !strcmp(argv[0], "guest"))
		return guest_main();
	if (argc == 2 && !strcmp(argv[0], "dom0"))
		return dom0_main(argv[1], &options);
	return usage();
}
