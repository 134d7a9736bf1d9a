// SPDX-License-Identifier: MIT
/*
 * What a backend says about its disk (contract: lib_features.h). Untrusted: every number is bounded
 * before it is used for anything. `sectors` counts 512 bytes whatever sector-size is (blkif.h of
 * 2024-09, Linux).
 */
#include "frontend/user/lib_features.h"

#define MAX_SECTOR_BYTES	  4096u
#define MAX_PHYSICAL_SECTOR_BYTES (1u << 20)

static bool is_power_of_2(uint64_t n)
{
	return n && (n & (n - 1)) == 0;
}

static bool offered(lib_features_get_fn get, void *ctx, const char *name)
{
	uint64_t value;

	return get(ctx, name, 0, 1, &value) == 0 && value == 1;
}

/* A node that is a power of two in [min, max], or fallback when it is absent. */
static int read_size(lib_features_get_fn get, void *ctx, const char *name, uint32_t min,
		     uint32_t max, uint32_t fallback, uint32_t *out)
{
	uint64_t value;
	int err = get(ctx, name, min, max, &value);

	if (err == -ENOENT) {
		*out = fallback;
		return 0;
	}
	if (err || !is_power_of_2(value))
		return -EPROTO;
	*out = (uint32_t)value;
	return 0;
}

int lib_features_read(struct lib_features *features, lib_features_get_fn get, void *ctx,
		      const char **bad)
{
	uint64_t info = 0;
	int err;

	memset(features, 0, sizeof(*features));
	*bad = "sectors";
	err = get(ctx, *bad, 0, RWY_BLK_MAX_CAPACITY_SECT, &features->capacity_sect);
	if (err)
		return err == -ENOENT ? err : -EPROTO;
	*bad = "sector-size";
	err = read_size(get, ctx, *bad, RWY_BLK_SECTOR_BYTES, MAX_SECTOR_BYTES,
			RWY_BLK_SECTOR_BYTES, &features->sector_bytes);
	if (err)
		return err;
	*bad = "physical-sector-size";
	err = read_size(get, ctx, *bad, features->sector_bytes, MAX_PHYSICAL_SECTOR_BYTES,
			features->sector_bytes, &features->physical_sector_bytes);
	if (err)
		return err;
	*bad = "info";
	err = get(ctx, *bad, 0, UINT32_MAX, &info);
	if (err && err != -ENOENT)
		return -EPROTO;
	*bad = NULL;
	features->read_only = info & VDISK_READONLY;
	features->cdrom = info & VDISK_CDROM;
	features->removable = info & VDISK_REMOVABLE;
	features->flush = offered(get, ctx, "feature-flush-cache");
	features->barrier = offered(get, ctx, "feature-barrier");
	return 0;
}

void lib_features_limits(const struct lib_features *features, struct rwy_blk_limits *limits)
{
	*limits = (struct rwy_blk_limits){
		.capacity_sect = features->capacity_sect,
		.read_only = features->read_only,
		.flush = features->flush,
		.barrier = features->barrier,
	};
}
