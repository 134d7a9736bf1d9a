// SPDX-License-Identifier: MIT
/*
 * nbdkit-ringway-plugin: a Xen paravirtual disk as an NBD export, from a program in the guest. A
 * thin layer over libringway: all connections share one open disk, requests of nbdkit's threads run
 * in parallel. Arguments come from nbdkit, which has checked them against the size; alignment is
 * checked here.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include "frontend/user/libringway.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define PREFERRED_BLOCK_BYTES 4096u
#define MAX_REQUEST_BYTES     (64u << 20) /* nbdkit refuses more */
#define MAX_TIMEOUT_S	      86400u

static const char *device; /* NULL: the only disk */
static struct rwy_vbd_options options;
static struct rwy_vbd *vbd; /* from after_fork to cleanup, read-only in between */

static int parse_seconds(const char *key, const char *value, uint32_t *timeout_ms)
{
	unsigned int seconds;

	if (nbdkit_parse_unsigned(key, value, &seconds) == -1)
		return -1;
	if (seconds < 1 || seconds > MAX_TIMEOUT_S) {
		nbdkit_error("%s must be 1 to %u seconds", key, MAX_TIMEOUT_S);
		return -1;
	}
	*timeout_ms = seconds * 1000;
	return 0;
}

static int ringway_config(const char *key, const char *value)
{
	if (strcmp(key, "device") == 0) {
		device = value;
		return 0;
	}
	if (strcmp(key, "connect-timeout") == 0)
		return parse_seconds(key, value, &options.connect_timeout_ms);
	if (strcmp(key, "reconnect-timeout") == 0)
		return parse_seconds(key, value, &options.reconnect_timeout_ms);
	nbdkit_error("unknown parameter '%s'", key);
	return -1;
}

/* libringway has a thread of its own, which would not survive nbdkit's fork: so not earlier. */
static int ringway_after_fork(void)
{
	char why[RWY_VBD_WHY_BYTES];
	int err = rwy_vbd_open(device, &options, &vbd, why, sizeof(why));

	if (err) {
		nbdkit_error("%s: %s", device ? device : "the only disk", why);
		return -1;
	}
	return 0;
}

static void ringway_cleanup(void)
{
	rwy_vbd_close(vbd);
	vbd = NULL;
}

/* A device that has ended for good is refused at the door, with the reason. */
static void *ringway_open(int readonly)
{
	char why[RWY_VBD_WHY_BYTES];
	int err = rwy_vbd_status(vbd, why, sizeof(why));

	(void)readonly;
	if (err && err != -EAGAIN) {
		nbdkit_error("the disk is gone: %s", why);
		return NULL;
	}
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t ringway_get_size(void *handle)
{
	struct rwy_vbd_info info;

	(void)handle;
	rwy_vbd_get_info(vbd, &info);
	return (int64_t)(info.capacity_bytes - info.capacity_bytes % info.sector_bytes);
}

static int ringway_can_write(void *handle)
{
	struct rwy_vbd_info info;

	(void)handle;
	rwy_vbd_get_info(vbd, &info);
	return !info.read_only;
}

static int ringway_can_flush(void *handle)
{
	(void)handle;
	return 1;
}

/* Connections share the one device below, and its flush covers what any of them has written. */
static int ringway_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static int ringway_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
			      uint32_t *maximum)
{
	struct rwy_vbd_info info;

	(void)handle;
	rwy_vbd_get_info(vbd, &info);
	*minimum = info.sector_bytes;
	*preferred = PREFERRED_BLOCK_BYTES;
	*maximum = MAX_REQUEST_BYTES;
	return 0;
}

/* Say what failed. NBD knows few errors: what it has no word for becomes EIO, not EINVAL. */
static int fail(const char *what, int err, uint32_t count, uint64_t offset)
{
	struct rwy_vbd_info info;
	char why[RWY_VBD_WHY_BYTES];

	rwy_vbd_get_info(vbd, &info);
	if (err == -EINVAL && (offset | count) % info.sector_bytes)
		nbdkit_error("%s of %" PRIu32 " bytes at %" PRIu64 ": not in sectors of %" PRIu32
			     " bytes (--filter=blocksize helps)",
			     what, count, offset, info.sector_bytes);
	else if (rwy_vbd_status(vbd, why, sizeof(why)) != 0)
		nbdkit_error("%s of %" PRIu32 " bytes at %" PRIu64 ": %s", what, count, offset,
			     why);
	else
		nbdkit_error("%s of %" PRIu32 " bytes at %" PRIu64 ": %s", what, count, offset,
			     strerror(-err));
	switch (err) {
	case -EINVAL:
	case -ENOMEM:
	case -EROFS:
	case -ESHUTDOWN:
		nbdkit_set_error(-err);
		break;
	default:
		nbdkit_set_error(EIO);
		break;
	}
	return -1;
}

static int ringway_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	int err = rwy_vbd_pread(vbd, buf, count, offset);

	(void)handle;
	(void)flags;
	return err ? fail("read", err, count, offset) : 0;
}

static int ringway_flush(void *handle, uint32_t flags)
{
	int err = rwy_vbd_flush(vbd);

	(void)handle;
	(void)flags;
	return err ? fail("flush", err, 0, 0) : 0;
}

/* FUA never comes here: nbdkit follows such a write by a flush, blkif having nothing finer. */
static int ringway_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
			  uint32_t flags)
{
	int err = rwy_vbd_pwrite(vbd, buf, count, offset);

	(void)handle;
	(void)flags;
	return err ? fail("write", err, count, offset) : 0;
}

static void ringway_dump_plugin(void)
{
	printf("ringway_libringway=%s\n", rwy_vbd_version());
}

static struct nbdkit_plugin plugin = {
	.name = "ringway",
	.longname = "Ringway",
	.version = RINGWAY_VERSION,
	.description = "A Xen paravirtual disk of this domain, through libringway.",
	.config = ringway_config,
	.config_help =
		"device=<NAME>            The disk, e.g. xvda or 51712 (default: the only one).\n"
		"connect-timeout=<SECS>   For the backend to connect (default 10).\n"
		"reconnect-timeout=<SECS> For a restarted backend to come back (default 30).",
	.magic_config_key = "device",
	.dump_plugin = ringway_dump_plugin,
	.after_fork = ringway_after_fork,
	.cleanup = ringway_cleanup,
	.open = ringway_open,
	.get_size = ringway_get_size,
	.can_write = ringway_can_write,
	.can_flush = ringway_can_flush,
	.can_multi_conn = ringway_can_multi_conn,
	.block_size = ringway_block_size,
	.pread = ringway_pread,
	.pwrite = ringway_pwrite,
	.flush = ringway_flush,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
