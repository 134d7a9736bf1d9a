/* SPDX-License-Identifier: MIT */
/*
 * The fence of one data process (backend/ctl_msg.h): it is down when the last I/O that the process
 * handed to the kernel has ended, which may be long after the process itself. A FIFO in the run
 * directory: the process and its io_urings hold the end to write, we the one to read, and a ringwayd
 * after us finds it by its name, fence.N.PID.START, which also says whose it is. A process that lets go of it too early can harm no disks but those
 * that it was handed. Called by worker.c and worker_leftovers.c. Threads: the loop's.
 */
#pragma once
#include "common/loop.h"
#include <stdbool.h>
#include <sys/types.h>

#define WORKER_FENCE_NAME_BYTES 64u

struct worker_fence {
	int fd; /* -1: none */
	int rundir_fd;
	char name[WORKER_FENCE_NAME_BYTES];
	struct rwy_loop_source *source;
	void (*down)(void *ctx);
	void *ctx;
};

/* f is as after worker_fence_drop when it fails. *write_fd is the caller's, close-on-exec, and none
 * of those that a data process is started with. */
int worker_fence_create(struct worker_fence *f, int rundir_fd, int *write_fd);
/* Says in its name which process holds it: a successor may have to kill that. */
void worker_fence_name_holder(struct worker_fence *f, pid_t pid);
/* A pidfd of the process that the name says, the caller's; -ESRCH: it is gone, or there is none. */
int worker_fence_open_holder(const struct worker_fence *f, pid_t *pid);
/*
 * One that another ringwayd has made. 1: somebody holds it; 0: nobody does, and it is removed.
 * -EINVAL: the name is none of a fence, or longer than we make them.
 */
int worker_fence_find(struct worker_fence *f, int rundir_fd, const char *name);

/* Has `down` called once, from the loop, which may drop or remove the fence. */
int worker_fence_await(struct worker_fence *f, struct rwy_loop *loop, void (*down)(void *ctx),
		       void *ctx);
bool worker_fence_is_awaited(const struct worker_fence *f);

/* It is down: the FIFO goes. */
void worker_fence_remove(struct worker_fence *f);
/* Leaves the FIFO to be found. One that is dropped already is fine. */
void worker_fence_drop(struct worker_fence *f);
