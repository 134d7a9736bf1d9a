/* SPDX-License-Identifier: MIT */
/*
 * What the data processes of a ringwayd before this one left behind: these outlive it to answer what
 * guests have in flight, and their I/O may outlive them. Until the last of it has ended nothing may
 * be attached. Called by worker.c. Threads: the loop's.
 */
#pragma once
#include "common/loop.h"
#include <stdbool.h>

struct worker_leftovers;

struct worker_leftovers_events {
	void (*slow)(void *ctx, unsigned int nr); /* once: it takes long, nr processes */
	void (*gone)(void *ctx);		  /* once, unless there were none at the start */
};

/* Looks for fences in the run directory, whose fd is borrowed. */
int worker_leftovers_create(struct worker_leftovers **leftovers, struct rwy_loop *loop,
			    int rundir_fd, const struct worker_leftovers_events *events, void *ctx);
/* NULL is fine. */
void worker_leftovers_destroy(struct worker_leftovers *leftovers);

/* How many processes' I/O may still be under way. */
unsigned int worker_leftovers_count(const struct worker_leftovers *leftovers);
