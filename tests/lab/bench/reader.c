// SPDX-License-Identifier: MIT
/*
 * The guest's program of the instruction bench: random reads of a disk past the page cache, a fixed
 * number in flight, between two marks that insn_plugin.c sees. Every byte read is compared in a first
 * part, before the marks, which also makes connections and caches warm. `fill` makes the disk in dom0.
 * It uses Linux's asynchronous I/O by bare system calls, the least that a program can pay. Called by
 * dom0_init.sh and guest_init.sh.
 *
 * Usage: reader fill FILE BYTES
 *        reader read FILE BLOCK-BYTES DEPTH READS
 * `read` prints how many reads ended between the marks.
 */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lab/bench/mark.h"

#define MAX_DEPTH 64u
#define SECTOR	  512u

struct reader {
	int fd;
	aio_context_t aio;
	uint64_t blocks; /* of block_bytes, in the disk */
	size_t block_bytes;
	unsigned depth;
	uint64_t random;
	uint64_t submitted, done;
	struct iocb iocb[MAX_DEPTH];
	struct iocb *batch[MAX_DEPTH];
};

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!*text || *end || !value)
		error(2, 0, "%s: not a number", text);
	return value;
}

/* Each sector begins with its number. */
static void fill(const char *path, uint64_t bytes)
{
	uint64_t sector[SECTOR / sizeof(uint64_t)];
	FILE *file = fopen(path, "r+");

	if (!file)
		error(1, errno, "%s", path);
	for (uint64_t i = 0; i < bytes / SECTOR; i++) {
		for (size_t j = 0; j < SECTOR / sizeof(uint64_t); j++)
			sector[j] = i;
		if (fwrite(sector, SECTOR, 1, file) != 1)
			error(1, errno, "%s: write", path);
	}
	if (fclose(file))
		error(1, errno, "%s: close", path);
}

/* An LCG with Knuth's MMIX constants: the same blocks in every run. */
static uint64_t next_block(struct reader *r)
{
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	return (r->random >> 33) % r->blocks;
}

static void aim(struct reader *r, struct iocb *iocb)
{
	iocb->aio_offset = (int64_t)(next_block(r) * r->block_bytes);
}

static void submit(struct reader *r, unsigned count)
{
	struct iocb **batch = r->batch;

	r->submitted += count;
	while (count > 0) {
		long got = syscall(SYS_io_submit, r->aio, (long)count, batch);

		if (got <= 0)
			error(1, errno, "io_submit");
		batch += got;
		count -= (unsigned)got;
	}
}

static void check(const struct reader *r, const struct iocb *iocb)
{
	const uint64_t *word = (const uint64_t *)(uintptr_t)iocb->aio_buf;
	uint64_t first = (uint64_t)iocb->aio_offset / SECTOR;

	for (size_t i = 0; i < r->block_bytes / sizeof(*word); i++)
		if (word[i] != first + i * sizeof(*word) / SECTOR)
			error(1, 0, "wrong data in sector %ju", (uintmax_t)first);
}

/* Waits for reads to end and starts as many anew. */
static void turn(struct reader *r, bool checked)
{
	struct io_event events[MAX_DEPTH];
	long got = syscall(SYS_io_getevents, r->aio, 1L, (long)r->depth, events, NULL);

	if (got < 1)
		error(1, errno, "io_getevents");
	for (long i = 0; i < got; i++) {
		struct iocb *iocb = (struct iocb *)(uintptr_t)events[i].obj;

		if (events[i].res != (int64_t)r->block_bytes)
			error(1, (int)-events[i].res, "read");
		if (checked)
			check(r, iocb);
		aim(r, iocb);
		r->batch[i] = iocb;
	}
	r->done += (uint64_t)got;
	submit(r, (unsigned)got);
}

static void begin(struct reader *r, const char *path)
{
	r->fd = open(path, O_RDONLY | O_DIRECT);
	off_t bytes = r->fd < 0 ? -1 : lseek(r->fd, 0, SEEK_END);

	if (bytes < 0)
		error(1, errno, "%s", path);
	r->blocks = (uint64_t)bytes / r->block_bytes;
	if (!r->blocks)
		error(1, 0, "%s: smaller than a block", path);
	if (syscall(SYS_io_setup, (long)r->depth, &r->aio))
		error(1, errno, "io_setup");
	for (unsigned i = 0; i < r->depth; i++) {
		void *buffer = aligned_alloc(4096, r->block_bytes);

		if (!buffer)
			error(1, errno, "buffer");
		memset(buffer, 0xff, r->block_bytes);
		r->iocb[i] = (struct iocb){.aio_lio_opcode = IOCB_CMD_PREAD,
					   .aio_fildes = (uint32_t)r->fd,
					   .aio_buf = (uintptr_t)buffer,
					   .aio_nbytes = r->block_bytes};
		aim(r, &r->iocb[i]);
		r->batch[i] = &r->iocb[i];
	}
	submit(r, r->depth);
}

static uint64_t measure(struct reader *r, uint64_t reads)
{
	/* Half of them are enough to have made every mapping, and to compare all that comes in. */
	while (r->done < reads / 2)
		turn(r, true);
	uint64_t start = r->done;

	MARK(MARK_START);
	while (r->done < start + reads)
		turn(r, false);
	MARK(MARK_STOP);
	return r->done - start;
}

int main(int argc, char **argv)
{
	static struct reader r = {.random = 1};

	if (argc == 4 && !strcmp(argv[1], "fill")) {
		fill(argv[2], number(argv[3]));
		return 0;
	}
	if (argc != 6 || strcmp(argv[1], "read"))
		error(2, 0, "usage: reader fill FILE BYTES | read FILE BLOCK-BYTES DEPTH READS");
	r.block_bytes = number(argv[3]);
	r.depth = (unsigned)number(argv[4]);
	if (r.depth > MAX_DEPTH || r.block_bytes % 4096)
		error(2, 0, "at most %u in flight, of whole pages", MAX_DEPTH);
	begin(&r, argv[2]);
	printf("%ju\n", (uintmax_t)measure(&r, number(argv[5])));
	return 0;
}
