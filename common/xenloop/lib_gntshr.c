// SPDX-License-Identifier: MIT
/*
 * libxengnttab's granting half on loopback Xen: take pages of this domain's RAM and grant them. The
 * hypervisor picks the grefs; page N of the RAM backs gref N. Unsharing is munmap, as with Linux: of
 * any pages; a share ends when its last page goes. A page that the peer still maps is not reused
 * before it is unmapped.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)logger;
	(void)open_flags;
	xengntshr_handle *xgs = calloc(1, sizeof(*xgs));
	if (!xgs)
		return NULL;
	int rc = -fault_at(FAULT_OPEN_GNTSHR);
	if (!rc)
		rc = conn_open(&xgs->conn, XENLOOP_ROLE_GNTSHR, &xgs->ram_fd);
	if (!rc && xgs->ram_fd < 0) {
		conn_close(&xgs->conn);
		rc = -EMFILE;
	}
	if (rc) {
		free(xgs);
		errno = -rc;
		return NULL;
	}
	pthread_mutex_init(&xgs->lock, NULL);
	fault_after(FAULT_OPEN_GNTSHR);
	return xgs;
}

int xengntshr_close(xengntshr_handle *xgs)
{
	if (!xgs)
		return 0;
	close(xgs->ram_fd);
	mapping_close(xgs);
	pthread_mutex_destroy(&xgs->lock);
	free(xgs);
	return 0;
}

int xengntshr_fd(xengntshr_handle *xgs)
{
	return xgs->conn.sock;
}

/* So many pages of a share. */
static int release(xengntshr_handle *xgs, uint32_t id, uint32_t count)
{
	struct xenloop_request request = {.op = XENLOOP_UNSHARE, .id = id, .count = count};

	return conn_call(&xgs->conn, &request, NULL, 0, NULL, NULL, 0, NULL);
}

/* The record of one page: -EINVAL when there is none. */
static int64_t take_page(xengntshr_handle *xgs, char *start, uint32_t i)
{
	return mapping_take(xgs, start + (size_t)i * XENLOOP_PAGE_BYTES, 1);
}

/* All pages or none. */
static int add_pages(xengntshr_handle *xgs, char *start, uint32_t count, uint32_t id)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < count; i++) {
		rc = mapping_add(xgs, start + (size_t)i * XENLOOP_PAGE_BYTES, 1, id);
		while (rc && i--)
			take_page(xgs, start, i);
	}
	return rc;
}

/* Tell the hypervisor of pages that were just unmapped; those that were not shared are skipped. */
static int release_pages(xengntshr_handle *xgs, char *start, uint32_t count)
{
	uint32_t id = 0, run = 0; /* pages in a row of one share */
	int rc = 0;

	for (uint32_t i = 0; !rc && i < count; i++) {
		int64_t own = take_page(xgs, start, i);
		if (own < 0)
			continue;
		if (run && own != id) {
			rc = release(xgs, id, run);
			run = 0;
		}
		id = own;
		run++;
	}
	return rc || !run ? rc : release(xgs, id, run);
}

static void *map_shared(xengntshr_handle *xgs, uint32_t count, const uint32_t *refs)
{
	struct page *pages = calloc(count, sizeof(*pages));

	if (!pages)
		return NULL;
	for (uint32_t i = 0; i < count; i++)
		pages[i] = (struct page){.ram_fd = xgs->ram_fd, .gref = refs[i]};
	void *addr = pages_map(pages, count, PROT_READ | PROT_WRITE);
	free(pages);
	return addr;
}

static void *share(xengntshr_handle *xgs, const struct xenloop_request *request, uint32_t *refs)
{
	uint32_t count = request->count;
	int fault = fault_at(FAULT_SHARE);

	if (fault || !count || count > XENLOOP_CALL_PAGES) {
		errno = fault ? fault : count ? ENOSPC : EINVAL; /* as gntalloc, which has less */
		return NULL;
	}
	int64_t id =
		conn_call(&xgs->conn, request, NULL, 0, NULL, refs, count * sizeof(*refs), NULL);
	if (id < 0) {
		errno = -id;
		return NULL;
	}
	void *addr = map_shared(xgs, count, refs);
	pthread_mutex_lock(&xgs->lock);
	int rc = addr ? add_pages(xgs, addr, count, id) : -ENOMEM;
	pthread_mutex_unlock(&xgs->lock);
	if (rc) {
		if (addr)
			munmap(addr, (size_t)count * XENLOOP_PAGE_BYTES);
		release(xgs, id, count);
		errno = -rc;
		return NULL;
	}
	fault_after(FAULT_SHARE);
	return addr;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs,
			    int writable)
{
	return share(xgs,
		     &(struct xenloop_request){.op = XENLOOP_SHARE,
					       .domid = domid,
					       .count = count,
					       .flags = writable ? 0 : XENLOOP_READONLY,
					       .notify_offset = XENLOOP_NONE,
					       .notify_port = XENLOOP_NONE},
		     refs);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref,
				  int writable, uint32_t notify_offset, evtchn_port_t notify_port)
{
	return share(xgs,
		     &(struct xenloop_request){.op = XENLOOP_SHARE,
					       .domid = domid,
					       .count = 1,
					       .flags = writable ? 0 : XENLOOP_READONLY,
					       .notify_offset = notify_offset < XENLOOP_PAGE_BYTES
									? notify_offset
									: XENLOOP_NONE,
					       .notify_port = notify_port},
		     ref);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	int fault = fault_at(FAULT_UNSHARE);

	if (fault)
		return fail(fault);
	/* Under the lock: another thread's next share may be mapped there as soon as it is free. */
	pthread_mutex_lock(&xgs->lock);
	int rc = munmap(start_address, (size_t)count * XENLOOP_PAGE_BYTES) ? -errno : 0;
	if (!rc)
		rc = release_pages(xgs, start_address, count);
	pthread_mutex_unlock(&xgs->lock);

	if (rc < 0)
		return fail(-rc);
	fault_after(FAULT_UNSHARE);
	return 0;
}
