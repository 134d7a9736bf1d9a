// SPDX-License-Identifier: MIT
/*
 * Keeps journals in files. Trusts what is in the directory to be ours or a predecessor's, and of the
 * contents nothing: a data process may have been taken over. Called by device_journal.c and
 * main.c.
 */
#include "backend/control/journal_file.h"
#include "backend/ctl_msg.h"
#include "common/cleanup.h"
#include "common/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DIRECTORY  "journal"
#define NAME_BYTES 40u
#define MAX_QUEUES 16u
/*
 * A page of the ring holds that many, in every ABI: requests take 108 or 112 bytes, and a ring has a
 * power of two of them.
 */
#define REQUESTS_PER_PAGE 32u

int journal_file_open_dir(const char *rundir)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/" DIRECTORY, rundir) >= sizeof(path))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

uint32_t journal_file_entries(uint32_t nr_ring_pages)
{
	return nr_ring_pages * REQUESTS_PER_PAGE;
}

static void name_it(char name[NAME_BYTES], uint32_t domid, uint32_t devid, uint32_t queue)
{
	snprintf(name, NAME_BYTES, "%u-%u-%u", domid, devid, queue);
}

/* A data process writes to the mapped file: there has to be room, or it would be killed for it. One
 * of another version may have had less. */
static int make_room(int fd, uint32_t nr_entries)
{
	return -posix_fallocate(fd, 0, (off_t)journal_file_bytes(nr_entries));
}

/* Nobody has it mapped: what died was about it, or died because of another since. */
static int clear_busy(int fd)
{
	const uint32_t none = 0;
	ssize_t len = pwrite(fd, &none, sizeof(none), offsetof(struct journal_header, busy));

	return len == sizeof(none) ? 0 : len < 0 ? -errno : -EIO;
}

/* The magic comes last, so that one that is not finished is none. */
static int fill(int fd, const struct journal_identity *identity)
{
	uint32_t nr_entries = journal_file_entries(identity->nr_ring_pages);
	struct journal_header h = {
		.magic = JOURNAL_MAGIC,
		.version = JOURNAL_VERSION,
		.nr_entries = nr_entries,
		.entry_bytes = JOURNAL_ENTRY_BYTES,
		.identity = *identity,
		.state = JOURNAL_NEW,
	};
	int err = make_room(fd, nr_entries);

	if (err)
		return err;
	const size_t rest = sizeof(h) - sizeof(h.magic);

	if (pwrite(fd, (const char *)&h + sizeof(h.magic), rest, sizeof(h.magic)) !=
		    (ssize_t)rest ||
	    pwrite(fd, &h.magic, sizeof(h.magic), 0) != sizeof(h.magic))
		return errno ? -errno : -EIO;
	return 0;
}

int journal_file_create(int dir_fd, const struct journal_identity *identity, struct reason *why)
{
	char name[NAME_BYTES];

	name_it(name, identity->domid, identity->devid, identity->queue);
	unlinkat(dir_fd, name, 0);
	_rwy_close int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return reason_set(why, -errno, "its journal can't be made: %s", strerror(errno));
	int err = fill(fd, identity);
	if (err) {
		unlinkat(dir_fd, name, 0);
		return reason_set(why, err, "its journal can't be written: %s", strerror(-err));
	}
	return rwy_steal_fd(&fd);
}

#define PART(what_, field)                                               \
	{                                                                \
		what_, offsetof(struct journal_identity, field),         \
			sizeof(((struct journal_identity *)NULL)->field) \
	}

static const struct part {
	const char *what;
	size_t offset, bytes;
} parts[] = {
	PART("the VM's uuid", vm_uuid),
	PART("the domain", domid),
	PART("the device", devid),
	PART("the queue", queue),
	PART("multi-queue-num-queues", nr_queues),
	PART("protocol", abi),
	PART("event-channel", evtchn),
	PART("the number of ring pages", nr_ring_pages),
	PART("ring-ref", ring_gref),
	PART("mode", read_only),
	PART("the target's device", target_dev),
	PART("the target's inode", target_ino),
};

/* NULL: nothing. */
static const char *find_difference(const struct journal_identity *then,
				   const struct journal_identity *now)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct part *p = &parts[i];

		if (memcmp((const char *)then + p->offset, (const char *)now + p->offset, p->bytes))
			return p->what;
	}
	/* It may have grown: its guest goes by what it was told. */
	return now->capacity_sect < then->capacity_sect ? "the target's size" : NULL;
}

static int open_and_read(int dir_fd, uint32_t domid, uint32_t devid, uint32_t queue,
			 struct journal_header *h)
{
	char name[NAME_BYTES];

	name_it(name, domid, devid, queue);
	_rwy_close int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	ssize_t len = pread(fd, h, sizeof(*h), 0);
	if (len < 0)
		return -errno;
	return len == sizeof(*h) && h->magic == JOURNAL_MAGIC ? rwy_steal_fd(&fd) : -EBADMSG;
}

int journal_file_find(int dir_fd, const struct journal_identity *identity, struct reason *why)
{
	struct journal_header h;
	_rwy_close int fd =
		open_and_read(dir_fd, identity->domid, identity->devid, identity->queue, &h);

	if (fd == -ENOENT)
		return reason_set(
			why, fd, "its journal is missing: what the guest has in flight is unknown");
	if (fd == -EBADMSG)
		return reason_set(why, fd, "its journal is damaged: it has no header");
	if (fd < 0)
		return reason_set(why, fd, "its journal can't be read: %s", strerror(-fd));

	const char *what = find_difference(&h.identity, identity);
	if (what)
		return reason_set(why, -ESTALE, "its journal is of another ring: %s differs", what);
	int err = make_room(fd, journal_file_entries(identity->nr_ring_pages));
	if (!err)
		err = clear_busy(fd);
	if (err)
		return reason_set(why, err, "its journal can't be written: %s", strerror(-err));
	return rwy_steal_fd(&fd);
}

int journal_file_read(int dir_fd, uint32_t domid, uint32_t devid, uint32_t queue,
		      struct journal_header *h)
{
	int fd = open_and_read(dir_fd, domid, devid, queue, h);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

void journal_file_remove(int dir_fd, uint32_t domid, uint32_t devid)
{
	char name[NAME_BYTES];

	for (uint32_t queue = 0; queue < MAX_QUEUES; queue++) {
		name_it(name, domid, devid, queue);
		unlinkat(dir_fd, name, 0);
	}
}

void journal_file_sweep(int dir_fd, bool (*wanted)(void *ctx, uint32_t domid, uint32_t devid),
			void *ctx)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint32_t domid, devid;

	if (!dir) {
		rwy_warn("journals of disks that are gone can't be looked for: %s",
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (sscanf(entry->d_name, "%u-%u-", &domid, &devid) == 2 &&
		    !wanted(ctx, domid, devid))
			unlinkat(dir_fd, entry->d_name, 0);
	}
	closedir(dir);
}
