// SPDX-License-Identifier: MIT
/*
 * The load on one disk (contract: load.h). A request that is done begins the next one, so that as
 * many as were asked for are always in flight; half of them go to a small part of the disk, where
 * what was written is soon overwritten: a write that comes late is seen there.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/load/load.h"

#define NS_PER_S	   1000000000ull
#define CONNECT_TIMEOUT_MS 30000u
#define TRIES_FOR_A_PLACE  16
#define HOT_PART	   8u  /* of the disk */
#define FLUSH_EVERY	   32u /* requests, on average */

uint64_t disk_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Its first fault is said, and nothing begins any more. */
__attribute__((format(printf, 2, 3))) static int fail(struct disk *d, const char *fmt, ...)
{
	char text[RWY_VBD_WHY_BYTES + 128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!d->failed)
		fprintf(stderr, "load: %s: %s\n", d->name, text);
	d->failed = true;
	d->stopping = true;
	kill(getpid(), SIGUSR2);
	return -1;
}

static int fail_io(struct disk *d, const struct rwy_vbd_io *io, int err)
{
	static const char *const names[] = {
		[RWY_VBD_READ] = "read", [RWY_VBD_WRITE] = "write", [RWY_VBD_FLUSH] = "flush"};
	char why[RWY_VBD_WHY_BYTES];

	d->tally.errors++;
	if (!rwy_vbd_status(d->vbd, why, sizeof(why)))
		snprintf(why, sizeof(why), "the disk is connected");
	return fail(d, "%s of %zu bytes at %llu: %s; %s", names[io->op], io->len,
		    (unsigned long long)io->offset, strerror(-err), why);
}

static struct stamp stamp_of(const struct disk *d, uint64_t sector)
{
	return (struct stamp){
		.seed = d->options.seed,
		.sector = sector,
		.generation = d->generation[sector],
	};
}

static int check(struct disk *d, const uint8_t *buf, uint64_t sector, uint64_t nr_sect)
{
	char text[160];

	for (uint64_t i = 0; i < nr_sect; i++) {
		struct stamp expected = stamp_of(d, sector + i);
		const uint8_t *at = buf + i * SECTOR_BYTES;

		if (stamp_matches(&expected, at))
			continue;
		d->tally.mismatches++;
		stamp_describe(&expected, at, text, sizeof(text));
		return fail(d, "sector %llu must hold generation %llu, a read found %s",
			    (unsigned long long)(sector + i),
			    (unsigned long long)expected.generation, text);
	}
	return 0;
}

/* A new generation of these sectors; buf is what is to be written. */
static void stamp_all(struct disk *d, uint8_t *buf, uint64_t sector, uint64_t nr_sect)
{
	uint64_t generation = ++d->last_generation;

	for (uint64_t i = 0; i < nr_sect; i++) {
		d->generation[sector + i] = generation;
		struct stamp stamp = stamp_of(d, sector + i);
		stamp_write(&stamp, buf + i * SECTOR_BYTES);
	}
}

static void mark(struct disk *d, const struct rwy_vbd_io *io, uint8_t in_use)
{
	memset(d->in_use + io->offset / SECTOR_BYTES, in_use, io->len / SECTOR_BYTES);
}

static bool is_free(const struct disk *d, uint64_t sector, uint64_t nr_sect)
{
	return !memchr(d->in_use + sector, 1, nr_sect);
}

/* Small ones, the largest, and anything between. */
static uint64_t choose_size(struct disk *d)
{
	uint64_t max_sect = d->options.max_bytes / SECTOR_BYTES;

	switch (stamp_random(&d->random) % 4) {
	case 0:
		return 1 + stamp_random(&d->random) % (max_sect < 8 ? max_sect : 8);
	case 1:
		return max_sect;
	default:
		return 1 + stamp_random(&d->random) % max_sect;
	}
}

/* False when there is no room between those that are in flight. */
static bool choose_place(struct disk *d, uint64_t nr_sect, uint64_t *sector)
{
	uint64_t within = d->nr_sect;

	if (stamp_random(&d->random) % 2 && d->nr_sect / HOT_PART > nr_sect)
		within = d->nr_sect / HOT_PART;
	for (int i = 0; i < TRIES_FOR_A_PLACE; i++) {
		*sector = stamp_random(&d->random) % (within - nr_sect + 1);
		if (is_free(d, *sector, nr_sect))
			return true;
		within = d->nr_sect;
	}
	return false;
}

/* Called with the lock. */
static void choose(struct disk *d, struct request *r)
{
	struct rwy_vbd_io *io = &r->io;
	uint64_t nr_sect = choose_size(d), sector = 0;
	bool flush = stamp_random(&d->random) % FLUSH_EVERY == 0;

	if (flush || !choose_place(d, nr_sect, &sector))
		nr_sect = 0;
	io->op = !nr_sect			     ? RWY_VBD_FLUSH
		 : stamp_random(&d->random) % 2 == 0 ? RWY_VBD_READ
						     : RWY_VBD_WRITE;
	io->offset = sector * SECTOR_BYTES;
	io->len = nr_sect * SECTOR_BYTES;
	if (io->op == RWY_VBD_FLUSH) {
		io->offset = 0;
		return;
	}
	mark(d, io, 1);
	if (io->op == RWY_VBD_WRITE)
		stamp_all(d, r->buf, sector, nr_sect);
	else
		memset(r->buf, 0, io->len); /* nothing that was right before counts */
}

static void begin(struct disk *d, struct request *r)
{
	choose(d, r);
	r->state = REQUEST_IN_FLIGHT;
	r->submitted_ns = disk_now_ns();
	d->nr_in_flight++;
	int err = rwy_vbd_submit(d->vbd, &r->io);

	if (!err)
		return;
	r->state = REQUEST_FREE;
	d->nr_in_flight--;
	fail_io(d, &r->io, err);
}

static void count_gap(struct disk *d, uint64_t now_ns)
{
	struct tally *t = &d->tally;
	uint64_t gap_ns = now_ns - d->last_ns;

	d->last_ns = now_ns;
	if (gap_ns > t->longest_ns)
		t->longest_ns = gap_ns;
	if (gap_ns < PAUSE_NS)
		return;
	if (t->nr_pauses == t->max_pauses) {
		t->max_pauses = t->max_pauses ? t->max_pauses * 2 : 64;
		t->pauses_ns = realloc(t->pauses_ns, t->max_pauses * sizeof(*t->pauses_ns));
		if (!t->pauses_ns)
			abort();
	}
	t->pauses_ns[t->nr_pauses++] = gap_ns;
}

static void end(struct disk *d, struct request *r, int result)
{
	struct rwy_vbd_io *io = &r->io;

	r->state = REQUEST_FREE;
	d->nr_in_flight--;
	d->tally.requests++;
	count_gap(d, disk_now_ns());
	if (io->op != RWY_VBD_FLUSH)
		mark(d, io, 0);
	if (result)
		fail_io(d, io, result);
	else if (io->op == RWY_VBD_READ)
		check(d, r->buf, io->offset / SECTOR_BYTES, io->len / SECTOR_BYTES);
}

static void done(struct rwy_vbd_io *io, int result)
{
	struct request *r = io->user;
	struct disk *d = r->disk;

	pthread_mutex_lock(&d->lock);
	if (r->state == REQUEST_FREE)
		fail(d, "a request was completed twice");
	else
		end(d, r, result);
	if (!d->stopping)
		begin(d, r);
	else if (!d->nr_in_flight)
		pthread_cond_broadcast(&d->drained);
	pthread_mutex_unlock(&d->lock);
}

static void make_requests(struct disk *d)
{
	d->requests = calloc(d->options.nr_in_flight, sizeof(*d->requests));
	d->generation = calloc(d->nr_sect, sizeof(*d->generation));
	d->in_use = calloc(d->nr_sect, sizeof(*d->in_use));
	if (!d->requests || !d->generation || !d->in_use)
		abort();
	for (uint32_t i = 0; i < d->options.nr_in_flight; i++) {
		struct request *r = &d->requests[i];

		r->disk = d;
		r->buf = malloc(d->options.max_bytes);
		if (!r->buf)
			abort();
		r->io.buf = r->buf;
		r->io.user = r;
		r->io.done = done;
	}
}

/* From where, with the whole disk as goal, in pieces: how many sectors come next. */
static uint64_t next_piece(const struct disk *d, uint64_t sector)
{
	uint64_t max_sect = d->options.max_bytes / SECTOR_BYTES;

	return d->nr_sect - sector < max_sect ? d->nr_sect - sector : max_sect;
}

/* The blocking call that follows comes back, or main()'s handler of SIGALRM ends the process. */
static void limit_time(const struct disk *d)
{
	alarm((unsigned int)(d->options.limit_ns / NS_PER_S));
}

static int write_all(struct disk *d)
{
	uint8_t *buf = d->requests[0].buf;
	uint64_t nr_sect;

	for (uint64_t sector = 0; sector < d->nr_sect; sector += nr_sect) {
		nr_sect = next_piece(d, sector);
		stamp_all(d, buf, sector, nr_sect);
		limit_time(d);
		int err =
			rwy_vbd_pwrite(d->vbd, buf, nr_sect * SECTOR_BYTES, sector * SECTOR_BYTES);
		if (err)
			return fail(d, "writing sector %llu the first time: %s",
				    (unsigned long long)sector, strerror(-err));
	}
	alarm(0);
	return 0;
}

static int read_all(struct disk *d)
{
	uint8_t *buf = d->requests[0].buf;
	uint64_t nr_sect;

	for (uint64_t sector = 0; sector < d->nr_sect; sector += nr_sect) {
		nr_sect = next_piece(d, sector);
		memset(buf, 0, nr_sect * SECTOR_BYTES);
		limit_time(d);
		int err = rwy_vbd_pread(d->vbd, buf, nr_sect * SECTOR_BYTES, sector * SECTOR_BYTES);
		if (err)
			return fail(d, "reading sector %llu at the end: %s",
				    (unsigned long long)sector, strerror(-err));
		if (check(d, buf, sector, nr_sect))
			return -1;
	}
	alarm(0);
	return 0;
}

/* A backend that goes away with a word is not waited for: guests are to see a pause and no more. */
int disk_open(struct disk *d, const char *name, const struct disk_options *options)
{
	struct rwy_vbd_options vbd_options = {
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.reconnect_timeout_ms = 1,
		.max_ring_pages = options->ring_pages,
		.max_data_pages = options->data_pages,
	};
	struct rwy_vbd_info info;
	char why[RWY_VBD_WHY_BYTES];

	*d = (struct disk){.name = name, .options = *options};
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->drained, NULL);
	if (rwy_vbd_open(name, &vbd_options, &d->vbd, why, sizeof(why)))
		return fail(d, "%s", why);
	rwy_vbd_get_info(d->vbd, &info);
	d->nr_sect = info.capacity_bytes / SECTOR_BYTES;
	if (info.sector_bytes != SECTOR_BYTES || info.capacity_bytes < options->max_bytes)
		return fail(d, "%llu bytes in sectors of %u can't be worked with",
			    (unsigned long long)info.capacity_bytes, info.sector_bytes);
	d->random = options->seed;
	make_requests(d);
	return write_all(d);
}

void disk_start(struct disk *d)
{
	pthread_mutex_lock(&d->lock);
	d->last_ns = disk_now_ns();
	for (uint32_t i = 0; i < d->options.nr_in_flight && !d->stopping; i++)
		begin(d, &d->requests[i]);
	pthread_mutex_unlock(&d->lock);
}

int disk_check_lost(struct disk *d)
{
	int rc = 0;

	pthread_mutex_lock(&d->lock);
	uint64_t now_ns = disk_now_ns();

	for (uint32_t i = 0; i < d->options.nr_in_flight && !rc; i++) {
		const struct request *r = &d->requests[i];

		if (r->state == REQUEST_IN_FLIGHT && now_ns - r->submitted_ns > d->options.limit_ns)
			rc = fail(d, "a request is lost: it was sent %llu s ago, %u are in flight",
				  (unsigned long long)((now_ns - r->submitted_ns) / NS_PER_S),
				  d->nr_in_flight);
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

void disk_stop(struct disk *d)
{
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_mutex_unlock(&d->lock);
}

static int drain(struct disk *d)
{
	struct timespec limit;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += (time_t)(d->options.limit_ns / NS_PER_S);
	pthread_mutex_lock(&d->lock);
	while (d->nr_in_flight && !err)
		err = pthread_cond_timedwait(&d->drained, &d->lock, &limit);
	if (err)
		fail(d, "%u requests are lost", d->nr_in_flight);
	pthread_mutex_unlock(&d->lock);
	return d->failed ? -1 : 0;
}

int disk_finish(struct disk *d)
{
	if (drain(d))
		return -1;
	limit_time(d);
	int err = rwy_vbd_flush(d->vbd);

	if (err)
		return fail(d, "the last flush: %s", strerror(-err));
	return read_all(d);
}

void disk_close(struct disk *d)
{
	disk_stop(d);
	rwy_vbd_close(d->vbd);
	for (uint32_t i = 0; d->requests && i < d->options.nr_in_flight; i++)
		free(d->requests[i].buf);
	free(d->requests);
	free(d->generation);
	free(d->in_use);
	free(d->tally.pauses_ns);
}

void disk_count(struct disk *d, struct tally *sum)
{
	pthread_mutex_lock(&d->lock);
	const struct tally *t = &d->tally;
	size_t nr = sum->nr_pauses + t->nr_pauses;

	sum->requests += t->requests;
	sum->errors += t->errors;
	sum->mismatches += t->mismatches;
	if (t->longest_ns > sum->longest_ns)
		sum->longest_ns = t->longest_ns;
	sum->pauses_ns = realloc(sum->pauses_ns, (nr + 1) * sizeof(*sum->pauses_ns));
	if (!sum->pauses_ns)
		abort();
	if (t->nr_pauses)
		memcpy(sum->pauses_ns + sum->nr_pauses, t->pauses_ns,
		       t->nr_pauses * sizeof(*t->pauses_ns));
	sum->nr_pauses = nr;
	pthread_mutex_unlock(&d->lock);
}
