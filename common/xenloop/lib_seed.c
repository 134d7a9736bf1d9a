// SPDX-License-Identifier: MIT
/*
 * The order of wake-ups by seed: with XENLOOP_SEED set, the numbers by which the event handles
 * choose among pending events and linger before they notify. Nothing but timing comes of it: a
 * program that is right works with every seed. Called by lib_evtchn.c.
 */
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

#define LINGER_SIDES 4u
#define LINGER_NS    20000 /* a step; the kernel's timer slack comes on top */

bool seed_given;

static uint64_t seed;
static _Atomic uint64_t nr_dice;

__attribute__((constructor)) static void read_seed(void)
{
	const char *text = getenv(XENLOOP_ENV_SEED);
	char *end;

	if (!text || !*text)
		return;
	errno = 0;
	seed = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9')
		fault_refuse(XENLOOP_ENV_SEED ": \"%s\" is not a number", text);
	seed_given = true;
}

/* SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): a counter
 * and a mixer, so that several threads may roll one die. */
#define STEP 0x9e3779b97f4a7c15ull

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void seed_die_init(struct seed_die *die)
{
	uint64_t nr = atomic_fetch_add(&nr_dice, 1);

	atomic_init(&die->state, mix(seed + STEP) ^ mix(nr));
}

uint32_t seed_roll(struct seed_die *die, uint32_t sides)
{
	uint64_t state = atomic_fetch_add(&die->state, STEP) + STEP;

	return (mix(state) >> 32) * sides >> 32;
}

/* A futex that nobody wakes: sched_yield is not among the calls that a sandbox leaves us. */
void seed_linger(struct seed_die *die)
{
	const struct timespec pause = {.tv_nsec = seed_roll(die, LINGER_SIDES) * LINGER_NS};
	uint32_t word = 0;

	if (pause.tv_nsec)
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &pause, NULL, 0);
}
