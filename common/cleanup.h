/* SPDX-License-Identifier: MIT */
/*
 * Scope-bound cleanup for daemons and tests (never for what the kernel builds): a variable marked
 * with one of these is released when it goes out of scope. rwy_steal_* hand ownership on.
 */
#pragma once
#include <stdlib.h>
#include <unistd.h>

static inline void rwy_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void rwy_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _rwy_free  __attribute__((cleanup(rwy_cleanup_free)))
#define _rwy_close __attribute__((cleanup(rwy_cleanup_close))) /* initialise to -1 */

static inline int rwy_steal_fd(int *fd)
{
	int stolen = *fd;
	*fd = -1;
	return stolen;
}

#define rwy_steal_ptr(p)                         \
	({                                       \
		__typeof__(*(p)) stolen_ = *(p); \
		*(p) = NULL;                     \
		stolen_;                         \
	})
