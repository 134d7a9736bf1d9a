// SPDX-License-Identifier: MIT
/*
 * What there is. The backend directories are dom0's and say which disks there are and in which
 * state; ringwayd adds what it alone knows. Text of a guest can be among the values (a reason that
 * quotes it), so who prints them escapes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cli/cli_disk.h"
#include "backend/cli/cli_inventory.h"
#include "backend/cli/cli_json.h"
#include "backend/cli/cli_query.h"
#include "backend/cli/cli_wait.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/xenbus_fsm.h"
#include "common/xs_parse.h"

#define ANSWER_WITHIN_NS 5000000000ull

/* The node `name` of a backend directory as a string; null when it is not there or no text. */
static json_t *read_node(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid, const char *name)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int got = rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value),
				  RWY_XS_BACKEND_VBD_DEVICE "/%s", domid, devid, name);

	return got < 0 ? json_null() : cli_json_string(value);
}

static json_t *read_domain_name(struct rwy_xenbus *xb, uint32_t domid)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int got = rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value), RWY_XS_DOMAIN "/name",
				  domid);

	return got < 0 ? json_null() : cli_json_string(value);
}

/* The object of one disk with all its keys; what only ringwayd knows is null. */
static json_t *describe(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid)
{
	char vdev[RWY_VDEV_NAME_BYTES];
	int state = rwy_xenbus_read_state(xb, RWY_XS_BACKEND_VBD_DEVICE "/state", domid, devid);
	int frontend_state =
		rwy_xenbus_read_state(xb, RWY_XS_FRONTEND_VBD_DEVICE "/state", domid, devid);
	json_t *reason = read_node(xb, domid, devid, RWY_XS_ERROR_NODE);

	if (json_is_null(reason))
		reason = read_node(xb, domid, devid, RWY_XS_HOTPLUG_ERROR_NODE);
	rwy_vdev_format(devid, vdev);
	return json_pack("{s:i, s:o, s:i, s:s, s:i, s:s, s:i, s:s, s:o, s:o, s:o,"
			 " s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n}",
			 "domid", (int)domid, "domain", read_domain_name(xb, domid), "devid",
			 (int)devid, "vdev", vdev, "state", state, "state_name",
			 rwy_xenbus_state_name(state), "frontend_state", frontend_state,
			 "frontend_state_name", rwy_xenbus_state_name(frontend_state), "mode",
			 read_node(xb, domid, devid, "mode"), "target",
			 read_node(xb, domid, devid, "params"), "reason", reason, "phase",
			 "capacity_sect", "queues", "ring_pages", "protocol", "engine", "direct",
			 "process", "stats");
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* The children of a directory that are numbers, in order: an array to free(). */
static int list_numbers(struct rwy_xenbus *xb, const char *path, uint32_t max, uint32_t **numbers,
			size_t *count)
{
	_rwy_free char **names = NULL;
	unsigned int nr_names = 0;
	int err = rwy_xenbus_list(xb, RWY_XENBUS_NO_TX, &names, &nr_names, "%s", path);

	*count = 0;
	*numbers = NULL;
	if (err || nr_names == 0)
		return err == -ENOENT ? 0 : err;
	*numbers = calloc(nr_names, sizeof(**numbers));
	if (!*numbers)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr_names; i++)
		if (!rwy_xs_parse_component(names[i], max, *numbers + *count))
			(*count)++;
	qsort(*numbers, *count, sizeof(**numbers), compare_numbers);
	return 0;
}

static int add_device(struct rwy_xenbus *xb, json_t *devices, uint32_t domid, uint32_t devid)
{
	enum cli_disk_owner owner;
	int err = cli_disk_owner(xb, domid, devid, &owner);

	if (err)
		return err;
	if (owner != CLI_DISK_OURS && owner != CLI_DISK_LIBXL)
		return 0;
	return json_array_append_new(devices, describe(xb, domid, devid)) ? -ENOMEM : 0;
}

static int add_domain(struct rwy_xenbus *xb, json_t *devices, uint32_t domid, uint32_t only_devid)
{
	char path[RWY_XENBUS_PATH_BYTES];
	_rwy_free uint32_t *devids = NULL;
	size_t count;

	snprintf(path, sizeof(path), RWY_XS_BACKEND_VBD "/%u", domid);
	int err = list_numbers(xb, path, RWY_VDEV_MAX_ID, &devids, &count);
	for (size_t i = 0; !err && i < count; i++)
		if (only_devid == CLI_INVENTORY_ALL || devids[i] == only_devid)
			err = add_device(xb, devices, domid, devids[i]);
	return err;
}

static int add_domains(struct rwy_xenbus *xb, json_t *devices)
{
	_rwy_free uint32_t *domids = NULL;
	size_t count;
	int err = list_numbers(xb, RWY_XS_BACKEND_VBD, UINT16_MAX, &domids, &count);

	for (size_t i = 0; !err && i < count; i++)
		err = add_domain(xb, devices, domids[i], CLI_INVENTORY_ALL);
	return err;
}

static void say_no_answer(int err)
{
	if (cli_query_is_down(err))
		rwy_warn("ringwayd is not running; its part is left out; systemctl start ringwayd");
	else
		rwy_warn("ringwayd: %s; its part is left out; see journalctl -u ringwayd",
			 strerror(-err));
}

static int ask_daemon(uint32_t domid, uint32_t devid, json_t **reply)
{
	uint64_t deadline_ns = cli_wait_now_ns() + ANSWER_WITHIN_NS;
	int fd = cli_query_open();

	if (fd < 0)
		return fd;
	if (devid == CLI_INVENTORY_ALL)
		return cli_query_ask(fd, deadline_ns, reply, "show");
	return cli_query_ask(fd, deadline_ns, reply, "show %u %u", domid, devid);
}

static json_t *find_device(json_t *devices, json_t *like)
{
	json_t *device;
	size_t i;

	json_array_foreach(devices, i,
			   device) if (json_equal(json_object_get(device, "domid"),
						  json_object_get(like, "domid")) &&
				       json_equal(json_object_get(device, "devid"),
						  json_object_get(like, "devid"))) return device;
	return NULL;
}

/* Keys that are null or absent so far are filled from ringwayd's; what xenstore says stays. */
static void join(json_t *device, json_t *daemons)
{
	const char *key;
	json_t *value;

	json_object_foreach(daemons, key, value)
	{
		json_t *ours = json_object_get(device, key);

		if (!ours || json_is_null(ours))
			json_object_set(device, key, value);
	}
}

int cli_inventory_load(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid, json_t **devices,
		       bool *asked)
{
	_cli_json json_t *found = json_array(), *reply = NULL;
	json_t *device;
	size_t i;
	int err = domid == CLI_INVENTORY_ALL ? add_domains(xb, found)
					     : add_domain(xb, found, domid, devid);

	if (err)
		return err;
	*asked = false;
	if (devid == CLI_INVENTORY_ALL || json_array_size(found) > 0) {
		err = ask_daemon(domid, devid, &reply);
		*asked = !err;
		if (err)
			say_no_answer(err);
	}
	json_array_foreach(found, i, device)
		join(device, find_device(json_object_get(reply, "devices"), device));
	*devices = rwy_steal_ptr(&found);
	return 0;
}

json_t *cli_inventory_features(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid)
{
	static const char *const nodes[] = {
		"sectors",
		"sector-size",
		"physical-sector-size",
		"info",
		"max-ring-page-order",
		"multi-queue-max-queues",
		"feature-flush-cache",
		"feature-barrier",
		"feature-discard",
		"discard-granularity",
		"discard-alignment",
		"discard-secure",
		"feature-persistent",
		"feature-max-indirect-segments",
	};
	json_t *features = json_object();

	for (size_t i = 0; features && i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		json_t *value = read_node(xb, domid, devid, nodes[i]);

		if (json_is_null(value))
			continue;
		if (json_object_set_new(features, nodes[i], value)) {
			json_decref(features);
			return NULL;
		}
	}
	return features;
}
