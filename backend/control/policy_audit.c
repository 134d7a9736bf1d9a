// SPDX-License-Identifier: MIT
/*
 * The check that the policy is the admin's: a guest that may write one node of it may give itself
 * any disk. Trusts xenstored's word on permissions. Called by policy.c after each change of the
 * tree.
 */
#include "backend/control/policy_audit.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
	struct rwy_xenbus *xb;
	xs_transaction_t tx;
	struct reason *why;
	unsigned int nr_nodes;
};

bool policy_audit_is_dom0_only(const struct xs_permissions *perms, unsigned int nr_perms)
{
	/* The first entry is the owner, who may always write, and what everybody else may do. */
	if (!nr_perms || perms[0].id != 0 || (perms[0].perms & XS_PERM_WRITE))
		return false;
	for (unsigned int i = 1; i < nr_perms; i++) {
		if (perms[i].id != 0 && (perms[i].perms & XS_PERM_WRITE))
			return false;
	}
	return true;
}

/* 0, -ENOENT, -EPERM, or another -errno with the reason. */
static int check_node(struct walk *w, const char *path)
{
	unsigned int nr;
	struct xs_permissions *perms =
		xs_get_permissions(rwy_xenbus_handle(w->xb), w->tx, path, &nr);

	if (!perms) {
		int err = -errno;

		return reason_set(w->why, err, "policy: can't read the permissions of %s: %s", path,
				  strerror(-err));
	}

	bool fine = policy_audit_is_dom0_only(perms, nr);
	free(perms);
	if (!fine)
		return reason_set(w->why, -EPERM,
				  "policy: a guest may write %s; take that away "
				  "(xenstore-chmod -r %s n0)",
				  path, path);
	return 0;
}

static int visit(struct walk *w, const char *path, unsigned int depth)
{
	char child[RWY_XENBUS_PATH_BYTES];
	char **names;
	unsigned int nr;

	if (++w->nr_nodes > POLICY_MAX_NODES || depth > POLICY_MAX_DEPTH)
		return reason_set(w->why, -E2BIG, "policy: more nodes or levels than allowed at %s",
				  path);

	int err = check_node(w, path);
	if (err)
		return err;
	err = rwy_xenbus_list(w->xb, w->tx, &names, &nr, "%s", path);
	if (err)
		return reason_set(w->why, err, "policy: can't list %s: %s", path, strerror(-err));

	for (unsigned int i = 0; i < nr && !err; i++) {
		int len = snprintf(child, sizeof(child), "%s/%s", path, names[i]);

		if ((size_t)len >= sizeof(child))
			err = reason_set(w->why, -ENAMETOOLONG, "policy: too long a path under %s",
					 path);
		else
			err = visit(w, child, depth + 1);
	}
	free(names);
	return err;
}

int policy_audit(struct rwy_xenbus *xb, xs_transaction_t tx, const char *root, struct reason *why)
{
	struct walk w = {.xb = xb, .tx = tx, .why = why};
	char parent[RWY_XENBUS_PATH_BYTES];

	/* Who may write the parent may put another tree in place of this one. */
	snprintf(parent, sizeof(parent), "%s", root);
	*strrchr(parent, '/') = '\0';
	int err = check_node(&w, parent);
	if (err && err != -ENOENT)
		return err;

	/* Inside one transaction nothing but the root itself can be missing. */
	err = visit(&w, root, 0);
	return err == -ENOENT ? 0 : err;
}
