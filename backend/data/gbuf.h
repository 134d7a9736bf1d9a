/* SPDX-License-Identifier: MIT */
/*
 * Grant buffers: where the data of a lane's requests stays between a grant copy and the engine. A
 * fixed number of equal buffers, each one request's worth (11 pages), starting at a page boundary
 * so that O_DIRECT can use any whole number of sectors from its beginning. Segments are packed in
 * it without gaps. The memory is reserved once and touched only as far as it is used at the same
 * time: the last one given back is the first one given out. Threads: the lane's.
 */
#pragma once
#include <stdint.h>

#define GBUF_BYTES (11u * 4096u)

struct gbuf_pool {
	char *base;
	uint32_t nr_bufs;
	uint32_t nr_free;
	uint32_t *free; /* a stack of buffer numbers */
};

/* -ENOMEM; nr_bufs is 1 or more. */
int gbuf_init(struct gbuf_pool *pool, uint32_t nr_bufs);
/* Every buffer has been put back. */
void gbuf_fini(struct gbuf_pool *pool);
/* GBUF_BYTES of memory that hold anything, or NULL when all are in use. */
void *gbuf_get(struct gbuf_pool *pool);
/* NULL is fine. */
void gbuf_put(struct gbuf_pool *pool, void *buf);
