// SPDX-License-Identifier: MIT
/*
 * Reads a guest's disk as fast as it goes, for benches: `blkbench DEVICE BYTES DEPTH SECONDS` keeps
 * DEPTH random reads of BYTES each in flight and prints how many were answered in how long, as one
 * line of JSON. One program for every backend. Trusts the bench that runs it.
 */
#include <err.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "frontend/user/libringway.h"

#define DEPTH_MAX 1024u
#define SECOND_NS 1000000000ull

struct bench {
	struct rwy_vbd *vbd;
	size_t bytes;
	unsigned int depth;
	uint64_t duration_ns;
	struct rwy_vbd_io io[DEPTH_MAX];
	sem_t over;
	/* The library's thread's alone until it is over. */
	uint64_t nr_places;
	uint64_t random; /* state of the sequence of places */
	uint64_t start_ns, end_ns;
	uint64_t requests;
	unsigned int in_flight;
	bool stop;
	int error; /* the first, -errno */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* xorshift64: any place as likely as another is all that is asked. */
static uint64_t next_place(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random % b->nr_places;
}

static void submit(struct bench *b, struct rwy_vbd_io *io)
{
	io->offset = next_place(b) * b->bytes;
	b->in_flight++;
	int error = rwy_vbd_submit(b->vbd, io);

	if (!error)
		return;
	b->error = error;
	b->in_flight--;
}

/* The next request takes the place of this one. The clock is looked at once in a while. */
static void done(struct rwy_vbd_io *io, int result)
{
	struct bench *b = io->user;

	b->in_flight--;
	b->requests++;
	if (result)
		b->error = result;
	if (b->error || (b->requests % 64 == 0 && now_ns() - b->start_ns >= b->duration_ns))
		b->stop = true;
	if (!b->stop)
		submit(b, io);
	if (b->in_flight)
		return;
	b->end_ns = now_ns();
	sem_post(&b->over);
}

/* The first answer starts the clock, and all others. */
static void begin(struct rwy_vbd_io *io, int result)
{
	struct bench *b = io->user;

	b->in_flight--;
	b->error = result;
	b->start_ns = now_ns();
	for (unsigned int i = 0; i < b->depth && !b->error; i++) {
		b->io[i].done = done;
		submit(b, &b->io[i]);
	}
	if (!b->in_flight)
		sem_post(&b->over);
}

static void run(struct bench *b)
{
	char *buffers = aligned_alloc(4096, b->depth * b->bytes);

	if (!buffers || sem_init(&b->over, 0, 0))
		err(EXIT_FAILURE, "no memory");
	memset(buffers, 0, b->depth * b->bytes);
	for (unsigned int i = 0; i < b->depth; i++)
		b->io[i] = (struct rwy_vbd_io){.op = RWY_VBD_READ,
					       .buf = buffers + i * b->bytes,
					       .len = b->bytes,
					       .done = begin,
					       .user = b};
	submit(b, &b->io[0]);
	if (b->in_flight)
		sem_wait(&b->over);
	rwy_vbd_close(b->vbd);
	free(buffers);
	if (b->error)
		errx(EXIT_FAILURE, "%s", strerror(-b->error));
	printf("{\"requests\": %" PRIu64 ", \"seconds\": %.6f}\n", b->requests,
	       (double)(b->end_ns - b->start_ns) / (double)SECOND_NS);
}

static uint64_t number(const char *what, const char *text, uint64_t max)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*end || value == 0 || value > max)
		errx(EXIT_FAILURE, "%s is 1 to %" PRIu64 ", not %s", what, max, text);
	return value;
}

int main(int argc, char **argv)
{
	const struct rwy_vbd_options options = {.max_ring_pages = 4, .max_data_pages = 704};
	static struct bench b;
	struct rwy_vbd_info info;
	char why[RWY_VBD_WHY_BYTES];

	if (argc != 5)
		errx(EXIT_FAILURE, "usage: blkbench DEVICE BYTES DEPTH SECONDS");
	b.bytes = number("BYTES", argv[2], 1 << 20);
	b.depth = (unsigned int)number("DEPTH", argv[3], DEPTH_MAX);
	b.duration_ns = number("SECONDS", argv[4], 3600) * SECOND_NS;
	b.random = 88172645463325252u;
	if (rwy_vbd_open(argv[1], &options, &b.vbd, why, sizeof(why)))
		errx(EXIT_FAILURE, "%s: %s", argv[1], why);
	rwy_vbd_get_info(b.vbd, &info);
	b.nr_places = info.capacity_bytes / b.bytes;
	if (b.nr_places == 0 || b.bytes % info.sector_bytes)
		errx(EXIT_FAILURE, "%s: no reads of %zu bytes", argv[1], b.bytes);
	run(&b);
	return EXIT_SUCCESS;
}
