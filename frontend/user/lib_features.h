/* SPDX-License-Identifier: MIT */
/*
 * What a backend says about its disk in xenstore, bounded. Called by lib_xenbus with a reader of
 * the backend's directory, by tests with one of their own. Pure but for that reader.
 */
#pragma once
#include "ring/blk_wire.h"

struct lib_features {
	uint64_t capacity_sect;		/* of 512 bytes */
	uint32_t sector_bytes;		/* 512 to 4096, a power of two */
	uint32_t physical_sector_bytes; /* sector_bytes to 1 MiB, a power of two */
	bool read_only;
	bool cdrom;
	bool removable;
	bool flush;
	bool barrier;
};

/* Read a decimal node in [min, max] of the backend's directory: 0, -ENOENT (absent), or another
 * -errno. */
typedef int (*lib_features_get_fn)(void *ctx, const char *name, uint64_t min, uint64_t max,
				   uint64_t *out);

/*
 * 0, or -EPROTO with *bad set to the name of the node that makes no sense (a static string), or
 * -ENOENT likewise when `sectors` is missing. Absent optional nodes have their defaults; optional
 * features with senseless values count as not offered.
 */
int lib_features_read(struct lib_features *features, lib_features_get_fn get, void *ctx,
		      const char **bad);

/* The bounds that requests are judged by. */
void lib_features_limits(const struct lib_features *features, struct rwy_blk_limits *limits);
