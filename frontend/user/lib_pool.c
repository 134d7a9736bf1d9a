// SPDX-License-Identifier: MIT
/*
 * The data pages of an open disk (contract: lib_pool.h). Page numbers never leave our own memory:
 * nothing here depends on what the backend writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "frontend/user/lib_pool.h"

/* The grants themselves, with the system's limit found by halving. */
static int share(struct lib_pool *pool, xengntshr_handle *xgs, uint32_t domid, uint32_t want)
{
	int err = -ENOSPC;

	while (want >= LIB_POOL_MIN_PAGES) {
		pool->pages = xengntshr_share_pages(xgs, domid, (int)want, pool->gref, 1);
		if (pool->pages) {
			pool->nr = want;
			return 0;
		}
		err = -errno;
		if (want > LIB_POOL_MIN_PAGES && want / 2 < LIB_POOL_MIN_PAGES)
			want = LIB_POOL_MIN_PAGES;
		else
			want /= 2;
	}
	return err;
}

int lib_pool_share(struct lib_pool *pool, xengntshr_handle *xgs, uint32_t domid, uint32_t want)
{
	int err;

	memset(pool, 0, sizeof(*pool));
	pool->gref = calloc(want, sizeof(*pool->gref));
	pool->free = calloc(want, sizeof(*pool->free));
	err = pool->gref && pool->free ? share(pool, xgs, domid, want) : -ENOMEM;
	if (err) {
		lib_pool_unshare(pool, xgs);
		return err;
	}
	memset(pool->pages, 0, (size_t)pool->nr * 4096u);
	while (pool->nr_free < pool->nr) {
		pool->free[pool->nr_free] = (uint16_t)(pool->nr - 1 - pool->nr_free);
		pool->nr_free++;
	}
	return 0;
}

void lib_pool_unshare(struct lib_pool *pool, xengntshr_handle *xgs)
{
	if (pool->pages)
		xengntshr_unshare(xgs, pool->pages, pool->nr);
	free(pool->gref);
	free(pool->free);
	memset(pool, 0, sizeof(*pool));
}

int lib_pool_take(struct lib_pool *pool, uint32_t n, uint16_t *page)
{
	if (n > pool->nr_free)
		return -ENOSPC;
	while (n--)
		*page++ = pool->free[--pool->nr_free];
	return 0;
}

void lib_pool_give(struct lib_pool *pool, uint32_t n, const uint16_t *page)
{
	while (n--)
		pool->free[pool->nr_free++] = page[n];
}
