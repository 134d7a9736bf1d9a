// SPDX-License-Identifier: MIT
/*
 * libxenforeignmemory on loopback Xen: a handle that QEMU's xen machine opens first thing, and a
 * refusal of everything that is done with one. A domain here has no memory but the pages that it
 * grants, and those have no frame numbers: what another domain may see of it comes by grants
 * (lib_gnttab.c). Each call fails with EOPNOTSUPP. All of the library is here, since a call that
 * reached the real one would find a handle that is not its own.
 */
#include <stdlib.h>

#include "common/xenloop/lib.h"

#pragma GCC visibility push(default)
#include <xenforeignmemory.h>
#pragma GCC visibility pop

struct xenforeignmemory_handle {
	struct conn conn; /* only domains of a running instance have a handle */
};

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned open_flags)
{
	int fd;

	(void)logger;
	(void)open_flags;
	xenforeignmemory_handle *fmem = calloc(1, sizeof(*fmem));
	if (!fmem)
		return NULL;
	int rc = conn_open(&fmem->conn, XENLOOP_ROLE_CTRL, &fd);
	if (rc) {
		free(fmem);
		errno = -rc;
		return NULL;
	}
	return fmem;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
	if (!fmem)
		return 0;
	conn_close(&fmem->conn);
	free(fmem);
	return 0;
}

/* To refuse is to look at no argument. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

static void *refuse(void)
{
	errno = EOPNOTSUPP;
	return NULL;
}

/* A map that can't even be tried says so by NULL, also when err is given. */
void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
			   const xen_pfn_t arr[], int err[])
{
	return refuse();
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot,
			    int flags, size_t pages, const xen_pfn_t arr[], int err[])
{
	return refuse();
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
	return fail(EOPNOTSUPP);
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(
	xenforeignmemory_handle *fmem, domid_t domid, unsigned int type, unsigned int id,
	unsigned long frame, unsigned long nr_frames, void **paddr, int prot, int flags)
{
	return refuse();
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem,
				    xenforeignmemory_resource_handle *fres)
{
	return fail(EOPNOTSUPP);
}

int xenforeignmemory_resource_size(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type,
				   unsigned int id, size_t *size)
{
	return fail(EOPNOTSUPP);
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
	return fail(EOPNOTSUPP);
}
