// SPDX-License-Identifier: MIT
/*
 * use-disk DEVICE PAUSE: writes, reads back and compares, past the page cache, round after round with PAUSE seconds
 * between them, until the node data/stop is there. The rounds are counted in data/rounds. Each writes something else
 * to one of the first 16 chunks, and reads that and the one that was written longest ago.
 */
#include "tests/labtool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
#define CHUNKS	    16
#define APPEAR_MS   240000

static void fill(uint32_t *chunk, uint32_t round)
{
	uint32_t x = round * 2654435761u + 1;

	for (size_t i = 0; i < CHUNK_BYTES / sizeof(*chunk); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		chunk[i] = x;
	}
}

static void check(int fd, void *buffer, const void *wanted, unsigned int chunk)
{
	errno = 0;
	if (pread(fd, buffer, CHUNK_BYTES, (off_t)chunk * CHUNK_BYTES) != CHUNK_BYTES)
		tool_die("reading");
	if (memcmp(buffer, wanted, CHUNK_BYTES))
		tool_die("what is read is not what was written");
}

static int open_disk(struct xs_handle *xsh, const char *device)
{
	int64_t deadline = tool_now() + APPEAR_MS;
	int fd;

	while ((fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC)) < 0) {
		if (tool_now() > deadline)
			tool_die(device);
		tool_pause(xsh, tool_now() + 100);
	}
	return fd;
}

static void say_round(struct xs_handle *xsh, uint32_t round)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", round);

	if (!xs_write(xsh, XBT_NULL, "data/rounds", text, (unsigned int)len))
		tool_die("data/rounds");
}

static bool is_told_to_stop(struct xs_handle *xsh)
{
	char *stop = tool_read(xsh, "data/stop");
	bool told = stop;

	free(stop);
	return told;
}

int use_disk_main(struct xs_handle *xsh, char **argv)
{
	int fd = open_disk(xsh, argv[0]);
	int64_t pause_ms = (int64_t)(strtod(argv[1], NULL) * 1000);
	char *written = mmap(NULL, (CHUNKS + 1) * CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *buffer = written + CHUNKS * CHUNK_BYTES;

	if (written == MAP_FAILED)
		tool_die("memory");
	tool_watch(xsh, "data/stop");
	for (uint32_t round = 0; !is_told_to_stop(xsh);) {
		unsigned int chunk = round % CHUNKS;
		char *now = written + chunk * CHUNK_BYTES;

		fill((uint32_t *)(void *)now, round);
		errno = 0;
		if (pwrite(fd, now, CHUNK_BYTES, (off_t)chunk * CHUNK_BYTES) != CHUNK_BYTES)
			tool_die("writing");
		check(fd, buffer, now, chunk);
		chunk = round < CHUNKS ? 0 : (chunk + 1) % CHUNKS;
		check(fd, buffer, written + chunk * CHUNK_BYTES, chunk);
		say_round(xsh, ++round);
		tool_pause(xsh, tool_now() + pause_ms);
	}
	return EXIT_SUCCESS;
}
