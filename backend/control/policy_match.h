/* SPDX-License-Identifier: MIT */
/*
 * The pure half of the policy gate: parse a `vbd/allow` rule, put rules in order, judge a target.
 * No I/O. policy.h reads the tree and calls this. Rules are the admin's, yet may be garbled; the
 * target's name is the kernel's.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define POLICY_GLOB_BYTES  1025u
#define POLICY_MAX_RULES   256u /* of one list */
#define POLICY_LEVEL_BYTES 128u

enum policy_access {
	POLICY_READ_ONLY,
	POLICY_READ_WRITE,
};

struct policy_rule {
	uint32_t number; /* its node's name */
	enum policy_access access;
	char glob[POLICY_GLOB_BYTES]; /* fnmatch with FNM_PATHNAME: `*` stops at a slash */
};

/* One place of the tree that may hold a list, e.g. "name/guest3". Owns rules (malloc). */
struct policy_level {
	char name[POLICY_LEVEL_BYTES]; /* path below the policy's root */
	bool has_list;		       /* vbd/allow exists, though it may be empty */
	struct policy_rule *rules;     /* in ascending order of number */
	unsigned int nr_rules;
};

enum policy_outcome {
	POLICY_ALLOWED,
	POLICY_NO_LIST,		/* no level has a list */
	POLICY_NO_MATCH,	/* the deciding level's list has no rule for the target */
	POLICY_ALLOWED_TO_READ, /* the first rule that matches is ro, and the disk wants to write */
};

struct policy_judgement {
	enum policy_outcome outcome;
	const struct policy_level *level; /* the deciding one; NULL with NO_LIST */
	const struct policy_rule *rule;	  /* NULL with NO_LIST and NO_MATCH */
};

/*
 * "rw GLOB" or "ro GLOB"; GLOB begins with '/' or with a scheme such as "null:". -EINVAL: not such
 * a rule; -ENAMETOOLONG. Fills access and glob; number is the caller's.
 */
int policy_match_parse(const char *value, struct policy_rule *rule);

/* Sorts by number. -EEXIST: two rules have the same number (as 7 and 07 do). */
int policy_match_sort(struct policy_rule *rules, unsigned int nr_rules);

/* levels: most specific first; the first that has a list decides, and in it the first rule that
 * matches. */
struct policy_judgement policy_match_judge(const struct policy_level *levels,
					   unsigned int nr_levels, const char *target,
					   bool writable);
