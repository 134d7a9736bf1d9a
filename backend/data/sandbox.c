// SPDX-License-Identifier: MIT
/* Implementation of sandbox.h but for the system calls, which sandbox_calls.c lists. */
#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "backend/data/sandbox.h"
#include "common/cleanup.h"
#include "common/log.h"

#define USER	 "ringway"
#define NOBODY	 65534u
#define MAX_OPEN 65536u

struct identity {
	uid_t uid;
	gid_t gid;
};

void sandbox_raise_limits(void)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < MAX_OPEN) {
		struct rlimit more = {.rlim_cur = MAX_OPEN, .rlim_max = MAX_OPEN};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static struct identity find_identity(void)
{
	const struct passwd *pw = getpwnam(USER);

	/* A "ringway" that is root would be a mistake in /etc/passwd: don't follow it. */
	if (pw && pw->pw_uid != 0 && pw->pw_gid != 0)
		return (struct identity){.uid = pw->pw_uid, .gid = pw->pw_gid};
	return (struct identity){.uid = NOBODY, .gid = NOBODY};
}

/*
 * One empty, read-only directory as the whole file system: a mount that is attached nowhere, so that no other
 * namespace sees it and nothing is asked of the root we were started in (which may be a chroot, and no mount point).
 */
static int enter_empty_root(void)
{
	_rwy_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	_rwy_close int root = fsmount(fs, FSMOUNT_CLOEXEC,
				      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					      MOUNT_ATTR_NOEXEC);

	if (root < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return -errno;
	return 0;
}

static int leave_file_system(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return -errno;
	return enter_empty_root();
}

static int become(const struct identity *id)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_change_id((int)id->uid, (int)id->gid,
			    CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT) != 0)
		return -EPERM;
	return 0;
}

/* Without root: whatever capabilities the starter left us go too. */
static int drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	return capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) == 0 ? 0 : -EPERM;
}

static bool is_powerless(void)
{
	uid_t ruid, euid, suid;

	return getresuid(&ruid, &euid, &suid) == 0 && ruid != 0 && euid != 0 && suid != 0 &&
	       capng_get_caps_process() == 0 &&
	       capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE;
}

static int fail(const char *what, int err)
{
	rwy_error("sandbox: cannot %s: %s", what, strerror(-err));
	return err;
}

static int give_up_identity(void)
{
	struct identity id;
	int err;

	if (geteuid() != 0) {
		err = drop_capabilities();
		if (err)
			return fail("drop capabilities", err);
		rwy_info("started without root: the file system and the network stay visible");
		return 0;
	}
	id = find_identity(); /* reads files: before these are gone */
	err = leave_file_system();
	if (err)
		return fail("leave the file system and the network", err);
	err = become(&id);
	return err ? fail("become an ordinary user", err) : 0;
}

int sandbox_enter(int grant_fd, int evtchn_fd)
{
	int err = give_up_identity();

	if (err)
		return err;
	if (!is_powerless())
		return fail("be sure of having no rights left", -EPERM);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail("renounce new privileges", -errno);
	err = sandbox_filter_calls(grant_fd, evtchn_fd);
	return err ? fail("filter system calls", err) : 0;
}
