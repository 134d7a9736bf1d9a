/* SPDX-License-Identifier: MIT */
/*
 * The run directory, and the lock in it that makes this ringwayd the only one there. Called by
 * main.c.
 */
#pragma once

/* Makes the directory when absent (0755) and takes the lock, which lasts as long as the returned
 * fd, close-on-exec. -errno after saying what is wrong, and with a second instance, who the first
 * is. */
int instance_lock(const char *rundir);
