// SPDX-License-Identifier: MIT
/*
 * Makes fences, finds them again and waits for them. Trusts the kernel to tell who holds a FIFO;
 * what a data process writes into it is never read. Called by worker.c and worker_leftovers.c.
 */
#include "backend/control/worker_fence.h"
#include "backend/ctl_msg.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#define PREFIX "fence."

static int make_fifo(struct worker_fence *f)
{
	static unsigned int last;

	do {
		snprintf(f->name, sizeof(f->name), PREFIX "%u", ++last);
		if (!mkfifoat(f->rundir_fd, f->name, 0600))
			return 0;
	} while (errno == EEXIST);
	return -errno;
}

/* Above the numbers under which the child gets its descriptors: one must not overwrite another. */
static int open_to_write(const struct worker_fence *f)
{
	_rwy_close int low = openat(f->rundir_fd, f->name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (low < 0)
		return -errno;
	int fd = fcntl(low, F_DUPFD_CLOEXEC, CTL_FENCE_FD + 1);
	return fd < 0 ? -errno : fd;
}

int worker_fence_create(struct worker_fence *f, int rundir_fd, int *write_fd)
{
	*f = (struct worker_fence){.fd = -1, .rundir_fd = rundir_fd};
	int err = make_fifo(f);

	if (err)
		return err;
	f->fd = openat(rundir_fd, f->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	*write_fd = f->fd < 0 ? -errno : open_to_write(f);
	if (*write_fd >= 0)
		return 0;
	worker_fence_remove(f);
	return *write_fd;
}

/* In clock ticks since boot: with it a process id is not taken for another's. 0: not known. */
static unsigned long long started_at(pid_t pid)
{
	char path[32], stat[512];
	unsigned long long start = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_rwy_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);

	if (len <= 0)
		return 0;
	stat[len] = '\0';
	/* The 22nd field; the second is in brackets, and may have anything in it. */
	const char *rest = strrchr(stat, ')');
	if (!rest || sscanf(rest + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
			    " %*d %*d %llu",
			    &start) != 1)
		return 0;
	return start;
}

void worker_fence_name_holder(struct worker_fence *f, pid_t pid)
{
	char name[WORKER_FENCE_NAME_BYTES];
	int len = snprintf(name, sizeof(name), "%s.%d.%llu", f->name, (int)pid, started_at(pid));

	if (len < (int)sizeof(name) && !renameat(f->rundir_fd, f->name, f->rundir_fd, name))
		strcpy(f->name, name);
}

int worker_fence_open_holder(const struct worker_fence *f, pid_t *pid)
{
	unsigned long long start;
	int id;

	if (sscanf(f->name, PREFIX "%*u.%d.%llu", &id, &start) != 2 || id <= 0 || !start)
		return -ESRCH;
	/* First the pidfd: what it is of can't become another while it is open. */
	_rwy_close int pidfd = pidfd_open(id, 0);
	if (pidfd < 0)
		return -errno;
	if (started_at(id) != start)
		return -ESRCH;
	*pid = id;
	return rwy_steal_fd(&pidfd);
}

static bool is_fifo(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

int worker_fence_find(struct worker_fence *f, int rundir_fd, const char *name)
{
	char byte;

	*f = (struct worker_fence){.fd = -1, .rundir_fd = rundir_fd};
	if (strncmp(name, PREFIX, strlen(PREFIX)) || strlen(name) >= sizeof(f->name))
		return -EINVAL;
	strcpy(f->name, name);
	f->fd = openat(rundir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd < 0)
		return -errno;
	if (!is_fifo(f->fd)) {
		worker_fence_drop(f);
		return -EINVAL;
	}
	/* The end of the file is where no one has it open to write. */
	if (read(f->fd, &byte, sizeof(byte)))
		return 1;
	worker_fence_remove(f);
	return 0;
}

static void on_hangup(void *ctx, uint32_t epoll_events)
{
	struct worker_fence *f = ctx;

	(void)epoll_events;
	rwy_loop_remove(f->source);
	f->source = NULL;
	f->down(f->ctx);
}

int worker_fence_await(struct worker_fence *f, struct rwy_loop *loop, void (*down)(void *ctx),
		       void *ctx)
{
	f->down = down;
	f->ctx = ctx;
	/* A hangup is reported unasked, and nothing else is to be. */
	return rwy_loop_add_fd(loop, f->fd, 0, on_hangup, f, &f->source);
}

bool worker_fence_is_awaited(const struct worker_fence *f)
{
	return f->source != NULL;
}

void worker_fence_remove(struct worker_fence *f)
{
	unlinkat(f->rundir_fd, f->name, 0);
	worker_fence_drop(f);
}

void worker_fence_drop(struct worker_fence *f)
{
	rwy_loop_remove(f->source);
	f->source = NULL;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
