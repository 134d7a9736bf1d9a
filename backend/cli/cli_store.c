// SPDX-License-Identifier: MIT
/*
 * Xenstore as the command line sees it: opening it and finding the domain that the admin named,
 * with an error line that says what to do.
 */
#include <errno.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/xs_parse.h"

#define MAX_DOMID 0x7fefu /* DOMID_FIRST_RESERVED - 1 */

int cli_store_open(struct rwy_xenbus **xb)
{
	int err = rwy_xenbus_open(xb);

	if (!err)
		return 0;
	*xb = NULL;
	if (err == -EACCES || err == -EPERM)
		rwy_error("xenstore: %s; run ringway as root", strerror(-err));
	else
		rwy_error(
			"xenstore: %s; ringway runs in dom0 of a Xen host, with xenstored started",
			strerror(-err));
	return err;
}

static void say_not_found(const char *dom, int err)
{
	if (err == -ENOENT)
		rwy_error("%s: no such domain; see xl list", dom);
	else if (err == -ENOTUNIQ)
		rwy_error("%s: several domains have this name; give the id", dom);
	else
		rwy_error("%s: %s; run ringway as root in dom0", dom, strerror(-err));
}

int cli_store_find_domain(struct rwy_xenbus *xb, const char *dom, uint32_t *domid)
{
	int err = rwy_xenbus_find_domain(xb, dom, domid);

	if (err)
		say_not_found(dom, err);
	return err;
}

int cli_store_find_backend(struct rwy_xenbus *xb, const char *dom, uint32_t *domid)
{
	int err = rwy_xenbus_find_domain(xb, dom, domid);
	char value[RWY_XENBUS_VALUE_BYTES];
	uint32_t id;

	if (err == -ENOENT && !rwy_xs_parse_component(dom, MAX_DOMID, &id) &&
	    rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value), RWY_XS_BACKEND_VBD "/%u",
			    id) >= 0) {
		*domid = id;
		return 0;
	}
	if (err)
		say_not_found(dom, err);
	return err;
}
