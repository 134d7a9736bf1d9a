// SPDX-License-Identifier: MIT
/*
 * Waits for the fences of a predecessor's data processes, and kills those that don't leave. Trusts
 * what is in the run directory, which is root's alone to write. Called by worker.c.
 */
#include "backend/control/worker_leftovers.h"
#include "backend/control/worker_fence.h"
#include "common/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull
#define SLOW_NS	  (5 * SECOND_NS)
#define KILL_NS	  (30 * SECOND_NS) /* as a ringwayd that leaves would */

struct leftover {
	LIST_ENTRY(leftover) link;
	struct worker_leftovers *all;
	struct worker_fence fence;
	pid_t pid;
	int pidfd; /* < 0: it is gone, and what it left is I/O in the kernel */
};

struct worker_leftovers {
	struct rwy_loop *loop;
	int rundir_fd;
	const struct worker_leftovers_events *events;
	void *ctx;
	struct rwy_loop_timer *timer;
	bool slow; /* and said to be */
	unsigned int nr;
	LIST_HEAD(leftover_list, leftover) list;
};

static void forget(struct leftover *l)
{
	LIST_REMOVE(l, link);
	l->all->nr--;
	if (l->pidfd >= 0)
		close(l->pidfd);
	free(l);
}

static void on_down(void *ctx)
{
	struct leftover *l = ctx;
	struct worker_leftovers *all = l->all;

	worker_fence_remove(&l->fence);
	forget(l);
	if (all->nr)
		return;
	rwy_loop_disarm_timer(all->timer);
	all->events->gone(all->ctx);
}

/* One that does not leave when its ringwayd is gone is out of its mind. */
static void kill_all(struct worker_leftovers *all)
{
	struct leftover *l;

	LIST_FOREACH(l, &all->list, link)
	{
		if (l->pidfd < 0)
			continue;
		rwy_warn("data process %d, of a ringwayd before this one, does not leave; it is "
			 "killed",
			 (int)l->pid);
		pidfd_send_signal(l->pidfd, SIGKILL, NULL, 0);
	}
}

static void on_slow(void *ctx)
{
	struct worker_leftovers *all = ctx;

	if (all->slow) {
		kill_all(all);
		return;
	}
	all->slow = true;
	all->events->slow(all->ctx, all->nr);
	rwy_loop_arm_timer(all->timer, rwy_loop_now_ns(all->loop) + KILL_NS - SLOW_NS);
}

static int add(struct worker_leftovers *all, const char *name)
{
	struct leftover *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->all = all;
	int held = worker_fence_find(&l->fence, all->rundir_fd, name);
	int err = held > 0 ? worker_fence_await(&l->fence, all->loop, on_down, l) : held;

	if (held <= 0 || err) {
		worker_fence_drop(&l->fence);
		free(l);
		return err == -EINVAL ? 0 : err; /* no fence */
	}
	l->pidfd = worker_fence_open_holder(&l->fence, &l->pid);
	LIST_INSERT_HEAD(&all->list, l, link);
	all->nr++;
	return 0;
}

static int find_all(struct worker_leftovers *all)
{
	int fd = openat(all->rundir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int err = 0;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir)))
		err = add(all, entry->d_name);
	closedir(dir);
	return err;
}

int worker_leftovers_create(struct worker_leftovers **leftovers, struct rwy_loop *loop,
			    int rundir_fd, const struct worker_leftovers_events *events, void *ctx)
{
	struct worker_leftovers *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->rundir_fd = rundir_fd;
	all->events = events;
	all->ctx = ctx;
	LIST_INIT(&all->list);
	int err = rwy_loop_add_timer(loop, on_slow, all, &all->timer);
	if (!err)
		err = find_all(all);
	if (err) {
		worker_leftovers_destroy(all);
		return err;
	}
	if (all->nr)
		rwy_loop_arm_timer(all->timer, rwy_loop_now_ns(loop) + SLOW_NS);
	*leftovers = all;
	return 0;
}

void worker_leftovers_destroy(struct worker_leftovers *leftovers)
{
	struct leftover *l;

	if (!leftovers)
		return;
	while ((l = LIST_FIRST(&leftovers->list))) {
		worker_fence_drop(&l->fence);
		forget(l);
	}
	rwy_loop_remove_timer(leftovers->timer);
	free(leftovers);
}

unsigned int worker_leftovers_count(const struct worker_leftovers *leftovers)
{
	return leftovers ? leftovers->nr : 0;
}
