// SPDX-License-Identifier: MIT
/*
 * Grants: pages of a domain's RAM that it shares, who maps them, and the memory behind them. Page N
 * of a domain backs gref N, so a grant is a page. What a handle maps or shares is recorded as a
 * holding, by which a killed process's mappings and grants end as they do with the kernel. Requests
 * come from library handles; counts were checked by the dispatcher, grefs are checked here.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xenloop/hypervisor.h"

struct held_page {
	struct domain *dom;
	uint32_t gref;
};

/* One map call (role GNTTAB) or one share call (role GNTSHR). */
struct holding {
	uint32_t notify_offset; /* NONE: no byte to clear */
	uint32_t notify_port;	/* of the holder's domain; NONE: no event */
	uint32_t count;
	uint32_t left; /* pages that it has not let go of */
	struct held_page page[];
};

/* Zero on reuse, and no longer accounted to anybody. */
static void free_page(struct domain *dom, uint32_t gref)
{
	struct grant *grant = &dom->grant[gref];

	grant->state = GRANT_FREE;
	if (gref >= XENLOOP_FIRST_GREF) {
		grant->next_free = dom->free_gref;
		dom->free_gref = gref;
	}
	if (fallocate(dom->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)gref * XENLOOP_PAGE_BYTES, XENLOOP_PAGE_BYTES) < 0)
		rwy_warn("domain %u: page %u cannot be cleared: %s", dom->domid, gref,
			 strerror(errno));
}

static void give(struct domain *dom, uint32_t gref, uint32_t domid, bool readonly)
{
	dom->grant[gref].state = GRANT_GIVEN;
	atomic_store(&dom->shared->grant[gref], XENLOOP_GRANT_VALID |
							(readonly ? XENLOOP_GRANT_READONLY : 0) |
							(domid & XENLOOP_GRANT_DOMID));
}

static void end_now(struct domain *dom, uint32_t gref)
{
	atomic_store(&dom->shared->grant[gref], 0);
	free_page(dom, gref);
}

/* Its owner is done with it; Linux then waits until nobody maps it. */
static void give_up(struct domain *dom, uint32_t gref)
{
	if (dom->grant[gref].pins)
		dom->grant[gref].state = GRANT_ENDING;
	else
		end_now(dom, gref);
}

static void unpin(struct hypervisor *hv, struct domain *dom, uint32_t gref)
{
	struct grant *grant = &dom->grant[gref];

	if (!--grant->pins) {
		if (grant->state == GRANT_ENDING)
			end_now(dom, gref);
		else if (grant->state == GRANT_ENDED) /* the shared word is another domain's now */
			free_page(dom, gref);
	}
	domain_unpin(hv, dom);
}

void grant_reserve(struct domain *dom, uint32_t gref, uint32_t to_domid)
{
	give(dom, gref, to_domid, false);
}

static int64_t put_holding(struct conn *conn, struct holding *holding)
{
	uint32_t id = conn->free_holding;

	while (id < conn->nr_holdings && conn->holdings[id])
		id++;
	if (id == conn->nr_holdings) {
		uint32_t bigger = conn->nr_holdings ? 2 * conn->nr_holdings : 16;
		struct holding **grown = realloc(conn->holdings, bigger * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + id, 0, (bigger - id) * sizeof(*grown));
		conn->holdings = grown;
		conn->nr_holdings = bigger;
	}
	conn->holdings[id] = holding;
	conn->free_holding = id + 1;
	return id;
}

static struct holding *new_holding(const struct xenloop_request *request)
{
	struct holding *holding =
		calloc(1, sizeof(*holding) + request->count * sizeof(holding->page[0]));

	if (holding)
		*holding = (struct holding){.notify_offset = request->notify_offset,
					    .notify_port = request->notify_port,
					    .count = request->count,
					    .left = request->count};
	return holding;
}

static int check_notify(const struct xenloop_request *request)
{
	bool wants_byte = request->notify_offset != XENLOOP_NONE;
	bool wants_event = request->notify_port != XENLOOP_NONE;

	if ((wants_byte || wants_event) && request->count != 1)
		return -EINVAL;
	if (wants_byte && request->notify_offset >= XENLOOP_PAGE_BYTES)
		return -EINVAL;
	return 0;
}

/* Record the holding, and hold the port that it will notify. On failure it stays the caller's. */
static int64_t take(struct conn *conn, struct holding *holding)
{
	if (holding->notify_port != XENLOOP_NONE && port_hold(conn->dom, holding->notify_port))
		return -EINVAL;
	int64_t id = put_holding(conn, holding);
	if (id < 0 && holding->notify_port != XENLOOP_NONE)
		port_release(conn->dom, holding->notify_port);
	return id;
}

/* It was never shared: there is nothing to tell. */
static void cancel_notify(struct conn *conn, struct holding *holding)
{
	if (holding->notify_port != XENLOOP_NONE)
		port_release(conn->dom, holding->notify_port);
	holding->notify_port = holding->notify_offset = XENLOOP_NONE;
}

static bool may_map(const struct domain *mapper, const struct domain *dom, uint32_t gref,
		    bool readonly)
{
	if (gref >= XENLOOP_GRANTS || dom->grant[gref].pins >= XENLOOP_PINS_MAX)
		return false;
	uint32_t word = atomic_load(&dom->shared->grant[gref]);
	return (word & XENLOOP_GRANT_VALID) && (word & XENLOOP_GRANT_DOMID) == mapper->domid &&
	       (readonly || !(word & XENLOOP_GRANT_READONLY));
}

static void unpin_all(struct hypervisor *hv, const struct holding *holding)
{
	for (uint32_t i = 0; i < holding->count; i++)
		unpin(hv, holding->page[i].dom, holding->page[i].gref);
}

/* All pages or none. */
static int pin_all(struct hypervisor *hv, struct conn *conn, bool readonly,
		   const struct xenloop_gref *grefs, struct holding *holding)
{
	struct domain *dom = NULL;
	uint32_t wanted = holding->count;

	for (holding->count = 0; holding->count < wanted; holding->count++, grefs++) {
		if (!dom || dom->incarnation != grefs->incarnation)
			dom = domain_by_incarnation(hv, grefs->incarnation);
		if (!dom || !may_map(conn->dom, dom, grefs->gref, readonly)) {
			unpin_all(hv, holding);
			return -EINVAL;
		}
		holding->page[holding->count] = (struct held_page){.dom = dom, .gref = grefs->gref};
		dom->grant[grefs->gref].pins++;
		dom->pins++;
	}
	return 0;
}

int64_t grant_map(struct hypervisor *hv, struct conn *conn, const struct xenloop_request *request,
		  const struct xenloop_gref *grefs)
{
	bool readonly = request->flags & XENLOOP_READONLY;

	if (check_notify(request) || (readonly && request->notify_offset != XENLOOP_NONE))
		return -EINVAL;
	struct holding *holding = new_holding(request);
	if (!holding)
		return -ENOMEM;
	int rc = pin_all(hv, conn, readonly, grefs, holding);
	if (rc) {
		free(holding);
		return rc;
	}
	int64_t id = take(conn, holding);
	if (id < 0) {
		unpin_all(hv, holding);
		free(holding);
	}
	return id;
}

/* First the notification, then the release: the order of gntdev and gntalloc. */
static void notify(struct conn *conn, const struct holding *holding)
{
	if (holding->notify_offset != XENLOOP_NONE && holding->count) {
		const struct held_page *page = &holding->page[0];
		off_t at = (off_t)page->gref * XENLOOP_PAGE_BYTES + holding->notify_offset;
		ssize_t written = pwrite(page->dom->ram_fd, "", 1, at);
		(void)written; /* a memfd within its size: only memory can run out */
	}
	if (holding->notify_port != XENLOOP_NONE) {
		port_notify(conn->dom, holding->notify_port);
		port_release(conn->dom, holding->notify_port);
	}
}

static void release(struct hypervisor *hv, struct conn *conn, uint32_t id)
{
	struct holding *holding = conn->holdings[id];

	conn->holdings[id] = NULL;
	if (id < conn->free_holding)
		conn->free_holding = id;
	notify(conn, holding);
	if (conn->role == XENLOOP_ROLE_GNTSHR) {
		conn->dom->nr_shared -= holding->count;
		for (uint32_t i = 0; i < holding->count; i++)
			give_up(holding->page[i].dom, holding->page[i].gref);
	} else {
		unpin_all(hv, holding);
	}
	free(holding);
}

/* As Linux: the gref that was freed last, so that a stale one soon means another page. */
static int64_t allocate(struct domain *dom)
{
	uint32_t gref = dom->free_gref;

	if (gref)
		dom->free_gref = dom->grant[gref].next_free;
	else if (dom->fresh_gref < dom->nr_grefs)
		gref = dom->fresh_gref++;
	else
		return -ENOSPC;
	return gref;
}

int64_t grant_share(struct hypervisor *hv, struct conn *conn, const struct xenloop_request *request,
		    uint32_t *grefs)
{
	struct domain *dom = conn->dom;

	if (request->count > dom->max_shared - dom->nr_shared)
		return -ENOSPC; /* gntalloc's own limit */
	if (check_notify(request))
		return -EINVAL;
	struct holding *holding = new_holding(request);
	if (!holding)
		return -ENOMEM;
	int64_t id = take(conn, holding);
	if (id < 0) {
		free(holding);
		return id;
	}
	dom->nr_shared += request->count;
	for (uint32_t i = 0; i < request->count; i++) {
		int64_t gref = allocate(dom);
		if (gref < 0) {
			dom->nr_shared -= request->count - i;
			holding->count = i;
			cancel_notify(conn, holding);
			release(hv, conn, id);
			return gref;
		}
		give(dom, gref, request->domid, request->flags & XENLOOP_READONLY);
		holding->page[i] = (struct held_page){.dom = dom, .gref = gref};
		grefs[i] = gref;
	}
	return id;
}

static struct holding *holding_of(const struct conn *conn, uint32_t id)
{
	return id < conn->nr_holdings ? conn->holdings[id] : NULL;
}

int64_t grant_unmap(struct hypervisor *hv, struct conn *conn, uint32_t id)
{
	if (!holding_of(conn, id))
		return -EINVAL;
	release(hv, conn, id);
	return 0;
}

int64_t grant_unshare(struct hypervisor *hv, struct conn *conn, uint32_t id, uint32_t count)
{
	struct holding *holding = holding_of(conn, id);

	if (!holding || count > holding->left)
		return -EINVAL;
	holding->left -= count;
	if (!holding->left)
		release(hv, conn, id);
	return 0;
}

void grant_release_of_conn(struct hypervisor *hv, struct conn *conn)
{
	for (uint32_t id = 0; id < conn->nr_holdings; id++)
		if (conn->holdings[id])
			release(hv, conn, id);
	free(conn->holdings);
	conn->holdings = NULL;
	conn->nr_holdings = 0;
}

void grant_end_of_domain(struct domain *dom)
{
	for (uint32_t gref = 0; gref < dom->nr_grefs; gref++) {
		if (dom->grant[gref].state == GRANT_FREE)
			continue;
		if (dom->grant[gref].pins) {
			atomic_store(&dom->shared->grant[gref], 0);
			dom->grant[gref].state = GRANT_ENDED;
		} else {
			end_now(dom, gref);
		}
	}
}

uint32_t grant_maps_of_conn(const struct conn *conn)
{
	uint32_t n = 0;

	if (conn->role != XENLOOP_ROLE_GNTTAB)
		return 0;
	for (uint32_t id = 0; id < conn->nr_holdings; id++)
		n += conn->holdings[id] ? conn->holdings[id]->count : 0;
	return n;
}

uint32_t grant_count(const struct domain *dom)
{
	uint32_t n = 0;

	for (uint32_t gref = 0; gref < dom->nr_grefs; gref++)
		n += dom->grant[gref].state != GRANT_FREE;
	return n;
}
