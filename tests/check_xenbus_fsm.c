// SPDX-License-Identifier: MIT
/*
 * The handshake table, step by step: every input of every phase against rules that each step must
 * keep. Sequences are in check_xenbus_sequences.c and check_xenbus_stories.c.
 */
#include "tests/xenbus_point.h"

/* All xenbus states, and some values that are none. */
static const int some_states[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, -1, INT32_MIN, INT32_MAX};

#define NR_POINTS \
	(2 * RWY_NR_PHASES * RWY_NR_EVENTS * ARRAY_LEN(some_states) * ARRAY_LEN(some_states) * 2)

static unsigned int digit(size_t *n, size_t base)
{
	unsigned int value = (unsigned int)(*n % base);

	*n /= base;
	return value;
}

static struct point nth_point(size_t n)
{
	struct point p = {.side = (enum rwy_xenbus_side)digit(&n, 2)};

	p.phase = (enum rwy_xenbus_phase)digit(&n, RWY_NR_PHASES);
	p.in.event = (enum rwy_xenbus_event)digit(&n, RWY_NR_EVENTS);
	p.in.own = (enum xenbus_state)some_states[digit(&n, ARRAY_LEN(some_states))];
	p.in.peer = (enum xenbus_state)some_states[digit(&n, ARRAY_LEN(some_states))];
	p.in.online = digit(&n, 2);
	p.step = rwy_xenbus_fsm_step(p.side, p.phase, &p.in);
	return p;
}

#define for_each_point(p) for (size_t n_ = 0; n_ < NR_POINTS && ((p) = nth_point(n_), true); n_++)

static bool same_step(const struct rwy_xenbus_step *a, const struct rwy_xenbus_step *b)
{
	return a->phase == b->phase && a->write == b->write && a->action == b->action;
}

static bool is_noop(const struct point *p)
{
	struct rwy_xenbus_step stay = {.phase = p->phase};

	return same_step(&p->step, &stay);
}

/* What our node says in a phase that writes it; Unknown for the others. */
static enum xenbus_state own_state(enum rwy_xenbus_side side, enum rwy_xenbus_phase phase)
{
	static const enum xenbus_state of_phase[RWY_NR_PHASES][2] = {
		[RWY_PHASE_NEW] = {XenbusStateUnknown, XenbusStateInitialising},
		[RWY_PHASE_OFFERED] = {XenbusStateInitWait, XenbusStateInitialised},
		[RWY_PHASE_READY] = {XenbusStateInitWait, XenbusStateUnknown},
		[RWY_PHASE_CONNECTING] = {XenbusStateInitWait, XenbusStateInitialised},
		[RWY_PHASE_CONNECTED] = {XenbusStateConnected, XenbusStateConnected},
		[RWY_PHASE_WAITING] = {XenbusStateClosing, XenbusStateClosing},
		[RWY_PHASE_CLOSING] = {XenbusStateClosing, XenbusStateClosing},
		[RWY_PHASE_CLOSED] = {XenbusStateClosed, XenbusStateClosed},
	};

	return of_phase[phase][side];
}

START_TEST(every_input_has_a_step)
{
	struct point p;

	for_each_point(p)
	{
		assert_point(&p, (unsigned int)p.step.phase < RWY_NR_PHASES);
		assert_point(&p, (unsigned int)p.step.write <= XenbusStateClosed);
		assert_point(&p, (unsigned int)p.step.action < RWY_NR_ACTIONS);
	}
}
END_TEST

START_TEST(values_out_of_range_change_nothing)
{
	struct rwy_xenbus_input in = {.event = RWY_EVENT_REMOVED, .online = true};
	struct point p = {.side = BACK, .phase = RWY_PHASE_CONNECTED, .in = in};

	p.in.event = (enum rwy_xenbus_event)RWY_NR_EVENTS;
	p.step = rwy_xenbus_fsm_step(p.side, p.phase, &p.in);
	assert_point(&p, is_noop(&p));
	p.in.event = (enum rwy_xenbus_event) - 1;
	p.step = rwy_xenbus_fsm_step(p.side, p.phase, &p.in);
	assert_point(&p, is_noop(&p));
	p.in = in;
	p.step = rwy_xenbus_fsm_step((enum rwy_xenbus_side)7, p.phase, &p.in);
	assert_point(&p, is_noop(&p));
	p.phase = (enum rwy_xenbus_phase)1000;
	p.step = rwy_xenbus_fsm_step(p.side, p.phase, &p.in);
	ck_assert(p.step.phase == p.phase && !p.step.write && !p.step.action);
}
END_TEST

START_TEST(garbage_state_counts_as_unknown)
{
	struct point p;

	for_each_point(p)
	{
		struct rwy_xenbus_input in = p.in;
		struct rwy_xenbus_step step;

		if ((unsigned int)in.own > XenbusStateReconfigured)
			in.own = XenbusStateUnknown;
		if ((unsigned int)in.peer > XenbusStateReconfigured)
			in.peer = XenbusStateUnknown;
		step = rwy_xenbus_fsm_step(p.side, p.phase, &in);
		assert_point(&p, same_step(&step, &p.step));
	}
}
END_TEST

START_TEST(connect_needs_a_ready_phase_and_a_published_ring)
{
	unsigned int connects[2] = {0, 0};
	struct point p;

	for_each_point(p)
	{
		if (p.step.action != RWY_ACTION_CONNECT)
			continue;
		connects[p.side]++;
		if (p.side == FRONT) {
			assert_point(&p, p.phase == RWY_PHASE_OFFERED);
			assert_point(&p, p.in.peer == XenbusStateConnected);
			continue;
		}
		if (p.phase == RWY_PHASE_FOUND) {
			assert_point(&p, p.in.event == RWY_EVENT_READY);
			continue;
		}
		assert_point(&p, p.phase == RWY_PHASE_READY || (p.phase == RWY_PHASE_OFFERED &&
								p.in.event == RWY_EVENT_READY));
		assert_point(&p, p.in.peer == XenbusStateInitialised ||
					 p.in.peer == XenbusStateConnected);
		assert_point(&p, p.in.online);
	}
	ck_assert(connects[BACK] && connects[FRONT]);
}
END_TEST

START_TEST(ready_device_with_published_ring_connects)
{
	static const enum xenbus_state ring_up[] = {XenbusStateInitialised, XenbusStateConnected};

	for (size_t i = 0; i < ARRAY_LEN(ring_up); i++) {
		struct rwy_xenbus_input in = {RWY_EVENT_PEER, XenbusStateInitWait, ring_up[i],
					      true};
		struct rwy_xenbus_step step = rwy_xenbus_fsm_step(BACK, RWY_PHASE_READY, &in);

		ck_assert(step.action == RWY_ACTION_CONNECT);
		in.event = RWY_EVENT_READY;
		step = rwy_xenbus_fsm_step(BACK, RWY_PHASE_OFFERED, &in);
		ck_assert(step.action == RWY_ACTION_CONNECT);
	}
}
END_TEST

/* Begins with what a predecessor has connected, and says nothing about it. */
static bool is_inheritance(const struct point *p)
{
	return p->side == BACK && p->phase == RWY_PHASE_NEW && p->in.event == RWY_EVENT_START &&
	       (p->in.own == XenbusStateConnected || p->in.own == XenbusStateClosing) &&
	       p->in.peer >= XenbusStateInitialised && p->in.peer <= XenbusStateClosing;
}

static bool is_of_a_predecessor(enum rwy_xenbus_phase phase)
{
	return phase == RWY_PHASE_FOUND || phase == RWY_PHASE_RESUMING;
}

/* Whatever the toolstack wants and the frontend says of closing: first the ring is gone on with. */
START_TEST(ring_of_a_predecessor_is_gone_on_with_without_a_word)
{
	struct point p;

	for_each_point(p)
	{
		bool there = is_inheritance(&p);

		if (p.phase == RWY_PHASE_NEW)
			assert_point(&p, there == (p.step.phase == RWY_PHASE_FOUND));
		if (there || (p.side == BACK && is_of_a_predecessor(p.step.phase)))
			assert_point(&p, p.step.write == XenbusStateUnknown);
		if (p.side == BACK && p.step.phase == RWY_PHASE_RESUMING &&
		    p.phase != RWY_PHASE_RESUMING)
			assert_point(&p, p.phase == RWY_PHASE_FOUND &&
						 p.step.action == RWY_ACTION_CONNECT);
	}
}
END_TEST

/* Its frontend has left: there is nothing to go on with, and it waits for our 2 or 6. */
START_TEST(ring_of_a_predecessor_that_was_left_is_closed)
{
	struct point p;

	for_each_point(p)
	{
		bool left = p.in.peer == XenbusStateUnknown ||
			    p.in.peer == XenbusStateInitialising || p.in.peer == XenbusStateClosed;

		if (p.side == BACK && is_of_a_predecessor(p.phase) && left &&
		    (p.in.event == RWY_EVENT_PEER || p.in.event == RWY_EVENT_READY))
			assert_point(&p, p.step.phase == RWY_PHASE_CLOSING &&
						 p.step.action == RWY_ACTION_DISCONNECT);
	}
}
END_TEST

START_TEST(action_is_the_one_that_the_new_phase_means)
{
	struct point p;

	for_each_point(p)
	{
		bool moved = p.step.phase != p.phase;

		assert_point(&p, (p.step.action == RWY_ACTION_OFFER) ==
					 (moved && p.step.phase == RWY_PHASE_OFFERED));
		assert_point(&p, (p.step.action == RWY_ACTION_CONNECT) ==
					 (moved && (p.step.phase == RWY_PHASE_CONNECTING ||
						    p.step.phase == RWY_PHASE_RESUMING)));
		assert_point(
			&p, (p.step.action == RWY_ACTION_DISCONNECT) ==
				    (!is_disconnecting(p.phase) && is_disconnecting(p.step.phase)));
		assert_point(&p, (p.step.action == RWY_ACTION_FORGET) ==
					 (moved && p.step.phase == RWY_PHASE_GONE));
	}
}
END_TEST

START_TEST(write_is_the_state_of_the_new_phase)
{
	struct point p;

	for_each_point(p) if (p.step.write != XenbusStateUnknown)
		assert_point(&p, p.step.write == own_state(p.side, p.step.phase));
}
END_TEST

/* Unless the node says it already: a predecessor's 4, or a 5 that the toolstack or WAITING wrote. */
START_TEST(phase_with_a_state_of_its_own_is_entered_with_a_write)
{
	struct point p;

	for_each_point(p)
	{
		if (p.step.phase == p.phase)
			continue;
		if (p.step.phase == RWY_PHASE_OFFERED || p.step.phase == RWY_PHASE_CLOSED)
			assert_point(&p, p.step.write != XenbusStateUnknown);
		if (p.step.phase == RWY_PHASE_CONNECTED)
			assert_point(&p, (p.step.write != XenbusStateUnknown) ==
						 (p.phase != RWY_PHASE_RESUMING));
		if ((p.step.phase == RWY_PHASE_CLOSING || p.step.phase == RWY_PHASE_WAITING) &&
		    p.phase != RWY_PHASE_WAITING)
			assert_point(&p, p.step.write != XenbusStateUnknown ||
						 p.in.own == XenbusStateClosing ||
						 p.in.own == XenbusStateClosed);
	}
}
END_TEST

START_TEST(nothing_is_written_once_removed)
{
	struct point p;

	for_each_point(p) if (p.in.event == RWY_EVENT_REMOVED || is_down(p.phase) ||
			      is_down(p.step.phase))
		assert_point(&p, p.step.write == XenbusStateUnknown);
}
END_TEST

START_TEST(removed_ends_in_removing_or_gone)
{
	struct point p;

	for_each_point(p) if (p.in.event == RWY_EVENT_REMOVED || is_down(p.phase))
		assert_point(&p, is_down(p.step.phase));
}
END_TEST

START_TEST(gone_is_absorbing)
{
	struct point p;

	for_each_point(p) if (p.phase == RWY_PHASE_GONE) assert_point(&p, is_noop(&p));
}
END_TEST

START_TEST(outcome_nobody_waits_for_is_ignored)
{
	struct point p;

	for_each_point(p)
	{
		if (p.in.event == RWY_EVENT_CONNECT_DONE && p.phase != RWY_PHASE_CONNECTING &&
		    p.phase != RWY_PHASE_RESUMING && p.in.online)
			assert_point(&p, is_noop(&p));
		if (p.in.event == RWY_EVENT_DISCONNECTED && !is_disconnecting(p.phase))
			assert_point(&p, is_noop(&p));
		if (p.in.event == RWY_EVENT_FAILED && is_disconnecting(p.phase))
			assert_point(&p, is_noop(&p));
	}
}
END_TEST

START_TEST(event_of_the_other_side_is_ignored)
{
	struct point p;

	for_each_point(p)
	{
		if (p.side == FRONT && p.in.event == RWY_EVENT_READY)
			assert_point(&p, is_noop(&p));
		if (p.side == FRONT && p.step.phase == RWY_PHASE_READY)
			assert_point(&p, p.phase == RWY_PHASE_READY);
	}
}
END_TEST

START_TEST(frontend_does_not_look_at_online)
{
	struct point p;

	for_each_point(p)
	{
		struct rwy_xenbus_input in = p.in;
		struct rwy_xenbus_step step;

		if (p.side != FRONT)
			continue;
		in.online = !in.online;
		step = rwy_xenbus_fsm_step(FRONT, p.phase, &in);
		assert_point(&p, same_step(&step, &p.step));
	}
}
END_TEST

START_TEST(echo_of_our_own_write_changes_nothing)
{
	struct point p;

	for_each_point(p) if (p.in.event == RWY_EVENT_OWN && p.in.online &&
			      p.in.own != XenbusStateUnknown &&
			      p.in.own == own_state(p.side, p.phase)) assert_point(&p, is_noop(&p));
}
END_TEST

START_TEST(peer_state_without_meaning_is_ignored)
{
	struct point p;

	for_each_point(p) if (p.in.event == RWY_EVENT_PEER && p.in.online &&
			      (p.in.peer == XenbusStateReconfiguring ||
			       p.in.peer == XenbusStateReconfigured ||
			       (p.side == BACK && p.in.peer == XenbusStateInitWait)))
		assert_point(&p, is_noop(&p));
}
END_TEST

START_TEST(backend_drops_a_ring_its_frontend_left)
{
	static const enum xenbus_state left[] = {XenbusStateUnknown, XenbusStateInitialising,
						 XenbusStateClosed};
	static const enum rwy_xenbus_phase in_use[] = {RWY_PHASE_CONNECTING, RWY_PHASE_CONNECTED,
						       RWY_PHASE_WAITING};

	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		for (size_t j = 0; j < ARRAY_LEN(in_use); j++) {
			struct rwy_xenbus_input in = {RWY_EVENT_PEER, XenbusStateConnected, left[i],
						      true};
			struct rwy_xenbus_step step = rwy_xenbus_fsm_step(BACK, in_use[j], &in);

			ck_assert(step.phase == RWY_PHASE_CLOSING);
			ck_assert(step.action == RWY_ACTION_DISCONNECT);
		}
	}
}
END_TEST

START_TEST(backend_offers_nothing_while_offline)
{
	struct point p;

	for_each_point(p) if (p.side == BACK && !p.in.online)
	{
		assert_point(&p, p.step.action != RWY_ACTION_OFFER);
		assert_point(&p, p.step.action != RWY_ACTION_CONNECT || p.phase == RWY_PHASE_FOUND);
		assert_point(&p, p.step.write == XenbusStateUnknown ||
					 p.step.write >= XenbusStateClosing);
	}
}
END_TEST

START_TEST(every_value_has_a_name)
{
	for (int i = 0; i < RWY_NR_PHASES; i++)
		ck_assert_str_ne(rwy_xenbus_phase_name((enum rwy_xenbus_phase)i), "Unknown");
	for (int i = 0; i < RWY_NR_EVENTS; i++)
		ck_assert_str_ne(rwy_xenbus_event_name((enum rwy_xenbus_event)i), "Unknown");
	for (int i = 0; i < RWY_NR_ACTIONS; i++)
		ck_assert_str_ne(rwy_xenbus_action_name((enum rwy_xenbus_action)i), "Unknown");
	ck_assert_str_eq(rwy_xenbus_phase_name((enum rwy_xenbus_phase) - 1), "Unknown");
	ck_assert_str_eq(rwy_xenbus_event_name((enum rwy_xenbus_event)RWY_NR_EVENTS), "Unknown");
	ck_assert_str_eq(rwy_xenbus_action_name((enum rwy_xenbus_action)99), "Unknown");
	ck_assert_str_eq(rwy_xenbus_state_name(XenbusStateInitWait), "InitWait");
	ck_assert_str_eq(rwy_xenbus_state_name(9), "Unknown");
	ck_assert_str_eq(rwy_xenbus_state_name(-1), "Unknown");
}
END_TEST

static Suite *xenbus_fsm_suite(void)
{
	Suite *suite = suite_create("xenbus_fsm");
	TCase *tc = tcase_create("steps");

	tcase_add_test(tc, every_input_has_a_step);
	tcase_add_test(tc, values_out_of_range_change_nothing);
	tcase_add_test(tc, garbage_state_counts_as_unknown);
	tcase_add_test(tc, connect_needs_a_ready_phase_and_a_published_ring);
	tcase_add_test(tc, ready_device_with_published_ring_connects);
	tcase_add_test(tc, ring_of_a_predecessor_is_gone_on_with_without_a_word);
	tcase_add_test(tc, ring_of_a_predecessor_that_was_left_is_closed);
	tcase_add_test(tc, action_is_the_one_that_the_new_phase_means);
	tcase_add_test(tc, write_is_the_state_of_the_new_phase);
	tcase_add_test(tc, phase_with_a_state_of_its_own_is_entered_with_a_write);
	tcase_add_test(tc, nothing_is_written_once_removed);
	tcase_add_test(tc, removed_ends_in_removing_or_gone);
	tcase_add_test(tc, gone_is_absorbing);
	tcase_add_test(tc, outcome_nobody_waits_for_is_ignored);
	tcase_add_test(tc, event_of_the_other_side_is_ignored);
	tcase_add_test(tc, frontend_does_not_look_at_online);
	tcase_add_test(tc, echo_of_our_own_write_changes_nothing);
	tcase_add_test(tc, peer_state_without_meaning_is_ignored);
	tcase_add_test(tc, backend_drops_a_ring_its_frontend_left);
	tcase_add_test(tc, backend_offers_nothing_while_offline);
	tcase_add_test(tc, every_value_has_a_name);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(xenbus_fsm_suite)
