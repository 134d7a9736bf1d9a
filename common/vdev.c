// SPDX-License-Identifier: MIT
/*
 * Virtual block device names <-> device ids, as xen-vbd-interface(7) encodes them. Trusts nothing
 * in a name. Called by the ringway command, and by whoever shows a device id to a human.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/vdev.h"

#define XVD_SHORT_BASE	   (202u << 8)
#define XVD_SHORT_MAX	   15u /* disks and partitions of the short encoding */
#define XVD_EXTENDED	   (1u << 28)
#define SD_BASE		   (8u << 8)
#define HD_FIRST_BASE	   (3u << 8)  /* disks 0 and 1 */
#define HD_SECOND_BASE	   (22u << 8) /* disks 2 and 3 */
#define HD_DISKS_PER_BASE  2u
#define HD_PARTITION_BITS  6
#define LETTERS		   26u
#define DECIMAL_DIGITS	   "0123456789"
#define HEXADECIMAL_DIGITS DECIMAL_DIGITS "abcdef"

static int encode_sd(uint32_t disk, uint32_t partition, uint32_t *devid)
{
	if (disk > 15 || partition > 15)
		return -ERANGE;
	*devid = SD_BASE | disk << 4 | partition;
	return 0;
}

static int encode_hd(uint32_t disk, uint32_t partition, uint32_t *devid)
{
	if (disk > 3 || partition > 63)
		return -ERANGE;
	uint32_t base = disk < HD_DISKS_PER_BASE ? HD_FIRST_BASE : HD_SECOND_BASE;
	*devid = base | (disk % HD_DISKS_PER_BASE) << HD_PARTITION_BITS | partition;
	return 0;
}

int rwy_vdev_encode_xvd(uint32_t disk, uint32_t partition, uint32_t *devid)
{
	if (disk > RWY_VDEV_MAX_DISK || partition > RWY_VDEV_MAX_PARTITION)
		return -ERANGE;
	if (disk <= XVD_SHORT_MAX && partition <= XVD_SHORT_MAX)
		*devid = XVD_SHORT_BASE | disk << 4 | partition;
	else
		*devid = XVD_EXTENDED | disk << 8 | partition;
	return 0;
}

static const struct {
	const char *prefix;
	int (*encode)(uint32_t disk, uint32_t partition, uint32_t *devid);
} kinds[] = {
	{"xvd", rwy_vdev_encode_xvd},
	{"sd", encode_sd},
	{"hd", encode_hd},
};

/* A number at *p in the digits given, without leading zeroes, up to max; *p is moved past it. */
static int take_number(const char **p, const char *digits, uint32_t max, uint32_t *out)
{
	const uint32_t base = strlen(digits);
	const size_t len = strspn(*p, digits);
	uint32_t value = 0;

	if (len == 0 || (len > 1 && **p == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		uint32_t digit = strchr(digits, (*p)[i]) - digits;

		if (value > (max - digit) / base)
			return -ERANGE;
		value = value * base + digit;
	}
	*p += len;
	*out = value;
	return 0;
}

/* a to z, aa to zz, ...: 0 to 25, 26 to 701, ... */
static int take_letters(const char **p, uint32_t *out)
{
	uint32_t value = 0; /* one more than the disk number; 0: no letter yet */

	for (; **p >= 'a' && **p <= 'z'; (*p)++) {
		value = value * LETTERS + (uint32_t)(**p - 'a') + 1;
		if (value > RWY_VDEV_MAX_DISK + 1)
			return -ERANGE;
	}
	if (value == 0)
		return -EINVAL;
	*out = value - 1;
	return 0;
}

static int take_partition(const char **p, uint32_t *out)
{
	if (**p == '0') /* the whole disk has no number, and there are no leading zeroes */
		return -EINVAL;
	return take_number(p, DECIMAL_DIGITS, RWY_VDEV_MAX_PARTITION, out);
}

/* xvda, sdb3, ...: p is behind the prefix. */
static int parse_lettered(const char *p,
			  int (*encode)(uint32_t disk, uint32_t partition, uint32_t *devid),
			  uint32_t *devid)
{
	uint32_t disk, partition = 0;
	int err = take_letters(&p, &disk);

	if (!err && *p)
		err = take_partition(&p, &partition);
	if (err)
		return err;
	return *p ? -EINVAL : encode(disk, partition, devid);
}

/* d0, d1p2: p is behind the d. */
static int parse_numbered(const char *p, uint32_t *devid)
{
	uint32_t disk, partition = 0;
	int err = take_number(&p, DECIMAL_DIGITS, RWY_VDEV_MAX_DISK, &disk);

	if (!err && *p == 'p') {
		p++;
		err = take_number(&p, DECIMAL_DIGITS, RWY_VDEV_MAX_PARTITION, &partition);
	}
	if (err)
		return err;
	return *p ? -EINVAL : rwy_vdev_encode_xvd(disk, partition, devid);
}

static int parse_id(const char *p, uint32_t *devid)
{
	const char *digits = DECIMAL_DIGITS;
	uint32_t id;

	if (!strncmp(p, "0x", 2)) {
		digits = HEXADECIMAL_DIGITS;
		p += 2;
	}
	int err = take_number(&p, digits, RWY_VDEV_MAX_ID, &id);
	if (err)
		return err;
	if (*p)
		return -EINVAL;
	*devid = id;
	return 0;
}

int rwy_vdev_parse(const char *name, uint32_t *devid)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (!strncmp(name, kinds[i].prefix, len))
			return parse_lettered(name + len, kinds[i].encode, devid);
	}
	if (*name == 'd')
		return parse_numbered(name + 1, devid);
	return parse_id(name, devid);
}

static size_t format_lettered(char name[RWY_VDEV_NAME_BYTES], const char *prefix, uint32_t disk,
			      uint32_t partition)
{
	char letters[8];
	char *p = letters + sizeof(letters) - 1;

	*p = '\0';
	for (uint32_t left = disk + 1; left; left = (left - 1) / LETTERS)
		*--p = (char)('a' + (left - 1) % LETTERS);
	if (partition)
		return snprintf(name, RWY_VDEV_NAME_BYTES, "%s%s%u", prefix, p, partition);
	return snprintf(name, RWY_VDEV_NAME_BYTES, "%s%s", prefix, p);
}

size_t rwy_vdev_format(uint32_t devid, char name[RWY_VDEV_NAME_BYTES])
{
	const uint32_t base = devid & ~0xffu;
	const uint32_t hd_disk = devid >> HD_PARTITION_BITS & 3;
	const uint32_t hd_partition = devid & 63;
	uint32_t disk = devid >> 8 & RWY_VDEV_MAX_DISK, partition = devid & 0xff;

	/* An extended id of a disk that fits the short encoding is another device than its
	 * namesake. */
	if (devid >> 28 == 1 && (disk > XVD_SHORT_MAX || partition > XVD_SHORT_MAX))
		return format_lettered(name, "xvd", disk, partition);
	if (base == XVD_SHORT_BASE || base == SD_BASE)
		return format_lettered(name, base == SD_BASE ? "sd" : "xvd", devid >> 4 & 15,
				       devid & 15);
	if ((base == HD_FIRST_BASE || base == HD_SECOND_BASE) && hd_disk < HD_DISKS_PER_BASE)
		return format_lettered(name, "hd",
				       hd_disk + (base == HD_FIRST_BASE ? 0 : HD_DISKS_PER_BASE),
				       hd_partition);
	return snprintf(name, RWY_VDEV_NAME_BYTES, "%u", devid);
}
