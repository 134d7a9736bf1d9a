// SPDX-License-Identifier: MIT
/*
 * libxengnttab's consuming half on loopback Xen: map and copy other domains' grants. A domain's RAM
 * is one memfd in which page N backs gref N. The hypervisor checks and records each map, so that it
 * knows what a killed process had mapped; a copy is checked here against the shared grant words and
 * goes through a standing mapping of the RAM. Errors are those of Linux's gntdev: EINVAL for any
 * map that Xen refuses, a status for each copy.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

/* A domain's RAM, kept by the handle until the domain is gone. */
struct ram {
	struct ram *next;
	uint32_t domid;
	uint32_t slot;
	uint32_t incarnation;
	int fd;
	char *base; /* standing mapping for copies; NULL until the first */
};

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	int fd;

	(void)logger;
	(void)open_flags;
	xengnttab_handle *xgt = calloc(1, sizeof(*xgt));
	if (!xgt)
		return NULL;
	int rc = -fault_at(FAULT_OPEN_GNTTAB);
	if (!rc)
		rc = conn_open(&xgt->conn, XENLOOP_ROLE_GNTTAB, &fd);
	if (rc) {
		free(xgt);
		errno = -rc;
		return NULL;
	}
	xgt->ram_fd = -1;
	pthread_mutex_init(&xgt->lock, NULL);
	fault_after(FAULT_OPEN_GNTTAB);
	return xgt;
}

static void ram_free(struct ram *ram)
{
	if (ram->base)
		munmap(ram->base, XENLOOP_RAM_BYTES);
	close(ram->fd);
	free(ram);
}

int xengnttab_close(xengnttab_handle *xgt)
{
	if (!xgt)
		return 0;
	while (xgt->rams) {
		struct ram *ram = xgt->rams;
		xgt->rams = ram->next;
		ram_free(ram);
	}
	mapping_close(xgt);
	pthread_mutex_destroy(&xgt->lock);
	free(xgt);
	return 0;
}

int xengnttab_fd(xengnttab_handle *xgt)
{
	return xgt->conn.sock;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	(void)xgt;
	(void)nr_grants;
	return 0; /* gntdev has no such limit any more either */
}

static int ram_fetch(xengnttab_handle *xgt, uint32_t domid, struct ram **out)
{
	struct xenloop_request request = {.op = XENLOOP_RAM, .domid = domid};
	struct xenloop_reply reply;
	struct ram *ram = calloc(1, sizeof(*ram));

	if (!ram)
		return -ENOMEM;
	int64_t slot = conn_call(&xgt->conn, &request, NULL, 0, &reply, NULL, 0, &ram->fd);
	if (slot < 0 || ram->fd < 0) {
		free(ram);
		return slot < 0 ? slot : -EMFILE;
	}
	ram->domid = domid;
	ram->slot = slot % XENLOOP_SLOTS;
	ram->incarnation = reply.count;
	ram->next = xgt->rams;
	*out = xgt->rams = ram;
	return 0;
}

static bool ram_is_current(xengnttab_handle *xgt, const struct ram *ram)
{
	return atomic_load(&xgt->conn.tables->slot[ram->slot].incarnation) == ram->incarnation;
}

/* Let go of domains that ended: at the start or the end of a call, never while it uses one. */
static void ram_reap(xengnttab_handle *xgt)
{
	for (struct ram **link = &xgt->rams; *link;) {
		struct ram *ram = *link;
		if (ram_is_current(xgt, ram)) {
			link = &ram->next;
			continue;
		}
		*link = ram->next;
		ram_free(ram);
	}
}

/* The RAM of the domain that has this domid now. -ESRCH: there is none. */
static int ram_get(xengnttab_handle *xgt, uint32_t domid, struct ram **out)
{
	for (struct ram *ram = xgt->rams; ram; ram = ram->next) {
		if (ram->domid == domid && ram_is_current(xgt, ram)) {
			*out = ram;
			return 0;
		}
	}
	return ram_fetch(xgt, domid, out);
}

struct map_call {
	struct xenloop_request request;
	const uint32_t *domids;
	uint32_t domids_stride; /* 0: all pages are of domids[0] */
	const uint32_t *refs;
	int prot;
};

static int resolve(xengnttab_handle *xgt, const struct map_call *call, struct page *pages,
		   struct xenloop_gref *grefs)
{
	struct ram *ram = NULL;

	for (uint32_t i = 0; i < call->request.count; i++) {
		uint32_t domid = call->domids[i * call->domids_stride];
		if (domid == DOMID_SELF)
			return -EINVAL; /* Xen knows that name in copies only */
		if (!ram || ram->domid != domid) {
			int rc = ram_get(xgt, domid, &ram);
			if (rc)
				return rc == -ESRCH ? -EINVAL : rc;
		}
		pages[i] = (struct page){.ram_fd = ram->fd, .gref = call->refs[i]};
		grefs[i] = (struct xenloop_gref){.incarnation = ram->incarnation,
						 .gref = call->refs[i]};
	}
	return 0;
}

static int release(xengnttab_handle *xgt, uint32_t id)
{
	struct xenloop_request request = {.op = XENLOOP_UNMAP, .id = id};

	return conn_call(&xgt->conn, &request, NULL, 0, NULL, NULL, 0, NULL);
}

/* First the hypervisor's leave, then the pages. *addr is set on success. */
static int map_resolved(xengnttab_handle *xgt, const struct map_call *call,
			const struct page *pages, const struct xenloop_gref *grefs, void **addr)
{
	uint32_t count = call->request.count;

	int64_t id = conn_call(&xgt->conn, &call->request, grefs, count * sizeof(*grefs), NULL,
			       NULL, 0, NULL);
	if (id < 0)
		return id;
	void *base = pages_map(pages, count, call->prot);
	int rc = base ? mapping_add(xgt, base, count, id) : -errno;
	if (rc) {
		if (base)
			munmap(base, (size_t)count * XENLOOP_PAGE_BYTES);
		release(xgt, id);
		return rc;
	}
	*addr = base;
	return 0;
}

static void *map(xengnttab_handle *xgt, const struct map_call *call)
{
	uint32_t count = call->request.count;
	int fault = fault_at(FAULT_MAP);
	void *addr = NULL;

	if (fault || !count || count > XENLOOP_CALL_PAGES) {
		errno = fault ? fault : EINVAL;
		return NULL;
	}
	struct page *pages = calloc(count, sizeof(*pages));
	struct xenloop_gref *grefs = calloc(count, sizeof(*grefs));

	pthread_mutex_lock(&xgt->lock);
	ram_reap(xgt);
	int rc = pages && grefs ? resolve(xgt, call, pages, grefs) : -ENOMEM;
	if (!rc)
		rc = map_resolved(xgt, call, pages, grefs, &addr);
	pthread_mutex_unlock(&xgt->lock);

	free(pages);
	free(grefs);
	if (rc)
		errno = -rc;
	else
		fault_after(FAULT_MAP);
	return addr;
}

static struct xenloop_request map_request(uint32_t count, int prot)
{
	return (struct xenloop_request){.op = XENLOOP_MAP,
					.count = count,
					.flags = (prot & PROT_WRITE) ? 0 : XENLOOP_READONLY,
					.notify_offset = XENLOOP_NONE,
					.notify_port = XENLOOP_NONE};
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	return xengnttab_map_grant_refs(xgt, 1, &domid, &ref, prot);
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids,
			       uint32_t *refs, int prot)
{
	return map(xgt, &(struct map_call){.request = map_request(count, prot),
					   .domids = domids,
					   .domids_stride = 1,
					   .refs = refs,
					   .prot = prot});
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
				      uint32_t *refs, int prot)
{
	return map(xgt, &(struct map_call){.request = map_request(count, prot),
					   .domids = &domid,
					   .refs = refs,
					   .prot = prot});
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot,
				     uint32_t notify_offset, evtchn_port_t notify_port)
{
	struct map_call call = {
		.request = map_request(1, prot), .domids = &domid, .refs = &ref, .prot = prot};

	if (notify_offset < XENLOOP_PAGE_BYTES)
		call.request.notify_offset = notify_offset;
	call.request.notify_port = notify_port;
	return map(xgt, &call);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	int fault = fault_at(FAULT_UNMAP);

	if (fault)
		return fail(fault);
	pthread_mutex_lock(&xgt->lock);
	int64_t id = mapping_take(xgt, start_address, count);
	ram_reap(xgt); /* it may have been the last of a domain that ended */
	pthread_mutex_unlock(&xgt->lock);

	if (id < 0)
		return fail(-id);
	munmap(start_address, (size_t)count * XENLOOP_PAGE_BYTES);
	int rc = release(xgt, id);
	if (rc < 0)
		return fail(-rc);
	fault_after(FAULT_UNMAP);
	return 0;
}

/* Where a foreign end of a copy lies in the standing mapping; *status says why nowhere. */
static char *foreign(xengnttab_handle *xgt, const union xengnttab_copy_ptr *end, bool write,
		     int16_t *status)
{
	uint32_t domid = end->foreign.domid, gref = end->foreign.ref;
	const struct xenloop_slot *own = &xgt->conn.tables->slot[xgt->conn.slot];
	struct ram *ram;

	*status = GNTST_bad_domain;
	if (ram_get(xgt, domid, &ram))
		return NULL;
	*status = GNTST_bad_gntref;
	if (gref >= XENLOOP_GRANTS)
		return NULL;
	*status = GNTST_general_error;
	uint32_t grant = atomic_load(&xgt->conn.tables->slot[ram->slot].grant[gref]);
	if (!(grant & XENLOOP_GRANT_VALID) || (write && (grant & XENLOOP_GRANT_READONLY)) ||
	    (grant & XENLOOP_GRANT_DOMID) != atomic_load(&own->domid))
		return NULL;
	if (!ram->base) {
		char *base = mmap(NULL, XENLOOP_RAM_BYTES, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_NORESERVE, ram->fd, 0);
		if (base == MAP_FAILED)
			return NULL;
		ram->base = base;
	}
	*status = GNTST_okay;
	return ram->base + (size_t)gref * XENLOOP_PAGE_BYTES + end->foreign.offset;
}

/* fault: a status to fail with, or 0. */
static void copy_segment(xengnttab_handle *xgt, xengnttab_grant_copy_segment_t *seg, int16_t fault)
{
	char *source = seg->source.virt, *dest = seg->dest.virt;

	seg->status = fault ? fault : fault_at(FAULT_SEGMENT);
	if (!seg->len) /* gntdev does not ask Xen */
		return;
	if (seg->status == GNTST_okay && (seg->flags & GNTCOPY_source_gref))
		source = foreign(xgt, &seg->source, false, &seg->status);
	if (seg->status == GNTST_okay && (seg->flags & GNTCOPY_dest_gref))
		dest = foreign(xgt, &seg->dest, true, &seg->status);
	if (seg->status != GNTST_okay)
		return;
	memmove(dest, source, seg->len);
	fault_after(FAULT_SEGMENT);
}

/* What gntdev refuses for the whole call: local to local, and past the end of a foreign page. */
static bool segment_is_sound(const xengnttab_grant_copy_segment_t *seg)
{
	if (!(seg->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)))
		return false;
	if ((seg->flags & GNTCOPY_source_gref) &&
	    (uint32_t)seg->source.foreign.offset + seg->len > XENLOOP_PAGE_BYTES)
		return false;
	return !(seg->flags & GNTCOPY_dest_gref) ||
	       (uint32_t)seg->dest.foreign.offset + seg->len <= XENLOOP_PAGE_BYTES;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
			 xengnttab_grant_copy_segment_t *segs)
{
	int fault = fault_at(FAULT_COPY);

	if (fault > 0)
		return fail(fault);
	for (uint32_t i = 0; i < count; i++)
		if (!segment_is_sound(&segs[i]))
			return fail(EINVAL);
	pthread_mutex_lock(&xgt->lock);
	ram_reap(xgt);
	for (uint32_t i = 0; i < count; i++)
		copy_segment(xgt, &segs[i], fault);
	pthread_mutex_unlock(&xgt->lock);
	fault_after(FAULT_COPY);
	return 0;
}
