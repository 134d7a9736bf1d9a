// SPDX-License-Identifier: MIT
/*
 * Granted pages in a process's address space, and a handle's record of them. Called by gnttab and
 * gntshr with the handle's lock held where a handle is passed.
 */
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/xenloop/lib.h"

/* How many of the pages follow each other in the same RAM. */
static uint32_t run_length(const struct page *pages, uint32_t count)
{
	uint32_t n = 1;

	while (n < count && pages[n].ram_fd == pages[0].ram_fd &&
	       pages[n].gref == pages[0].gref + n)
		n++;
	return n;
}

void *pages_map(const struct page *pages, uint32_t count, int prot)
{
	size_t bytes = (size_t)count * XENLOOP_PAGE_BYTES;
	uint32_t run;

	char *base =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	for (uint32_t i = 0; i < count; i += run) {
		run = run_length(pages + i, count - i);
		if (mmap(base + (size_t)i * XENLOOP_PAGE_BYTES, (size_t)run * XENLOOP_PAGE_BYTES,
			 prot, MAP_SHARED | MAP_FIXED, pages[i].ram_fd,
			 (off_t)pages[i].gref * XENLOOP_PAGE_BYTES) == MAP_FAILED) {
			int err = errno;
			munmap(base, bytes);
			errno = err;
			return NULL;
		}
	}
	return base;
}

static int by_address(const void *a, const void *b)
{
	const struct mapping *left = a, *right = b;

	return left->addr < right->addr ? -1 : left->addr > right->addr;
}

int mapping_add(struct xengntdev_handle *handle, void *addr, uint32_t count, uint32_t id)
{
	struct mapping *mapping = malloc(sizeof(*mapping));

	if (!mapping)
		return -ENOMEM;
	*mapping = (struct mapping){.addr = addr, .count = count, .id = id};
	struct mapping **place = tsearch(mapping, &handle->mappings, by_address);
	if (!place) {
		free(mapping);
		return -ENOMEM;
	}
	if (*place != mapping) { /* the program itself unmapped what was there before */
		free(*place);
		*place = mapping;
	}
	return 0;
}

int64_t mapping_take(struct xengntdev_handle *handle, void *addr, uint32_t count)
{
	struct mapping key = {.addr = addr};
	struct mapping **found = tfind(&key, &handle->mappings, by_address);

	if (!found || (*found)->count != count)
		return -EINVAL;
	struct mapping *mapping = *found;
	uint32_t id = mapping->id;
	tdelete(&key, &handle->mappings, by_address);
	free(mapping);
	return id;
}

void mapping_close(struct xengntdev_handle *handle)
{
	bool in_use = handle->mappings;

	tdestroy(handle->mappings, free);
	handle->mappings = NULL;
	if (in_use)
		conn_leave(&handle->conn);
	else
		conn_close(&handle->conn);
}
