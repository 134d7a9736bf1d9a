/* SPDX-License-Identifier: MIT */
/*
 * One ring of a vbd, served as a task of a lane: takes requests in bounded turns, moves their data,
 * hands them to the device's engine, and answers; each step in the journal before it counts, so
 * that a successor can go on at any instruction. Trust: everything in the ring is the guest's; the
 * ring protocol is checked by ring/, requests by rwy_blk_validate, grefs by the hypervisor. A
 * broken ring makes the queue silent until it is stopped. Owned and called by blkback. Threads: the
 * lane's.
 */
#pragma once
#include "backend/data/journal.h"
#include "backend/data/lane.h"
#include "backend/data/request.h"
#include "ring/ring.h"

struct blkback;

enum blkqueue_state {
	BLKQUEUE_SERVING,
	BLKQUEUE_BROKEN,   /* takes and answers nothing */
	BLKQUEUE_STOPPING, /* takes nothing new; answers what it or its predecessor took */
	BLKQUEUE_CLOSING,  /* the same, and refuses what is left in the ring */
};

struct blkqueue_params {
	const uint32_t *ring_gref;
	uint32_t nr_ring_pages;
	uint32_t evtchn; /* the frontend's port */
	struct journal *journal;
};

struct blkqueue {
	struct lane_task task; /* first: the task is the queue */
	struct blkback *dev;
	enum blkqueue_state state;
	struct rwy_ring_back ring;
	struct journal *journal; /* the device's */
	void *ring_pages;
	uint32_t nr_ring_pages;
	struct request_set tags;
	struct request_list again; /* taken by a predecessor, to be done again first, in order */
	struct request_list owed;  /* done, to be answered */
	/* Reads and writes in the engine, and those that wait because there are enough. */
	uint32_t nr_under_way;
	struct request_list data_waiting;
	/* One flush is under way in the engine at a time; those that came with it are done when it
	 * is, those that came since share the next. */
	struct request *flushing;
	struct request_list flush_riders;
	struct request_list flush_waiting;
	uint32_t in_flight; /* taken, also by a predecessor, and not yet answered */
};

/*
 * Map the ring, find in the journal where it was left, bind the port, look for requests, notify the
 * frontend once. On failure -errno, *what says which step it was (a static string), and nothing is
 * left behind.
 */
int blkqueue_start(struct blkqueue *q, struct blkback *dev, const struct blkqueue_params *params,
		   const char **what);
/*
 * Start no more requests. When all taken are answered the queue unbinds and unmaps and calls
 * blkback_stopped: in a later round, never from inside this call. What the frontend has published by
 * now and nobody took is left to the next backend, or for_good is answered with an error: a frontend
 * that closes in the middle of its requests (Linux's does) would wait for them without end.
 */
void blkqueue_stop(struct blkqueue *q, bool for_good);
