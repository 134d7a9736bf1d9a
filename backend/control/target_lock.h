/* SPDX-License-Identifier: MIT */
/*
 * The flock on a target, and who has it instead of us. Trusts the kernel; the name of a process is
 * its own to choose. Called by target.c.
 */
#pragma once
#include "backend/control/reason.h"
#include <stdbool.h>
#include <sys/types.h>

/*
 * Exclusive to write, shared to read, without waiting. name: the target's. -EAGAIN with the holder
 * in `why`; 0 also where the file system has no locks, with a line in the log.
 */
int target_lock(const char *name, int fd, bool writable, struct reason *why);

/* A line of /proc/locks: the process that took a flock on this inode; 0: another inode or lock. */
pid_t target_lock_parse(const char *line, dev_t dev, ino_t ino);
