/* SPDX-License-Identifier: MIT */
/*
 * Starts a data process: exec, so that it has no memory of ours, with its socket as CTL_FD, its
 * fence as CTL_FENCE_FD, stderr, and no other descriptor. Called by worker.c.
 */
#pragma once
#include "backend/control/worker.h"

/* fence_fd: borrowed. On success *pidfd and *socket_fd are the caller's, close-on-exec. */
int worker_spawn(const struct worker_config *config, int fence_fd, pid_t *pid, int *pidfd,
		 int *socket_fd);
