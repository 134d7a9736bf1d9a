// SPDX-License-Identifier: MIT
/*
 * Implementation of blkqueue.h. What happens to one request, in order: take, start, (the engine),
 * finished, answer. Called by its lane (turn), the engine (finished) and blkback (start, stop).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "backend/data/blkback.h"
#include "backend/data/blkqueue.h"
#include "backend/data/grantcopy.h"
#include "common/log.h"

RWY_STATIC_ASSERT(GBUF_BYTES >= RWY_BLK_MAX_DIRECT_SEGS * RWY_BLK_PAGE_SECT * RWY_BLK_SECTOR_BYTES,
		  "a grant buffer holds the largest request");

/* At a guest's doing: one line, and no more than its limiter lets through. */
#define log_guest(q, level, ...) \
	rwy_log_limited(&(q)->dev->log->limit, (q)->dev->lane->now_ns(), level, __VA_ARGS__)

/* The line in the log is control's. */
static void break_queue(struct blkqueue *q, int err, const char *reason)
{
	q->state = BLKQUEUE_BROKEN;
	blkback_broken(q->dev, err, reason);
}

static void owe(struct blkqueue *q, struct request *req, int16_t status)
{
	req->status = status;
	STAILQ_INSERT_TAIL(&q->owed, req, link);
}

static void submit(struct blkqueue *q, struct request *req)
{
	request_prepare_io(req);
	q->dev->engine->ops->submit(q->dev->engine, &req->io);
}

/*
 * What can't be done at once the kernel does in the threads of the lane, one queue for all devices:
 * a guest that fills a long ring with slow writes would have the others wait behind all of them.
 */
static void start_data(struct blkqueue *q)
{
	struct request *req;

	while (q->nr_under_way < DATA_UNDER_WAY && (req = STAILQ_FIRST(&q->data_waiting))) {
		STAILQ_REMOVE_HEAD(&q->data_waiting, link);
		q->nr_under_way++;
		submit(q, req);
	}
}

/*
 * A flush covers what was completed before it began, so all that wait are done with one. Each would
 * occupy one of the kernel's few workers for as long as the disk takes, and a guest can ask for
 * hundreds at no cost of its own.
 */
static void start_flush(struct blkqueue *q)
{
	if (q->flushing || STAILQ_EMPTY(&q->flush_waiting))
		return;
	q->flushing = STAILQ_FIRST(&q->flush_waiting);
	STAILQ_REMOVE_HEAD(&q->flush_waiting, link);
	STAILQ_CONCAT(&q->flush_riders, &q->flush_waiting);
	submit(q, q->flushing);
}

static void end_flush(struct blkqueue *q, int16_t status)
{
	struct request *req;

	q->flushing = NULL;
	while ((req = STAILQ_FIRST(&q->flush_riders))) {
		STAILQ_REMOVE_HEAD(&q->flush_riders, link);
		owe(q, req, status);
	}
	start_flush(q);
}

/* The engine is done with a request. */
static void finished(struct engine_io *io)
{
	struct request *req = io->owner;
	struct blkqueue *q = req->queue;
	int16_t status = io->result < 0 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY;

	if (io->result < 0) {
		q->dev->stats.io_errors++;
		log_guest(q, RWY_LOG_WARNING, "I/O error at sector %llu: %s",
			  (unsigned long long)req->blk.sector, strerror(-io->result));
	}
	owe(q, req, status);
	if (req == q->flushing) {
		end_flush(q, status);
	} else {
		q->nr_under_way--;
		start_data(q);
	}
	lane_wake(q->dev->lane, &q->task);
}

static bool copy_succeeded(struct blkqueue *q, const struct request *req,
			   const struct grantcopy *copy)
{
	int status = grantcopy_status(copy, req);

	if (status == 0)
		return true;
	q->dev->stats.io_errors++;
	log_guest(q, RWY_LOG_WARNING, "grant copy for a request at sector %llu failed (GNTST %d)",
		  (unsigned long long)req->blk.sector, status);
	return false;
}

static void count(struct blkqueue *q, const struct request *req)
{
	struct ctl_stats *stats = &q->dev->stats;

	switch (req->blk.op) {
	case RWY_BLK_OP_READ:
		stats->read_requests++;
		stats->read_sect += req->blk.nr_sect;
		break;
	case RWY_BLK_OP_WRITE:
		stats->write_requests++;
		stats->write_sect += req->blk.nr_sect;
		break;
	default:
		stats->flush_requests++;
		break;
	}
}

static void start(struct blkqueue *q, struct request *req)
{
	req->io.done = finished;
	req->io.owner = req;
	if (req->blk.op == RWY_BLK_OP_READ || req->blk.op == RWY_BLK_OP_WRITE) {
		STAILQ_INSERT_TAIL(&q->data_waiting, req, link);
		start_data(q);
	} else {
		STAILQ_INSERT_TAIL(&q->flush_waiting, req, link);
		start_flush(q);
	}
}

static bool is_in_ring(const struct blkqueue *q)
{
	return q->ring.req_seen != q->ring.req_cons;
}

/* Is there anything to do? What is in the ring of a queue that stops is for its successor. */
static bool requests_left(const struct blkqueue *q)
{
	return !STAILQ_EMPTY(&q->again) || (q->state == BLKQUEUE_SERVING && is_in_ring(q));
}

/* The next request, in its journal entry. Those of a predecessor come first: it took them before any
 * that are in the ring now. */
static struct request *take_next(struct blkqueue *q)
{
	struct request *req = STAILQ_FIRST(&q->again);
	uint32_t req_index = q->ring.req_cons;

	if (req) {
		STAILQ_REMOVE_HEAD(&q->again, link);
		return req;
	}
	req = request_get(&q->tags);
	rwy_ring_back_take_request(&q->ring, req->entry->slot, q->ring.slot_bytes);
	journal_take(req->entry, req_index);
	q->in_flight++;
	return req;
}

/*
 * Open a request; a buffer is there for it already, since what it is shows only when the slot was
 * taken. Requests that pass join the batch, the others are owed their refusal.
 */
static void open_one(struct blkqueue *q, struct request *req, void *buf, struct request_list *batch,
		     struct grantcopy *copy)
{
	struct blkback *dev = q->dev;
	enum rwy_blk_fault fault = request_open(req, dev->abi, &dev->limits);

	if (fault) {
		dev->stats.bad_requests++;
		log_guest(q, RWY_LOG_WARNING, "bad request: %s", rwy_blk_fault_text(fault));
		owe(q, req, req->status);
	} else {
		count(q, req);
		STAILQ_INSERT_TAIL(batch, req, link);
	}
	if (fault || req->blk.nr_segs == 0) {
		gbuf_put(&dev->lane->bufs, buf);
		return;
	}
	req->buf = buf;
	if (req->blk.op == RWY_BLK_OP_WRITE)
		grantcopy_add(copy, req);
}

static void start_batch(struct blkqueue *q, struct request_list *batch,
			const struct grantcopy *copy)
{
	struct request *req;

	while ((req = STAILQ_FIRST(batch))) {
		STAILQ_REMOVE_HEAD(batch, link);
		if (req->blk.op != RWY_BLK_OP_WRITE || copy_succeeded(q, req, copy))
			start(q, req);
		else
			owe(q, req, BLKIF_RSP_ERROR);
	}
}

/* Take up to budget requests, fetch the data of all writes at once, start them in the guest's
 * order. */
static uint32_t take(struct blkqueue *q, uint32_t budget)
{
	struct request_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct gbuf_pool *bufs = &q->dev->lane->bufs;
	struct grantcopy copy;
	uint32_t taken = 0;
	int ready = q->state == BLKQUEUE_SERVING ? rwy_ring_back_poll(&q->ring) : 0;

	if (ready < 0) {
		break_queue(q, ready, "the frontend broke the ring protocol");
		return 0;
	}
	grantcopy_begin(&copy, q->dev->lane, q->dev->domid);
	for (; taken < budget && requests_left(q) && bufs->nr_free > 0; taken++) {
		struct request *req = take_next(q);

		open_one(q, req, gbuf_get(bufs), &batch, &copy);
	}
	if (taken == 0)
		return 0;
	journal_taken(q->journal, q->ring.req_cons);
	grantcopy_run(&copy);
	start_batch(q, &batch, &copy);
	return taken;
}

/* A broken ring refuses: then nobody waits for the answer, and the journal says so. */
static void put_answer(struct blkqueue *q, struct request *req)
{
	uint8_t rsp[RWY_BLK_MAX_SLOT_BYTES];
	uint32_t rsp_index = q->ring.rsp_prod;
	uint32_t len = rwy_blk_encode_response(q->dev->abi,
					       &(struct rwy_blk_response){
						       .id = req->blk.id,
						       .wire_op = req->blk.wire_op,
						       .status = req->status,
					       },
					       rsp);

	if (rwy_ring_back_put_response(&q->ring, rsp, len) == 0)
		journal_answer(req->entry, rsp_index);
}

static void publish(struct blkqueue *q)
{
	journal_intend(q->journal, q->ring.rsp_prod);
	bool must_notify = rwy_ring_back_push(&q->ring);

	journal_commit(q->journal, q->ring.rsp_pushed);
	if (must_notify)
		lane_notify(q->dev->lane, &q->task);
}

static void give_back(struct blkqueue *q, struct request *req)
{
	if (!q->ring.broken)
		journal_free(req->entry);
	gbuf_put(&q->dev->lane->bufs, req->buf);
	request_put(&q->tags, req);
	q->in_flight--;
}

/* Is there data to hand out with the answer? Nobody takes it from a broken ring. */
static bool owes_data(const struct blkqueue *q, const struct request *req)
{
	return req->blk.op == RWY_BLK_OP_READ && req->status == BLKIF_RSP_OKAY && !q->ring.broken;
}

/* Answer a turn's worth of finished requests: hand out the data of all reads at once, publish
 * once, notify when asked for. A broken ring's requests are only given back. */
static void answer(struct blkqueue *q)
{
	struct request_list batch = STAILQ_HEAD_INITIALIZER(batch);
	struct grantcopy copy;
	struct request *req;

	if (STAILQ_EMPTY(&q->owed))
		return;
	grantcopy_begin(&copy, q->dev->lane, q->dev->domid);
	for (uint32_t n = 0; n < DATA_TURN_REQUESTS && (req = STAILQ_FIRST(&q->owed)); n++) {
		STAILQ_REMOVE_HEAD(&q->owed, link);
		STAILQ_INSERT_TAIL(&batch, req, link);
		if (owes_data(q, req))
			grantcopy_add(&copy, req);
	}
	grantcopy_run(&copy);
	STAILQ_FOREACH(req, &batch, link)
	{
		if (owes_data(q, req) && !copy_succeeded(q, req, &copy))
			req->status = BLKIF_RSP_ERROR;
		put_answer(q, req);
	}
	publish(q);
	while ((req = STAILQ_FIRST(&batch))) {
		STAILQ_REMOVE_HEAD(&batch, link);
		give_back(q, req);
	}
}

/* A ring that stays mapped is the guest's page that it does not get back: nothing else shows it. */
static void unmap_ring(struct blkqueue *q)
{
	if (xengnttab_unmap(q->dev->lane->gnttab, q->ring_pages, q->nr_ring_pages))
		log_guest(q, RWY_LOG_ERROR, "its ring can't be unmapped: %s", strerror(errno));
}

static void release(struct blkqueue *q)
{
	int err = lane_unbind(q->dev->lane, &q->task);

	if (err)
		log_guest(q, RWY_LOG_ERROR, "its event channel can't be closed: %s",
			  strerror(-err));
	unmap_ring(q);
	request_set_fini(&q->tags);
}

static bool is_refusing(const struct blkqueue *q)
{
	return q->state == BLKQUEUE_CLOSING && STAILQ_EMPTY(&q->again);
}

/* Those that had been published when it was closed: what comes later is nobody's. */
static void refuse_rest(struct blkqueue *q)
{
	for (uint32_t n = 0; n < DATA_TURN_REQUESTS && is_in_ring(q); n++) {
		struct request *req = take_next(q);

		request_open(req, q->dev->abi, &q->dev->limits);
		owe(q, req, BLKIF_RSP_ERROR);
	}
	journal_taken(q->journal, q->ring.req_cons);
}

static bool is_over(const struct blkqueue *q)
{
	return q->in_flight == 0 &&
	       (q->state == BLKQUEUE_STOPPING || (q->state == BLKQUEUE_CLOSING && !is_in_ring(q)));
}

/* What comes after a turn. Sleep only after the ring was asked for an event and found empty. */
static enum lane_next settle(struct blkqueue *q, uint32_t budget)
{
	if (!STAILQ_EMPTY(&q->owed))
		return LANE_AGAIN;
	if (is_over(q)) {
		journal_set_busy(q->journal, false);
		release(q);
		blkback_stopped(q->dev);
		return LANE_GONE;
	}
	if (q->state == BLKQUEUE_BROKEN)
		return LANE_SILENT;
	if (is_refusing(q) && is_in_ring(q))
		return LANE_AGAIN;
	if (!requests_left(q)) {
		if (q->state != BLKQUEUE_SERVING)
			return LANE_SILENT;
		int more = rwy_ring_back_arm(&q->ring, 1);

		if (more < 0) {
			break_queue(q, more, "the frontend broke the ring protocol");
			return LANE_SILENT;
		}
		if (more == 0)
			return LANE_SLEEP;
	}
	return budget == 0 || q->dev->lane->bufs.nr_free == 0 ? LANE_NO_BUFFER : LANE_AGAIN;
}

static enum lane_next turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	struct blkqueue *q = (struct blkqueue *)task;

	journal_set_busy(q->journal, true);
	if (is_refusing(q))
		refuse_rest(q);
	else if (q->state != BLKQUEUE_BROKEN)
		*taken = take(q, budget);
	answer(q);
	enum lane_next next = settle(q, budget);

	if (next != LANE_GONE) /* with its journal */
		journal_set_busy(q->journal, false);
	return next;
}

static int map_ring(struct blkqueue *q, const struct blkqueue_params *params)
{
	uint32_t gref[RWY_RING_MAX_PAGES];

	memcpy(gref, params->ring_gref, params->nr_ring_pages * sizeof(*gref));
	q->nr_ring_pages = params->nr_ring_pages;
	q->ring_pages =
		xengnttab_map_domain_grant_refs(q->dev->lane->gnttab, q->nr_ring_pages,
						q->dev->domid, gref, PROT_READ | PROT_WRITE);
	if (q->ring_pages)
		return 0;
	return errno ? -errno : -EIO;
}

/* Tags for all the journal's entries; those of the backlog are in flight. */
static int make_tags(struct blkqueue *q, const struct journal_backlog *backlog)
{
	int err = request_set_init(&q->tags, q->journal, q);

	if (err)
		return err;
	for (uint32_t n = 0; n < backlog->nr; n++)
		STAILQ_INSERT_TAIL(&q->again, &q->tags.all[backlog->entry[n]], link);
	q->in_flight = backlog->nr;
	return 0;
}

static int open_ring(struct blkqueue *q, const char **what)
{
	struct journal_backlog backlog;
	int err = journal_attach(q->journal, &q->ring, q->ring_pages, q->nr_ring_pages,
				 rwy_blk_slot_bytes(q->dev->abi), &backlog, what);

	if (err)
		return err;
	*what = "no memory for the ring's requests";
	return make_tags(q, &backlog);
}

static void init(struct blkqueue *q, struct blkback *dev, struct journal *journal)
{
	*q = (struct blkqueue){.task.turn = turn, .dev = dev, .journal = journal};
	STAILQ_INIT(&q->again);
	STAILQ_INIT(&q->owed);
	STAILQ_INIT(&q->data_waiting);
	STAILQ_INIT(&q->flush_riders);
	STAILQ_INIT(&q->flush_waiting);
}

int blkqueue_start(struct blkqueue *q, struct blkback *dev, const struct blkqueue_params *params,
		   const char **what)
{
	init(q, dev, params->journal);
	*what = "cannot map the pages that ring-ref names; are they granted to us?";
	int err = map_ring(q, params);

	if (err)
		return err;
	err = open_ring(q, what);
	if (err)
		goto err_unmap;
	*what = "cannot bind the port that event-channel names; is it open to us?";
	err = lane_bind(dev->lane, &q->task, dev->domid, params->evtchn);
	if (err)
		goto err_fini_tags;
	/* Events sent before the bind are gone, and so may be answers' of a backend before us: the
	 * bind made us runnable, and the first turn asks for events; the frontend looks too. */
	lane_notify(dev->lane, &q->task);
	return 0;

err_fini_tags:
	request_set_fini(&q->tags);
err_unmap:
	unmap_ring(q);
	return err;
}

void blkqueue_stop(struct blkqueue *q, bool for_good)
{
	if (q->state == BLKQUEUE_CLOSING)
		return;
	q->state = for_good && rwy_ring_back_poll(&q->ring) >= 0 ? BLKQUEUE_CLOSING
								 : BLKQUEUE_STOPPING;
	lane_wake(q->dev->lane, &q->task);
}
