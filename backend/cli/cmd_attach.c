// SPDX-License-Identifier: MIT
/*
 * ringway attach: give a guest a disk without xl. Writes the nodes, waits for ringwayd's verdict,
 * and takes the nodes away again when it is not a good one. What a good target is, ringwayd alone
 * knows.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_blkback.h"
#include "backend/cli/cli_disk.h"
#include "backend/cli/cli_hotplug.h"
#include "backend/cli/cli_query.h"
#include "backend/cli/cli_text.h"
#include "backend/cli/cli_verdict.h"
#include "backend/cli/cli_wait.h"
#include "backend/cli/cmd_attach.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/xs_parse.h"

#define DEFAULT_TIMEOUT_NS 10000000000ull

struct attach {
	struct rwy_xenbus *xb;
	const struct cmd_attach_options *options;
	struct cli_disk disk;
	char vdev[RWY_VDEV_NAME_BYTES];
};

/* Only what xenstore can hold; the rest is ringwayd's to judge. */
static int check_target(const char *target)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int err = rwy_xs_parse_string(target, strlen(target), value, sizeof(value));

	if (!err && *target)
		return 0;
	if (err == -ENAMETOOLONG)
		rwy_error("attach: TARGET is longer than %u bytes; use a shorter path",
			  RWY_XENBUS_VALUE_BYTES - 1);
	else
		rwy_error("attach: TARGET is empty or has control characters in it; see ringway "
			  "attach --help");
	return -EINVAL;
}

static int take_mode(const char *text, bool *writable)
{
	if (strcmp(text, "w") && strcmp(text, "r")) {
		rwy_error("--mode %s: neither w nor r; see ringway attach --help", text);
		return -EINVAL;
	}
	*writable = *text == 'w';
	return 0;
}

int cmd_attach_parse(int argc, char **argv, struct cmd_attach_options *options)
{
	static const struct option known[] = {
		{"vdev", required_argument, NULL, 'v'},	   {"mode", required_argument, NULL, 'm'},
		{"timeout", required_argument, NULL, 't'}, {"no-wait", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
	};
	int option, err = 0;

	*options = (struct cmd_attach_options){
		.writable = true, .wait = true, .timeout_ns = DEFAULT_TIMEOUT_NS};
	while (!err && (option = cli_options_next(argc, argv, known)) != -1) {
		if (option == 'v')
			err = cli_options_vdev(optarg, &options->devid);
		else if (option == 'm')
			err = take_mode(optarg, &options->writable);
		else if (option == 't')
			err = cli_options_seconds(optarg, &options->timeout_ns);
		else if (option == 'n')
			options->wait = false;
		else if (option == CLI_OPTION_HELP)
			return 1;
		else
			err = -EINVAL;
		options->vdev_given |= option == 'v';
	}
	if (!err)
		err = cli_options_count(argc, argv, 2, 2);
	if (err)
		return err;
	options->domain = argv[optind];
	options->target = argv[optind + 1];
	return check_target(options->target);
}

static int write_nodes(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	struct attach *attach = ctx;
	int err = 0;

	if (!attach->options->vdev_given)
		err = cli_disk_first_free(xb, tx, attach->disk.domid, &attach->disk.devid);
	rwy_vdev_format(attach->disk.devid, attach->vdev);
	return err ? err : cli_disk_create(xb, tx, &attach->disk);
}

static void say_exists(struct attach *attach)
{
	char target[RWY_XENBUS_VALUE_BYTES];
	int got = rwy_xenbus_read(attach->xb, RWY_XENBUS_NO_TX, target, sizeof(target),
				  RWY_XS_BACKEND_VBD_DEVICE "/params", attach->disk.domid,
				  attach->disk.devid);

	rwy_error("%s of %s: exists already (%s); detach it first or give another --vdev",
		  attach->vdev, attach->options->domain, got < 0 ? "of another backend" : target);
}

static int create(struct attach *attach)
{
	int err = rwy_xenbus_transact(attach->xb, write_nodes, attach);

	if (err == -EEXIST)
		say_exists(attach);
	else if (err)
		rwy_error("%s of %s: writing its xenstore nodes: %s; run ringway as root in dom0",
			  attach->vdev, attach->options->domain, strerror(-err));
	return err;
}

/* We wrote Initialising: another state shows that ringwayd has seen these nodes, and does not speak of a
 * disk that was there under the same name before. */
static bool is_seen(const struct attach *attach)
{
	enum xenbus_state state =
		rwy_xenbus_read_state(attach->xb, RWY_XS_BACKEND_VBD_DEVICE "/state",
				      attach->disk.domid, attach->disk.devid);

	return state != XenbusStateUnknown && state != XenbusStateInitialising;
}

/* -ETIMEDOUT without a word in v: ringwayd has not even looked. */
static int await_verdict(const struct attach *attach, struct cli_verdict *v)
{
	uint64_t deadline_ns = cli_wait_now_ns() + attach->options->timeout_ns;
	char path[RWY_XENBUS_PATH_BYTES];
	struct cli_wait wait;
	bool seen = false;

	snprintf(path, sizeof(path), RWY_XS_BACKEND_VBD_DEVICE, attach->disk.domid,
		 attach->disk.devid);
	int err = cli_wait_open(&wait, attach->xb, deadline_ns, path);
	while (!err && !seen) {
		err = cli_wait_next(&wait);
		seen = !err && is_seen(attach);
	}
	cli_wait_close(&wait);
	return err ? err : cli_verdict_ask(attach->disk.domid, attach->disk.devid, deadline_ns, v);
}

/* What was not granted must not stay behind: nobody else removes it. */
static void take_back(const struct attach *attach)
{
	int err = cli_disk_remove(attach->xb, attach->disk.domid, attach->disk.devid);

	if (err)
		rwy_error("%s of %s: removing its xenstore nodes: %s; try ringway detach --force",
			  attach->vdev, attach->options->domain, strerror(-err));
}

static void say_refused(const struct attach *attach, int err, const struct cli_verdict *v)
{
	const char *reason = v->reason[0]	 ? v->reason
			     : err == -ETIMEDOUT ? "no verdict from ringwayd in time; see "
						   "journalctl -u ringwayd, or try a longer "
						   "--timeout"
						 : strerror(-err);

	rwy_error("%s of %s: %s%s", attach->vdev, attach->options->domain,
		  v->word == CLI_VERDICT_REFUSED ? "refused: " : "", reason);
}

static void print_attached(const struct attach *attach, const char *verb)
{
	_rwy_free char *target = cli_text_escape(attach->options->target);

	printf("%s %s (%u) to %s: %s%s\n", verb, attach->vdev, attach->disk.devid,
	       attach->options->domain, target ? target : "",
	       attach->disk.writable ? "" : " (read-only)");
}

/* What xl's hotplug script does: ringwayd goes on with a disk that it alone has. */
static int plug(const struct attach *attach, const struct cli_verdict *v)
{
	char why[RWY_XENBUS_VALUE_BYTES];

	if (cli_blkback_let_go(attach->disk.domid, attach->disk.devid, why, sizeof(why))) {
		rwy_error("%s of %s: %s", attach->vdev, attach->options->domain, why);
		return -EBUSY;
	}
	int err = cli_hotplug_connect(attach->xb, attach->disk.domid, attach->disk.devid, v);

	if (err)
		rwy_error("%s of %s: writing its xenstore nodes: %s; was it detached meanwhile?",
			  attach->vdev, attach->options->domain, strerror(-err));
	return err;
}

static int judge(const struct attach *attach)
{
	struct cli_verdict v = {0};
	int err = await_verdict(attach, &v);

	if (err || v.word != CLI_VERDICT_GRANTED) {
		say_refused(attach, err, &v);
		take_back(attach);
		return CLI_FAILED;
	}
	if (plug(attach, &v)) {
		take_back(attach);
		return CLI_FAILED;
	}
	print_attached(attach, "attached");
	if (v.trouble[0])
		rwy_warn("%s of %s: not served yet, for no data process runs: %s; see journalctl "
			 "-u ringwayd",
			 attach->vdev, attach->options->domain, v.trouble);
	return CLI_OK;
}

/* Before anything is written: a guest is not shown a disk that nobody would serve. */
static int check_daemon(void)
{
	int fd = cli_query_open();

	if (cli_query_is_down(fd))
		rwy_error("ringwayd is not running; start it with systemctl start ringwayd");
	else if (fd < 0)
		rwy_error("ringwayd: %s; run ringway as root, or see systemctl status ringwayd",
			  strerror(-fd));
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int run_attach(struct attach *attach)
{
	if (attach->options->wait && check_daemon())
		return CLI_FAILED;
	if (create(attach))
		return CLI_FAILED;
	if (attach->options->wait)
		return judge(attach);
	print_attached(attach, "attaching");
	return CLI_OK;
}

static int run(int argc, char **argv)
{
	struct cmd_attach_options options;
	_cli_store struct rwy_xenbus *xb = NULL;
	uint32_t domid;
	int rc = cmd_attach_parse(argc, argv, &options);

	if (rc > 0) {
		cli_options_print_help(&cmd_attach);
		return CLI_OK;
	}
	if (rc < 0)
		return CLI_USAGE;
	if (cli_store_open(&xb) || cli_store_find_domain(xb, options.domain, &domid))
		return CLI_FAILED;

	struct attach attach = {
		.xb = xb,
		.options = &options,
		.disk = {.domid = domid,
			 .devid = options.devid,
			 .target = options.target,
			 .writable = options.writable,
			 .plugged = !options.wait},
	};
	return run_attach(&attach);
}

const struct cli_command cmd_attach = {
	.name = "attach",
	.arguments = "DOM TARGET [--vdev NAME] [--mode w|r] [--no-wait] [--timeout S]",
	.summary = "Give a domain a disk",
	.help = "  DOM           domain name or id\n"
		"  TARGET        what the disk is made of, e.g. file:/srv/a.img; ringwayd(8) lists "
		"the "
		"kinds\n"
		"  --vdev NAME   virtual device: xvda, xvdb1, ... (default: the first free xvd "
		"disk)\n"
		"  --mode w|r    writable (default) or read-only\n"
		"  --no-wait     write the xenstore nodes and return; do not ask for ringwayd's "
		"verdict\n"
		"  --timeout S   wait at most S seconds for the verdict (default 10)\n",
	.run = run,
};
