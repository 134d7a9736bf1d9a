// SPDX-License-Identifier: MIT
/*
 * Domains: their birth, stop and end. A domain's RAM is a sparse memfd; its slot in the shared
 * tables is free for the next one as soon as it is destroyed, its RAM when nobody maps it any more.
 * Called by the dispatcher and when a store mux dies.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>

#include "common/log.h"
#include "common/xenloop/hypervisor.h"

struct domain *domain_find(struct hypervisor *hv, uint32_t domid, struct domain *self)
{
	if (domid == DOMID_SELF)
		return self;
	for (struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->domid == domid && dom->state != DOMAIN_DYING)
			return dom;
	return NULL;
}

struct domain *domain_by_incarnation(struct hypervisor *hv, uint32_t incarnation)
{
	for (struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->incarnation == incarnation && dom->state != DOMAIN_DYING)
			return dom;
	return NULL;
}

/* A domid is in use until the memory of its last holder is given back. */
static bool domid_in_use(const struct hypervisor *hv, uint32_t domid)
{
	for (const struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->domid == domid)
			return true;
	return false;
}

static bool name_in_use(const struct hypervisor *hv, const char *name)
{
	for (const struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->state != DOMAIN_DYING && !strcmp(dom->name, name))
			return true;
	return false;
}

static int pick_domid(struct hypervisor *hv, uint32_t *domid)
{
	if (*domid != XENLOOP_NONE) {
		if (*domid >= DOMID_FIRST_RESERVED)
			return -EINVAL;
		return domid_in_use(hv, *domid) ? -EBUSY : 0;
	}
	for (uint32_t tried = 1; tried < DOMID_FIRST_RESERVED; tried++) {
		*domid = hv->next_domid;
		hv->next_domid = *domid + 1 < DOMID_FIRST_RESERVED ? *domid + 1 : 1;
		if (!domid_in_use(hv, *domid))
			return 0;
	}
	return -ENOSPC;
}

static int pick_slot(const struct hypervisor *hv, uint32_t *slot)
{
	bool used[XENLOOP_SLOTS] = {false};

	for (const struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->state != DOMAIN_DYING)
			used[dom->slot] = true;
	for (*slot = 0; *slot < XENLOOP_SLOTS; ++*slot)
		if (!used[*slot])
			return 0;
	return -ENOSPC;
}

static int make_ram(struct domain *dom)
{
	char name[32];

	snprintf(name, sizeof(name), "xenloop-dom%u", dom->domid);
	dom->ram_fd = memfd_create(name, MFD_CLOEXEC);
	if (dom->ram_fd < 0)
		return -errno;
	if (ftruncate(dom->ram_fd, XENLOOP_RAM_BYTES) < 0) {
		int err = errno;
		close(dom->ram_fd);
		return -err;
	}
	return 0;
}

static bool limits_are_sound(const struct xenloop_new *wanted)
{
	return wanted->max_port && wanted->max_port < XENLOOP_PORTS && wanted->max_grant_frames &&
	       wanted->max_grant_frames <= XENLOOP_GRANT_FRAMES &&
	       wanted->max_shared <= XENLOOP_GRANTS;
}

static struct domain *allocate(struct hypervisor *hv, uint32_t domid, uint32_t slot,
			       const struct xenloop_new *new)
{
	struct domain *dom = calloc(1, sizeof(*dom));

	if (!dom)
		return NULL;
	dom->domid = domid;
	dom->slot = slot;
	dom->shared = &hv->tables->slot[slot];
	dom->incarnation = hv->next_incarnation;
	dom->fresh_gref = XENLOOP_FIRST_GREF;
	dom->max_port = new->max_port;
	dom->nr_grefs = XENLOOP_PER_FRAME * new->max_grant_frames;
	dom->max_shared = new->max_shared;
	memcpy(dom->name, new->name, sizeof(dom->name));
	memcpy(dom->uuid, new->uuid, sizeof(dom->uuid));
	return dom;
}

int domain_create(struct hypervisor *hv, uint32_t domid, const struct xenloop_new *new,
		  struct domain **out)
{
	uint32_t slot;

	if (!limits_are_sound(new))
		return -EINVAL;
	if (name_in_use(hv, new->name))
		return -EEXIST;
	int rc = pick_domid(hv, &domid);
	if (!rc)
		rc = pick_slot(hv, &slot);
	if (rc)
		return rc;
	struct domain *dom = allocate(hv, domid, slot, new);
	if (!dom)
		return -ENOMEM;
	rc = make_ram(dom);
	if (rc) {
		free(dom);
		return rc;
	}
	hv->next_incarnation++;
	atomic_store(&dom->shared->domid, domid);
	atomic_store(&dom->shared->incarnation, dom->incarnation);
	dom->next = hv->domains;
	hv->domains = dom;
	*out = dom;
	return 0;
}

static void close_conns(struct hypervisor *hv, struct domain *dom)
{
	for (struct conn *conn = hv->conns; conn; conn = conn->next)
		if (conn->dom == dom && !conn->dead)
			hypervisor_close_conn(hv, conn);
}

static void tell_store(struct hypervisor *hv)
{
	port_raise_virq(domain_find(hv, 0, NULL), VIRQ_DOM_EXC);
}

void domain_stop(struct hypervisor *hv, struct domain *dom, enum domain_state state)
{
	if (dom->state != DOMAIN_RUNNING)
		return;
	dom->state = state;
	process_kill(hv, dom);
	if (dom->mux) {
		child_end(dom->mux);
		dom->mux = 0;
	}
	close_conns(hv, dom);
	if (state == DOMAIN_CRASHED)
		tell_store(hv);
}

static void free_if_unmapped(struct hypervisor *hv, struct domain *dom)
{
	struct domain **link = &hv->domains;

	if (dom->state != DOMAIN_DYING || dom->pins)
		return;
	while (*link != dom)
		link = &(*link)->next;
	*link = dom->next;
	close(dom->ram_fd);
	rwy_debug("domain %u: memory given back", dom->domid);
	free(dom);
}

void domain_destroy(struct hypervisor *hv, struct domain *dom)
{
	domain_stop(hv, dom, DOMAIN_STOPPED);
	port_close_of_domain(dom);
	grant_end_of_domain(dom);
	atomic_store(&dom->shared->incarnation, 0);
	dom->state = DOMAIN_DYING;
	child_remove_dir(hv, dom);
	tell_store(hv);
	if (dom->pins)
		rwy_info("domain %u: ended, %u of its pages are still mapped", dom->domid,
			 dom->pins);
	free_if_unmapped(hv, dom);
}

void domain_unpin(struct hypervisor *hv, struct domain *dom)
{
	dom->pins--;
	free_if_unmapped(hv, dom);
}

static uint32_t info_flags(const struct domain *dom)
{
	switch (dom->state) {
	case DOMAIN_STOPPED:
		return XENLOOP_DOMAIN_STOPPED;
	case DOMAIN_CRASHED:
		return XENLOOP_DOMAIN_STOPPED | XENLOOP_DOMAIN_CRASHED;
	case DOMAIN_DYING:
		return XENLOOP_DOMAIN_DYING;
	default:
		return 0;
	}
}

/* The domain with the lowest domid that is not below first. */
static struct domain *next_from(struct hypervisor *hv, uint32_t first)
{
	struct domain *best = NULL;

	for (struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->domid >= first && (!best || dom->domid < best->domid))
			best = dom;
	return best;
}

static void describe(struct hypervisor *hv, const struct domain *dom,
		     struct xenloop_domain_info *info)
{
	*info = (struct xenloop_domain_info){.domid = dom->domid,
					     .flags = info_flags(dom),
					     .nr_grants = grant_count(dom),
					     .nr_ports = port_count(dom),
					     .nr_processes = process_count(hv, dom)};
	memcpy(info->uuid, dom->uuid, sizeof(dom->uuid));
	memcpy(info->name, dom->name, sizeof(dom->name));
	for (const struct conn *conn = hv->conns; conn; conn = conn->next) {
		if (conn->dom != dom || conn->dead)
			continue;
		info->nr_handles++;
		info->nr_maps += grant_maps_of_conn(conn);
	}
}

uint32_t domain_list(struct hypervisor *hv, uint32_t first, uint32_t max,
		     struct xenloop_domain_info *infos)
{
	uint32_t n = 0;

	for (struct domain *dom = next_from(hv, first); dom && n < max;
	     dom = next_from(hv, dom->domid + 1))
		describe(hv, dom, &infos[n++]);
	return n;
}
