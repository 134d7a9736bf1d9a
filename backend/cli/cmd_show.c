// SPDX-License-Identifier: MIT
/*
 * ringway show: everything about one disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_inventory.h"
#include "backend/cli/cli_json.h"
#include "backend/cli/cli_text.h"
#include "common/cleanup.h"
#include "common/log.h"

#define KEY_WIDTH 30

/* Objects are opened up, one level deeper for each; null is "-". */
static int print_value(const char *key, json_t *value, int depth)
{
	const char *inner_key;
	json_t *inner;

	if (json_is_object(value)) {
		printf("%*s%s:\n", 2 * depth, "", key);
		json_object_foreach(value, inner_key, inner)
		{
			int err = print_value(inner_key, inner, depth + 1);
			if (err)
				return err;
		}
		return 0;
	}
	_rwy_free char *text = NULL;
	if (json_is_string(value))
		text = cli_text_escape(json_string_value(value));
	else if (json_is_null(value))
		text = strdup("-");
	else
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	if (!text)
		return -ENOMEM;
	printf("%*s%-*s  %s\n", 2 * depth, "", KEY_WIDTH - 2 * depth, key, text);
	return 0;
}

static int print_text(json_t *device)
{
	const char *key;
	json_t *value;

	json_object_foreach(device, key, value)
	{
		int err = print_value(key, value, 0);
		if (err)
			return err;
	}
	return 0;
}

/* -ENOENT: no such disk of ours. */
static int show(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid, bool as_json)
{
	_cli_json json_t *devices = NULL;
	bool asked;
	int err = cli_inventory_load(xb, domid, devid, &devices, &asked);

	if (err)
		return err;
	json_t *device = json_array_get(devices, 0);
	if (!device)
		return -ENOENT;
	if (json_object_set_new(device, "features", cli_inventory_features(xb, domid, devid)))
		return -ENOMEM;
	return as_json ? cli_json_print(device) : print_text(device);
}

static int run_show(const char *dom, const char *vdev, bool as_json)
{
	_cli_store struct rwy_xenbus *xb = NULL;
	uint32_t domid, devid;

	if (cli_options_vdev(vdev, &devid))
		return CLI_USAGE;
	if (cli_store_open(&xb) || cli_store_find_backend(xb, dom, &domid))
		return CLI_FAILED;
	int err = show(xb, domid, devid, as_json);
	if (err == -ENOENT)
		rwy_error("%s of %s: not a disk of ringwayd's; see ringway list", vdev, dom);
	else if (err)
		rwy_error("%s of %s: %s; run ringway as root in dom0", vdev, dom, strerror(-err));
	return err ? CLI_FAILED : CLI_OK;
}

static int run(int argc, char **argv)
{
	bool as_json;
	int rc = cli_options_json(argc, argv, &cmd_show, 2, 2, &as_json);

	if (rc)
		return rc > 0 ? CLI_OK : CLI_USAGE;
	return run_show(argv[optind], argv[optind + 1], as_json);
}

const struct cli_command cmd_show = {
	.name = "show",
	.arguments = "DOM VDEV [--json]",
	.summary = "Show everything about one disk",
	.help = "  DOM           domain name or id\n"
		"  VDEV          virtual device: xvda, ... or its id\n"
		"  --json        print JSON; ringway(1) documents its keys\n",
	.run = run,
};
