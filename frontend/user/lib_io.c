// SPDX-License-Identifier: MIT
/*
 * Requests from submit to done (contract: lib_io.h). Data is copied outside the lock, so that
 * several threads copy at once; a part being copied into is accounted for in nr_filling, and when
 * the copy is done, the line may have changed: send looks again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "frontend/user/lib_io.h"

static const struct rwy_blkfront_platform platform = {.notify = lib_ring_notify};

int lib_io_init(struct lib_io *io, int wake_fd)
{
	uint32_t i;
	int err;

	memset(io, 0, sizeof(*io));
	err = pthread_mutex_init(&io->lock, NULL);
	if (err)
		return -err;
	io->wake_fd = wake_fd;
	for (i = 0; i < RWY_BLKFRONT_MAX_TAGS; i++) {
		io->part[i].next = io->free_parts;
		io->free_parts = &io->part[i];
	}
	return 0;
}

void lib_io_fini(struct lib_io *io)
{
	pthread_mutex_destroy(&io->lock);
}

static void wake(struct lib_io *io)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full: then the thread is awake anyway. */
	if (write(io->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void append(struct rwy_vbd_io **head, struct rwy_vbd_io **tail, struct rwy_vbd_io *user_io)
{
	user_io->own.next = NULL;
	if (*head)
		(*tail)->own.next = user_io;
	else
		*head = user_io;
	*tail = user_io;
}

static void finish(struct lib_io *io, struct rwy_vbd_io *user_io)
{
	append(&io->done_head, &io->done_tail, user_io);
}

/* The part is over. The first error is the request's; what was not cut off yet is then dropped. */
static void end_part(struct lib_io *io, struct lib_part *part, int err)
{
	struct rwy_vbd_io *user_io = part->io;

	lib_pool_give(&io->pool, part->nr_pages, part->page);
	part->next = io->free_parts;
	io->free_parts = part;
	user_io->own.parts--;
	if (err && !user_io->own.result)
		user_io->own.result = err;
	if (user_io->own.result && io->queue_head == user_io)
		io->queue_head = user_io->own.next;
	if (!user_io->own.parts && (user_io->own.result || !lib_part_left(user_io)))
		finish(io, user_io);
}

static void retry_later(struct lib_io *io, struct lib_part *part)
{
	part->next = io->retry;
	io->retry = part;
}

static bool has_slot(const struct lib_io *io)
{
	return io->bf.nr_outstanding + io->nr_filling < io->bf.nr_tags;
}

/* The next part to send, with its pages; NULL when there is none, or nothing to send it with. */
static struct lib_part *next_part(struct lib_io *io)
{
	struct rwy_vbd_io *user_io = io->queue_head;
	struct lib_part *part = io->retry;

	if (io->line != LIB_LINE_UP || !has_slot(io))
		return NULL;
	if (part) {
		io->retry = part->next;
		return part;
	}
	part = io->free_parts;
	if (!user_io || !part || io->pool.nr_free < lib_part_pages_of(lib_part_next_bytes(user_io)))
		return NULL;
	io->free_parts = part->next;
	lib_part_cut(part, user_io);
	lib_pool_take(&io->pool, part->nr_pages, part->page);
	if (!lib_part_left(user_io))
		io->queue_head = user_io->own.next;
	return part;
}

/* A backend that offers neither flush nor barrier has no cache to flush. */
static bool flush_is_void(const struct lib_io *io, const struct lib_part *part)
{
	return part->io->op == RWY_VBD_FLUSH && !io->features.flush && !io->features.barrier;
}

static void send(struct lib_io *io, struct lib_part *part)
{
	enum rwy_blk_op flush_op = io->features.flush ? RWY_BLK_OP_FLUSH : RWY_BLK_OP_BARRIER;
	struct rwy_blkfront_request request;
	int err;

	if (io->line == LIB_LINE_DEAD) {
		end_part(io, part, io->dead_err);
		return;
	}
	if (io->line == LIB_LINE_DOWN) {
		retry_later(io, part);
		return;
	}
	if (flush_is_void(io, part)) {
		end_part(io, part, 0);
		return;
	}
	lib_part_request(part, &io->pool, flush_op, &request);
	err = rwy_blkfront_put_request(&io->bf, &request);
	/* Broken: the event thread is about to hear of it. Full: the line came back with a smaller
	 * ring while this part was being filled; the next response makes room. */
	if (err == -EPROTO || err == -ENOSPC)
		retry_later(io, part);
	else if (err)
		end_part(io, part, err);
	else
		rwy_blkfront_push(&io->bf);
}

/* Send all that can be sent. Called without the lock, by any thread. */
static void pump(struct lib_io *io)
{
	struct lib_part *part;

	pthread_mutex_lock(&io->lock);
	while ((part = next_part(io))) {
		io->nr_filling++;
		pthread_mutex_unlock(&io->lock);
		lib_part_copy_in(part, &io->pool);
		pthread_mutex_lock(&io->lock);
		io->nr_filling--;
		send(io, part);
	}
	pthread_mutex_unlock(&io->lock);
}

int lib_io_prepare(struct lib_io *io, struct lib_ring *ring, uint32_t devid)
{
	struct rwy_blkfront_config config = {
		.sring_pages = ring->pages,
		.nr_pages = ring->nr_pages,
		.tags = io->tags,
		.nr_tags = RWY_BLKFRONT_MAX_TAGS,
		.handle = (uint16_t)devid,
		.platform = &platform,
		.platform_ctx = ring,
	};
	int err;

	pthread_mutex_lock(&io->lock);
	err = rwy_blkfront_init(&io->bf, &config);
	pthread_mutex_unlock(&io->lock);
	return err;
}

static int set_features(struct lib_io *io, const struct lib_features *features)
{
	struct rwy_blk_limits limits;

	if (io->features.sector_bytes && io->features.sector_bytes != features->sector_bytes)
		return -EPROTO;
	lib_features_limits(features, &limits);
	io->features = *features;
	return rwy_blkfront_set_limits(&io->bf, &limits);
}

int lib_io_up(struct lib_io *io, const struct lib_features *features)
{
	int err;

	pthread_mutex_lock(&io->lock);
	err = set_features(io, features);
	if (!err && io->line == LIB_LINE_DOWN)
		io->line = LIB_LINE_UP;
	pthread_mutex_unlock(&io->lock);
	if (!err)
		pump(io);
	return err;
}

int lib_io_resize(struct lib_io *io, const struct lib_features *features)
{
	int err;

	pthread_mutex_lock(&io->lock);
	err = set_features(io, features);
	pthread_mutex_unlock(&io->lock);
	return err;
}

/* Everything in flight becomes a part to retry. */
static void abandon(struct lib_io *io)
{
	struct rwy_blkfront_completion completion;

	while (rwy_blkfront_take_abandoned(&io->bf, &completion))
		retry_later(io, completion.cookie);
}

void lib_io_down(struct lib_io *io)
{
	pthread_mutex_lock(&io->lock);
	if (io->line == LIB_LINE_UP)
		io->line = LIB_LINE_DOWN;
	abandon(io);
	pthread_mutex_unlock(&io->lock);
}

void lib_io_die(struct lib_io *io, int err)
{
	struct lib_part *part;

	pthread_mutex_lock(&io->lock);
	if (io->line != LIB_LINE_DEAD) {
		io->line = LIB_LINE_DEAD;
		io->dead_err = err;
	}
	abandon(io);
	while ((part = io->retry)) {
		io->retry = part->next;
		end_part(io, part, io->dead_err);
	}
	/* A head that has begun and has parts being copied is finished by the last of them. */
	while (io->queue_head) {
		struct rwy_vbd_io *user_io = io->queue_head;

		io->queue_head = user_io->own.next;
		user_io->own.result = io->dead_err;
		if (!user_io->own.parts)
			finish(io, user_io);
	}
	pthread_mutex_unlock(&io->lock);
}

/* All completions there are, as a list; then ask for an event. Called with the lock. */
static int take_completions(struct lib_io *io, struct lib_part **taken)
{
	struct rwy_blkfront_completion completion;
	struct lib_part **tail = taken;
	int got;

	*taken = NULL;
	do {
		while ((got = rwy_blkfront_take_completion(&io->bf, &completion)) > 0) {
			struct lib_part *part = completion.cookie;

			part->status = completion.status;
			part->next = NULL;
			*tail = part;
			tail = &part->next;
		}
		if (!got)
			got = rwy_blkfront_arm(&io->bf, 1);
	} while (got > 0);
	return got;
}

int lib_io_reap(struct lib_io *io, const char **why)
{
	struct lib_part *taken, *part, *next;
	int err = 0;

	pthread_mutex_lock(&io->lock);
	taken = NULL;
	if (io->line == LIB_LINE_UP)
		err = take_completions(io, &taken);
	*why = rwy_blkfront_fault_text(io->bf.fault);
	pthread_mutex_unlock(&io->lock);
	for (part = taken; part; part = part->next)
		if (!part->status)
			lib_part_copy_out(part, &io->pool);
	pthread_mutex_lock(&io->lock);
	for (part = taken; part; part = next) {
		next = part->next;
		end_part(io, part, part->status);
	}
	pthread_mutex_unlock(&io->lock);
	lib_io_call_done(io);
	if (!err)
		pump(io);
	return err;
}

void lib_io_call_done(struct lib_io *io)
{
	struct rwy_vbd_io *user_io;

	pthread_mutex_lock(&io->lock);
	while ((user_io = io->done_head)) {
		io->done_head = user_io->own.next;
		io->nr_ios--;
		pthread_mutex_unlock(&io->lock);
		user_io->done(user_io, user_io->own.result);
		pthread_mutex_lock(&io->lock);
	}
	pthread_mutex_unlock(&io->lock);
}

/* Called with the lock, by the disk as it is now; it is judged again when it is sent. */
static int judge(const struct lib_io *io, const struct rwy_vbd_io *user_io)
{
	uint64_t capacity_bytes = io->features.capacity_sect * RWY_BLK_SECTOR_BYTES;
	uint32_t align = io->features.sector_bytes - 1;

	if (io->line == LIB_LINE_DEAD)
		return io->dead_err;
	switch (user_io->op) {
	case RWY_VBD_FLUSH:
		return 0;
	case RWY_VBD_READ:
	case RWY_VBD_WRITE:
		break;
	default:
		return -EINVAL;
	}
	if ((user_io->offset & align) || (user_io->len & align) ||
	    user_io->offset > capacity_bytes || user_io->len > capacity_bytes - user_io->offset)
		return -EINVAL;
	return user_io->op == RWY_VBD_WRITE && io->features.read_only ? -EROFS : 0;
}

int lib_io_submit(struct lib_io *io, struct rwy_vbd_io *user_io)
{
	bool done_waits;
	int err;

	memset(&user_io->own, 0, sizeof(user_io->own));
	pthread_mutex_lock(&io->lock);
	err = judge(io, user_io);
	if (!err) {
		io->nr_ios++;
		if (lib_part_left(user_io))
			append(&io->queue_head, &io->queue_tail, user_io);
		else
			finish(io, user_io);
	}
	pthread_mutex_unlock(&io->lock);
	if (err)
		return err;
	pump(io);
	pthread_mutex_lock(&io->lock);
	done_waits = io->done_head;
	pthread_mutex_unlock(&io->lock);
	if (done_waits)
		wake(io);
	return 0;
}

bool lib_io_idle(struct lib_io *io)
{
	bool idle;

	pthread_mutex_lock(&io->lock);
	idle = io->nr_ios == 0;
	pthread_mutex_unlock(&io->lock);
	return idle;
}
