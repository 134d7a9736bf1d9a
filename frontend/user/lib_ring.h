/* SPDX-License-Identifier: MIT */
/*
 * The ring's surroundings in user space: the pages granted for it and its event-channel port.
 * Called by lib_handshake (share, bind), by lib_io through notify, and by the event thread.
 * Threads: notify from any thread that holds lib_io's lock; the rest from the event thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "ring/ring.h"

struct lib_ring {
	xengntshr_handle *xgs;
	xenevtchn_handle *xce;
	void *pages;
	uint32_t nr_pages;
	uint32_t gref[RWY_RING_MAX_PAGES];
	int port; /* -1: none */
};

/* Open the grant and event-channel handles. 0 or -errno, nothing to undo then. */
int lib_ring_open(struct lib_ring *ring);
/* Unbinds, unshares, closes; safe on a zeroed struct. */
void lib_ring_close(struct lib_ring *ring);

/* Grant nr_pages to a domain, reusing the ones already granted when there are as many (the domain
 * is the same for the life of the handles). */
int lib_ring_share(struct lib_ring *ring, uint32_t domid, uint32_t nr_pages);
void lib_ring_unshare(struct lib_ring *ring);

/* A new unbound port that the domain may bind. */
int lib_ring_bind(struct lib_ring *ring, uint32_t domid);
void lib_ring_unbind(struct lib_ring *ring);

/* The platform table's notify; ctx is the struct lib_ring. */
void lib_ring_notify(void *ctx);

/* Readable when an event waits. */
int lib_ring_fd(const struct lib_ring *ring);
/* Take the waiting event; true when it is the ring's. It stays masked until lib_ring_unmask, so
 * that a storm of events costs one wake-up per round (XSA-391). */
bool lib_ring_take_event(struct lib_ring *ring);
void lib_ring_unmask(struct lib_ring *ring);
