// SPDX-License-Identifier: MIT
/*
 * use-files FOLDER PAUSE NODE: writes files by the page cache, one in each round with PAUSE seconds between them, until
 * the node data/stop is there. The rounds are counted in NODE. Each file is flushed, dropped from the cache, read back
 * and compared, and so is the oldest of the 16 that there are.
 */
#include "tests/labtool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES 131072
#define FILES	   16u

static int open_file(uint32_t round, int flags)
{
	char name[16];

	snprintf(name, sizeof(name), "file%u", round % FILES);
	int fd = open(name, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		tool_die(name);
	return fd;
}

static void write_file(const void *content, uint32_t round)
{
	int fd = open_file(round, O_WRONLY | O_CREAT | O_TRUNC);

	errno = 0;
	if (write(fd, content, FILE_BYTES) != FILE_BYTES)
		tool_die("writing");
	if (fsync(fd))
		tool_die("flushing");
	errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (errno)
		tool_die("dropping what is cached");
	close(fd);
}

static void check_file(const void *content, void *buffer, uint32_t round)
{
	int fd = open_file(round, O_RDONLY);

	errno = 0;
	if (read(fd, buffer, FILE_BYTES) != FILE_BYTES)
		tool_die("reading");
	if (memcmp(buffer, content, FILE_BYTES))
		tool_die("what is read is not what was written");
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

int use_files_main(struct xs_handle *xsh, char **argv)
{
	int64_t pause_ms = (int64_t)(strtod(argv[1], NULL) * 1000);
	char *content = malloc(FILE_BYTES), *buffer = malloc(FILE_BYTES);

	if (!content || !buffer || chdir(argv[0]))
		tool_die(argv[0]);
	tool_watch(xsh, TOOL_STOP);
	for (uint32_t round = 0; !tool_is_told_to_stop(xsh);) {
		tool_fill(content, FILE_BYTES, round);
		write_file(content, round);
		check_file(content, buffer, round);
		if (round >= FILES - 1) {
			tool_fill(content, FILE_BYTES, round - (FILES - 1));
			check_file(content, buffer, round - (FILES - 1));
		}
		tool_say_round(xsh, argv[2], ++round);
		tool_pause(xsh, tool_now() + pause_ms);
	}
	free(content);
	free(buffer);
	return EXIT_SUCCESS;
}
