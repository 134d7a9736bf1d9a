// SPDX-License-Identifier: MIT
/* What attacks are made of besides blkif: complaints, random numbers that a seed repeats, time. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "tests/hostile_front/front.h"

int complain(const char *fmt, ...)
{
	va_list args;

	fputs("hostile_front: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return -EPROTO;
}

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
uint64_t front_random(struct front *f)
{
	uint64_t z = f->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void front_random_bytes(struct front *f, void *buf, size_t len)
{
	volatile uint8_t *bytes = buf;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)front_random(f);
}

uint64_t front_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool front_goes_on(struct front *f)
{
	if (f->rounds >= f->max_rounds || front_now_ns() >= f->end_ns)
		return false;
	f->rounds++;
	return true;
}

int front_wait_time(struct front *f)
{
	uint64_t now_ns = front_now_ns();
	uint64_t end_ns = f->max_rounds < UINT32_MAX ? now_ns + 1000000 : f->end_ns;
	struct timespec left = {
		.tv_sec = (time_t)((end_ns - now_ns) / 1000000000),
		.tv_nsec = (long)((end_ns - now_ns) % 1000000000),
	};

	if (end_ns > now_ns)
		nanosleep(&left, NULL);
	return 0;
}
