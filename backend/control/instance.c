// SPDX-License-Identifier: MIT
/*
 * One ringwayd per run directory. Trusts whoever may write there, which is root. Called by main.c.
 */
#include "backend/control/instance.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_FILE "ringwayd.pid"

static void say_who(int fd, const char *path)
{
	char pid[16];
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len > 0 ? len : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	rwy_error("another ringwayd runs already%s%s (%s is locked)", *pid ? ", as pid " : "", pid,
		  path);
}

static int write_pid(int fd)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)len, 0) != len)
		return errno ? -errno : -EIO;
	return 0;
}

int instance_lock(const char *rundir)
{
	char path[PATH_MAX];
	_rwy_close int fd = -1;
	int err;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", rundir, LOCK_FILE) >= sizeof(path)) {
		rwy_error("run directory %s: too long a path", rundir);
		return -ENAMETOOLONG;
	}
	if (mkdir(rundir, 0755) && errno != EEXIST) {
		err = -errno;
		rwy_error("run directory %s: %s", rundir, strerror(-err));
		return err;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		err = -errno;
		rwy_error("%s: %s; ringwayd must be run as root", path, strerror(-err));
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		say_who(fd, path);
		return err;
	}
	err = write_pid(fd);
	if (err) {
		rwy_error("%s: %s", path, strerror(-err));
		return err;
	}
	return rwy_steal_fd(&fd);
}
