// SPDX-License-Identifier: MIT
/* Attacks on the ring: its indexes, its slots, the words that are not ours. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/blkif.h>
#include "tests/hostile_front/attack.h"

static void set_req_prod(struct front *f, uint32_t req_prod)
{
	front_sring(f)->req_prod = req_prod;
	front_notify(f);
}

static int req_prod_past_ring(struct front *f)
{
	set_req_prod(f, f->req_prod + f->nr_slots + 1);
	return 0;
}

/* Fill the ring with reads, and publish one more than can be answered at some moment of it: when
 * wait is false at once, otherwise after the first responses. Late, it is a valid request. */
static int overrun(struct front *f, bool wait)
{
	struct rwy_blk_response rsp;

	for (uint32_t round = 0; round < 10000; round++) {
		for (uint32_t i = 0; i < f->nr_slots; i++) {
			struct rwy_blk_request req = front_read_request(f, i, i);

			front_put_request(f, &req);
		}
		front_push(f);
		if (wait && front_take(f, &rsp))
			break;
		struct rwy_blk_request more = front_read_request(f, 99, 0);
		uint32_t answered = front_sring(f)->rsp_prod;

		front_put_request(f, &more);
		f->req_prod = answered + f->nr_slots + 1;
		set_req_prod(f, f->req_prod);
		while (f->rsp_cons != f->req_prod) {
			int err = front_take(f, &rsp);

			if (err == -EPIPE)
				return 0;
			if (err)
				return complain("neither broken nor answered");
		}
	}
	return 0;
}

static int req_prod_past_outstanding(struct front *f)
{
	return overrun(f, false);
}

static int req_prod_past_unpushed_response(struct front *f)
{
	return overrun(f, true);
}

static int req_prod_back(struct front *f)
{
	int err = front_expect_service(f);

	set_req_prod(f, f->req_prod - 1);
	return err;
}

static int req_prod_at_attach(struct front *f)
{
	return front_publish(f, &(struct front_how){.req_prod_ahead = 33});
}

/* A second thread that spoils shared memory while the first does I/O. */
struct spoiler {
	pthread_t thread;
	struct front *f;
	void (*spoil)(struct spoiler *s);
	atomic_bool stop;
	uint64_t random;
	uint8_t slot[2][RWY_BLK_MAX_SLOT_BYTES];
};

static uint32_t spoiler_random(struct spoiler *s)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(s->random >> 33);
}

static void *spoil_on(void *arg)
{
	struct spoiler *s = arg;

	while (!atomic_load(&s->stop))
		s->spoil(s);
	return NULL;
}

/* Reads, one at a time and whatever becomes of them, while spoil runs; ends with the ring. */
static int io_while(struct front *f, struct spoiler *s)
{
	struct rwy_blk_response rsp;
	int err = 0;

	s->f = f;
	s->random = front_random(f);
	if (pthread_create(&s->thread, NULL, spoil_on, s))
		return -EAGAIN;
	while (front_goes_on(f) && !err) {
		struct rwy_blk_request req = front_read_request(f, 1, 0);

		front_put_request(f, &req);
		front_push(f);
		for (uint32_t n = 0; n < 10000 && !front_take_all(f); n++)
			front_notify(f);
		if (f->req_prod - f->rsp_cons >= f->nr_slots)
			err = front_take(f, &rsp);
	}
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	return err == -EPIPE ? 0 : err;
}

static void flip_index(struct spoiler *s)
{
	volatile struct rwy_sring *sring = front_sring(s->f);
	uint32_t good = s->f->req_prod;

	sring->req_prod = good;
	sring->req_prod = good + 1000;
	sring->req_prod = good;
}

static int index_changes_after_read(struct front *f)
{
	struct spoiler s = {.spoil = flip_index};
	int err = io_while(f, &s);

	/* The last word is a wrong one, for a machine on which none was seen. */
	set_req_prod(f, f->req_prod + 1000);
	return err;
}

static void flip_slots(struct spoiler *s)
{
	for (uint32_t i = 0; i < s->f->nr_slots; i++) {
		memcpy(front_slot(s->f, i), s->slot[0], s->f->slot_bytes);
		memcpy(front_slot(s->f, i), s->slot[1], s->f->slot_bytes);
	}
}

/* Between a good read and one with everything out of range: answered once each, either way. */
static int slot_changes_while_taken(struct front *f)
{
	struct spoiler s = {.f = f, .spoil = flip_slots};
	struct rwy_blk_request good = front_read_request(f, 7, 0);
	struct rwy_blk_response rsp;

	rwy_blk_encode_request(f->abi, &good, s.slot[0]);
	memset(s.slot[1], 0xff, sizeof(s.slot[1]));
	s.slot[1][0] = BLKIF_OP_READ;
	if (pthread_create(&s.thread, NULL, spoil_on, &s))
		return -EAGAIN;
	int err = 0;

	while (front_goes_on(f) && !err) {
		f->req_prod += f->nr_slots;
		front_push(f);
		while (f->rsp_cons != f->req_prod && !err)
			err = front_take(f, &rsp);
	}
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	return err ? complain("no response: %s", strerror(-err)) : 0;
}

/* req_event and rsp_prod are the backend's: it writes them and never reads them back. */
static int own_words_rewritten(struct front *f)
{
	while (front_goes_on(f)) {
		struct rwy_blk_request req = front_read_request(f, 3, 0);
		uint32_t answered = f->rsp_cons + 1;
		uint64_t end_ns = front_now_ns() + FRONT_LIMIT_MS * 1000000ull;

		front_sring(f)->rsp_prod = (uint32_t)front_random(f) | 0x80000000u;
		front_sring(f)->req_event = (uint32_t)front_random(f);
		front_put_request(f, &req);
		front_push(f);
		while (__atomic_load_n(&((uint32_t *)f->ring)[2], __ATOMIC_ACQUIRE) != answered) {
			if (front_now_ns() > end_ns)
				return complain("rsp_prod is not overwritten by the next push");
		}
		f->rsp_cons = answered;
	}
	return 0;
}

/* At most one notification for each push, and so for each response. */
static int any_event_words(struct front *f)
{
	struct rwy_blk_response rsp;

	while (front_goes_on(f)) {
		struct rwy_blk_request req = front_read_request(f, 4, 0);

		front_put_request(f, &req);
		front_sring(f)->rsp_event = (uint32_t)front_random(f);
		front_push(f);
		if (front_take(f, &rsp) || rsp.id != 4 || rsp.status != BLKIF_RSP_OKAY)
			return complain("a wrong response, or none");
	}
	return 0;
}

static int broken_ring_heals(struct front *f)
{
	struct rwy_blk_request req = front_read_request(f, 5, 0);

	set_req_prod(f, f->req_prod + 1000);
	int err = front_expect_broken(f);

	front_put_request(f, &req);
	front_push(f);
	if (!err)
		err = front_wait_state(f, 1u << XenbusStateClosed, "a broken device");
	if (!err && front_sring(f)->rsp_prod)
		err = complain("a request in a broken ring was answered");
	return err;
}

static void random_bytes(struct spoiler *s)
{
	uint32_t bytes = s->f->nr_ring_pages * RWY_RING_PAGE_BYTES;

	for (uint32_t i = 0; i < 64; i++)
		s->f->ring[16 + spoiler_random(s) % (bytes - 16)] = (uint8_t)spoiler_random(s);
	s->f->ring[spoiler_random(s) % 1024] = (uint8_t)spoiler_random(s);
}

/* The whole ring, 16 pages of it, its header a little less often; a new one whenever it broke. */
static int random_bytes_over_ring(struct front *f)
{
	const struct front_how how = {.nr_ring_pages = RWY_RING_MAX_PAGES};
	int err = 0;

	while (front_goes_on(f) && !err) {
		struct spoiler s = {.spoil = random_bytes};

		err = front_connect(f, &how);
		if (!err)
			err = io_while(f, &s);
		if (!err || err == -ETIMEDOUT)
			err = front_reset(f);
	}
	return err;
}

/* Any index, in range or not, over slots of random bytes. */
static int index_jumps(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		err = front_connect(f, &(struct front_how){.nr_ring_pages = 4});
		if (err)
			break;
		front_random_bytes(f, front_slot(f, 0), f->nr_slots * f->slot_bytes);
		for (int i = 0; i < 100; i++)
			set_req_prod(f, front_sring(f)->rsp_prod +
						(uint32_t)(front_random(f) % (f->nr_slots + 4)));
		err = front_reset(f);
	}
	return err;
}

/* Full all the time, its responses overwritten unread. */
static int responses_never_consumed(struct front *f)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	while (front_goes_on(f)) {
		struct rwy_blk_request req = front_read_request(f, 6, 0);
		uint32_t room = front_sring(f)->rsp_prod + f->nr_slots - f->req_prod;

		rwy_blk_encode_request(f->abi, &req, slot);
		for (uint32_t i = 0; i < room; i++)
			front_put(f, slot);
		front_push(f);
	}
	f->rsp_cons = f->req_prod - f->nr_slots;
	return front_drain(f, BLKIF_RSP_OKAY);
}

static int ring_of_one_page_sixteen_times(struct front *f)
{
	const struct front_how how = {.nr_ring_pages = RWY_RING_MAX_PAGES, .same_page = true};
	struct rwy_blk_response rsp;
	int err = front_connect(f, &how);

	for (int i = 0; i < 1000 && !err && front_goes_on(f); i++) {
		struct rwy_blk_request req = front_read_request(f, 8, 0);

		front_put_request(f, &req);
		front_push(f);
		err = front_take(f, &rsp);
	}
	return err == -EPIPE ? 0 : err;
}

/* What was in the slot before must not be what is in the response's padding (XSA-216). */
static int response_padding(struct front *f)
{
	static const struct {
		enum rwy_blk_abi abi;
		uint8_t pad[8]; /* offsets that hold nothing; 0 ends them */
	} layout[] = {
		{RWY_BLK_ABI_X86_64, {9, 12, 13, 14, 15}},
		{RWY_BLK_ABI_X86_32, {9}},
	};
	struct rwy_blk_response rsp;
	int err = 0;

	for (uint32_t n = 0; n < 2 && !err; n++) {
		err = front_connect(f, &(struct front_how){.abi = layout[n].abi});
		memset(f->ring + RWY_RING_HEADER_BYTES, 0xee,
		       RWY_RING_PAGE_BYTES - RWY_RING_HEADER_BYTES);
		struct rwy_blk_request req = front_read_request(f, UINT64_MAX, 0);

		req.op = RWY_BLK_OP_FLUSH;
		req.nr_segs = 0;
		front_put_request(f, &req);
		memset(front_slot(f, 0) + 9, 0xee, 3);
		front_push(f);
		if (!err)
			err = front_take(f, &rsp);
		for (const uint8_t *pad = layout[n].pad; !err && *pad; pad++) {
			if (front_slot(f, 0)[*pad])
				err = complain("byte %u of a response is %#x", *pad,
					       front_slot(f, 0)[*pad]);
		}
		if (!err)
			err = front_reset(f);
	}
	return err;
}

const struct attack ring_attacks[] = {
	{"req-prod-past-ring", "more than a ring ahead of the responses", ANSWER_BROKEN,
	 START_CONNECTED, false, req_prod_past_ring},
	{"req-prod-past-outstanding", "over slots still waiting for a response", ANSWER_BROKEN,
	 START_CONNECTED, false, req_prod_past_outstanding},
	{"req-prod-past-unpushed-response", "over slots while responses are on their way",
	 ANSWER_BROKEN, START_CONNECTED, false, req_prod_past_unpushed_response},
	{"req-prod-back", "one back behind a request that was taken", ANSWER_BROKEN,
	 START_CONNECTED, false, req_prod_back},
	{"req-prod-at-attach", "a ring that is out of range from the start", ANSWER_BROKEN,
	 START_ALONE, false, req_prod_at_attach},
	{"index-changes-after-read", "req_prod flips between good and bad", ANSWER_BROKEN,
	 START_CONNECTED, false, index_changes_after_read},
	{"slot-changes-while-taken", "slots flip between a good request and nonsense",
	 ANSWER_STATUS, START_CONNECTED, false, slot_changes_while_taken},
	{"own-words-rewritten", "the backend's words of the ring hold nonsense", ANSWER_STATUS,
	 START_CONNECTED, false, own_words_rewritten},
	{"any-event-words", "rsp_event is anything", ANSWER_STATUS, START_CONNECTED, false,
	 any_event_words},
	{"broken-ring-heals", "indexes are good again after they were not", ANSWER_BROKEN,
	 START_CONNECTED, false, broken_ring_heals},
	{"random-bytes-over-ring", "random bytes over all of a ring during I/O", ANSWER_ANY,
	 START_ALONE, false, random_bytes_over_ring},
	{"index-jumps", "req_prod jumps over slots of random bytes", ANSWER_ANY, START_ALONE, false,
	 index_jumps},
	{"responses-never-consumed", "the ring is full all the time", ANSWER_STATUS,
	 START_CONNECTED, false, responses_never_consumed},
	{"ring-of-one-page", "one page is granted as all 16 of a ring", ANSWER_ANY, START_ALONE,
	 false, ring_of_one_page_sixteen_times},
	{"response-padding", "the padding of responses is looked at", ANSWER_ANY, START_ALONE,
	 false, response_padding},
	{0},
};
