/* SPDX-License-Identifier: MIT */
/*
 * A guest's load on its disks, of which it is known at any time what a read must return. Every
 * sector carries a stamp of the disk's seed, its own number and a generation; no two requests in
 * flight touch the same sector. The backend is not trusted with anything: that is what is tested.
 * Runs in a domU, over libringway. Threads: the disk's own thread completes requests, main() starts
 * and stops; each disk has a lock for both.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "frontend/user/libringway.h"

#define SECTOR_BYTES 512u

/* What a sector holds. */
struct stamp {
	uint64_t seed;
	uint64_t sector;
	uint64_t generation; /* of the disk's writes; each its own */
};

/* stamp.c */
void stamp_write(const struct stamp *stamp, void *sector);
/* Is it this one, and whole? */
bool stamp_matches(const struct stamp *stamp, const void *sector);
/* What is there instead, for people; text has room for `size` bytes. */
void stamp_describe(const struct stamp *expected, const void *sector, char *text, size_t size);
/* The next random number; the state may be anything. */
uint64_t stamp_random(uint64_t *state);

struct disk_options {
	uint32_t nr_in_flight;
	uint32_t max_bytes;		 /* of a request; a multiple of SECTOR_BYTES */
	uint32_t ring_pages, data_pages; /* 0: libringway's default */
	uint64_t limit_ns;		 /* for one request; longer is lost */
	uint64_t seed;
};

enum request_state {
	REQUEST_FREE,
	REQUEST_IN_FLIGHT,
};

struct disk;

struct request {
	struct rwy_vbd_io io;
	struct disk *disk;
	enum request_state state;
	uint64_t submitted_ns;
	uint8_t *buf;
};

/* What is counted. */
struct tally {
	uint64_t requests;
	uint64_t errors;
	uint64_t mismatches;
	/* Between two completions while requests were in flight: the longest, and all of at least
	 * PAUSE_NS. */
	uint64_t longest_ns;
	uint64_t *pauses_ns;
	size_t nr_pauses, max_pauses;
};

#define PAUSE_NS 20000000ull

struct disk {
	const char *name;
	struct disk_options options;
	struct rwy_vbd *vbd;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t drained;
	uint64_t nr_sect;
	uint64_t *generation; /* that each sector has, or will have when its write is done */
	uint8_t *in_use;      /* 1: by a request in flight */
	uint64_t last_generation;
	uint64_t random;
	struct request *requests;
	uint32_t nr_in_flight;
	bool stopping;
	bool failed;
	uint64_t last_ns; /* the last completion */
	struct tally tally;
};

/* disk.c: 0, or -1 once one line on stderr has said what is wrong. A disk that fails later sends
 * the process SIGUSR2. */
/* Opens the disk and writes all of it. */
int disk_open(struct disk *d, const char *name, const struct disk_options *options);
void disk_start(struct disk *d);
/* Has any request been in flight for too long? */
int disk_check_lost(struct disk *d);
/* No new request begins. */
void disk_stop(struct disk *d);
/* Waits for those in flight, flushes, and reads all of the disk. */
int disk_finish(struct disk *d);
/* Whatever has become of it; not one that was never opened. */
void disk_close(struct disk *d);
/* Adds what was counted so far. */
void disk_count(struct disk *d, struct tally *sum);
uint64_t disk_now_ns(void);
