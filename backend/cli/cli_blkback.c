// SPDX-License-Identifier: MIT
/*
 * Unbinds xen-blkback from one disk. Called by the attach and hotplug commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/cli/cli_blkback.h"
#include "common/cleanup.h"

#define PATH_BYTES 512u
#define ALIAS	   "xen-backend:vbd" /* what the kernel asks udev to load a driver for */

extern char **environ;

struct place {
	char device[PATH_BYTES]; /* of the disk on the xen-backend bus */
	char driver[PATH_BYTES]; /* of xen-blkback, when it is loaded */
	char name[40];		 /* "vbd-3-51712" */
};

static int find_place(uint32_t domid, uint32_t devid, struct place *p)
{
	const char *root = getenv(CLI_BLKBACK_SYSFS_ENV) ?: "/sys";

	if (strlen(root) > PATH_BYTES / 2)
		return -ENAMETOOLONG;
	snprintf(p->name, sizeof(p->name), "vbd-%u-%u", domid, devid);
	snprintf(p->device, sizeof(p->device), "%s/bus/xen-backend/devices/%s", root, p->name);
	snprintf(p->driver, sizeof(p->driver), "%s/bus/xen-backend/drivers/vbd", root);
	return 0;
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

/*
 * The kernel may have asked udev for the module a moment ago; modprobe then waits for the same one.
 * -b: not one that the admin has blacklisted. That there is none is fine.
 */
static void load_driver(void)
{
	static const char *const argv[] = {"modprobe", "-b", "-q", ALIAS, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions))
		return;
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ))
		waitpid(pid, NULL, 0);
	posix_spawn_file_actions_destroy(&actions);
}

static int unbind(const struct place *p)
{
	char path[PATH_BYTES + 16];

	snprintf(path, sizeof(path), "%s/driver/unbind", p->device);
	_rwy_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, p->name, strlen(p->name)) < 0 ? -errno : 0;
}

int cli_blkback_let_go(uint32_t domid, uint32_t devid, char *why, unsigned long size)
{
	char bound[PATH_BYTES + 16];
	struct place p;
	int err = find_place(domid, devid, &p);

	if (err) {
		snprintf(why, size, "$" CLI_BLKBACK_SYSFS_ENV " is too long a path");
		return err;
	}
	snprintf(bound, sizeof(bound), "%s/driver", p.device);
	if (!exists(p.device))
		return 0;
	if (!exists(bound) && !exists(p.driver))
		load_driver();
	if (!exists(bound))
		return 0;
	err = unbind(&p);
	if (!err || !exists(bound)) /* it may have let go by itself */
		return 0;
	snprintf(why, size,
		 "xen-blkback has %s and does not let go of it: writing to %s/unbind: %s", p.name,
		 bound, strerror(-err));
	return err;
}
