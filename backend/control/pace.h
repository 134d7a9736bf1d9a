/* SPDX-License-Identifier: MIT */
/*
 * How often something that a guest causes is acted upon: a burst at once, then one in an interval.
 * Pure, with the clock as an argument. Zero-initialise. Threads: one at a time.
 */
#pragma once
#include <stdint.h>

/* A frontend's states: a handshake is five of them, and a boot loader has one of its own. */
#define PACE_BURST	 40u
#define PACE_INTERVAL_NS 20000000ull

struct pace {
	uint64_t paid_until_ns; /* what was done is paid for, at one in an interval, by then */
};

/* 0: go ahead, it is counted. Otherwise nothing is counted; ask again in so many nanoseconds. */
uint64_t pace_ask(struct pace *pace, uint64_t now_ns);
