/* SPDX-License-Identifier: MIT */
/*
 * The map of libxenloop.so, the library that is preloaded under unmodified programs and stands in
 * for libxengnttab, libxenevtchn and a part of libxenctrl. The prototypes come from Xen's own
 * headers, so that the compiler checks ours against them.
 *
 * A handle may be opened by a program that then enters a sandbox: after *_open the event-channel
 * and grant-mapping parts call nothing but sendmsg, recvmsg, mmap, munmap, read, write, futex,
 * close and what malloc needs; a fault that stops or kills also getpid, gettid and tgkill, as
 * abort does. Further fds come over the handle's connection.
 *
 * Threads: different handles are independent. xenevtchn_notify and xenevtchn_unmask may run in
 * several threads on one handle, beside one that binds and unbinds. A grant handle locks itself.
 */
#pragma once
#include <limits.h>
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
/* Close all but the socket: what the hypervisor knows of the handle lasts as long as the process. */
void conn_leave(struct conn *conn);

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

/* lib_store.c: where a store of an instance finds what it calls path: path itself, or place. */
const char *store_path(const char *path, char place[PATH_MAX]);

/* One granted page, as seen by a process: page `gref` of the RAM behind ram_fd. */
struct page {
	int ram_fd;
	uint32_t gref;
};

/* Map the pages side by side. NULL and errno when that fails; munmap ends it. */
void *pages_map(const struct page *pages, uint32_t count, int prot);

/* The mappings of a handle by address: gnttab's, each with its map id, and the single pages of
 * gntshr's, with the id of their share. */
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
/* The handle is closed. As with Linux, whose mappings hold the file, pages that it has mapped stay,
 * and so does what the hypervisor knows of them. */
void mapping_close(struct xengntdev_handle *handle);

/*
 * Where XENLOOP_FAULT can strike. Every call of the ABI that is one passes it twice: before it has
 * any effect, also when it then fails by itself, and (fault_after) when it has succeeded.
 */
enum fault_point {
	FAULT_OPEN_EVTCHN,
	FAULT_OPEN_GNTTAB,
	FAULT_OPEN_GNTSHR,
	FAULT_MAP,
	FAULT_UNMAP,
	FAULT_COPY,
	FAULT_SEGMENT, /* one of a copy */
	FAULT_SHARE,
	FAULT_UNSHARE,
	FAULT_BIND_UNBOUND,
	FAULT_BIND_INTERDOMAIN,
	FAULT_BIND_VIRQ,
	FAULT_UNBIND,
	FAULT_NOTIFY,
	FAULT_PUSH, /* in notify: the event is raised, its number not yet in the pipe */
	FAULT_PENDING,
	FAULT_UNMASK,
};

extern bool fault_armed; /* there are rules for this program */

/* Use the two below. Counts the call, and stops or kills the process where a rule says so. */
int fault_hit(enum fault_point point, bool after);

/* 0; an errno; below 0 (COPY and SEGMENT only) a GNTST_*: how the call is to fail. Any thread. */
static inline int fault_at(enum fault_point point)
{
	return __builtin_expect(fault_armed, false) ? fault_hit(point, false) : 0;
}

static inline void fault_after(enum fault_point point)
{
	if (__builtin_expect(fault_armed, false))
		fault_hit(point, true);
}

/* For constructors: say what is wrong with the environment and end the program with status 2. */
_Noreturn void fault_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A source of numbers that follow from XENLOOP_SEED and from how many were initialised before. */
struct seed_die {
	_Atomic uint64_t state;
};

extern bool seed_given; /* only then is anything below called */

void seed_die_init(struct seed_die *die);
/* 0 to sides - 1. Any thread. */
uint32_t seed_roll(struct seed_die *die, uint32_t sides);
/* Let others run, or not, for at most some 100 us. */
void seed_linger(struct seed_die *die);
