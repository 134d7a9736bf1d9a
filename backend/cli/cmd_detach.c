// SPDX-License-Identifier: MIT
/*
 * ringway detach: take a disk away that `ringway attach` gave. Asks as libxl does (online = 0,
 * state = Closing in the backend's own node), waits until the backend has closed, then removes the
 * nodes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_disk.h"
#include "backend/cli/cli_query.h"
#include "backend/cli/cli_wait.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/paths.h"

#define DEFAULT_TIMEOUT_NS 10000000000ull

struct detach {
	struct rwy_xenbus *xb;
	const char *domain; /* as typed */
	const char *vdev;   /* as typed */
	uint32_t domid;
	uint32_t devid;
	uint64_t timeout_ns;
	bool force;
	char backend[RWY_XENBUS_PATH_BYTES];
};

/* 0; 1 when help is asked for; -errno after saying what is wrong. */
static int parse(int argc, char **argv, struct detach *detach)
{
	static const struct option known[] = {
		{"force", no_argument, NULL, 'f'},
		{"timeout", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option, err = 0;

	while (!err && (option = cli_options_next(argc, argv, known)) != -1) {
		if (option == 'f')
			detach->force = true;
		else if (option == 't')
			err = cli_options_seconds(optarg, &detach->timeout_ns);
		else if (option == CLI_OPTION_HELP)
			return 1;
		else
			err = -EINVAL;
	}
	if (!err)
		err = cli_options_count(argc, argv, 2, 2);
	if (err)
		return err;
	detach->domain = argv[optind];
	detach->vdev = argv[optind + 1];
	return cli_options_vdev(detach->vdev, &detach->devid);
}

static int check_owner(const struct detach *detach)
{
	enum cli_disk_owner owner;
	int err = cli_disk_owner(detach->xb, detach->domid, detach->devid, &owner);

	if (err) {
		rwy_error("%s of %s: %s; run ringway as root in dom0", detach->vdev, detach->domain,
			  strerror(-err));
		return err;
	}
	switch (owner) {
	case CLI_DISK_OURS:
		return 0;
	case CLI_DISK_NONE:
		rwy_error("%s of %s: no such disk; see ringway list", detach->vdev, detach->domain);
		return -ENOENT;
	case CLI_DISK_LIBXL:
		rwy_error("%s of %s: attached by xl; use xl block-detach %s %u", detach->vdev,
			  detach->domain, detach->domain, detach->devid);
		return -EPERM;
	case CLI_DISK_FOREIGN:
		break;
	}
	rwy_error("%s of %s: not ringwayd's but another backend's; use xl block-detach %s %u",
		  detach->vdev, detach->domain, detach->domain, detach->devid);
	return -EPERM;
}

/* A backend that is Closed already would never leave Closing again: it is only taken offline. */
static int ask_to_close(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct detach *detach = ctx;
	char path[RWY_XENBUS_PATH_BYTES + sizeof("/online")];
	uint32_t state = XenbusStateUnknown;
	int err = rwy_xenbus_read_u32(xb, tx, XenbusStateUnknown, XenbusStateReconfigured, &state,
				      "%s/state", detach->backend);

	if (err == -ENOENT)
		return err;
	snprintf(path, sizeof(path), "%s/online", detach->backend);
	err = rwy_xenbus_write(xb, tx, path, "0");
	if (err || state == XenbusStateClosed)
		return err;
	snprintf(path, sizeof(path), "%s/state", detach->backend);
	return rwy_xenbus_write(xb, tx, path, "%u", (unsigned int)XenbusStateClosing);
}

/* Closed, or gone altogether. */
static bool is_closed(const struct detach *detach)
{
	char value[RWY_XENBUS_VALUE_BYTES];

	if (rwy_xenbus_read_state(detach->xb, "%s/state", detach->backend) == XenbusStateClosed)
		return true;
	return rwy_xenbus_read(detach->xb, RWY_XENBUS_NO_TX, value, sizeof(value), "%s/state",
			       detach->backend) == -ENOENT;
}

static int await_closed(const struct detach *detach)
{
	struct cli_wait wait;
	int err = cli_wait_open(&wait, detach->xb, cli_wait_now_ns() + detach->timeout_ns,
				detach->backend);

	while (!err && !is_closed(detach))
		err = cli_wait_next(&wait);
	cli_wait_close(&wait);
	return err;
}

static void say_not_closed(const struct detach *detach, int err)
{
	_rwy_close int fd = cli_query_open();

	if (err != -ETIMEDOUT)
		rwy_error("%s of %s: %s; is xenstored in order?", detach->vdev, detach->domain,
			  strerror(-err));
	else if (cli_query_is_down(fd))
		rwy_error("%s of %s: not closed, because ringwayd is not running; start it with "
			  "systemctl start ringwayd, or use --force",
			  detach->vdev, detach->domain);
	else
		rwy_error("%s of %s: not closed in time; see ringway show, or use --force",
			  detach->vdev, detach->domain);
}

static int close_disk(const struct detach *detach)
{
	int err = rwy_xenbus_transact(detach->xb, ask_to_close, (void *)detach);

	if (err == -ENOENT) /* someone was faster, or it never had a state */
		return 0;
	if (err) {
		rwy_error("%s of %s: asking it to close: %s; run ringway as root in dom0",
			  detach->vdev, detach->domain, strerror(-err));
		return err;
	}
	err = await_closed(detach);
	if (err)
		say_not_closed(detach, err);
	return err;
}

static int run_detach(const struct detach *detach)
{
	char vdev[RWY_VDEV_NAME_BYTES];

	if (!detach->force && close_disk(detach))
		return CLI_FAILED;
	int err = cli_disk_remove(detach->xb, detach->domid, detach->devid);
	if (err) {
		rwy_error("%s of %s: removing its xenstore nodes: %s; run ringway as root in dom0",
			  detach->vdev, detach->domain, strerror(-err));
		return CLI_FAILED;
	}
	rwy_vdev_format(detach->devid, vdev);
	printf("detached %s (%u) from %s\n", vdev, detach->devid, detach->domain);
	return CLI_OK;
}

static int run(int argc, char **argv)
{
	_cli_store struct rwy_xenbus *xb = NULL;
	struct detach detach = {.timeout_ns = DEFAULT_TIMEOUT_NS};
	int rc = parse(argc, argv, &detach);

	if (rc > 0) {
		cli_options_print_help(&cmd_detach);
		return CLI_OK;
	}
	if (rc < 0)
		return CLI_USAGE;
	if (cli_store_open(&xb) || cli_store_find_backend(xb, detach.domain, &detach.domid))
		return CLI_FAILED;
	detach.xb = xb;
	snprintf(detach.backend, sizeof(detach.backend), RWY_XS_BACKEND_VBD_DEVICE, detach.domid,
		 detach.devid);
	return check_owner(&detach) ? CLI_FAILED : run_detach(&detach);
}

const struct cli_command cmd_detach = {
	.name = "detach",
	.arguments = "DOM VDEV [--force] [--timeout S]",
	.summary = "Take a disk away that ringway attach gave",
	.help = "  DOM           domain name or id; the id of a dead domain works too\n"
		"  VDEV          virtual device: xvda, ... or its id\n"
		"  --force       do not wait for ringwayd: remove the xenstore nodes at once\n"
		"  --timeout S   wait at most S seconds for the disk to close (default 10)\n",
	.run = run,
};
