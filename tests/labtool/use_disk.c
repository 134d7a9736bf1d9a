// SPDX-License-Identifier: MIT
/*
 * use-disk FILE PAUSE NODE: writes, reads back and compares, past the page cache, round after round with PAUSE seconds
 * between them, until the node data/stop is there. The rounds are counted in NODE. Each writes something else to one
 * of the first 16 chunks of a device or of a file that is as long, and reads that and the one that was written longest
 * ago.
 */
#include "tests/labtool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
#define CHUNKS	    16
#define APPEAR_MS   240000

static void check(int fd, void *buffer, const void *wanted, unsigned int chunk)
{
	errno = 0;
	if (pread(fd, buffer, CHUNK_BYTES, (off_t)chunk * CHUNK_BYTES) != CHUNK_BYTES)
		tool_die("reading");
	if (memcmp(buffer, wanted, CHUNK_BYTES))
		tool_die("what is read is not what was written");
}

static int open_disk(struct xs_handle *xsh, const char *path)
{
	int64_t deadline = tool_now() + APPEAR_MS;
	int fd;

	while ((fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC)) < 0) {
		if (tool_now() > deadline)
			tool_die(path);
		tool_pause(xsh, tool_now() + 100);
	}
	return fd;
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
	tool_watch(xsh, TOOL_STOP);
	for (uint32_t round = 0; !tool_is_told_to_stop(xsh);) {
		unsigned int chunk = round % CHUNKS;
		char *now = written + chunk * CHUNK_BYTES;

		tool_fill(now, CHUNK_BYTES, round);
		errno = 0;
		if (pwrite(fd, now, CHUNK_BYTES, (off_t)chunk * CHUNK_BYTES) != CHUNK_BYTES)
			tool_die("writing");
		check(fd, buffer, now, chunk);
		chunk = round < CHUNKS ? 0 : (chunk + 1) % CHUNKS;
		check(fd, buffer, written + chunk * CHUNK_BYTES, chunk);
		tool_say_round(xsh, argv[2], ++round);
		tool_pause(xsh, tool_now() + pause_ms);
	}
	return EXIT_SUCCESS;
}
