// SPDX-License-Identifier: MIT
/*
 * Writes what ringwayd knows as JSON. Texts may hold a guest's bytes: what is no UTF-8 is replaced.
 * Called by query.c.
 */
#include "backend/control/query_json.h"
#include "backend/control/policy.h"
#include <string.h>
#include <sys/sysmacros.h>

/* JSON strings are UTF-8, xenstore's values any bytes. NULL or "" is null. */
static json_t *text(const char *s)
{
	char plain[REASON_BYTES];
	size_t i;

	if (!s || !*s)
		return json_null();

	json_t *value = json_string(s);
	if (value)
		return value;
	for (i = 0; i < sizeof(plain) - 1 && s[i]; i++)
		plain[i] = s[i] & 0x80 ? '?' : s[i];
	plain[i] = '\0';
	return json_string(plain);
}

static json_t *process(const struct worker_info *info)
{
	return json_pack("{s:o, s:s, s:i, s:i}", "pid",
			 info->pid ? json_integer(info->pid) : json_null(), "state", info->state,
			 "devices", (int)info->nr_devices, "restarts", (int)info->nr_restarts);
}

static json_t *processes(const struct worker_pool *pool)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < worker_pool_size(pool); i++) {
		struct worker_info info = worker_pool_info(pool, i);

		json_array_append_new(list, process(&info));
	}
	return list;
}

static json_t *counters(const struct device *dev)
{
	const struct ctl_stats *s = &dev->stats;

	if (dev->link != LINK_ATTACHED || !dev->stats_known || dev->stats_asked)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "read_requests",
			 (json_int_t)s->read_requests, "write_requests",
			 (json_int_t)s->write_requests, "flush_requests",
			 (json_int_t)s->flush_requests, "read_sect", (json_int_t)s->read_sect,
			 "write_sect", (json_int_t)s->write_sect, "bad_requests",
			 (json_int_t)s->bad_requests, "io_errors", (json_int_t)s->io_errors,
			 "events", (json_int_t)s->events, "notifies", (json_int_t)s->notifies,
			 "in_flight", (json_int_t)s->in_flight);
}

static const char *engine_name(const struct target *t)
{
	static const char *const names[] = {
		[TARGET_NONE] = NULL, [TARGET_FILE] = "file", [TARGET_NULL] = "null"};

	return names[t->kind];
}

static json_t *describe(const struct device *dev)
{
	bool linked = dev->link == LINK_ATTACHED;
	pid_t pid = worker_lease_pid(&dev->lease);

	return json_pack(
		"{s:I, s:I, s:o, s:s, s:s, s:i, s:o, s:I, s:i, s:i, s:o, s:o, s:b, s:o, "
		"s:o}",
		"domid", (json_int_t)dev->dir.domid, "devid", (json_int_t)dev->dir.devid, "target",
		text(dev->config.params), "mode", dev->config.writable ? "w" : "r", "phase",
		rwy_xenbus_phase_name(dev->phase), "state", (int)dev->own, "reason",
		text(dev->why.text), "capacity_sect", (json_int_t)dev->target.capacity_sect,
		"queues", linked ? (int)dev->frontend.nr_queues : 0, "ring_pages",
		linked ? (int)dev->frontend.nr_ring_pages : 0, "protocol",
		text(linked ? frontend_abi_name(dev->frontend.abi) : NULL), "engine",
		text(engine_name(&dev->target)), "direct", dev->target.direct, "process",
		pid ? json_integer(pid) : json_null(), "stats", counters(dev));
}

static json_t *devices(struct control *control, struct device *only, bool all)
{
	json_t *list = json_array();
	struct device *dev;

	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (dev->ours && (all || dev == only))
			json_array_append_new(list, describe(dev));
	}
	return list;
}

json_t *query_json_show(struct control *control, struct device *only, bool all)
{
	struct reason why = {""};
	int enforce = policy_enforced(control->policy, &why);

	return json_pack("{s:s, s:i, s:o, s:o, s:o}", "version", RINGWAY_VERSION, "pid",
			 (int)getpid(), "enforce",
			 enforce < 0 ? json_null() : json_boolean(enforce), "processes",
			 processes(control->pool), "devices", devices(control, only, all));
}

/* As the stock block script writes it. */
static json_t *device_number(dev_t dev)
{
	return json_sprintf("%x:%x", major(dev), minor(dev));
}

json_t *query_json_verdict(const struct device *dev)
{
	static const char *const words[] = {
		[VERDICT_UNKNOWN] = "unknown",
		[VERDICT_GRANTED] = "granted",
		[VERDICT_REFUSED] = "refused",
	};
	enum device_verdict verdict = dev ? dev->verdict : VERDICT_UNKNOWN;
	const struct reason *trouble = dev ? worker_pool_trouble(dev->control->pool) : NULL;
	const char *reason = dev ? dev->why.text : "no such device of ringwayd's";
	const char *path = NULL;
	dev_t number = 0;

	if (dev && verdict == VERDICT_GRANTED && dev->target.kind == TARGET_FILE) {
		path = dev->target.name;
		number = dev->target.dev;
	}
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "verdict", words[verdict], "reason",
			 verdict == VERDICT_GRANTED ? json_null() : text(reason), "trouble",
			 text(trouble ? trouble->text : NULL), "path", text(path), "device",
			 number ? device_number(number) : json_null());
}

json_t *query_json_error(const char *what)
{
	return json_pack("{s:o}", "error", text(what));
}
