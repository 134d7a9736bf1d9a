/* SPDX-License-Identifier: MIT */
/*
 * The libxenstore half of xenbus: paths, bounded reads, writes, watches dispatched to callbacks,
 * transactions with EAGAIN retry. Used by ringwayd, ringway and libringway; never by ringwayd-data.
 * Values read here may come from a guest: lengths are bounded, parsing is xs_parse's. Threads: one
 * thread per handle. Paths are printf-style formats. Errors are -errno as xenstored gives them
 * (-ENOENT, -EACCES, ...), -ENAMETOOLONG for an over-long path.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenstore.h>
#include <xen/io/xenbus.h>

#define RWY_XENBUS_PATH_BYTES  512u
#define RWY_XENBUS_VALUE_BYTES 1025u /* longest value we accept anywhere, with its NUL */
#define RWY_XENBUS_NO_TX       XBT_NULL

struct rwy_xenbus;
struct rwy_xenbus_watch;

/*
 * path: the node that changed, or the watched path itself for the first firing and for events that
 * were coalesced: the same path is reported once, and more than 8 different ones on one watch as
 * the watched path. It names a hint, not a fact: re-read what you need.
 */
typedef void (*rwy_xenbus_watch_fn)(void *ctx, const char *path);

/* -errno when xenstored can't be reached. */
int rwy_xenbus_open(struct rwy_xenbus **xb);
/* Ends all watches. NULL is fine. */
void rwy_xenbus_close(struct rwy_xenbus *xb);
/* Becomes readable when watch events wait; then call rwy_xenbus_dispatch, which handles what is
 * there and returns. */
int rwy_xenbus_fd(struct rwy_xenbus *xb);
/* Calls what is due, about 64 callbacks at most, each watch in its turn; the fd stays readable when
 * more waits. 0, or -EPIPE when xenstored went away (noticed once there is or was a watch). Not
 * from a callback. */
int rwy_xenbus_dispatch(struct rwy_xenbus *xb);
/* The handle itself, for what has no verb here (xs_get_domain_path, ...). Borrowed. */
struct xs_handle *rwy_xenbus_handle(struct rwy_xenbus *xb);

/*
 * fn is called from dispatch, first once right after registration (xenstore fires each new watch).
 */
int rwy_xenbus_add_watch(struct rwy_xenbus *xb, rwy_xenbus_watch_fn fn, void *ctx,
			 struct rwy_xenbus_watch **watch, const char *path_fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Safe inside the callback; events already queued for it are dropped. NULL is fine. */
void rwy_xenbus_remove_watch(struct rwy_xenbus_watch *watch);

/* A string value, NUL-terminated, without NUL or control bytes inside; buf of size bytes. Returns
 * its length or -errno. */
int rwy_xenbus_read(struct rwy_xenbus *xb, xs_transaction_t tx, char *buf, size_t size,
		    const char *path_fmt, ...) __attribute__((format(printf, 5, 6)));
/* Decimal in [min, max]; -ENOENT, -EINVAL, -ERANGE. */
int rwy_xenbus_read_u64(struct rwy_xenbus *xb, xs_transaction_t tx, uint64_t min, uint64_t max,
			uint64_t *out, const char *path_fmt, ...)
	__attribute__((format(printf, 6, 7)));
int rwy_xenbus_read_u32(struct rwy_xenbus *xb, xs_transaction_t tx, uint32_t min, uint32_t max,
			uint32_t *out, const char *path_fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* A xenbus state node: Unknown when absent, unreadable or out of range. */
enum xenbus_state rwy_xenbus_read_state(struct rwy_xenbus *xb, const char *path_fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Write a node: value_fmt's arguments follow path (a finished string). -E2BIG: the value is longer
 * than we accept ourselves. */
int rwy_xenbus_write(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path,
		     const char *value_fmt, ...) __attribute__((format(printf, 4, 5)));
int rwy_xenbus_mkdir(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path);
/* Remove a node and what is under it; absent is fine. */
int rwy_xenbus_remove(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path_fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Owner domain (with no access for others but what follows), and one domain that may read (owner
 * again: nobody). */
int rwy_xenbus_set_owner_reader(struct rwy_xenbus *xb, xs_transaction_t tx, const char *path,
				uint32_t owner_domid, uint32_t reader_domid);
/* Children of a node, an array to free() in one piece; count 0 and NULL when there are none.
 * -ENOENT: no such node. */
int rwy_xenbus_list(struct rwy_xenbus *xb, xs_transaction_t tx, char ***names, unsigned int *count,
		    const char *path_fmt, ...) __attribute__((format(printf, 5, 6)));

/*
 * Run body in a transaction; commits when it returns 0, aborts and returns its error otherwise. A
 * commit that meets EAGAIN runs the body again, up to 64 times, then -EAGAIN.
 */
int rwy_xenbus_transact(struct rwy_xenbus *xb,
			int (*body)(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx),
			void *ctx);

/* Domain id by decimal id or name (all digits: an id). -ENOENT: no such domain; -ENOTUNIQ: several
 * have that name. */
int rwy_xenbus_find_domain(struct rwy_xenbus *xb, const char *name_or_id, uint32_t *domid);
