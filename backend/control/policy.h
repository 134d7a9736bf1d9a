/* SPDX-License-Identifier: MIT */
/*
 * The first gate: may this VM have this target? Read from xenstore's policy tree (RWY_XS_POLICY) at
 * each judgement, in one transaction. Fails closed: a tree that a guest may write, that does not
 * parse or cannot be read refuses. The tree:
 *   enforce                    "1": what no rule allows is refused; "0" or absent: all is allowed
 *   <level>/vbd/allow/<n>      "rw|ro GLOB"; level: domid/<n>, uuid/<uuid>, name/<vm>, default
 * The most specific level that has a vbd/allow list decides, its rules in numeric order of <n>.
 * Called by verdict.c and query_json.c.
 */
#pragma once
#include "backend/control/reason.h"
#include "common/xenbus.h"

struct policy;

/* Watches the tree. Borrows xb, which must outlive it. */
int policy_create(struct policy **policy, struct rwy_xenbus *xb);
void policy_destroy(struct policy *policy);

/*
 * target: the real path of an open fd, or "null:". 0: allowed. -EACCES: refused by the rules;
 * another -errno: refused because the policy can't be trusted, understood or read; `why` says all.
 */
int policy_judge(struct policy *policy, uint32_t domid, const char *target, bool writable,
		 struct reason *why);

/* What `enforce` says: 0 or 1, or -errno with the reason. */
int policy_enforced(struct policy *policy, struct reason *why);
