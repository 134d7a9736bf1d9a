/* SPDX-License-Identifier: MIT */
/*
 * Grants that cost nothing, and may run out: libxengntshr for suites of libringway's parts. Each
 * has numbers that only a backend of the test's own knows to map. Included by one .c per program.
 */
#pragma once
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xengnttab.h>
#include "tests/check_main.h"

#define FIRST_GREF 1000u

static uint32_t grant_limit;
static int shares, unshares;

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs,
			    int writable)
{
	uint8_t *pages;

	(void)xgs;
	(void)domid;
	ck_assert_int_eq(writable, 1);
	if ((uint32_t)count > grant_limit) {
		errno = ENOSPC;
		return NULL;
	}
	pages = aligned_alloc(4096, (size_t)count * 4096);
	memset(pages, 0xa5, (size_t)count * 4096);
	for (int i = 0; i < count; i++)
		refs[i] = FIRST_GREF + (uint32_t)i;
	shares++;
	return pages;
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	(void)xgs;
	(void)count;
	free(start_address);
	unshares++;
	return 0;
}
