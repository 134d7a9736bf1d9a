/* SPDX-License-Identifier: MIT */
/*
 * Who may write the policy? Walks the tree and finds a node that is not dom0's alone. Called by
 * policy.c.
 */
#pragma once
#include "backend/control/reason.h"
#include "common/xenbus.h"

#define POLICY_MAX_NODES 65536u
#define POLICY_MAX_DEPTH 12u

/* True when only domain 0 may write a node that has these permissions, as xenstore gives them. */
bool policy_audit_is_dom0_only(const struct xs_permissions *perms, unsigned int nr_perms);

/*
 * 0: nobody but dom0 may write root, a node under it, or root's parent; an absent root is fine.
 * -EPERM with the path in `why`: somebody may; -E2BIG: more nodes or levels than we look at; other
 * -errno.
 */
int policy_audit(struct rwy_xenbus *xb, xs_transaction_t tx, const char *root, struct reason *why);
