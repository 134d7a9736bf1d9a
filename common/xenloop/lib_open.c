// SPDX-License-Identifier: MIT
/*
 * open and open64 as the preloaded library provides them: the two files by which Xen's kernel tells
 * xenstored about dom0's store ring come from the hypervisor process, everything else goes to libc.
 * xsd_port says the port of the ring's event channel; xsd_kva, mapped, is the ring.
 */
#undef _FORTIFY_SOURCE /* its inline open would clash with the one defined here */
#pragma GCC visibility push(default)
#include <fcntl.h>
#pragma GCC visibility pop
#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/xenloop/lib.h"

#define XSD_PORT "/proc/xen/xsd_port"
#define XSD_KVA	 "/proc/xen/xsd_kva"

typedef int (*open_fn)(const char *path, int flags, ...);

/* dom0's RAM; its first page, which no gref names, is the ring. */
static int open_store_ring(void)
{
	struct xenloop_request request = {.op = XENLOOP_RAM, .domid = 0};
	struct conn conn;
	int fd;

	int rc = conn_open(&conn, XENLOOP_ROLE_CTRL, &fd);
	if (rc)
		return fail(-rc);
	int64_t slot = conn_call(&conn, &request, NULL, 0, NULL, NULL, 0, &fd);
	conn_close(&conn);
	if (slot < 0)
		return fail(-slot);
	return fd < 0 ? fail(EMFILE) : fd;
}

static int open_or_pass(const char *libc_name, const char *path, int flags, mode_t mode)
{
	const char *dir = getenv(XENLOOP_ENV_DIR);
	open_fn libc_open = (open_fn)dlsym(RTLD_NEXT, libc_name);
	char place[PATH_MAX];

	if (!libc_open)
		return fail(ENOSYS);
	if (dir && path && !strcmp(path, XSD_KVA))
		return open_store_ring();
	if (dir && path && !strcmp(path, XSD_PORT)) {
		snprintf(place, sizeof(place), "%s/" XENLOOP_XSD_PORT, dir);
		path = place;
	}
	return libc_open(store_path(path, place), flags, mode);
}

static mode_t mode_argument(int flags, va_list args)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = mode_argument(flags, args);
	va_end(args);
	return open_or_pass("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;

	va_start(args, flags);
	mode_t mode = mode_argument(flags, args);
	va_end(args);
	return open_or_pass("open64", path, flags, mode);
}
