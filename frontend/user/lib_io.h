/* SPDX-License-Identifier: MIT */
/*
 * The requests of an open disk, from submit to done: the queue, the cutting into parts, what is in
 * flight, and what happens to it when the backend goes away. Called by lib_vbd (any thread) and
 * lib_handshake (the event thread). The backend's word is judged by frontend/core; here it is only
 * a status per part.
 *
 * Threads: submit, info and lib_io_lock's holders from any thread; all others from the event thread
 * alone, which also calls every `done`. Memory: part[] and tags[] bound what can be in flight.
 */
#pragma once
#include <pthread.h>
#include "frontend/core/blkfront.h"
#include "frontend/user/lib_features.h"
#include "frontend/user/lib_part.h"
#include "frontend/user/lib_ring.h"

enum lib_line {
	LIB_LINE_DOWN, /* no backend (yet, or for now): requests wait */
	LIB_LINE_UP,
	LIB_LINE_DEAD, /* for good: requests fail with dead_err */
};

struct lib_io {
	pthread_mutex_t lock; /* guards everything below */
	enum lib_line line;
	int dead_err;
	struct lib_features features;
	struct rwy_blkfront bf;
	struct lib_pool pool;
	struct lib_part *free_parts;
	struct lib_part *retry; /* parts whose backend went away: first in line for the next */
	struct rwy_vbd_io *queue_head, *queue_tail; /* not wholly cut into parts; only the head may
						       have begun */
	struct rwy_vbd_io *done_head, *done_tail;   /* finished, not called back yet */
	uint32_t nr_ios;			    /* submitted, not called back yet */
	uint32_t nr_filling; /* parts being copied into, which will need a slot */
	int wake_fd;	     /* the event thread's eventfd; borrowed */
	struct rwy_blkfront_tag tags[RWY_BLKFRONT_MAX_TAGS];
	struct lib_part part[RWY_BLKFRONT_MAX_TAGS];
};

int lib_io_init(struct lib_io *io, int wake_fd);
void lib_io_fini(struct lib_io *io);

/* Initialise the ring that will be published next. The line is down. */
int lib_io_prepare(struct lib_io *io, struct lib_ring *ring, uint32_t devid);
/* The backend has connected: send what waits. -EPROTO: the disk is not the one it was (another
 * sector size). */
int lib_io_up(struct lib_io *io, const struct lib_features *features);
/* The disk's size or mode changed while connected. */
int lib_io_resize(struct lib_io *io, const struct lib_features *features);
/* The backend went away: what was in flight waits for the next lib_io_up. */
void lib_io_down(struct lib_io *io);
/* For good: everything ends with err, and so will what comes. The first call decides err. */
void lib_io_die(struct lib_io *io, int err);

/* Responses may be there: take them, copy, finish requests, send more. 0, or -EPROTO with *why (a
 * static string). */
int lib_io_reap(struct lib_io *io, const char **why);
/* Call the `done` of all that has finished. */
void lib_io_call_done(struct lib_io *io);

/* Begin a request: see rwy_vbd_submit. */
int lib_io_submit(struct lib_io *io, struct rwy_vbd_io *user_io);
/* Nothing submitted is without its call back. */
bool lib_io_idle(struct lib_io *io);
