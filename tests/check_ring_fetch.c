// SPDX-License-Identifier: MIT
/*
 * Unit suite of ring/ring.c: every single access to shared memory, in order. The pages are closed;
 * each access faults, is written down, may be answered by a peer that changes its mind (the most
 * hostile timing there is), and is then run as one step of the CPU. Proves what timing tests can't:
 * an index is read once, a slot's byte is read once, nothing is read back, and stores and loads
 * come in the order the barriers ask for. x86_64 only, for its trap flag.
 */
#include "tests/check_main.h"
#include "tests/ring_pair.h"

#ifndef __x86_64__
int main(void)
{
	return 77; /* skipped: no single-stepping here */
}
#else
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#define BYTES	     RING_PAIR_BYTES
#define TRAP_FLAG    0x100
#define FAULT_WRITE  2
#define MAX_ACCESSES 512

struct access {
	uint32_t offset;
	bool write;
};

static struct {
	uint8_t *pages;
	size_t bytes;
	uint32_t nr;
	struct access list[MAX_ACCESSES];
	void (*peer)(uint32_t nr); /* runs after access nr, with the pages open */
} watch;

static struct ring_pair pair;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t at = (uintptr_t)info->si_addr - (uintptr_t)watch.pages;

	if (at >= watch.bytes || watch.nr == MAX_ACCESSES) {
		signal(sig, SIG_DFL);
		return;
	}
	watch.list[watch.nr].offset = (uint32_t)at;
	watch.list[watch.nr].write = uc->uc_mcontext.gregs[REG_ERR] & FAULT_WRITE;
	watch.nr++;
	mprotect(watch.pages, watch.bytes, PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	if (watch.peer)
		watch.peer(watch.nr);
	mprotect(watch.pages, watch.bytes, PROT_NONE);
}

static void watch_start(void (*peer)(uint32_t nr))
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

	watch.pages = pair.pages;
	watch.bytes = pair.nr_pages * RWY_RING_PAGE_BYTES;
	watch.nr = 0;
	watch.peer = peer;
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &step, NULL);
	mprotect(watch.pages, watch.bytes, PROT_NONE);
}

static void watch_stop(void)
{
	mprotect(watch.pages, watch.bytes, PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}

static void expect(uint32_t nr, size_t offset, bool write)
{
	ck_assert_uint_lt(nr, watch.nr);
	ck_assert_uint_eq(watch.list[nr].offset, offset);
	ck_assert_int_eq(watch.list[nr].write, write);
}

#define WORD(name) offsetof(struct rwy_sring, name)

START_TEST(ring_attach_reads_each_index_once)
{
	ring_pair_open(&pair, 1, BYTES, 7);
	watch_start(NULL);
	int rc = rwy_ring_back_attach(&pair.back, pair.pages, 1, BYTES);
	watch_stop();
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(watch.nr, 2);
	expect(0, WORD(rsp_prod), false);
	expect(1, WORD(req_prod), false);
	ring_pair_close(&pair);
}
END_TEST

static void peer_overruns(uint32_t nr)
{
	(void)nr;
	pair.words->req_prod = 0xdead0000;
	pair.words->rsp_prod = 0xdead0000;
}

START_TEST(ring_resume_reads_its_index_once)
{
	const struct rwy_ring_saved saved = {7, 7, 7};

	ring_pair_open(&pair, 1, BYTES, 7);
	watch_start(peer_overruns);
	int rc = rwy_ring_back_resume(&pair.back, pair.pages, 1, BYTES, &saved);
	watch_stop();
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(pair.back.rsp_pushed, 7);
	ck_assert_uint_eq(watch.nr, 1);
	expect(0, WORD(rsp_prod), false);
	ring_pair_close(&pair);
}
END_TEST

/* The index changes right after it was read: what was read is what is used. */
START_TEST(ring_poll_reads_index_once)
{
	ring_pair_open(&pair, 1, BYTES, 0);
	ring_pair_put(&pair, 3);
	rwy_ring_front_push(&pair.front);
	watch_start(peer_overruns);
	int back = rwy_ring_back_poll(&pair.back);
	watch_stop();
	ck_assert_int_eq(back, 3);
	ck_assert_uint_eq(pair.back.req_seen, 3);
	ck_assert_uint_eq(watch.nr, 1);
	expect(0, WORD(req_prod), false);

	pair.words->rsp_prod = 2;
	watch_start(peer_overruns);
	int front = rwy_ring_front_poll(&pair.front);
	watch_stop();
	ck_assert_int_eq(front, 2);
	ck_assert_uint_eq(pair.front.rsp_seen, 2);
	ck_assert_uint_eq(watch.nr, 1);
	expect(0, WORD(rsp_prod), false);
	ring_pair_close(&pair);
}
END_TEST

static void peer_scribbles(uint32_t nr)
{
	memset(ring_pair_slot(&pair, 0), (int)nr, pair.nr_slots * pair.slot_bytes);
}

/* nr accesses, all reads (or all writes), ascending without overlap, covering the slot. */
static void expect_one_pass(uint32_t index, uint32_t len, bool write)
{
	uint32_t at = (uint32_t)(ring_pair_slot(&pair, index) - pair.pages), end = at + len;

	for (uint32_t i = 0; i < watch.nr; i++) {
		uint32_t word = at % 8 == 0 && end - at >= 8 ? 8
				: end - at >= 4 && !(at % 4) ? 4
							     : 1;

		expect(i, at, write);
		at += word;
	}
	ck_assert_uint_eq(at, end);
}

/* The peer rewrites the whole slot after each word: every byte of the copy was there at its own
 * read. */
START_TEST(ring_take_reads_each_byte_once)
{
	static const uint32_t sizes[] = {8, 12, 13, 16, 108, 112};
	uint32_t bytes = sizes[_i];
	uint8_t buf[BYTES];

	ring_pair_open(&pair, 1, bytes, 0);
	ring_pair_put(&pair, 5);
	rwy_ring_front_push(&pair.front);
	ck_assert_int_eq(rwy_ring_back_poll(&pair.back), 5);
	for (uint32_t index = 0; index < 5; index++) {
		peer_scribbles(0);
		watch_start(peer_scribbles);
		bool taken = rwy_ring_back_take_request(&pair.back, buf, bytes);
		watch_stop();
		ck_assert(taken);
		expect_one_pass(index, bytes, false);
		for (uint32_t i = 0, at = watch.list[0].offset; i < bytes; i++) {
			uint32_t nr = 0;

			while (nr + 1 < watch.nr && watch.list[nr + 1].offset <= at + i)
				nr++;
			ck_assert_uint_eq(buf[i], nr);
		}
	}
	ring_pair_close(&pair);
}
END_TEST

START_TEST(ring_take_response_reads_each_byte_once)
{
	uint8_t buf[BYTES];

	ring_pair_open(&pair, 1, BYTES, 0);
	ring_pair_put(&pair, 2);
	rwy_ring_front_push(&pair.front);
	pair.words->rsp_prod = 2;
	ck_assert_int_eq(rwy_ring_front_poll(&pair.front), 2);
	watch_start(peer_scribbles);
	bool taken = rwy_ring_front_take_response(&pair.front, buf, 12);
	watch_stop();
	ck_assert(taken);
	expect_one_pass(0, 12, false);
	ring_pair_close(&pair);
}
END_TEST

/* What we write we never read back: the peer could have changed it. */
START_TEST(ring_put_only_writes)
{
	uint8_t buf[BYTES] = {0};

	ring_pair_open(&pair, 1, BYTES, 0);
	watch_start(NULL);
	rwy_ring_front_put_request(&pair.front, buf, BYTES);
	watch_stop();
	expect_one_pass(0, BYTES, true);
	rwy_ring_front_push(&pair.front);
	rwy_ring_back_poll(&pair.back);
	rwy_ring_back_take_request(&pair.back, buf, BYTES);
	watch_start(NULL);
	rwy_ring_back_put_response(&pair.back, buf, 16);
	watch_stop();
	expect_one_pass(0, 16, true);
	ring_pair_close(&pair);
}
END_TEST

START_TEST(ring_push_writes_index_then_reads_event)
{
	uint8_t buf[BYTES] = {0};

	ring_pair_open(&pair, 1, BYTES, 0);
	ring_pair_put(&pair, 1);
	watch_start(NULL);
	rwy_ring_front_push(&pair.front);
	watch_stop();
	ck_assert_uint_eq(watch.nr, 2);
	expect(0, WORD(req_prod), true);
	expect(1, WORD(req_event), false);

	rwy_ring_back_poll(&pair.back);
	rwy_ring_back_take_request(&pair.back, buf, BYTES);
	rwy_ring_back_put_response(&pair.back, buf, 16);
	watch_start(NULL);
	rwy_ring_back_push(&pair.back);
	watch_stop();
	ck_assert_uint_eq(watch.nr, 2);
	expect(0, WORD(rsp_prod), true);
	expect(1, WORD(rsp_event), false);
	ring_pair_close(&pair);
}
END_TEST

START_TEST(ring_arm_writes_event_then_reads_index)
{
	ring_pair_open(&pair, 1, BYTES, 0);
	watch_start(NULL);
	rwy_ring_back_arm(&pair.back, 1);
	watch_stop();
	ck_assert_uint_eq(watch.nr, 2);
	expect(0, WORD(req_event), true);
	expect(1, WORD(req_prod), false);

	watch_start(NULL);
	rwy_ring_front_arm(&pair.front, 1);
	watch_stop();
	ck_assert_uint_eq(watch.nr, 2);
	expect(0, WORD(rsp_event), true);
	expect(1, WORD(rsp_prod), false);
	ring_pair_close(&pair);
}
END_TEST

static void peer_publishes(uint32_t nr)
{
	if (nr == 1)
		pair.words->req_prod = 1;
}

/* A request published between the two halves of arm must not be slept through. */
START_TEST(ring_arm_sees_request_published_meanwhile)
{
	ring_pair_open(&pair, 1, BYTES, 0);
	watch_start(peer_publishes);
	int nr = rwy_ring_back_arm(&pair.back, 1);
	watch_stop();
	ck_assert_int_eq(nr, 1);
	ring_pair_close(&pair);
}
END_TEST

static Suite *ring_fetch_suite(void)
{
	Suite *s = suite_create("ring_fetch");
	TCase *tc = tcase_create("ring_fetch");

	tcase_add_test(tc, ring_attach_reads_each_index_once);
	tcase_add_test(tc, ring_resume_reads_its_index_once);
	tcase_add_test(tc, ring_poll_reads_index_once);
	tcase_add_loop_test(tc, ring_take_reads_each_byte_once, 0, 6);
	tcase_add_test(tc, ring_take_response_reads_each_byte_once);
	tcase_add_test(tc, ring_put_only_writes);
	tcase_add_test(tc, ring_push_writes_index_then_reads_event);
	tcase_add_test(tc, ring_arm_writes_event_then_reads_index);
	tcase_add_test(tc, ring_arm_sees_request_published_meanwhile);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(ring_fetch_suite)
#endif
