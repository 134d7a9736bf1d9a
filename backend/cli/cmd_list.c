// SPDX-License-Identifier: MIT
/*
 * ringway list: all disks that are ringwayd's, one line each.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_inventory.h"
#include "backend/cli/cli_json.h"
#include "backend/cli/cli_text.h"
#include "common/log.h"

#define SECT_PER_MIB 2048u
#define NUMBER_BYTES 24u

static const struct cli_text_column columns[] = {
	{"DOMAIN", false},  {"ID", true},    {"VDEV", false},	{"DEVID", true},
	{"STATE", false},   {"MODE", false}, {"QUEUES", true},	{"TARGET", false},
	{"REQUESTS", true}, {"MIB", true},   {"REASON", false},
};
#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char *text_of(json_t *device, const char *key)
{
	return json_string_value(json_object_get(device, key));
}

static unsigned long long number_of(json_t *object, const char *key)
{
	return (unsigned long long)json_integer_value(json_object_get(object, key));
}

static int add_row(struct cli_text_table *table, json_t *device)
{
	json_t *stats = json_object_get(device, "stats");
	char id[NUMBER_BYTES], devid[NUMBER_BYTES];
	char queues[NUMBER_BYTES] = "", requests[NUMBER_BYTES] = "", mib[NUMBER_BYTES] = "";

	snprintf(id, sizeof(id), "%llu", number_of(device, "domid"));
	snprintf(devid, sizeof(devid), "%llu", number_of(device, "devid"));
	if (number_of(device, "queues"))
		snprintf(queues, sizeof(queues), "%llu", number_of(device, "queues"));
	if (json_is_object(stats)) {
		snprintf(requests, sizeof(requests), "%llu",
			 number_of(stats, "read_requests") + number_of(stats, "write_requests") +
				 number_of(stats, "flush_requests"));
		snprintf(mib, sizeof(mib), "%llu",
			 (number_of(stats, "read_sect") + number_of(stats, "write_sect")) /
				 SECT_PER_MIB);
	}
	const char *const cells[NR_COLUMNS] = {
		text_of(device, "domain"),
		id,
		text_of(device, "vdev"),
		devid,
		text_of(device, "state_name"),
		text_of(device, "mode"),
		queues,
		text_of(device, "target"),
		requests,
		mib,
		text_of(device, "reason"),
	};
	return cli_text_table_add_row(table, cells);
}

static int print_table(json_t *devices)
{
	_cli_text_table struct cli_text_table *table = cli_text_table_create(columns, NR_COLUMNS);
	json_t *device;
	size_t i;

	if (!table)
		return -ENOMEM;
	json_array_foreach(devices, i, device)
	{
		int err = add_row(table, device);
		if (err)
			return err;
	}
	cli_text_table_print(table, stdout);
	return 0;
}

static int print_json(json_t *devices, bool asked)
{
	_cli_json json_t *list = json_pack("{s:b, s:O}", "ringwayd", asked, "devices", devices);

	return cli_json_print(list);
}

static int list(const char *dom, bool as_json)
{
	_cli_store struct rwy_xenbus *xb = NULL;
	_cli_json json_t *devices = NULL;
	uint32_t domid = CLI_INVENTORY_ALL;
	bool asked;

	if (cli_store_open(&xb) || (dom && cli_store_find_backend(xb, dom, &domid)))
		return CLI_FAILED;
	int err = cli_inventory_load(xb, domid, CLI_INVENTORY_ALL, &devices, &asked);
	if (!err)
		err = as_json ? print_json(devices, asked) : print_table(devices);
	if (err) {
		rwy_error("list: %s; run ringway as root in dom0", strerror(-err));
		return CLI_FAILED;
	}
	return CLI_OK;
}

static int run(int argc, char **argv)
{
	bool as_json;
	int rc = cli_options_json(argc, argv, &cmd_list, 0, 1, &as_json);

	if (rc)
		return rc > 0 ? CLI_OK : CLI_USAGE;
	return list(argv[optind], as_json);
}

const struct cli_command cmd_list = {
	.name = "list",
	.arguments = "[DOM] [--json]",
	.summary = "List the disks that ringwayd serves or has refused",
	.help = "  DOM           only this domain's: name or id\n"
		"  --json        print JSON; ringway(1) documents its keys\n",
	.run = run,
};
