// SPDX-License-Identifier: MIT
/*
 * Looks at what lies under files and block devices. Trusts the kernel. Called by target.c and
 * rivals.c.
 */
#include "backend/control/backing.h"
#include "common/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SYSFS_PATH_BYTES 320u

static bool same_layer(const struct backing_layer *a, const struct backing_layer *b)
{
	return a->is_block == b->is_block && a->dev == b->dev && a->ino == b->ino;
}

/* False: known already, or no room. */
static bool add(struct backing *b, const struct backing_layer *layer)
{
	for (unsigned int i = 0; i < b->nr_layers; i++) {
		if (same_layer(&b->layers[i], layer))
			return false;
	}
	if (b->nr_layers == BACKING_MAX_LAYERS)
		return false;
	b->layers[b->nr_layers++] = *layer;
	return true;
}

static bool add_device(struct backing *b, dev_t dev)
{
	const struct backing_layer layer = {.is_block = true, .dev = dev};

	return add(b, &layer);
}

/* One line of a file of sysfs; its length, or -errno. */
static ssize_t read_line(const char *path, char *line, size_t size)
{
	_rwy_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t len = read(fd, line, size - 1);
	if (len < 0)
		return -errno;
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return len;
}

/* "MAJOR:MINOR\n" */
static bool read_device(const char *path, dev_t *dev)
{
	unsigned int major, minor;
	char line[32];

	if (read_line(path, line, sizeof(line)) <= 0 || sscanf(line, "%u:%u", &major, &minor) != 2)
		return false;
	*dev = makedev(major, minor);
	return true;
}

static int stat_layer(const struct stat *st, struct backing_layer *layer)
{
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return -EINVAL;
	layer->is_block = S_ISBLK(st->st_mode);
	layer->dev = layer->is_block ? st->st_rdev : st->st_dev;
	layer->ino = layer->is_block ? 0 : st->st_ino;
	return 0;
}

/* AT_STATX_DONT_SYNC: what the kernel knows is enough, and a dead server is not asked. */
static int path_layer(const char *path, struct backing_layer *layer)
{
	struct statx stx;
	struct stat st = {0};

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO,
		  &stx))
		return -errno;
	st.st_mode = stx.stx_mode;
	st.st_ino = stx.stx_ino;
	st.st_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	st.st_rdev = makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
	return stat_layer(&st, layer);
}

/* The file of a loop device; false: it is none, or its file is gone. */
static bool find_loop_file(dev_t dev, struct backing_layer *layer)
{
	char path[SYSFS_PATH_BYTES], file[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file", major(dev),
		 minor(dev));
	return read_line(path, file, sizeof(file)) > 0 && !path_layer(file, layer);
}

/* In sysfs a partition's directory is in its disk's. */
static void add_disk(struct backing *b, dev_t dev)
{
	char path[SYSFS_PATH_BYTES];
	dev_t disk;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	if (access(path, F_OK))
		return;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	if (read_device(path, &disk))
		add_device(b, disk);
}

static void add_slaves(struct backing *b, dev_t dev)
{
	char folder[SYSFS_PATH_BYTES], path[2 * SYSFS_PATH_BYTES];
	const struct dirent *entry;
	dev_t slave;

	snprintf(folder, sizeof(folder), "/sys/dev/block/%u:%u/slaves", major(dev), minor(dev));
	DIR *dir = opendir(folder);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s/dev", folder, entry->d_name);
		if (read_device(path, &slave))
			add_device(b, slave);
	}
	closedir(dir);
}

/* A loop device under a partition or mapped device leads on to its file as well. */
static void add_what_is_under(struct backing *b)
{
	for (unsigned int i = 0; i < b->nr_layers; i++) {
		struct backing_layer file;

		if (!b->layers[i].is_block)
			continue;
		if (i >= b->nr_same && find_loop_file(b->layers[i].dev, &file))
			add(b, &file);
		add_disk(b, b->layers[i].dev);
		add_slaves(b, b->layers[i].dev);
	}
}

static void build(struct backing *b, const struct backing_layer *top)
{
	struct backing_layer next = *top;

	memset(b, 0, sizeof(*b));
	while (add(b, &next) && next.is_block && find_loop_file(next.dev, &next))
		;
	b->nr_same = b->nr_layers;
	add_what_is_under(b);
}

int backing_of_fd(struct backing *b, int fd)
{
	struct backing_layer layer;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	int err = stat_layer(&st, &layer);
	if (!err)
		build(b, &layer);
	return err;
}

int backing_of_path(struct backing *b, const char *path)
{
	struct backing_layer layer;
	int err = path_layer(path, &layer);

	if (!err)
		build(b, &layer);
	return err;
}

void backing_of_device(struct backing *b, dev_t dev)
{
	const struct backing_layer layer = {.is_block = true, .dev = dev};

	build(b, &layer);
}

/* Two partitions have a disk in common, and no data. */
static bool is_in(const struct backing *a, const struct backing *b)
{
	for (unsigned int i = 0; i < a->nr_same; i++) {
		for (unsigned int j = 0; j < b->nr_layers; j++) {
			if (same_layer(&a->layers[i], &b->layers[j]))
				return true;
		}
	}
	return false;
}

bool backing_overlaps(const struct backing *a, const struct backing *b)
{
	return is_in(a, b) || is_in(b, a);
}
