// SPDX-License-Identifier: MIT
/* Implementation of gbuf.h: one anonymous mapping and a stack of free numbers. Trusts the lane. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "backend/data/gbuf.h"

int gbuf_init(struct gbuf_pool *pool, uint32_t nr_bufs)
{
	*pool = (struct gbuf_pool){.nr_bufs = nr_bufs, .nr_free = nr_bufs};
	pool->free = calloc(nr_bufs, sizeof(*pool->free));
	if (!pool->free)
		return -ENOMEM;
	pool->base = mmap(NULL, (size_t)nr_bufs * GBUF_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->base == MAP_FAILED) {
		free(pool->free);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nr_bufs; i++)
		pool->free[i] = nr_bufs - 1 - i;
	return 0;
}

void gbuf_fini(struct gbuf_pool *pool)
{
	munmap(pool->base, (size_t)pool->nr_bufs * GBUF_BYTES);
	free(pool->free);
}

void *gbuf_get(struct gbuf_pool *pool)
{
	if (pool->nr_free == 0)
		return NULL;
	return pool->base + (size_t)pool->free[--pool->nr_free] * GBUF_BYTES;
}

void gbuf_put(struct gbuf_pool *pool, void *buf)
{
	if (buf)
		pool->free[pool->nr_free++] =
			(uint32_t)((size_t)((char *)buf - pool->base) / GBUF_BYTES);
}
