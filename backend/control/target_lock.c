// SPDX-License-Identifier: MIT
/*
 * Locks targets. Trusts the kernel. Called by target.c.
 */
#include "backend/control/target_lock.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* "1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF", the device in hexadecimal. */
pid_t target_lock_parse(const char *line, dev_t dev, ino_t ino)
{
	unsigned int at_major, at_minor;
	unsigned long long at_ino;
	int pid;

	if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &at_major, &at_minor, &at_ino) !=
	    4)
		return 0;
	return at_major == major(dev) && at_minor == minor(dev) && at_ino == ino ? pid : 0;
}

static pid_t find_holder(int fd)
{
	_rwy_free char *line = NULL;
	size_t size = 0;
	struct stat st;
	pid_t pid = 0;

	if (fstat(fd, &st))
		return 0;
	FILE *locks = fopen("/proc/locks", "re");
	if (!locks)
		return 0;
	while (pid <= 0 && getline(&line, &size, locks) > 0)
		pid = target_lock_parse(line, st.st_dev, st.st_ino);
	fclose(locks);
	return pid;
}

/* False: it has ended; what it has handed the file to may still have it. */
static bool name_process(pid_t pid, char *name, size_t size)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	FILE *comm = fopen(path, "re");
	if (!comm)
		return false;
	bool read = fgets(name, (int)size, comm) != NULL;
	fclose(comm);
	name[read ? strcspn(name, "\n") : 0] = '\0';
	return read;
}

static int say_taken(const char *target, int fd, struct reason *why)
{
	pid_t pid = find_holder(fd);
	char name[32];

	if (pid <= 0)
		return reason_set(why, -EAGAIN,
				  "target %s is locked (flock) by a process that can't be seen, on "
				  "another host perhaps; end its use there",
				  target);
	if (!name_process(pid, name, sizeof(name)))
		return reason_set(
			why, -EAGAIN,
			"target %s is locked (flock) by what process %d, which has ended, "
			"left behind; see fuser %s",
			target, (int)pid, target);
	return reason_set(why, -EAGAIN,
			  "target %s is locked (flock) by process %d (%s); end its use of it, or "
			  "attach with mode r if it only reads",
			  target, (int)pid, name);
}

int target_lock(const char *name, int fd, bool writable, struct reason *why)
{
	if (!flock(fd, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return say_taken(name, fd, why);
	rwy_warn("target %s: can't be locked against other writers: %s", name, strerror(errno));
	return 0;
}
