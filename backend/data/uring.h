/* SPDX-License-Identifier: MIT */
/*
 * A lane's io_uring: set up with fixed opcodes and registered files only, so that whoever takes
 * over the process can make it read, write, sync and poll the files it was handed, and nothing
 * else. It is also the engine_host of the lane's engines. Threads: the one that called uring_init.
 */
#pragma once
#include <liburing.h>
#include "backend/engine/engine.h"

/* Somebody who polls a registered file, again and again. */
struct uring_poll {
	struct engine_event event; /* first: the event is the poll */
	STAILQ_ENTRY(uring_poll) link;
};

/* Polls that are to be given up, one by one. */
struct uring_renewal {
	struct engine_event event; /* first: the event is the renewal */
	struct uring *uring;
	struct uring_poll *next;
	bool pending;
};

struct uring {
	struct engine_host host; /* first: the host is the uring */
	struct io_uring ring;
	STAILQ_HEAD(, engine_event) later;
	int *free_slots; /* a stack of unused slots of the file table */
	uint32_t nr_free_slots;
	STAILQ_HEAD(, uring_poll) polls;
	struct uring_renewal renewal;
	struct engine_event given_up; /* of the requests that give a poll up */
};

/*
 * nr_files: slots of the file table, lowered to RLIMIT_NOFILE where that is less (the kernel
 * insists). Entries are restricted and enabled on return. 0 or -errno.
 */
int uring_init(struct uring *u, uint32_t nr_files);
/* After every I/O has completed. */
void uring_fini(struct uring *u);

/*
 * Poll a registered file once for input (or POLLHUP, POLLERR); event->fn gets the mask, or
 * -ECANCELED when the poll is to be asked for anew: before Linux 6.13 a file that was removed from
 * the table stays open until all requests end that are older than its removal, and so every
 * removal renews the polls, which would not end by themselves. -EAGAIN: the kernel takes no more
 * entries at this moment.
 */
int uring_poll(struct uring *u, int slot, uint32_t poll_mask, struct uring_poll *poll);
/* Once for each poll, before it is first asked for; it stays in place as long as the uring. */
void uring_add_poll(struct uring *u, struct uring_poll *poll);

/*
 * Submit what was prepared, then call the events of all completions there are, and those put off by
 * call_later. Waits for the first completion for at most timeout_ns: 0, don't wait; UINT64_MAX, as
 * long as it takes. Does not wait when something was put off. 0 or a fatal -errno.
 */
int uring_run(struct uring *u, uint64_t timeout_ns);
