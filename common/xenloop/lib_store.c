// SPDX-License-Identifier: MIT
/*
 * What oxenstored needs of the preloaded library beyond what xenstored does. It wants privileges
 * (a limit of files beyond its own) and has its places compiled in, where xenstored takes them from
 * the environment: so $XENSTORED_ROOTDIR, which only a store of an instance is started with, stands
 * for them here. For every other program these are libc's own calls.
 */
#pragma GCC visibility push(default)
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#pragma GCC visibility pop
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "common/xenloop/lib.h"

#define COMPILED_IN "/var/run/xenstored"

const char *store_path(const char *path, char place[PATH_MAX])
{
	const char *dir = getenv("XENSTORED_ROOTDIR");
	size_t len = strlen(COMPILED_IN);

	if (!dir || !path || !getenv(XENLOOP_ENV_DIR) || strncmp(path, COMPILED_IN, len) ||
	    (path[len] && path[len] != '/'))
		return path;
	snprintf(place, PATH_MAX, "%s%s", dir, path + len);
	return place;
}

int mkdir(const char *path, mode_t mode)
{
	char place[PATH_MAX];

	return mkdirat(AT_FDCWD, store_path(path, place), mode);
}

int unlink(const char *path)
{
	char place[PATH_MAX];

	return unlinkat(AT_FDCWD, store_path(path, place), 0);
}

int bind(int sock, __CONST_SOCKADDR_ARG address, socklen_t len)
{
	const struct sockaddr_un *named = address.__sockaddr_un__;
	struct sockaddr_un ours = {.sun_family = AF_UNIX};
	char path[sizeof(named->sun_path) + 1] = "", place[PATH_MAX];

	if (len > offsetof(struct sockaddr_un, sun_path) && len <= sizeof(*named) &&
	    named->sun_family == AF_UNIX)
		memcpy(path, named->sun_path, len - offsetof(struct sockaddr_un, sun_path));
	if (store_path(path, place) != path) {
		if (strlen(place) >= sizeof(ours.sun_path))
			return fail(ENAMETOOLONG);
		strcpy(ours.sun_path, place);
		named = &ours;
		len = sizeof(ours);
	}
	return syscall(SYS_bind, sock, named, len);
}

/* Where a store may not have as many files as it wants, it gets as many as it may have. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	struct rlimit most;

	if (!prlimit(0, resource, limit, NULL))
		return 0;
	if (errno != EPERM || resource != RLIMIT_NOFILE || !getenv("XENSTORED_ROOTDIR") ||
	    getrlimit(resource, &most) < 0)
		return -1;
	most.rlim_cur = most.rlim_max;
	return prlimit(0, resource, &most, NULL);
}
