/* SPDX-License-Identifier: MIT */
/*
 * What a file or block device is made of, as far as the kernel tells at a glance: a loop device is
 * its file, a partition lies on its disk, a mapped device on its slaves. With it two names for the
 * same data are recognised. Trusts sysfs. Called by target.c and rivals.c. Source: Linux,
 * Documentation/ABI/testing/sysfs-block, sysfs-block-loop.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#define BACKING_MAX_LAYERS 16u

struct backing_layer {
	bool is_block;
	dev_t dev; /* a block device's number, or the file system of a file */
	ino_t ino; /* of a file; 0 for a block device */
};

/* All zero: nothing, which overlaps nothing. */
struct backing {
	unsigned int
		nr_same; /* the first so many are the same data: the thing itself, and what it is a loop device of */
	/* The others are what these lie on, with other data. */
	unsigned int nr_layers;
	struct backing_layer layers[BACKING_MAX_LAYERS];
};

/* fd: any, also O_PATH. -errno; -EINVAL: neither a regular file nor a block device. */
int backing_of_fd(struct backing *b, int fd);
/* The same by path; waits for no server of a network file system. */
int backing_of_path(struct backing *b, const char *path);
void backing_of_device(struct backing *b, dev_t dev);

/* Would writing to the one change the other? */
bool backing_overlaps(const struct backing *a, const struct backing *b);
