// SPDX-License-Identifier: MIT
/*
 * ringway hotplug: what xl's hotplug script block-ringway runs. Takes the disk from xen-blkback if
 * that has it, asks for ringwayd's verdict, and writes the outcome where ringwayd and xl look for
 * it. May be killed anywhere and run again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_blkback.h"
#include "backend/cli/cli_hotplug.h"
#include "backend/cli/cli_verdict.h"
#include "backend/cli/cli_wait.h"
#include "common/log.h"

#define ANSWER_WITHIN_NS 20000000000ull /* half of what libxl gives its scripts */

struct hotplug {
	struct rwy_xenbus *xb;
	const char *dom;
	const char *vdev;
	uint32_t domid;
	uint32_t devid;
};

static void say_not_written(const struct hotplug *h, int err, const char *reason)
{
	const char *why = err == -ENOENT      ? "it is not in xenstore (any more)"
			  : err == -EPERM     ? "it is another backend's; see its script node"
			  : err == -ESHUTDOWN ? "it is being removed"
					      : strerror(-err);

	rwy_error("%s of %s: %s%s%s", h->vdev, h->dom, why, reason ? "; moreover: " : "",
		  reason ? reason : "");
}

/* xl shows the reason from hotplug-error; said here it would be there twice. */
static int fail(const struct hotplug *h, const char *reason)
{
	int err = cli_hotplug_fail(h->xb, h->domid, h->devid, reason);

	if (err)
		say_not_written(h, err, reason);
	return CLI_FAILED;
}

static int add(const struct hotplug *h)
{
	char why[RWY_XENBUS_VALUE_BYTES];
	struct cli_verdict v;

	/*
	 * The verdict first: while it is reached, the kernel gets to see the disk. Without ringwayd
	 * xen-blkback keeps it: somebody has to close it when xl takes it away again.
	 */
	int err = cli_verdict_ask(h->domid, h->devid, cli_wait_now_ns() + ANSWER_WITHIN_NS, &v);
	if (err)
		return fail(h, v.reason);
	if (cli_blkback_let_go(h->domid, h->devid, why, sizeof(why)))
		return fail(h, why);
	if (v.word != CLI_VERDICT_GRANTED)
		return fail(h, v.reason);
	err = cli_hotplug_connect(h->xb, h->domid, h->devid, &v);
	if (err) {
		say_not_written(h, err, NULL);
		return CLI_FAILED;
	}
	if (v.trouble[0])
		rwy_warn("%s of %s: not served yet, for no data process runs: %s; see journalctl "
			 "-u ringwayd",
			 h->vdev, h->dom, v.trouble);
	return CLI_OK;
}

static int run(int argc, char **argv)
{
	static const struct option known[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	_cli_store struct rwy_xenbus *xb = NULL;
	struct hotplug h = {0};
	int option;

	while ((option = cli_options_next(argc, argv, known)) != -1) {
		if (option != CLI_OPTION_HELP)
			return CLI_USAGE;
		cli_options_print_help(&cmd_hotplug);
		return CLI_OK;
	}
	if (cli_options_count(argc, argv, 3, 3))
		return CLI_USAGE;
	const char *verb = argv[optind];

	if (strcmp(verb, "add") && strcmp(verb, "remove")) {
		rwy_error("hotplug %s: neither add nor remove; see ringway hotplug --help", verb);
		return CLI_USAGE;
	}
	h.dom = argv[optind + 1];
	h.vdev = argv[optind + 2];
	if (cli_options_vdev(h.vdev, &h.devid))
		return CLI_USAGE;
	if (!strcmp(verb, "remove")) /* the disk is closed by now, and its nodes are xl's */
		return CLI_OK;
	if (cli_store_open(&xb) || cli_store_find_backend(xb, h.dom, &h.domid))
		return CLI_FAILED;
	h.xb = xb;
	return add(&h);
}

const struct cli_command cmd_hotplug = {
	.name = "hotplug",
	.arguments = "add|remove DOM VDEV",
	.summary = "What xl's hotplug script block-ringway runs",
	.help = "  add           take the disk from xen-blkback if that has it, ask for "
		"ringwayd's\n"
		"                verdict, and write it to the backend directory for ringwayd and "
		"xl\n"
		"  remove        nothing is left to be done\n"
		"  DOM           domain name or id\n"
		"  VDEV          virtual device: xvda, ... or its id\n\n"
		"Exit status 1 with the reason in the node hotplug-error, which xl shows, or on\n"
		"stderr when it could not be written there.\n",
	.run = run,
};
