// SPDX-License-Identifier: MIT
/*
 * Two threads, one at each end of a ring, that sleep whenever they have nothing to do and are woken
 * only when the other's push says so: a lost wake-up stops both, and the watchdog fails the test.
 * Contents are verified at both ends. Meant for ThreadSanitizer as well (`make check-tsan`), where
 * the only ordering it can see is the acquire and release of the indexes. RINGWAY_STRESS_PERCENT
 * scales the work.
 */
#include "tests/check_main.h"
#include "tests/ring_pair.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#define WATCHDOG_MS 10000

struct stress_case {
	uint32_t nr_pages;
	uint32_t slot_bytes;
	uint32_t requests;
	uint32_t back_after; /* hold-off: what the ends pass to arm */
	uint32_t front_after;
	uint32_t batch; /* most requests a front puts, and responses a back puts, between pushes */
	uint32_t spins; /* at most so many polls before arming */
};

/*
 * What finds a lost wake-up is one end arming at the very moment the other pushes: small rings, and
 * ends that stay awake for a random while before they arm.
 */
static const struct stress_case stress_cases[] = {
	{1, 1024, 20000, 1, 1, 1, 0},	   {1, 1024, 150000, 1, 1, 1, 10000},
	{1, 1024, 100000, 2, 2, 2, 30000}, {1, 112, 400000, 1, 1, 4, 3000},
	{1, 108, 500000, 8, 8, 32, 0},	   {1, 112, 300000, 32, 1, 7, 200},
	{2, 12, 800000, 1, 100, 3, 50},	   {16, 112, 900000, 64, 64, 50, 0},
	{1, 480, 300000, 1, 1, 1, 3000},   {1, 480, 200000, 3, 8, 5, 500},
};

struct end {
	int wake_fd;	   /* this end sleeps on it */
	int peer_wake_fd;  /* and wakes the other one through this */
	uint64_t sleeps;   /* times it had nothing to do */
	uint64_t notifies; /* times push said notify */
	uint32_t random;
	const char *failed;
};

struct stress {
	struct stress_case how;
	uint8_t *pages;
	struct rwy_ring_front front;
	struct rwy_ring_back back;
	struct end front_end, back_end;
};

static void notify(struct end *e)
{
	uint64_t one = 1;

	e->notifies++;
	if (write(e->peer_wake_fd, &one, sizeof(one)) != sizeof(one))
		e->failed = "could not notify";
}

/* Sleep until notified; false when nobody notifies within the watchdog's time. */
static bool sleep_until_notified(struct end *e)
{
	struct pollfd pfd = {.fd = e->wake_fd, .events = POLLIN};
	uint64_t count;

	e->sleeps++;
	if (poll(&pfd, 1, WATCHDOG_MS) == 1 && read(e->wake_fd, &count, sizeof(count)) > 0)
		return true;
	e->failed = "lost wake-up: nobody notified";
	return false;
}

static uint32_t spins_now(struct end *e, uint32_t most)
{
	e->random = e->random * 1664525u + 1013904223u;
	return most ? (e->random >> 8) % (most + 1) : 0;
}

static uint32_t seed_of(uint32_t nr, uint32_t salt)
{
	uint32_t x = nr * 2654435761u + salt;

	return x ^ x >> 15;
}

static void fill(uint32_t *words, uint32_t bytes, uint32_t nr, uint32_t salt)
{
	for (uint32_t i = 0; i < bytes / 4; i++)
		words[i] = seed_of(nr, salt) + i;
}

static bool holds(const uint32_t *words, uint32_t bytes, uint32_t nr, uint32_t salt)
{
	for (uint32_t i = 0; i < bytes / 4; i++)
		if (words[i] != seed_of(nr, salt) + i)
			return false;
	return true;
}

#define REQUEST_SALT  1u
#define RESPONSE_SALT 0x80000000u

static bool collect_responses(struct stress *s, uint32_t *done)
{
	uint32_t buf[256];

	if (rwy_ring_front_poll(&s->front) < 0) {
		s->front_end.failed = "front: ring broken";
		return false;
	}
	while (rwy_ring_front_take_response(&s->front, buf, s->how.slot_bytes)) {
		if (!holds(buf, s->how.slot_bytes, *done, RESPONSE_SALT)) {
			s->front_end.failed = "front: response with other bytes";
			return false;
		}
		++*done;
	}
	return true;
}

static void put_requests(struct stress *s, uint32_t *sent)
{
	uint32_t buf[256];

	while (*sent < s->how.requests && rwy_ring_front_free(&s->front)) {
		for (uint32_t i = 0; i < s->how.batch && *sent < s->how.requests; i++) {
			fill(buf, s->how.slot_bytes, *sent, REQUEST_SALT);
			if (rwy_ring_front_put_request(&s->front, buf, s->how.slot_bytes))
				break;
			++*sent;
		}
		if (rwy_ring_front_push(&s->front))
			notify(&s->front_end);
	}
}

static void *run_front(void *arg)
{
	struct stress *s = arg;
	uint32_t sent = 0, done = 0;

	while (done < s->how.requests && !s->front_end.failed) {
		put_requests(s, &sent);
		if (!collect_responses(s, &done))
			break;
		if (done == s->how.requests ||
		    (sent < s->how.requests && rwy_ring_front_free(&s->front)))
			continue;
		for (uint32_t i = spins_now(&s->front_end, s->how.spins); i; i--)
			if (rwy_ring_front_poll(&s->front))
				break;
		if (rwy_ring_front_arm(&s->front, s->how.front_after) == 0)
			sleep_until_notified(&s->front_end);
	}
	return NULL;
}

static bool answer_requests(struct stress *s, uint32_t nr, uint32_t *done)
{
	uint32_t buf[256];

	for (uint32_t i = 0; i < nr; i++) {
		fill(buf, s->how.slot_bytes, *done, RESPONSE_SALT);
		if (rwy_ring_back_put_response(&s->back, buf, s->how.slot_bytes)) {
			s->back_end.failed = "back: response refused";
			return false;
		}
		++*done;
		if ((*done % s->how.batch == 0 || i + 1 == nr) && rwy_ring_back_push(&s->back))
			notify(&s->back_end);
	}
	return true;
}

static void *run_back(void *arg)
{
	struct stress *s = arg;
	uint32_t taken = 0, done = 0, buf[256], left;

	while (done < s->how.requests && !s->back_end.failed) {
		uint32_t nr = 0;

		if (rwy_ring_back_poll(&s->back) < 0) {
			s->back_end.failed = "back: ring broken";
			break;
		}
		while (rwy_ring_back_take_request(&s->back, buf, s->how.slot_bytes)) {
			if (!holds(buf, s->how.slot_bytes, taken, REQUEST_SALT)) {
				s->back_end.failed = "back: request with other bytes";
				return NULL;
			}
			taken++;
			nr++;
		}
		if (!answer_requests(s, nr, &done) || done == s->how.requests)
			break;
		for (uint32_t i = spins_now(&s->back_end, s->how.spins); i; i--)
			if (rwy_ring_back_poll(&s->back))
				break;
		/* The last few would never reach a longer hold-off: whoever holds off must know. */
		left = s->how.requests - taken;
		if (rwy_ring_back_arm(&s->back,
				      left < s->how.back_after ? left : s->how.back_after) == 0)
			sleep_until_notified(&s->back_end);
	}
	return NULL;
}

static uint32_t scaled(uint32_t requests)
{
	const char *percent = getenv("RINGWAY_STRESS_PERCENT");
	uint64_t scale = percent ? strtoul(percent, NULL, 10) : UNDER_TSAN ? 5 : 100;

	return (uint32_t)(requests * scale / 100) + 1;
}

static void open_stress(struct stress *s, const struct stress_case *how)
{
	memset(s, 0, sizeof(*s));
	s->how = *how;
	s->how.requests = scaled(how->requests);
	s->pages = mmap(NULL, how->nr_pages * RWY_RING_PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(s->pages, MAP_FAILED);
	s->front_end.wake_fd = s->back_end.peer_wake_fd = eventfd(0, 0);
	s->back_end.wake_fd = s->front_end.peer_wake_fd = eventfd(0, 0);
	ck_assert_int_ge(s->front_end.wake_fd, 0);
	ck_assert_int_ge(s->back_end.wake_fd, 0);
	ck_assert_int_eq(rwy_ring_front_init(&s->front, s->pages, how->nr_pages, how->slot_bytes),
			 0);
	ck_assert_int_eq(rwy_ring_back_attach(&s->back, s->pages, how->nr_pages, how->slot_bytes),
			 0);
}

static void close_stress(struct stress *s)
{
	close(s->front_end.wake_fd);
	close(s->back_end.wake_fd);
	munmap(s->pages, s->how.nr_pages * RWY_RING_PAGE_BYTES);
}

START_TEST(ring_two_threads_lose_no_wakeup)
{
	struct stress s;
	pthread_t front, back;

	open_stress(&s, &stress_cases[_i]);
	ck_assert_int_eq(pthread_create(&front, NULL, run_front, &s), 0);
	ck_assert_int_eq(pthread_create(&back, NULL, run_back, &s), 0);
	pthread_join(front, NULL);
	pthread_join(back, NULL);
	printf("%u slots, %u requests: front slept %lu, back slept %lu, notified %lu and %lu\n",
	       s.front.nr_slots, s.how.requests, s.front_end.sleeps, s.back_end.sleeps,
	       s.back_end.notifies, s.front_end.notifies);
	ck_assert_msg(!s.front_end.failed, "%s", s.front_end.failed);
	ck_assert_msg(!s.back_end.failed, "%s", s.back_end.failed);
	ck_assert_uint_eq(s.front.rsp_cons, s.how.requests);
	ck_assert_uint_eq(s.back.rsp_pushed, s.how.requests);
	ck_assert_uint_gt(s.front_end.sleeps + s.back_end.sleeps, 0);
	close_stress(&s);
}
END_TEST

static Suite *ring_stress_suite(void)
{
	Suite *s = suite_create("ring_stress");
	TCase *tc = tcase_create("ring_stress");

	tcase_set_timeout(tc, 180);
	tcase_add_loop_test(tc, ring_two_threads_lose_no_wakeup, 0,
			    sizeof(stress_cases) / sizeof(stress_cases[0]));
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(ring_stress_suite)
