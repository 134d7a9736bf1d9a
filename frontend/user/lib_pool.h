/* SPDX-License-Identifier: MIT */
/*
 * The data pages of an open disk: one contiguous area of pages granted to the backend from open to
 * close, handed out a page at a time for one ring request. User data is copied through them, so the
 * backend never sees anything but this disk's contents; they are zeroed before their first use
 * (XSA-403). Called by lib_io and lib_vbd. Threads: the caller locks.
 */
#pragma once
#include <stdint.h>
#include <xengnttab.h>

#define LIB_POOL_MIN_PAGES 11u /* one full request */
#define LIB_POOL_MAX_PAGES 4096u

struct lib_pool {
	uint8_t *pages; /* nr * 4096 bytes */
	uint32_t *gref;
	uint16_t *free; /* a stack of page numbers */
	uint32_t nr;
	uint32_t nr_free;
};

/*
 * Grant `want` pages (LIB_POOL_MIN_PAGES to _MAX_PAGES) to a domain; when the system refuses, half
 * of that and so on down to the minimum. 0 or -errno; on failure there is nothing to undo.
 */
int lib_pool_share(struct lib_pool *pool, xengntshr_handle *xgs, uint32_t domid, uint32_t want);

/* End the grants. Pages that the backend still maps stay its own until it lets go (the kernel's
 * gntalloc sees to that). Safe on a zeroed or unshared pool. */
void lib_pool_unshare(struct lib_pool *pool, xengntshr_handle *xgs);

/* Take n pages; -ENOSPC (and none taken) when there are not so many. */
int lib_pool_take(struct lib_pool *pool, uint32_t n, uint16_t *page);
/* Give them back; the backend has answered, or can't reach them any more. */
void lib_pool_give(struct lib_pool *pool, uint32_t n, const uint16_t *page);

static inline uint8_t *lib_pool_page(const struct lib_pool *pool, uint16_t page)
{
	return pool->pages + (size_t)page * 4096u;
}
