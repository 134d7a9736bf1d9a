/* SPDX-License-Identifier: MIT */
/*
 * The table of attacks: what each does, and what a backend has to answer. main.c connects first
 * where that is asked for, runs the attack, checks the answer, and then that the same device serves
 * a frontend that behaves.
 */
#pragma once
#include "tests/hostile_front/front.h"

enum attack_answer {
	/* The attack judges the responses itself; the ring goes on. */
	ANSWER_STATUS,
	/* The device is given up: Closing or Closed, with the reason in `error`. */
	ANSWER_BROKEN,
	/* Either; what counts is that nobody else notices and that a new ring is served. */
	ANSWER_ANY,
	/* The attack ends with a device that only the toolstack can bring back. */
	ANSWER_GONE,
};

enum attack_start {
	START_CONNECTED, /* one page, native */
	START_ALONE,	 /* the backend is in InitWait; the attack connects as it likes */
};

struct attack {
	const char *name;
	const char *behaviour;
	enum attack_answer answer;
	enum attack_start start;
	bool read_only; /* the disk has to be */
	int (*run)(struct front *f);
};

/* Each ends with an entry without a name. */
extern const struct attack ring_attacks[];
extern const struct attack request_attacks[];
extern const struct attack grant_attacks[];
extern const struct attack event_attacks[];
extern const struct attack store_attacks[];
extern const struct attack state_attacks[];
