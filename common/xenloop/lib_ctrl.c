// SPDX-License-Identifier: MIT
/*
 * The part of libxenctrl that xenstored, oxenstored and xenconsoled need on loopback Xen: which
 * domains there are, in what state a port is, and the store page. As on Xen, only dom0 may ask;
 * xc_evtchn_status is a dom0 matter here, although Xen also lets a domain ask about itself.
 */
#define XC_WANT_COMPAT_MAP_FOREIGN_API /* xc_map_foreign_range, which oxenstored still calls */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

struct xc_interface_core {
	struct conn conn;
};

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger,
				unsigned open_flags)
{
	int fd;

	(void)logger;
	(void)dombuild_logger;
	(void)open_flags;
	xc_interface *xch = calloc(1, sizeof(*xch));
	if (!xch)
		return NULL;
	int rc = conn_open(&xch->conn, XENLOOP_ROLE_CTRL, &fd);
	if (rc) {
		free(xch);
		errno = -rc;
		return NULL;
	}
	return xch;
}

int xc_interface_close(xc_interface *xch)
{
	if (!xch)
		return 0;
	conn_close(&xch->conn);
	free(xch);
	return 0;
}

/* Up to max domains from domid first upwards; how many, or -1 and errno. */
static int list(xc_interface *xch, uint32_t first, uint32_t max, struct xenloop_domain_info *infos)
{
	struct xenloop_request request = {.op = XENLOOP_DOMAINS, .domid = first, .count = max};
	int64_t n =
		conn_call(&xch->conn, &request, NULL, 0, NULL, infos, max * sizeof(*infos), NULL);

	return n < 0 ? fail(-n) : (int)n;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms,
		      xc_dominfo_t *info)
{
	struct xenloop_domain_info infos[XENLOOP_SLOTS];

	if (max_doms > XENLOOP_SLOTS)
		max_doms = XENLOOP_SLOTS;
	int n = list(xch, first_domid, max_doms, infos);
	for (int i = 0; i < n; i++) {
		info[i] = (xc_dominfo_t){
			.domid = infos[i].domid,
			.dying = !!(infos[i].flags & XENLOOP_DOMAIN_DYING),
			.shutdown = !!(infos[i].flags & XENLOOP_DOMAIN_STOPPED),
			.crashed = !!(infos[i].flags & XENLOOP_DOMAIN_CRASHED),
			.running = !infos[i].flags,
			.nr_pages = infos[i].nr_grants,
			.nr_online_vcpus = 1,
		};
		memcpy(info[i].handle, infos[i].uuid, sizeof(info[i].handle));
	}
	return n;
}

static uint32_t getdomaininfo_flags(uint32_t flags)
{
	uint32_t shutdown_reason =
		(flags & XENLOOP_DOMAIN_CRASHED) ? SHUTDOWN_crash : SHUTDOWN_poweroff;

	return (flags & XENLOOP_DOMAIN_DYING ? XEN_DOMINF_dying : 0) |
	       (flags & XENLOOP_DOMAIN_STOPPED
			? XEN_DOMINF_shutdown | shutdown_reason << XEN_DOMINF_shutdownshift
			: 0) |
	       (flags ? 0 : XEN_DOMINF_running);
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain, unsigned int max_domains,
			  xc_domaininfo_t *info)
{
	struct xenloop_domain_info infos[XENLOOP_SLOTS];

	if (max_domains > XENLOOP_SLOTS)
		max_domains = XENLOOP_SLOTS;
	int n = list(xch, first_domain, max_domains, infos);
	for (int i = 0; i < n; i++) {
		info[i] = (xc_domaininfo_t){
			.domain = infos[i].domid,
			.flags = getdomaininfo_flags(infos[i].flags),
			.tot_pages = infos[i].nr_grants,
			.max_pages = XENLOOP_GRANTS,
			.nr_online_vcpus = 1,
		};
		memcpy(info[i].handle, infos[i].uuid, sizeof(info[i].handle));
	}
	return n;
}

int xc_evtchn_status(xc_interface *xch, xc_evtchn_status_t *status)
{
	struct xenloop_request request = {
		.op = XENLOOP_PORT_STATUS, .domid = status->dom, .port = status->port};
	struct xenloop_port_status got = {0};

	int64_t rc = conn_call(&xch->conn, &request, NULL, 0, NULL, &got, sizeof(got), NULL);
	if (rc < 0)
		return fail(-rc);
	status->status = got.status;
	status->vcpu = 0;
	if (got.status == EVTCHNSTAT_unbound) {
		status->u.unbound.dom = got.remote_domid;
	} else if (got.status == EVTCHNSTAT_interdomain) {
		status->u.interdomain.dom = got.remote_domid;
		status->u.interdomain.port = got.remote_port;
	} else if (got.status == EVTCHNSTAT_virq) {
		status->u.virq = got.virq;
	}
	return 0;
}

/*
 * Of a domain's frames only one has a number, which the toolstack tells the store: the store ring's.
 * oxenstored maps it by that, where xenstored goes by the grant.
 */
void *xc_map_foreign_range(xc_interface *xch, uint32_t dom, int size, int prot, unsigned long mfn)
{
	struct xenloop_request request = {.op = XENLOOP_RAM, .domid = dom};
	int64_t rc = -EOPNOTSUPP;
	int fd = -1;

	if (mfn == GNTTAB_RESERVED_XENSTORE && size == XENLOOP_PAGE_BYTES)
		rc = conn_call(&xch->conn, &request, NULL, 0, NULL, NULL, 0, &fd);
	if (rc < 0 || fd < 0) {
		errno = rc < 0 ? -rc : EMFILE;
		return NULL;
	}
	void *addr = mmap(NULL, size, prot, MAP_SHARED, fd, mfn * XENLOOP_PAGE_BYTES);
	int err = errno;
	close(fd);
	errno = err;
	return addr == MAP_FAILED ? NULL : addr;
}

/* Programs that find no error here look at errno. */
const xc_error *xc_get_last_error(xc_interface *xch)
{
	static const xc_error none = {.code = XC_ERROR_NONE};

	(void)xch;
	return &none;
}
