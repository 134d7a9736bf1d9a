// SPDX-License-Identifier: MIT
/*
 * Stamps (contract: load.h): three words that say which sector this is, and a pattern that depends
 * on all of them, so that a torn or misplaced sector is told from a whole one.
 */
#include <stdio.h>
#include <string.h>
#include "tests/load/load.h"

#define WORDS	    (SECTOR_BYTES / sizeof(uint64_t))
#define STAMP_WORDS (sizeof(struct stamp) / sizeof(uint64_t))
#define STEP	    0x9e3779b97f4a7c15u

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
uint64_t stamp_random(uint64_t *state)
{
	uint64_t z = *state += STEP;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void fill(const struct stamp *stamp, uint64_t words[WORDS])
{
	uint64_t state = stamp->seed ^ stamp->sector * 0xff51afd7ed558ccdu ^
			 stamp->generation * 0xc4ceb9fe1a85ec53u;
	uint64_t first = stamp_random(&state);

	memcpy(words, stamp, sizeof(*stamp));
	for (size_t i = STAMP_WORDS; i < WORDS; i++)
		words[i] = first + i * STEP;
}

void stamp_write(const struct stamp *stamp, void *sector)
{
	uint64_t words[WORDS];

	fill(stamp, words);
	memcpy(sector, words, sizeof(words));
}

bool stamp_matches(const struct stamp *stamp, const void *sector)
{
	uint64_t words[WORDS];

	fill(stamp, words);
	return !memcmp(words, sector, sizeof(words));
}

void stamp_describe(const struct stamp *expected, const void *sector, char *text, size_t size)
{
	struct stamp found;

	memcpy(&found, sector, sizeof(found));
	if (found.seed != expected->seed)
		snprintf(text, size, "something that was not written to this disk");
	else if (!stamp_matches(&found, sector))
		snprintf(text, size,
			 "a torn sector that begins with generation %llu of sector %llu",
			 (unsigned long long)found.generation, (unsigned long long)found.sector);
	else if (found.sector != expected->sector)
		snprintf(text, size, "generation %llu of sector %llu",
			 (unsigned long long)found.generation, (unsigned long long)found.sector);
	else
		snprintf(text, size, "generation %llu", (unsigned long long)found.generation);
}
