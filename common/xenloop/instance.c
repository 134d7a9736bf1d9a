// SPDX-License-Identifier: MIT
/*
 * An instance's directory: where it is, its lock, its files; and the two files that an instance
 * needs from outside. Called by the commands, by the keeper and the hypervisor when they end.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xenloop/runner.h"

void instance_default_dir(char dir[PATH_MAX])
{
	const char *named = getenv(XENLOOP_ENV_DIR), *runtime = getenv("XDG_RUNTIME_DIR");

	if (named && *named)
		snprintf(dir, PATH_MAX, "%s", named);
	else
		snprintf(dir, PATH_MAX, "%s/xenloop-%u", runtime && *runtime ? runtime : "/tmp",
			 (unsigned)getuid());
}

/* True and path filled in if the file is there and can be used in the way of mode (R_OK, X_OK). */
static bool found(char path[PATH_MAX], int mode, const char *dir, const char *name)
{
	int len = snprintf(path, PATH_MAX, "%s%s", dir, name);

	return len > 0 && len < PATH_MAX && !access(path, mode);
}

int instance_find_library(char path[PATH_MAX])
{
	const char *named = getenv("XENLOOP_LIB");
	char exe[PATH_MAX];

	if (named) {
		if (found(path, R_OK, named, ""))
			return 0;
		complain("XENLOOP_LIB names %s, which cannot be read", named);
		return -ENOENT;
	}
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (len > 0) {
		exe[len] = '\0';
		*strrchr(exe, '/') = '\0';
		if (found(path, R_OK, exe, "/../lib/libxenloop.so"))
			return 0;
	}
	if (found(path, R_OK, RINGWAY_PREFIX, "/lib/libxenloop.so"))
		return 0;
	complain("libxenloop.so not found beside this program or in " RINGWAY_PREFIX
		 "/lib: build it (make), or set XENLOOP_LIB");
	return -ENOENT;
}

static bool found_in_path(char path[PATH_MAX])
{
	char *dirs = strdup(getenv("PATH") ?: ""), *rest = dirs, *dir;
	bool is_found = false;

	while (dirs && !is_found && (dir = strsep(&rest, ":")))
		is_found = *dir && found(path, X_OK, dir, "/xenstored");
	free(dirs);
	return is_found;
}

int instance_find_store(char path[PATH_MAX], const char *asked)
{
	static const char *const places[] = {"/usr/lib/xen-*/bin", "/usr/lib/xen/bin",
					     "/usr/libexec/xen/bin", "/usr/local/sbin"};
	const char *named = asked ? asked : getenv("XENLOOP_XENSTORED");

	if (named) {
		/* It will be started in another directory. */
		if (!access(named, X_OK) && realpath(named, path))
			return 0;
		complain("%s names %s, which cannot be run",
			 asked ? "--xenstored" : "XENLOOP_XENSTORED", named);
		return -ENOENT;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		glob_t dirs;
		bool is_found = false;
		if (glob(places[i], 0, NULL, &dirs))
			continue;
		for (size_t j = dirs.gl_pathc; j-- > 0 && !is_found;) /* the newest first */
			is_found = found(path, X_OK, dirs.gl_pathv[j], "/xenstored");
		globfree(&dirs);
		if (is_found)
			return 0;
	}
	/* Last: Debian's /usr/sbin/xenstored is a wrapper that refuses to start without Xen. */
	if (found_in_path(path))
		return 0;
	complain("xenstored not found: install it (Debian: xen-utils-4.17), or set "
		 "XENLOOP_XENSTORED");
	return -ENOENT;
}

int instance_lock(const char *dir)
{
	char path[PATH_MAX];
	struct stat ours, named;

	if (!found(path, F_OK, dir, "/lock") && errno != ENOENT)
		return -errno;
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int err = errno;
			close(fd);
			return -err;
		}
		/* An instance that ended meanwhile has removed the file: that lock locks nothing. */
		if (!fstat(fd, &ours) && !stat(path, &named) && ours.st_ino == named.st_ino)
			return fd;
		close(fd);
	}
}

void instance_wait(int lock_fd)
{
	while (flock(lock_fd, LOCK_EX) < 0 && errno == EINTR)
		continue;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

static bool is_ours(const char *name)
{
	return !strcmp(name, XENLOOP_SOCKET) || !strcmp(name, XENLOOP_XSD_PORT) ||
	       !strcmp(name, "xenstored") || !strcmp(name, "log") ||
	       (!strncmp(name, "dom", 3) && isdigit((unsigned char)name[3]));
}

void instance_clean(const char *dir, bool keep_log)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX + NAME_MAX + 2];

	while (entries && (entry = readdir(entries))) {
		if (!is_ours(entry->d_name) || (keep_log && !strcmp(entry->d_name, "log")))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
	if (entries)
		closedir(entries);
}
