/* SPDX-License-Identifier: MIT */
/*
 * Waiting for xenstore to change, up to a deadline. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "common/xenbus.h"

struct cli_wait {
	struct rwy_xenbus *xb;
	struct rwy_xenbus_watch *watch;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC */
	bool changed;
};

uint64_t cli_wait_now_ns(void);
/* Milliseconds to the deadline for poll(), rounded up; 0 when it has passed. */
int cli_wait_left_ms(uint64_t deadline_ns);

/* Watch path and what is under it. wait must stay where it is until closed. 0 or -errno. */
int cli_wait_open(struct cli_wait *wait, struct rwy_xenbus *xb, uint64_t deadline_ns,
		  const char *path);
/* Returns 0 when something changed since the last call (the first call: at once), -ETIMEDOUT, or
 * -errno of the store. */
int cli_wait_next(struct cli_wait *wait);
void cli_wait_close(struct cli_wait *wait);
