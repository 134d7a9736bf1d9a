// SPDX-License-Identifier: MIT
/*
 * Reads the policy tree and has policy_match.c judge. Trusts xenstored, dom0, and the nodes that
 * only dom0 may write: a VM's `name` and `vm`, and the policy tree once policy_audit.c found no
 * guest in its permissions. Called by verdict.c and query_json.c.
 */
#include "backend/control/policy.h"
#include "backend/control/policy_audit.h"
#include "backend/control/policy_match.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/xs_parse.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LEVELS 4

struct policy {
	struct rwy_xenbus *xb;
	struct rwy_xenbus_watch *watch;
	bool audited;	     /* since the last change of the tree */
	struct reason unfit; /* what the audit found; "": nothing */
	int unfit_err;
};

/* One judgement; the transaction's body may run several times, and starts anew each time. */
struct judgement {
	struct policy *policy;
	uint32_t domid;
	const char *target;
	bool writable;
	struct reason *why;
	int result;
	struct policy_level levels[MAX_LEVELS];
	unsigned int nr_levels;
};

static void tree_changed(void *ctx, const char *path)
{
	struct policy *p = ctx;

	(void)path;
	p->audited = false;
}

int policy_create(struct policy **policy, struct rwy_xenbus *xb)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->xb = xb;

	int err = rwy_xenbus_add_watch(xb, tree_changed, p, &p->watch, "%s", RWY_XS_POLICY);
	if (err) {
		free(p);
		return err;
	}
	*policy = p;
	return 0;
}

void policy_destroy(struct policy *policy)
{
	if (!policy)
		return;
	rwy_xenbus_remove_watch(policy->watch);
	free(policy);
}

/* Walking the whole tree costs a round trip per node, so once per change. Watch events come in
 * order, so a change made before a device appeared is known before the device is judged. */
static int audit(struct policy *p, xs_transaction_t tx, struct reason *why)
{
	if (!p->audited) {
		p->unfit.text[0] = '\0';
		p->unfit_err = policy_audit(p->xb, tx, RWY_XS_POLICY, &p->unfit);
		p->audited = true;
		if (p->unfit_err)
			rwy_error("%s; every device is refused until that is changed",
				  p->unfit.text);
	}
	if (p->unfit_err)
		*why = p->unfit;
	return p->unfit_err;
}

/* 0, 1, or -errno with the reason. */
static int read_enforce(struct rwy_xenbus *xb, xs_transaction_t tx, struct reason *why)
{
	char value[16];
	bool enforce;
	int len = rwy_xenbus_read(xb, tx, value, sizeof(value), "%s/enforce", RWY_XS_POLICY);

	if (len == -ENOENT)
		return 0;
	if (len < 0 || rwy_xs_parse_bool(value, (size_t)len, &enforce))
		return reason_set(why, -EINVAL,
				  "policy: %s/enforce is neither 0 nor 1; every disk is refused "
				  "until it is",
				  RWY_XS_POLICY);
	return enforce;
}

static int read_rule(struct rwy_xenbus *xb, xs_transaction_t tx, const char *list, const char *node,
		     struct policy_rule *rule, struct reason *why)
{
	char value[RWY_XENBUS_VALUE_BYTES];

	if (rwy_xs_parse_component(node, UINT32_MAX, &rule->number))
		return reason_set(why, -EINVAL,
				  "policy: %s/%s: the name of a rule's node must be a number", list,
				  node);

	int len = rwy_xenbus_read(xb, tx, value, sizeof(value), "%s/%s", list, node);
	if (len < 0 || policy_match_parse(value, rule))
		return reason_set(
			why, -EINVAL,
			"policy: %s/%s says \"%s\"; it must say \"rw GLOB\" or \"ro GLOB\", "
			"GLOB beginning with / or null:",
			list, node, len < 0 ? strerror(-len) : value);
	return 0;
}

static int read_rules(struct rwy_xenbus *xb, xs_transaction_t tx, const char *list, char **nodes,
		      unsigned int nr, struct policy_level *level, struct reason *why)
{
	if (nr > POLICY_MAX_RULES)
		return reason_set(why, -E2BIG, "policy: %s has %u rules, more than %u", list, nr,
				  POLICY_MAX_RULES);
	if (nr) {
		level->rules = calloc(nr, sizeof(*level->rules));
		if (!level->rules)
			return reason_set(why, -ENOMEM, "policy: no memory to read %s", list);
	}
	for (unsigned int i = 0; i < nr; i++) {
		int err = read_rule(xb, tx, list, nodes[i], &level->rules[i], why);

		if (err)
			return err;
		level->nr_rules++;
	}
	if (policy_match_sort(level->rules, level->nr_rules))
		return reason_set(why, -EINVAL, "policy: %s has two rules of one number", list);
	return 0;
}

static int read_level(struct rwy_xenbus *xb, xs_transaction_t tx, struct policy_level *level,
		      struct reason *why)
{
	char list[RWY_XENBUS_PATH_BYTES];
	char **nodes;
	unsigned int nr;

	snprintf(list, sizeof(list), "%s/%s/vbd/allow", RWY_XS_POLICY, level->name);
	int err = rwy_xenbus_list(xb, tx, &nodes, &nr, "%s", list);
	if (err == -ENOENT)
		return 0;
	if (err)
		return reason_set(why, err, "policy: can't read %s: %s", list, strerror(-err));

	level->has_list = true;
	err = read_rules(xb, tx, list, nodes, nr, level, why);
	free(nodes);
	return err;
}

/*
 * A VM name with, say, a dot in it can't be a node's name, so nothing can be said about it by name.
 */
static bool is_node_name(const char *name)
{
	return *name && !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					   "0123456789-_@")];
}

static int add_level(struct judgement *j, const char *kind, const char *which)
{
	struct policy_level *level = &j->levels[j->nr_levels];
	int len = snprintf(level->name, sizeof(level->name), "%s%s", kind, which);

	if (len < 0 || (size_t)len >= sizeof(level->name))
		return -ENAMETOOLONG;
	j->nr_levels++;
	return 0;
}

/* Its length; 0: there is none; -errno with the reason. */
static int read_domain_node(struct judgement *j, xs_transaction_t tx, const char *node, char *value,
			    size_t size)
{
	int len = rwy_xenbus_read(j->policy->xb, tx, value, size, RWY_XS_DOMAIN "/%s", j->domid,
				  node);

	if (len >= 0 || len == -ENOENT)
		return len < 0 ? 0 : len;
	return reason_set(j->why, len, "policy: can't read the %s of VM %u: %s", node, j->domid,
			  strerror(-len));
}

static int add_uuid_level(struct judgement *j, xs_transaction_t tx)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int len = read_domain_node(j, tx, "vm", value, sizeof(value));
	const char *slash = len > 0 ? strrchr(value, '/') : NULL;

	if (len < 0 || !slash || !is_node_name(slash + 1) || !add_level(j, "uuid/", slash + 1))
		return len < 0 ? len : 0;
	return reason_set(j->why, -ENAMETOOLONG, "policy: the uuid of VM %u is too long for rules",
			  j->domid);
}

static int add_name_level(struct judgement *j, xs_transaction_t tx)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int len = read_domain_node(j, tx, "name", value, sizeof(value));

	if (len <= 0 || !is_node_name(value) || !add_level(j, "name/", value))
		return len < 0 ? len : 0;
	return reason_set(j->why, -ENAMETOOLONG,
			  "policy: the name of VM %u is too long for rules; rename it", j->domid);
}

/* Most specific first. `name` and `vm` are the toolstack's; a domain without them just has fewer
 * levels. -errno with the reason: rules may be there that can't be found. */
static int name_levels(struct judgement *j, xs_transaction_t tx)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", j->domid);
	add_level(j, "domid/", number);
	int uuid_err = add_uuid_level(j, tx);
	int name_err = add_name_level(j, tx);

	add_level(j, "default", "");
	return uuid_err ? uuid_err : name_err;
}

static void drop_levels(struct judgement *j)
{
	for (unsigned int i = 0; i < j->nr_levels; i++)
		free(j->levels[i].rules);
	memset(j->levels, 0, sizeof(j->levels));
	j->nr_levels = 0;
}

/* Where a rule for this VM is best added: by name, or else the level that every VM has. */
static const char *best_level(const struct judgement *j)
{
	return j->levels[j->nr_levels >= 2 ? j->nr_levels - 2 : 0].name;
}

/* "domid/3, uuid/..., name/guest3 or default" */
static void join_levels(const struct judgement *j, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int i = 0; i < j->nr_levels && used < size; i++) {
		const char *before = !i ? "" : i + 1 < j->nr_levels ? ", " : " or ";

		used += (size_t)snprintf(out + used, size - used, "%s%s", before,
					 j->levels[i].name);
	}
}

static int explain(const struct judgement *j, const struct policy_judgement *got)
{
	char levels[MAX_LEVELS * (POLICY_LEVEL_BYTES + 4)];

	switch (got->outcome) {
	case POLICY_ALLOWED:
		return 0;
	case POLICY_NO_LIST:
		join_levels(j, levels, sizeof(levels));
		return reason_set(j->why, -EACCES,
				  "policy: no vbd/allow rule of %s matches %s; add one under "
				  "%s/%s/vbd/allow",
				  levels, j->target, RWY_XS_POLICY, best_level(j));
	case POLICY_NO_MATCH:
		return reason_set(j->why, -EACCES,
				  "policy: no vbd/allow rule of %s matches %s; add one under "
				  "%s/%s/vbd/allow",
				  got->level->name, j->target, RWY_XS_POLICY, got->level->name);
	case POLICY_ALLOWED_TO_READ:
		return reason_set(j->why, -EACCES,
				  "policy: rule \"ro %s\" (%s/%s/vbd/allow/%u) lets %s be read "
				  "only, and the disk's mode is w; attach it with mode r or change "
				  "the rule",
				  got->rule->glob, RWY_XS_POLICY, got->level->name,
				  got->rule->number, j->target);
	}
	return reason_set(j->why, -EINVAL, "policy: no judgement");
}

static int judge(struct judgement *j, xs_transaction_t tx)
{
	struct rwy_xenbus *xb = j->policy->xb;
	int err = audit(j->policy, tx, j->why);

	if (err)
		return err;

	int enforce = read_enforce(xb, tx, j->why);
	if (enforce < 0)
		return enforce;

	/* Rules are read even when not enforced: a garbled one must never wait to be noticed. */
	err = name_levels(j, tx);
	if (err && enforce)
		return err;
	for (unsigned int i = 0; i < j->nr_levels; i++) {
		err = read_level(xb, tx, &j->levels[i], j->why);
		if (err)
			return err;
		if (j->levels[i].has_list)
			break;
	}
	if (!enforce)
		return 0;

	struct policy_judgement got =
		policy_match_judge(j->levels, j->nr_levels, j->target, j->writable);
	return explain(j, &got);
}

static int judge_body(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	struct judgement *j = ctx;

	(void)xb;
	drop_levels(j);
	j->result = judge(j, tx);
	return 0;
}

int policy_judge(struct policy *policy, uint32_t domid, const char *target, bool writable,
		 struct reason *why)
{
	struct judgement j = {
		.policy = policy,
		.domid = domid,
		.target = target,
		.writable = writable,
		.why = why,
	};
	int err = rwy_xenbus_transact(policy->xb, judge_body, &j);

	drop_levels(&j);
	if (err)
		return reason_set(why, err, "policy: can't read %s: %s", RWY_XS_POLICY,
				  strerror(-err));
	return j.result;
}

int policy_enforced(struct policy *policy, struct reason *why)
{
	return read_enforce(policy->xb, RWY_XENBUS_NO_TX, why);
}
