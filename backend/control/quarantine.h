/* SPDX-License-Identifier: MIT */
/*
 * When a device has been the end of too many data processes: a guest that can bring one down would
 * otherwise have all that are in it pause again and again. Pure, with the clock as an argument.
 * Zero-initialise. Called by device_link.c. Threads: one at a time.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define QUARANTINE_DEATHS    3u
#define QUARANTINE_WITHIN_NS 60000000000ull

struct quarantine {
	uint64_t death_ns[QUARANTINE_DEATHS]; /* the last ones, in a ring */
	unsigned int nr;
};

/* One more process died while it was about this device. True: that makes too many. */
bool quarantine_charge(struct quarantine *q, uint64_t now_ns);
