// SPDX-License-Identifier: MIT
/*
 * The file engine: a regular file or block device behind the lane's io_uring. It reaches its target
 * only through a slot of the registered file table, as the ring's restrictions demand. Whatever the
 * kernel does short of the whole (short transfers, EINTR, EAGAIN) is continued here, so that the
 * caller sees all or an error. Called by backend/data through engine_ops.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include "backend/engine/engine.h"

/* How often one I/O is repeated after EINTR or EAGAIN without having moved a byte. */
#define MAX_TRIES 64u

struct file {
	struct engine engine;
	int slot;
	bool direct;
	int32_t *
		lost; /* what the first flush of the page cache that failed has failed with, or 0 */
};

static void complete(struct engine_event *event, int32_t res, uint32_t flags);
static void issue(struct engine_io *io);

static void finish(struct engine_io *io, int32_t result)
{
	io->result = result;
	io->done(io);
}

static void issue_again(struct engine_event *event, int32_t res, uint32_t flags)
{
	(void)res;
	(void)flags;
	issue((struct engine_io *)event);
}

static void prepare(struct io_uring_sqe *sqe, const struct engine_io *io, int slot)
{
	switch (io->op) {
	case ENGINE_READ:
		io_uring_prep_readv(sqe, slot, io->iov, io->nr_iov, io->offset_bytes);
		break;
	case ENGINE_WRITE:
		io_uring_prep_writev(sqe, slot, io->iov, io->nr_iov, io->offset_bytes);
		break;
	case ENGINE_FLUSH:
		io_uring_prep_fsync(sqe, slot, IORING_FSYNC_DATASYNC);
		break;
	}
}

static void issue(struct engine_io *io)
{
	struct file *file = (struct file *)io->engine;
	struct engine_host *host = file->engine.host;
	struct io_uring_sqe *sqe = host->get_sqe(host);

	if (!sqe) {
		io->event.fn = issue_again;
		host->call_later(host, &io->event);
		return;
	}
	io->event.fn = complete;
	prepare(sqe, io, file->slot);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, &io->event);
}

/* Step past what was transferred. True when something is left. */
static bool advance(struct engine_io *io, size_t bytes)
{
	io->offset_bytes += bytes;
	while (io->nr_iov > 0 && bytes >= io->iov->iov_len) {
		bytes -= io->iov->iov_len;
		io->iov++;
		io->nr_iov--;
	}
	if (io->nr_iov == 0)
		return false;
	io->iov->iov_base = (char *)io->iov->iov_base + bytes;
	io->iov->iov_len -= bytes;
	return true;
}

/*
 * The kernel reports a page that it could not write to one fsync, then takes the page for clean or
 * drops it: the next fsync would succeed over a hole in what it is to cover. Without the page cache
 * the write itself has failed.
 */
static int32_t flushed(struct file *file, int32_t result)
{
	if (!file->direct && !*file->lost)
		*file->lost = result;
	return *file->lost ? *file->lost : result;
}

static void complete(struct engine_event *event, int32_t res, uint32_t flags)
{
	struct engine_io *io = (struct engine_io *)event;

	(void)flags;
	if ((res == -EINTR || res == -EAGAIN) && ++io->tries < MAX_TRIES) {
		issue(io);
	} else if (io->op == ENGINE_FLUSH) {
		finish(io, flushed((struct file *)io->engine, res));
	} else if (res < 0) {
		finish(io, res);
	} else if (res == 0) {
		/* The file ends here although the device does not: it was cut. The rest of the
		 * buffer holds somebody else's old data. */
		finish(io, -EIO);
	} else if (advance(io, (size_t)res)) {
		io->tries = 0;
		issue(io);
	} else {
		finish(io, 0);
	}
}

static void submit(struct engine *engine, struct engine_io *io)
{
	io->engine = engine;
	io->tries = 0;
	issue(io);
}

static int open_file(struct engine_host *host, const struct engine_params *params,
		     struct engine **engine)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	file->engine.ops = &engine_file;
	file->engine.host = host;
	file->direct = params->direct;
	file->lost = params->lost;
	file->slot = host->add_file(host, params->fd);
	if (file->slot < 0) {
		int err = file->slot;

		free(file);
		return err;
	}
	*engine = &file->engine;
	return 0;
}

static void close_file(struct engine *engine)
{
	struct file *file = (struct file *)engine;

	engine->host->remove_file(engine->host, file->slot);
	free(file);
}

const struct engine_ops engine_file = {
	.name = "file",
	.open = open_file,
	.submit = submit,
	.close = close_file,
};
