// SPDX-License-Identifier: MIT
/*
 * The event loop under a clock that the test moves: order of timers, sources and timers removed and
 * re-armed inside callbacks, fds, signals. Rounds are run with a timeout of 0, so nothing waits for
 * real time.
 */
#include "common/loop.h"
#include "tests/check_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_CALLS 64

static uint64_t now_ns;
static struct rwy_loop *loop;
static char calls[MAX_CALLS + 1]; /* a letter for each callback made */

static uint64_t test_clock(void *ctx)
{
	return *(uint64_t *)ctx;
}

static void set_up(void)
{
	now_ns = 1000;
	memset(calls, 0, sizeof(calls));
	ck_assert_int_eq(rwy_loop_create(&loop, test_clock, &now_ns), 0);
}

static void tear_down(void)
{
	rwy_loop_destroy(loop);
	loop = NULL;
}

static void note(char letter)
{
	size_t len = strlen(calls);

	ck_assert_uint_lt(len, MAX_CALLS);
	calls[len] = letter;
}

static void round_at(uint64_t at_ns)
{
	now_ns = at_ns;
	ck_assert_int_eq(rwy_loop_run_once(loop, 0), 0);
}

/* ---- timers */

struct timer {
	struct rwy_loop_timer *timer;
	char letter;
	void (*then)(struct timer *t);
	struct timer *other;
};

static void timer_fired(void *ctx)
{
	struct timer *t = ctx;

	note(t->letter);
	if (t->then)
		t->then(t);
}

static void add_timer(struct timer *t, char letter, uint64_t at_ns)
{
	t->letter = letter;
	ck_assert_int_eq(rwy_loop_add_timer(loop, timer_fired, t, &t->timer), 0);
	rwy_loop_arm_timer(t->timer, at_ns);
}

START_TEST(clock_is_the_injected_one)
{
	now_ns = 12345;
	ck_assert_uint_eq(rwy_loop_now_ns(loop), 12345);
}
END_TEST

START_TEST(real_clock_moves_and_limits_the_wait)
{
	struct rwy_loop *real;
	uint64_t before;

	ck_assert_int_eq(rwy_loop_create(&real, NULL, NULL), 0);
	before = rwy_loop_now_ns(real);
	ck_assert_int_eq(rwy_loop_run_once(real, 2000000), 0);
	ck_assert_uint_ge(rwy_loop_now_ns(real) - before, 2000000);
	rwy_loop_destroy(real);
}
END_TEST

START_TEST(timer_not_armed_never_fires)
{
	struct timer a = {0};

	ck_assert_int_eq(rwy_loop_add_timer(loop, timer_fired, &a, &a.timer), 0);
	round_at(UINT64_MAX);
	ck_assert_str_eq(calls, "");
}
END_TEST

START_TEST(timers_fire_by_time_then_by_arming_order)
{
	struct timer a = {0}, b = {0}, c = {0}, d = {0};

	add_timer(&c, 'c', 3000);
	add_timer(&a, 'a', 2000);
	add_timer(&d, 'd', 3000);
	add_timer(&b, 'b', 2500);
	round_at(5000);
	ck_assert_str_eq(calls, "abcd");
}
END_TEST

START_TEST(timer_fires_once_and_not_early)
{
	struct timer a = {0};

	add_timer(&a, 'a', 2000);
	round_at(1999);
	ck_assert_str_eq(calls, "");
	round_at(2000);
	ck_assert_str_eq(calls, "a");
	round_at(9000);
	ck_assert_str_eq(calls, "a");
}
END_TEST

START_TEST(arming_again_moves_a_timer)
{
	struct timer a = {0}, b = {0};

	add_timer(&a, 'a', 2000);
	add_timer(&b, 'b', 2500);
	rwy_loop_arm_timer(a.timer, 3000);
	round_at(2500);
	ck_assert_str_eq(calls, "b");
	round_at(3000);
	ck_assert_str_eq(calls, "ba");
}
END_TEST

START_TEST(disarmed_timer_does_not_fire)
{
	struct timer a = {0};

	add_timer(&a, 'a', 2000);
	rwy_loop_disarm_timer(a.timer);
	rwy_loop_disarm_timer(a.timer);
	round_at(3000);
	ck_assert_str_eq(calls, "");
	rwy_loop_remove_timer(a.timer);
	rwy_loop_remove_timer(NULL);
}
END_TEST

static void arm_again_for_now(struct timer *t)
{
	rwy_loop_arm_timer(t->timer, now_ns);
}

START_TEST(timer_armed_for_now_in_its_callback_fires_next_round)
{
	struct timer a = {.then = arm_again_for_now};

	add_timer(&a, 'a', 2000);
	round_at(2000);
	ck_assert_str_eq(calls, "a");
	round_at(2000);
	ck_assert_str_eq(calls, "aa");
}
END_TEST

static void disarm_other(struct timer *t)
{
	rwy_loop_disarm_timer(t->other->timer);
}

static void remove_other(struct timer *t)
{
	rwy_loop_remove_timer(t->other->timer);
}

static void postpone_other(struct timer *t)
{
	rwy_loop_arm_timer(t->other->timer, now_ns + 1);
}

static void remove_self(struct timer *t)
{
	rwy_loop_remove_timer(t->timer);
}

START_TEST(callback_may_stop_a_timer_due_in_the_same_round)
{
	void (*const ways[])(struct timer *) = {disarm_other, remove_other};
	struct timer a = {0}, b = {0};

	a.then = ways[_i];
	a.other = &b;
	add_timer(&a, 'a', 2000);
	add_timer(&b, 'b', 2000);
	round_at(2000);
	round_at(3000);
	ck_assert_str_eq(calls, "a");
}
END_TEST

START_TEST(callback_may_postpone_a_timer_due_in_the_same_round)
{
	struct timer a = {.then = postpone_other}, b = {0};

	a.other = &b;
	add_timer(&a, 'a', 2000);
	add_timer(&b, 'b', 2000);
	round_at(2000);
	ck_assert_str_eq(calls, "a");
	round_at(2001);
	ck_assert_str_eq(calls, "ab");
}
END_TEST

START_TEST(timer_may_remove_itself)
{
	struct timer a = {.then = remove_self};

	add_timer(&a, 'a', 2000);
	round_at(2000);
	round_at(3000);
	ck_assert_str_eq(calls, "a");
}
END_TEST

/* The clock stands, so the round below would wait for ever if the timer did not limit it. */
START_TEST(due_timer_ends_the_wait)
{
	struct timer a = {0};

	add_timer(&a, 'a', 500);
	ck_assert_int_eq(rwy_loop_run_once(loop, UINT64_MAX), 0);
	ck_assert_str_eq(calls, "a");
}
END_TEST

/* ---- fds */

struct source {
	struct rwy_loop_source *source;
	int fd;
	char letter;
	void (*then)(struct source *s);
	struct source *other;
	uint32_t events;
};

static void fd_ready(void *ctx, uint32_t epoll_events)
{
	struct source *s = ctx;

	s->events = epoll_events;
	note(s->letter);
	if (s->then)
		s->then(s);
}

/* A source that is readable from the start, and stays so. */
static void add_ready_fd(struct source *s, char letter)
{
	s->letter = letter;
	s->fd = eventfd(1, EFD_CLOEXEC);
	ck_assert_int_ge(s->fd, 0);
	ck_assert_int_eq(rwy_loop_add_fd(loop, s->fd, EPOLLIN, fd_ready, s, &s->source), 0);
}

START_TEST(fd_is_called_while_it_is_ready)
{
	struct source a = {0};
	eventfd_t value;

	add_ready_fd(&a, 'a');
	round_at(1000);
	round_at(1000);
	ck_assert_str_eq(calls, "aa");
	ck_assert_uint_eq(a.events, EPOLLIN);
	eventfd_read(a.fd, &value);
	round_at(1000);
	ck_assert_str_eq(calls, "aa");
	close(a.fd);
}
END_TEST

START_TEST(events_of_an_fd_can_be_modified)
{
	struct source a = {0};

	add_ready_fd(&a, 'a');
	ck_assert_int_eq(rwy_loop_modify_fd(a.source, EPOLLOUT), 0);
	round_at(1000);
	ck_assert_uint_eq(a.events, EPOLLOUT);
	ck_assert_int_eq(rwy_loop_modify_fd(a.source, 0), 0);
	round_at(1000);
	ck_assert_str_eq(calls, "a");
	close(a.fd);
}
END_TEST

START_TEST(bad_fd_is_refused)
{
	struct rwy_loop_source *source;
	struct source a = {0};

	ck_assert_int_eq(rwy_loop_add_fd(loop, -1, EPOLLIN, fd_ready, NULL, &source), -EBADF);
	add_ready_fd(&a, 'a');
	ck_assert_int_eq(rwy_loop_add_fd(loop, a.fd, EPOLLIN, fd_ready, NULL, &source), -EEXIST);
	close(a.fd);
}
END_TEST

static void remove_source(struct source *s)
{
	rwy_loop_remove(s->source);
}

static void remove_other_source(struct source *s)
{
	s->then = NULL;
	rwy_loop_remove(s->other->source);
}

START_TEST(source_may_remove_itself)
{
	struct source a = {.then = remove_source};

	add_ready_fd(&a, 'a');
	round_at(1000);
	round_at(1000);
	ck_assert_str_eq(calls, "a");
	close(a.fd);
}
END_TEST

START_TEST(source_removed_by_another_ready_in_the_same_round_is_not_called)
{
	struct source a = {.then = remove_other_source}, b = {.then = remove_other_source};

	a.other = &b;
	b.other = &a;
	add_ready_fd(&a, 'x');
	add_ready_fd(&b, 'x');
	round_at(1000);
	ck_assert_str_eq(calls, "x");
	round_at(1000);
	ck_assert_str_eq(calls, "xx");
	close(a.fd);
	close(b.fd);
}
END_TEST

/* The new source may get the old one's memory and fd number; the old one's event is not its. */
static void replace_other_source(struct source *s)
{
	int fd = s->other->fd;

	s->then = NULL;
	rwy_loop_remove(s->other->source);
	close(fd);
	s->other->fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(s->other->fd, fd);
	ck_assert_int_eq(rwy_loop_add_fd(loop, fd, EPOLLIN, fd_ready, s->other, &s->other->source),
			 0);
}

START_TEST(source_added_in_place_of_a_ready_one_does_not_inherit_its_event)
{
	struct source a = {.then = replace_other_source}, b = {.then = replace_other_source};

	a.other = &b;
	b.other = &a;
	add_ready_fd(&a, 'a');
	add_ready_fd(&b, 'b');
	round_at(1000);
	ck_assert_uint_eq(strlen(calls), 1);
	close(a.fd);
	close(b.fd);
}
END_TEST

static void remove_ready_fd(struct timer *t)
{
	rwy_loop_remove((struct rwy_loop_source *)t->other);
}

START_TEST(timer_may_remove_a_source_ready_in_the_same_round)
{
	struct timer t = {.then = remove_ready_fd};
	struct source a = {0};

	add_ready_fd(&a, 'a');
	t.other = (struct timer *)a.source;
	add_timer(&t, 't', 1000);
	round_at(1000);
	ck_assert_str_eq(calls, "t");
	close(a.fd);
}
END_TEST

static void run_inner_round(struct source *s)
{
	struct source *other = s->other;

	s->then = NULL;
	rwy_loop_remove(other->source);
	ck_assert_int_eq(rwy_loop_run_once(loop, 0), 0);
	/* Would get the memory of the removed source, had the inner round freed it. */
	ck_assert_int_eq(
		rwy_loop_add_fd(loop, dup(other->fd), EPOLLOUT, fd_ready, other, &other->source),
		0);
}

/* What the inner round frees must not be what the outer one still holds events for. */
START_TEST(callback_may_run_a_round_of_its_own)
{
	struct source a = {.then = run_inner_round}, b = {.then = run_inner_round};

	a.other = &b;
	b.other = &a;
	add_ready_fd(&a, 'x');
	add_ready_fd(&b, 'x');
	round_at(1000);
	ck_assert_str_eq(calls, "xx");
	close(a.fd);
	close(b.fd);
}
END_TEST

START_TEST(removing_nothing_is_fine)
{
	rwy_loop_remove(NULL);
	rwy_loop_destroy(NULL);
}
END_TEST

START_TEST(destroy_leaves_watched_fds_open)
{
	struct source a = {0};
	struct timer t = {0};

	add_ready_fd(&a, 'a');
	add_timer(&t, 't', 1000);
	rwy_loop_destroy(loop);
	ck_assert_int_eq(eventfd_write(a.fd, 1), 0);
	close(a.fd);
	set_up();
}
END_TEST

/* ---- signals */

struct signals {
	struct rwy_loop_source *source;
	bool once;
	int last;
	int count;
};

static void signal_came(void *ctx, int signo)
{
	struct signals *s = ctx;

	s->last = signo;
	s->count++;
	if (s->once)
		rwy_loop_remove(s->source);
}

static void add_signals(struct signals *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	ck_assert_int_eq(rwy_loop_add_signals(loop, &set, signal_came, s, &s->source), 0);
}

START_TEST(signals_reach_the_callback_and_not_the_process)
{
	struct signals s = {0};

	add_signals(&s);
	pthread_kill(pthread_self(), SIGTERM);
	round_at(1000);
	ck_assert_int_eq(s.count, 1);
	ck_assert_int_eq(s.last, SIGTERM);
	pthread_kill(pthread_self(), SIGHUP);
	pthread_kill(pthread_self(), SIGTERM);
	round_at(1000);
	ck_assert_int_eq(s.count, 3);
}
END_TEST

START_TEST(signal_source_may_remove_itself)
{
	struct signals s = {.once = true};

	add_signals(&s);
	pthread_kill(pthread_self(), SIGHUP);
	pthread_kill(pthread_self(), SIGTERM);
	round_at(1000);
	round_at(1000);
	ck_assert_int_eq(s.count, 1);
}
END_TEST

/* ---- running */

static void stop_at_third_call(struct source *s)
{
	if (strlen(calls) == 3)
		rwy_loop_stop(loop, 42);
	(void)s;
}

START_TEST(run_goes_on_until_stop_and_returns_its_code)
{
	struct source a = {.then = stop_at_third_call};

	add_ready_fd(&a, 'a');
	ck_assert_int_eq(rwy_loop_run(loop), 42);
	ck_assert_str_eq(calls, "aaa");
	close(a.fd);
}
END_TEST

START_TEST(stop_before_run_counts_once)
{
	struct source a = {.then = stop_at_third_call};

	add_ready_fd(&a, 'a');
	rwy_loop_stop(loop, 7);
	ck_assert_int_eq(rwy_loop_run(loop), 7);
	ck_assert_str_eq(calls, "");
	ck_assert_int_eq(rwy_loop_run(loop), 42);
	close(a.fd);
}
END_TEST

static TCase *loop_case(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	return tc;
}

static TCase *timers_case(void)
{
	TCase *tc = loop_case("timers");

	tcase_add_test(tc, clock_is_the_injected_one);
	tcase_add_test(tc, real_clock_moves_and_limits_the_wait);
	tcase_add_test(tc, timer_not_armed_never_fires);
	tcase_add_test(tc, timers_fire_by_time_then_by_arming_order);
	tcase_add_test(tc, timer_fires_once_and_not_early);
	tcase_add_test(tc, arming_again_moves_a_timer);
	tcase_add_test(tc, disarmed_timer_does_not_fire);
	tcase_add_test(tc, timer_armed_for_now_in_its_callback_fires_next_round);
	tcase_add_loop_test(tc, callback_may_stop_a_timer_due_in_the_same_round, 0, 2);
	tcase_add_test(tc, callback_may_postpone_a_timer_due_in_the_same_round);
	tcase_add_test(tc, timer_may_remove_itself);
	tcase_add_test(tc, due_timer_ends_the_wait);
	return tc;
}

static TCase *sources_case(void)
{
	TCase *tc = loop_case("sources");

	tcase_add_test(tc, fd_is_called_while_it_is_ready);
	tcase_add_test(tc, events_of_an_fd_can_be_modified);
	tcase_add_test(tc, bad_fd_is_refused);
	tcase_add_test(tc, source_may_remove_itself);
	tcase_add_test(tc, source_removed_by_another_ready_in_the_same_round_is_not_called);
	tcase_add_test(tc, source_added_in_place_of_a_ready_one_does_not_inherit_its_event);
	tcase_add_test(tc, timer_may_remove_a_source_ready_in_the_same_round);
	tcase_add_test(tc, callback_may_run_a_round_of_its_own);
	tcase_add_test(tc, removing_nothing_is_fine);
	tcase_add_test(tc, destroy_leaves_watched_fds_open);
	tcase_add_test(tc, signals_reach_the_callback_and_not_the_process);
	tcase_add_test(tc, signal_source_may_remove_itself);
	tcase_add_test(tc, run_goes_on_until_stop_and_returns_its_code);
	tcase_add_test(tc, stop_before_run_counts_once);
	return tc;
}

static Suite *loop_suite(void)
{
	Suite *suite = suite_create("loop");

	suite_add_tcase(suite, timers_case());
	suite_add_tcase(suite, sources_case());
	return suite;
}

CHECK_MAIN(loop_suite)
