// SPDX-License-Identifier: MIT
/*
 * Asks the kernel what O_DIRECT needs (statx since 6.1), and where it does not say, tries one read.
 * Trusts nothing but the kernel. Called by target.c.
 */
#include "backend/control/target_direct.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT_BYTES 512

enum answer {
	ANSWER_NO,
	ANSWER_YES,
	ANSWER_UNKNOWN,
};

static enum answer ask(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		bool fits = stx.stx_dio_offset_align && stx.stx_dio_mem_align &&
			    stx.stx_dio_offset_align <= UNIT_BYTES &&
			    stx.stx_dio_mem_align <= UNIT_BYTES;

		return fits ? ANSWER_YES : ANSWER_NO;
	}
#else
	(void)fd;
#endif
	return ANSWER_UNKNOWN;
}

/* The buffer is aligned to 512 bytes and to no more, so that a need for more shows. */
static bool try_read(int fd)
{
	_Alignas(2 * UNIT_BYTES) char buf[2 * UNIT_BYTES];

	return pread(fd, buf + UNIT_BYTES, UNIT_BYTES, 0) >= 0;
}

bool target_direct_works(int fd)
{
	enum answer a = ask(fd);

	return a == ANSWER_UNKNOWN ? try_read(fd) : a == ANSWER_YES;
}
