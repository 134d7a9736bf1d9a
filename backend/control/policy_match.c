// SPDX-License-Identifier: MIT
/*
 * The pure half of the policy gate. Trusts its caller for bounded, NUL-terminated strings, and
 * nothing about what they say. Called by policy.c.
 */
#include "backend/control/policy_match.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* Targets are named by a path or by "null:". A glob that could match neither ("file:/srv/a.img")
 * would be passed over in silence, for a later rule that may allow more. */
static bool can_match(const char *glob)
{
	return glob[0] == '/' || !strncmp(glob, "null:", 5);
}

int policy_match_parse(const char *value, struct policy_rule *rule)
{
	if (!strncmp(value, "rw ", 3))
		rule->access = POLICY_READ_WRITE;
	else if (!strncmp(value, "ro ", 3))
		rule->access = POLICY_READ_ONLY;
	else
		return -EINVAL;

	const char *glob = value + 3 + strspn(value + 3, " ");
	size_t len = strlen(glob);

	if (!can_match(glob))
		return -EINVAL;
	if (len >= sizeof(rule->glob))
		return -ENAMETOOLONG;
	memcpy(rule->glob, glob, len + 1);
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	const struct policy_rule *left = a, *right = b;

	return (left->number > right->number) - (left->number < right->number);
}

int policy_match_sort(struct policy_rule *rules, unsigned int nr_rules)
{
	if (nr_rules)
		qsort(rules, nr_rules, sizeof(*rules), compare_numbers);
	for (unsigned int i = 1; i < nr_rules; i++) {
		if (rules[i].number == rules[i - 1].number)
			return -EEXIST;
	}
	return 0;
}

static const struct policy_rule *first_match(const struct policy_level *level, const char *target)
{
	for (unsigned int i = 0; i < level->nr_rules; i++) {
		if (!fnmatch(level->rules[i].glob, target, FNM_PATHNAME))
			return &level->rules[i];
	}
	return NULL;
}

struct policy_judgement policy_match_judge(const struct policy_level *levels,
					   unsigned int nr_levels, const char *target,
					   bool writable)
{
	struct policy_judgement j = {.outcome = POLICY_NO_LIST};

	for (unsigned int i = 0; i < nr_levels && !j.level; i++) {
		if (levels[i].has_list)
			j.level = &levels[i];
	}
	if (!j.level)
		return j;

	j.rule = first_match(j.level, target);
	if (!j.rule)
		j.outcome = POLICY_NO_MATCH;
	else if (writable && j.rule->access == POLICY_READ_ONLY)
		j.outcome = POLICY_ALLOWED_TO_READ;
	else
		j.outcome = POLICY_ALLOWED;
	return j;
}
