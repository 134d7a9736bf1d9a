/* SPDX-License-Identifier: MIT */
/*
 * The map of libxenloop.so, the library that is preloaded under unmodified programs and stands in
 * for libxengnttab, libxenevtchn and a part of libxenctrl. The prototypes come from Xen's own
 * headers, so that the compiler checks ours against them.
 *
 * A handle may be opened by a program that then enters a sandbox: after *_open the event-channel
 * and grant-mapping parts call nothing but sendmsg, recvmsg, mmap, munmap, read, write, futex,
 * close and what malloc needs. Further fds come over the handle's connection.
 *
 * Threads: different handles are independent. xenevtchn_notify and xenevtchn_unmask may run in
 * several threads on one handle, beside one that binds and unbinds. A grant handle locks itself.
 */
#pragma once
#include <pthread.h>

#include "common/xenloop/proto.h"
#include "common/xenloop/tables.h"

/* What these headers declare, and nothing else, is exported. */
#pragma GCC visibility push(default)
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#pragma GCC visibility pop

/* A handle's connection to the hypervisor. */
struct conn {
	int sock;
	pthread_mutex_t lock; /* a request and its reply are not to be torn apart */
	uint32_t id;	      /* the handle's, in the ports that it owns */
	uint32_t slot;	      /* the domain's, in the tables */
	struct xenloop_tables *tables;
};

/*
 * Connect as the domain that the environment names. fds: what the role gets beside the tables (one
 * at most), else -1. Returns 0; -ENODEV when XENLOOP_DIR is not set; -errno.
 */
int conn_open(struct conn *conn, enum xenloop_role role, int *fd);
void conn_close(struct conn *conn);

/*
 * One call: request with a body, reply with a body. Returns the reply's value (never above
 * INT32_MAX) or -errno; reply, body and fd may be NULL. A body shorter than expected is the
 * hypervisor's business (reply->count says what came). fd: the fd that came, the caller's to close.
 */
int64_t conn_call(struct conn *conn, const struct xenloop_request *request, const void *body,
		  size_t body_bytes, struct xenloop_reply *reply, void *reply_body,
		  size_t reply_body_bytes, int *fd);

/* The ABI's way to fail: errno set, -1 returned. */
int fail(int err);

/* One granted page, as seen by a process: page `gref` of the RAM behind ram_fd. */
struct page {
	int ram_fd;
	uint32_t gref;
};

/* Map the pages side by side. NULL and errno when that fails; munmap ends it. */
void *pages_map(const struct page *pages, uint32_t count, int prot);

/* The mappings of a handle by address: gnttab's map ids and gntshr's share ids. */
struct mapping {
	void *addr;
	uint32_t count;
	uint32_t id;
};

/* Both ends of granting; the ABI has one handle type under two names. */
struct xengntdev_handle {
	struct conn conn;
	pthread_mutex_t lock; /* of what follows */
	struct ram *rams;     /* gnttab: the domains whose RAM this handle has */
	void *mappings;	      /* tsearch tree of struct mapping */
	int ram_fd;	      /* gntshr: this domain's own RAM */
};

/* -ENOMEM, else 0. */
int mapping_add(struct xengntdev_handle *handle, void *addr, uint32_t count, uint32_t id);
/* Take out the mapping of exactly these pages: its id, or -EINVAL when there is none. */
int64_t mapping_take(struct xengntdev_handle *handle, void *addr, uint32_t count);
/* munmap and forget all of them. */
void mapping_drop_all(struct xengntdev_handle *handle);
