// SPDX-License-Identifier: MIT
/*
 * Finds and opens disks. Trusts dom0 for `params`, and judges only what the kernel says about the
 * fd it got. Called by verdict.c.
 */
#include "backend/control/target.h"
#include "backend/control/target_direct.h"
#include "backend/control/target_lock.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/xs_parse.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define FILE_PHYSICAL_SECTOR_BYTES \
	4096u /* what page caches and file systems like to be written \
					  */

void target_init(struct target *t)
{
	memset(t, 0, sizeof(*t));
	t->fd = -1;
}

void target_fini(struct target *t)
{
	if (t->fd >= 0)
		close(t->fd);
	target_init(t);
}

int target_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	size_t digits = strspn(text, "0123456789");
	unsigned int shift = 0;

	if (text[digits]) {
		const char *unit = strchr(units, text[digits] | 0x20);

		if (!unit || text[digits + 1])
			return -EINVAL;
		shift = 10 * (unsigned int)(unit - units + 1);
	}

	uint64_t n;
	int err = rwy_xs_parse_u64(text, digits, 1, (uint64_t)INT64_MAX >> shift, &n);
	if (err)
		return err;
	*bytes = n << shift;
	return 0;
}

static int set_capacity(struct target *t, uint64_t bytes, struct reason *why)
{
	if (bytes < TARGET_SECTOR_BYTES)
		return reason_set(why, -EINVAL,
				  "target %s is too small: less than one sector of 512 bytes; make "
				  "it as large as the disk shall be",
				  t->name);
	if (bytes % TARGET_SECTOR_BYTES)
		rwy_warn("target %s: its size is no multiple of 512, rounded down by %u bytes",
			 t->name, (unsigned int)(bytes % TARGET_SECTOR_BYTES));
	t->capacity_sect = bytes / TARGET_SECTOR_BYTES;
	return 0;
}

static int resolve_null(struct target *t, const char *size, struct reason *why)
{
	uint64_t bytes;

	if (target_parse_size(size, &bytes))
		return reason_set(why, -EINVAL,
				  "target null:%s: not a size; give bytes, or a number with k, M, "
				  "G or T",
				  size);
	snprintf(t->name, sizeof(t->name), "null:");
	t->physical_sector_bytes = TARGET_SECTOR_BYTES;
	t->kind = TARGET_NULL;
	return set_capacity(t, bytes, why);
}

/*
 * A mapped device's node is /dev/dm-<n>, with another n after each boot; the kernel knows its name.
 */
static void use_mapper_name(struct target *t)
{
	char path[64], name[256];
	_rwy_close int fd = -1;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/name", major(t->dev), minor(t->dev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;

	ssize_t len = read(fd, name, sizeof(name) - 1);
	if (len <= 1)
		return;
	name[len] = '\0';
	name[strcspn(name, "\n")] = '\0';
	snprintf(t->name, sizeof(t->name), "/dev/mapper/%s", name);
}

static int name_it(struct target *t, const struct reason *asked, struct reason *why)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
	ssize_t len = readlink(self, t->name, sizeof(t->name) - 1);
	if (len < 0)
		return reason_set(why, -errno, "target %s: can't tell its real path: %s",
				  asked->text, strerror(errno));
	t->name[len] = '\0';
	if (t->is_block)
		use_mapper_name(t);
	return 0;
}

static const char *kind_name(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a FIFO";
	return S_ISCHR(mode) ? "a character device" : "no disk";
}

static int identify(struct target *t, const struct reason *asked, struct reason *why)
{
	struct stat st;

	if (fstat(t->fd, &st))
		return reason_set(why, -errno, "target %s: %s", asked->text, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return reason_set(why, -EINVAL,
				  "target %s is %s, neither a file nor a block device; give one",
				  asked->text, kind_name(st.st_mode));
	if (S_ISREG(st.st_mode) && !st.st_nlink)
		return reason_set(why, -ENOENT, "target %s was deleted while it was opened",
				  asked->text);

	t->is_block = S_ISBLK(st.st_mode);
	t->dev = t->is_block ? st.st_rdev : 0;
	backing_of_fd(&t->backing, t->fd);
	return name_it(t, asked, why);
}

static int resolve_file(struct target *t, const char *path, struct reason *why)
{
	struct reason asked; /* the path as given, fit to be shown */

	reason_copy(&asked, path, strlen(path));
	if (path[0] != '/')
		return reason_set(why, -EINVAL, "target %s: give the path from / on", asked.text);
	t->fd = open(path, O_PATH | O_CLOEXEC);
	if (t->fd < 0)
		return reason_set(why, -errno, "target %s: %s%s", asked.text, strerror(errno),
				  errno == ENOENT ? "; create it, or correct the disk's target"
						  : "");
	t->kind = TARGET_FILE;
	return identify(t, &asked, why);
}

int target_resolve(struct target *t, const char *params, struct reason *why)
{
	int err;

	if (params[0] == '/')
		err = resolve_file(t, params, why);
	else if (!strncmp(params, "file:", 5))
		err = resolve_file(t, params + 5, why);
	else if (!strncmp(params, "null:", 5))
		err = resolve_null(t, params + 5, why);
	else
		err = reason_set(why, -EINVAL,
				 "target %s: unknown kind; known are file:/PATH, /PATH and "
				 "null:SIZE",
				 params);
	if (err)
		target_fini(t);
	return err;
}

/* The way through /proc opens the very object that was resolved and judged, whatever its path is
 * now. */
static int reopen(const struct target *t, int flags)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
	int fd = open(self, flags | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/* O_DIRECT where guests' 512-byte requests fit it; the page cache otherwise. */
static int open_best(struct target *t, bool writable, int *fd)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | (writable && t->is_block ? O_EXCL : 0);

	*fd = reopen(t, flags | O_DIRECT);
	if (*fd >= 0 && target_direct_works(*fd)) {
		t->direct = true;
		return 0;
	}
	if (*fd >= 0)
		close(*fd);
	else if (*fd != -EINVAL)
		return *fd;

	*fd = reopen(t, flags);
	return *fd < 0 ? *fd : 0;
}

static int measure(struct target *t, int fd, struct reason *why)
{
	struct stat st;
	uint64_t bytes = 0;
	unsigned int physical = FILE_PHYSICAL_SECTOR_BYTES;

	if (t->is_block) {
		if (ioctl(fd, BLKGETSIZE64, &bytes))
			return reason_set(why, -errno, "target %s: can't tell its size: %s",
					  t->name, strerror(errno));
		if (ioctl(fd, BLKPBSZGET, &physical) || physical < TARGET_SECTOR_BYTES)
			physical = TARGET_SECTOR_BYTES;
	} else {
		if (fstat(fd, &st))
			return reason_set(why, -errno, "target %s: can't tell its size: %s",
					  t->name, strerror(errno));
		bytes = (uint64_t)st.st_size;
	}
	t->physical_sector_bytes = physical;
	return set_capacity(t, bytes, why);
}

/* Root may open it all the same; that nobody may write to it is the admin's word for a template. */
static bool is_read_only_file(const struct target *t)
{
	struct stat st;

	return !fstat(t->fd, &st) && S_ISREG(st.st_mode) && !(st.st_mode & 0222);
}

static int open_file(struct target *t, bool writable, struct reason *why)
{
	_rwy_close int fd = -1;
	int err = writable && is_read_only_file(t) ? -EACCES : open_best(t, writable, &fd);

	if (err == -EBUSY)
		return reason_set(why, -EAGAIN,
				  "target %s is in use in dom0: mounted, swap, or part of another "
				  "device; see lsblk %s",
				  t->name, t->name);
	if (err)
		return reason_set(why, err, "target %s can't be opened %s: %s%s", t->name,
				  writable ? "to write" : "to read", strerror(-err),
				  err == -EROFS || err == -EACCES
					  ? "; make it writable, or attach it with mode r"
					  : "");
	err = target_lock(t->name, fd, writable, why);
	if (!err)
		err = measure(t, fd, why);
	if (err)
		return err;
	/* Only now: a lock that is taken is tried again and again, and this is to be said once. */
	if (!t->direct)
		rwy_info("target %s: no O_DIRECT in units of 512 bytes there, I/O goes through the "
			 "page cache",
			 t->name);
	close(t->fd);
	t->fd = rwy_steal_fd(&fd);
	return 0;
}

int target_open(struct target *t, bool writable, struct reason *why)
{
	int err = t->kind == TARGET_FILE ? open_file(t, writable, why) : 0;

	if (err) {
		t->direct = false;
		return err;
	}
	t->open = true;
	t->writable = writable;
	return 0;
}

int target_share(struct target *t, const struct target *other, struct reason *why)
{
	int fd = fcntl(other->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return reason_set(why, -errno, "target %s can't be shared with the VM's source: %s",
				  t->name, strerror(errno));
	close(t->fd);
	t->fd = fd;
	t->open = true;
	t->writable = other->writable;
	t->direct = other->direct;
	t->capacity_sect = other->capacity_sect;
	t->physical_sector_bytes = other->physical_sector_bytes;
	return 0;
}

int target_open_again(const struct target *t)
{
	if (t->fd < 0)
		return -1;

	int fd = reopen(t, (t->writable ? O_RDWR : O_RDONLY) | (t->direct ? O_DIRECT : 0));
	return fd < 0 ? fcntl(t->fd, F_DUPFD_CLOEXEC, 0) : fd;
}

bool target_clashes(const struct target *a, bool a_writable, const struct target *b,
		    bool b_writable)
{
	return (a_writable || b_writable) && backing_overlaps(&a->backing, &b->backing);
}
