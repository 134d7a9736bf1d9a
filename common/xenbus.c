// SPDX-License-Identifier: MIT
/*
 * xenstore access for one thread. Values and event paths may come from guests: they are bounded
 * here and parsed by xs_parse.c. Called by ringwayd, ringway and libringway. Watches are the other
 * half, xenbus_watch.c.
 */
#include "common/xenbus_impl.h"

#include "common/cleanup.h"
#include "common/xs_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRANSACTION_TRIES 64
#define DOMAINS_PATH	  "/local/domain"

int rwy_xenbus_open(struct rwy_xenbus **out)
{
	struct rwy_xenbus *xb = calloc(1, sizeof(*xb));
	int err;

	if (!xb)
		return -ENOMEM;
	/* Not XS_UNWATCH_FILTER: it drops events by path and token, which a late event's unknown
	 * token does as well, and leaks each one it drops (4.17). */
	xb->xs = xs_open(0);
	if (!xb->xs) {
		err = -errno;
		goto err_free;
	}
	err = rwy_xenbus_events_init(xb);
	if (err)
		goto err_close;
	*out = xb;
	return 0;

err_close:
	xs_close(xb->xs);
err_free:
	free(xb);
	return err;
}

void rwy_xenbus_close(struct rwy_xenbus *xb)
{
	if (!xb)
		return;
	/* Rather a leak than a thread without its memory. */
	if (rwy_xenbus_events_fini(xb))
		return;
	xs_close(xb->xs);
	free(xb);
}

struct xs_handle *rwy_xenbus_handle(struct rwy_xenbus *xb)
{
	return xb->xs;
}

int rwy_xenbus_format_path(char *path, const char *fmt, va_list args)
{
	int len = vsnprintf(path, RWY_XENBUS_PATH_BYTES, fmt, args);

	return len >= 0 && (size_t)len < RWY_XENBUS_PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int read_path(struct rwy_xenbus *xb, xs_transaction_t tx, char *buf, size_t size,
		     const char *path)
{
	_rwy_free void *value = NULL;
	unsigned int len;
	int err;

	value = xs_read(xb->xs, tx, path, &len);
	if (!value)
		return -errno;
	err = rwy_xs_parse_string(value, len, buf, size);
	return err ? err : (int)len;
}

int rwy_xenbus_read(struct rwy_xenbus *xb, xs_transaction_t tx, char *buf, size_t size,
		    const char *path_fmt, ...)
{
	char path[RWY_XENBUS_PATH_BYTES];
	va_list args;
	int err;

	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(path, path_fmt, args);
	va_end(args);
	return err ? err : read_path(xb, tx, buf, size, path);
}

static int read_u64(struct rwy_xenbus *xb, xs_transaction_t tx, uint64_t min, uint64_t max,
		    uint64_t *out, const char *path)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int len = read_path(xb, tx, value, sizeof(value), path);

	/* Too long for a value is no number either. */
	if (len < 0)
		return len == -ENAMETOOLONG ? -EINVAL : len;
	return rwy_xs_parse_u64(value, (size_t)len, min, max, out);
}

int rwy_xenbus_read_u64(struct rwy_xenbus *xb, xs_transaction_t tx, uint64_t min, uint64_t max,
			uint64_t *out, const char *path_fmt, ...)
{
	char path[RWY_XENBUS_PATH_BYTES];
	va_list args;
	int err;

	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(path, path_fmt, args);
	va_end(args);
	return err ? err : read_u64(xb, tx, min, max, out, path);
}

int rwy_xenbus_read_u32(struct rwy_xenbus *xb, xs_transaction_t tx, uint32_t min, uint32_t max,
			uint32_t *out, const char *path_fmt, ...)
{
	char path[RWY_XENBUS_PATH_BYTES];
	uint64_t number;
	va_list args;
	int err;

	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(path, path_fmt, args);
	va_end(args);
	if (!err)
		err = read_u64(xb, tx, min, max, &number, path);
	if (!err)
		*out = (uint32_t)number;
	return err;
}

enum xenbus_state rwy_xenbus_read_state(struct rwy_xenbus *xb, const char *path_fmt, ...)
{
	char path[RWY_XENBUS_PATH_BYTES];
	uint64_t number;
	va_list args;
	int err;

	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(path, path_fmt, args);
	va_end(args);
	if (!err)
		err = read_u64(xb, RWY_XENBUS_NO_TX, XenbusStateUnknown, XenbusStateReconfigured,
			       &number, path);
	return err ? XenbusStateUnknown : (enum xenbus_state)number;
}

int rwy_xenbus_write(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path,
		     const char *value_fmt, ...)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	va_list args;
	int len;

	va_start(args, value_fmt);
	len = vsnprintf(value, sizeof(value), value_fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(value))
		return -E2BIG;
	return xs_write(xb->xs, tx, path, value, (unsigned int)len) ? 0 : -errno;
}

int rwy_xenbus_mkdir(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path)
{
	return xs_mkdir(xb->xs, tx, path) ? 0 : -errno;
}

int rwy_xenbus_remove(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path_fmt, ...)
{
	char path[RWY_XENBUS_PATH_BYTES];
	va_list args;
	int err;

	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(path, path_fmt, args);
	va_end(args);
	if (err)
		return err;
	return xs_rm(xb->xs, tx, path) || errno == ENOENT ? 0 : -errno;
}

int rwy_xenbus_set_owner_reader(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path,
				uint32_t owner_domid, uint32_t reader_domid)
{
	/* The first entry's bits are for everybody not named after it. */
	struct xs_permissions perms[] = {
		{.id = owner_domid, .perms = XS_PERM_NONE},
		{.id = reader_domid, .perms = XS_PERM_READ},
	};
	unsigned int n = owner_domid == reader_domid ? 1 : 2;

	return xs_set_permissions(xb->xs, tx, path, perms, n) ? 0 : -errno;
}

int rwy_xenbus_list(struct rwy_xenbus *xb, xs_transaction_t tx, char ***names, unsigned int *count,
		    const char *path_fmt, ...)
{
	char path[RWY_XENBUS_PATH_BYTES];
	char **children;
	va_list args;
	int err;

	va_start(args, path_fmt);
	err = rwy_xenbus_format_path(path, path_fmt, args);
	va_end(args);
	if (err)
		return err;
	children = xs_directory(xb->xs, tx, path, count);
	if (!children)
		return -errno;
	if (*count == 0) {
		free(children);
		children = NULL;
	}
	*names = children;
	return 0;
}

int rwy_xenbus_transact(struct rwy_xenbus *xb,
			int (*body)(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx),
			void *ctx)
{
	for (int i = 0; i < TRANSACTION_TRIES; i++) {
		xs_transaction_t tx = xs_transaction_start(xb->xs);
		int err;

		if (tx == XBT_NULL)
			return -errno;
		err = body(xb, tx, ctx);
		if (err) {
			xs_transaction_end(xb->xs, tx, true);
			return err;
		}
		if (xs_transaction_end(xb->xs, tx, false))
			return 0;
		if (errno != EAGAIN)
			return -errno;
	}
	return -EAGAIN;
}

static int find_domain_by_id(struct rwy_xenbus *xb, uint32_t id, uint32_t *domid)
{
	char **names;
	unsigned int count;
	int err = rwy_xenbus_list(xb, RWY_XENBUS_NO_TX, &names, &count, DOMAINS_PATH "/%u", id);

	if (err)
		return err;
	free(names);
	*domid = id;
	return 0;
}

static bool domain_has_name(struct rwy_xenbus *xb, uint32_t domid, const char *name)
{
	char value[RWY_XENBUS_VALUE_BYTES];

	return rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value), DOMAINS_PATH "/%u/name",
			       domid) >= 0 &&
	       strcmp(value, name) == 0;
}

static int find_domain_by_name(struct rwy_xenbus *xb, const char *name, uint32_t *domid)
{
	_rwy_free char **ids = NULL;
	unsigned int count;
	unsigned int found = 0;
	int err = rwy_xenbus_list(xb, RWY_XENBUS_NO_TX, &ids, &count, DOMAINS_PATH);

	if (err)
		return err;
	for (unsigned int i = 0; i < count; i++) {
		uint32_t id;

		if (rwy_xs_parse_component(ids[i], DOMID_FIRST_RESERVED - 1, &id) ||
		    !domain_has_name(xb, id, name))
			continue;
		*domid = id;
		found++;
	}
	if (found == 1)
		return 0;
	return found ? -ENOTUNIQ : -ENOENT;
}

int rwy_xenbus_find_domain(struct rwy_xenbus *xb, const char *name_or_id, uint32_t *domid)
{
	uint32_t id;

	if (rwy_xs_parse_component(name_or_id, DOMID_FIRST_RESERVED - 1, &id) == 0)
		return find_domain_by_id(xb, id, domid);
	return find_domain_by_name(xb, name_or_id, domid);
}
