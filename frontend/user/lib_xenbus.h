/* SPDX-License-Identifier: MIT */
/*
 * A disk's nodes in xenstore as its frontend sees them: finding it, reading what the backend says,
 * publishing the ring. Verbs only; when to use them is lib_handshake's. The backend's directory is
 * untrusted and bounded here. Paths of our own are relative (device/vbd/<devid>): xenstored
 * resolves them in the domain's own directory. Threads: the event thread.
 */
#pragma once
#include "common/xenbus.h"
#include "frontend/user/lib_features.h"
#include "frontend/user/lib_ring.h"

#define LIB_XENBUS_ERROR_BYTES 400u

struct lib_xenbus {
	struct rwy_xenbus *xb;
	struct rwy_xenbus_watch *watch; /* on the backend's state */
	char back[RWY_XENBUS_PATH_BYTES];
	uint32_t devid;
	uint32_t backend_domid;
	bool dirty; /* the watch has fired since lib_xenbus_peer */
	bool lost;  /* xenstored went away: every verb fails */
};

/*
 * Find the disk that name (NULL: the only one) means. 0 and *devid; -ENOENT, -ENOTUNIQ, -EINVAL
 * (no such name can be) with one line in why.
 */
int lib_xenbus_find(struct rwy_xenbus *xb, const char *name, uint32_t *devid, char *why,
		    size_t why_bytes);

/* Read who the backend is, and watch its state. -ENOENT: our directory has none (any more). */
int lib_xenbus_follow(struct lib_xenbus *bus);
void lib_xenbus_unfollow(struct lib_xenbus *bus);

/* The backend's state, once it is known to have changed; clears dirty. */
enum xenbus_state lib_xenbus_peer(struct lib_xenbus *bus);
enum xenbus_state lib_xenbus_own(struct lib_xenbus *bus);
/* Write our state, unless our directory is gone (-ENOENT): it must not come back by our writing. */
int lib_xenbus_write_state(struct lib_xenbus *bus, enum xenbus_state state);

/* Largest power of two of ring pages that the backend takes, at most `most`. */
uint32_t lib_xenbus_ring_pages(struct lib_xenbus *bus, uint32_t most);
/* Write ring, port, protocol and state in one transaction; nodes of an earlier driver that would
 * contradict them go. */
int lib_xenbus_publish(struct lib_xenbus *bus, const struct lib_ring *ring,
		       enum xenbus_state state);
/*
 * After our Closed, make room for the next frontend: what we published goes (a ring-page-order that
 * stays would have the backend misread the ring of Linux's frontend, which removes none), and the
 * state becomes Initialising. All or nothing; nothing when somebody else has begun, or -ENOENT.
 */
int lib_xenbus_withdraw(struct lib_xenbus *bus, uint32_t nr_ring_pages);

/* As lib_features_read. */
int lib_xenbus_features(struct lib_xenbus *bus, struct lib_features *features, const char **bad);

/* False when the toolstack is taking the disk away (the backend's `online` is 0), or nothing of the
 * backend is left. */
bool lib_xenbus_online(struct lib_xenbus *bus);
/* Is the backend's directory there at all? */
bool lib_xenbus_exists(struct lib_xenbus *bus);
/* The backend's `error` node, "" when there is none: printable, cut to LIB_XENBUS_ERROR_BYTES. */
void lib_xenbus_error(struct lib_xenbus *bus, char *text);
