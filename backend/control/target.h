/* SPDX-License-Identifier: MIT */
/*
 * What a vbd's `params` names: a regular file, a block device, or nothing ("null:SIZE"). First it
 * is resolved (an O_PATH fd, so that nothing is opened for I/O and no FIFO or tape is touched),
 * then judged by its owner on what was really found, then opened through that same fd: no symlink
 * can be swapped in between. Trusts dom0 for `params`. Called by verdict.c.
 *
 *   file:/path, /path    the file engine
 *   null:SIZE            reads give zeroes, writes vanish; SIZE in bytes, or with k, M, G or T
 */
#pragma once
#include "backend/control/backing.h"
#include "backend/control/reason.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TARGET_SECTOR_BYTES 512u

enum target_kind {
	TARGET_NONE, /* not resolved */
	TARGET_FILE, /* regular file or block device */
	TARGET_NULL,
};

struct target {
	enum target_kind kind;
	int fd;	       /* ours: O_PATH until opened; -1: none */
	bool open;     /* the fd is open for I/O, and capacity_sect is known */
	bool writable; /* once open */
	bool direct;   /* once open: O_DIRECT works in units of 512 bytes */
	bool is_block;
	dev_t dev;		/* of a block device: its number */
	struct backing backing; /* of a file or block device */
	uint64_t capacity_sect;
	uint32_t physical_sector_bytes;
	char name[PATH_MAX]; /* the real path, /dev/mapper/NAME of a mapped device, or "null:" */
};

void target_init(struct target *t);
/* Closes what is open; t is as after target_init. */
void target_fini(struct target *t);

/*
 * Finds what params names. -EINVAL, -ENOENT, ... with the reason; then t is as after target_init.
 */
int target_resolve(struct target *t, const char *params, struct reason *why);

/*
 * Opens what was resolved. Takes a flock on the open file (exclusive to write, shared to read): it
 * ends when the last holder of this fd lets go of it, be that a data process that outlived us or a
 * request still under way in the kernel. A block device to be written is opened exclusively too:
 * dom0 can then neither have nor get it mounted, as swap, or in a mapped device. -EAGAIN: somebody
 * else holds either, worth another try; another -errno is final. `why` is set either way.
 */
int target_open(struct target *t, bool writable, struct reason *why);
/*
 * The same by taking part in what `other` has open, with its locks, in the same mode: for the same
 * VM under another domain id, which migrates on this host. -errno with `why`.
 */
int target_share(struct target *t, const struct target *other, struct reason *why);

/*
 * Another open file of what is open, for I/O alone: without locks, and not exclusive. The caller's
 * to close; at worst a copy of the fd. -1: a null target, or no descriptor to be had.
 */
int target_open_again(const struct target *t);

/*
 * Would both use the same data, one of them writing it? However they are named: see backing.h. Null
 * targets never clash.
 */
bool target_clashes(const struct target *a, bool a_writable, const struct target *b,
		    bool b_writable);

/* "123", "64k", "1G" in bytes. -EINVAL: not a size; -ERANGE: zero, or over 2^63 - 1. */
int target_parse_size(const char *text, uint64_t *bytes);
