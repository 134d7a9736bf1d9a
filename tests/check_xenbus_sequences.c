// SPDX-License-Identifier: MIT
/*
 * The handshake table over time: every combination of phase, actions under way and node content that
 * can be reached by any events in any order, against rules that sequences must keep.
 */
#include "tests/xenbus_point.h"

/* What the world and we are up to: one node of the graph. */
struct world {
	enum rwy_xenbus_phase phase;
	enum xenbus_state node; /* what our state node says */
	bool connecting;	/* CONNECT started, no outcome yet */
	bool disconnecting;
};

#define NR_WORLDS (RWY_NR_PHASES * 9 * 4)

static size_t world_index(const struct world *w)
{
	return (((size_t)w->phase * 9 + w->node) * 2 + w->connecting) * 2 + w->disconnecting;
}

struct graph {
	enum rwy_xenbus_side side;
	bool seen[NR_WORLDS];
	struct world found[NR_WORLDS];
	size_t nr_found;
};

static void visit(struct graph *g, const struct world *w)
{
	if (g->seen[world_index(w)])
		return;
	g->seen[world_index(w)] = true;
	g->found[g->nr_found++] = *w;
}

/* A peer and a toolstack read our node: these are the only moves they are prepared for. */
static bool may_write(enum rwy_xenbus_side side, const struct point *p, enum xenbus_state from)
{
	static const uint16_t back[9] = {
		[XenbusStateInitWait] = 1 << XenbusStateConnected | 1 << XenbusStateClosing,
		[XenbusStateConnected] = 1 << XenbusStateClosing,
		[XenbusStateClosing] = 1 << XenbusStateClosed | 1 << XenbusStateInitWait,
		[XenbusStateClosed] = 1 << XenbusStateClosed | 1 << XenbusStateInitWait,
	};
	static const uint16_t front[9] = {
		[XenbusStateInitialising] = 1 << XenbusStateInitialised | 1 << XenbusStateClosing |
					    1 << XenbusStateInitialising,
		[XenbusStateInitialised] = 1 << XenbusStateConnected | 1 << XenbusStateClosing,
		[XenbusStateConnected] = 1 << XenbusStateClosing,
		[XenbusStateClosing] = 1 << XenbusStateClosed,
		[XenbusStateClosed] = 1 << XenbusStateClosed | 1 << XenbusStateInitialising,
	};

	if (p->in.event == RWY_EVENT_START && p->phase == RWY_PHASE_NEW)
		return true; /* whatever a predecessor left */
	return (side == BACK ? back : front)[from] & 1 << p->step.write;
}

/* Feed one input and keep the books on what is under way, asserting that they stay in order. */
static struct world advance(enum rwy_xenbus_side side, struct world w,
			    const struct rwy_xenbus_input *in)
{
	struct point p = {.side = side, .phase = w.phase, .in = *in};

	if (in->event == RWY_EVENT_CONNECT_DONE)
		w.connecting = false;
	if (in->event == RWY_EVENT_DISCONNECTED)
		w.connecting = w.disconnecting = false;
	p.step = rwy_xenbus_fsm_step(side, w.phase, in);
	if (p.step.action == RWY_ACTION_CONNECT || p.step.action == RWY_ACTION_OFFER)
		assert_point(&p, !w.connecting && !w.disconnecting);
	if (p.step.action == RWY_ACTION_FORGET)
		assert_point(&p, !w.connecting && !w.disconnecting);
	if (p.step.action == RWY_ACTION_DISCONNECT)
		assert_point(&p, !w.disconnecting);
	if (p.step.write != XenbusStateUnknown)
		assert_point(&p, may_write(side, &p, in->own));
	w.connecting |= p.step.action == RWY_ACTION_CONNECT;
	w.disconnecting |= p.step.action == RWY_ACTION_DISCONNECT;
	w.node = p.step.write != XenbusStateUnknown ? p.step.write : in->own;
	w.phase = p.step.phase;
	assert_point(&p, w.disconnecting == is_disconnecting(w.phase));
	if (w.phase == RWY_PHASE_CONNECTING || w.phase == RWY_PHASE_RESUMING)
		assert_point(&p, w.connecting);
	if (w.phase == RWY_PHASE_CONNECTED)
		assert_point(&p, !w.connecting);
	return w;
}

/* All that can happen to w when the node says own, for any peer and online. */
static void visit_next(struct graph *g, struct world w, enum rwy_xenbus_event event,
		       enum xenbus_state own)
{
	for (int i = 0; i < 9 * 2; i++) {
		struct rwy_xenbus_input in = {event, own, (enum xenbus_state)(i / 2), i % 2};
		struct world next = advance(g->side, w, &in);

		visit(g, &next);
	}
}

/* Others write our node only once it is in use: 5 and 6 any time, 1 when they make it anew. */
static void visit_own(struct graph *g, const struct world *w)
{
	visit_next(g, *w, RWY_EVENT_OWN, XenbusStateClosing);
	visit_next(g, *w, RWY_EVENT_OWN, XenbusStateClosed);
	if (w->phase >= RWY_PHASE_CONNECTING || w->phase == RWY_PHASE_FOUND ||
	    w->phase == RWY_PHASE_RESUMING)
		visit_next(g, *w, RWY_EVENT_OWN, XenbusStateInitialising);
}

static void visit_all_next(struct graph *g, struct world w)
{
	static const enum rwy_xenbus_event any_time[] = {RWY_EVENT_START,  RWY_EVENT_READY,
							 RWY_EVENT_PEER,   RWY_EVENT_CLOSE,
							 RWY_EVENT_FAILED, RWY_EVENT_REMOVED};

	for (size_t i = 0; i < ARRAY_LEN(any_time); i++)
		visit_next(g, w, any_time[i], w.node);
	if (w.phase != RWY_PHASE_NEW)
		visit_own(g, &w);
	if (w.connecting)
		visit_next(g, w, RWY_EVENT_CONNECT_DONE, w.node);
	if (w.disconnecting)
		visit_next(g, w, RWY_EVENT_DISCONNECTED, w.node);
	if (w.connecting) { /* FAILED was the outcome of CONNECT */
		w.connecting = false;
		if (w.phase != RWY_PHASE_CONNECTING && w.phase != RWY_PHASE_RESUMING)
			visit(g, &w);
	}
}

static void explore(struct graph *g, enum rwy_xenbus_side side)
{
	memset(g, 0, sizeof(*g));
	g->side = side;
	for (int node = 0; node < 9; node++) {
		struct world fresh = {.phase = RWY_PHASE_NEW};

		visit_next(g, fresh, RWY_EVENT_START, (enum xenbus_state)node);
	}
	for (size_t i = 0; i < g->nr_found; i++)
		visit_all_next(g, g->found[i]);
}

/* The rules themselves are in advance(). */
START_TEST(sequences_keep_actions_apart_and_writes_legal)
{
	struct graph g;

	for (int side = 0; side <= FRONT; side++) {
		bool phase_seen[RWY_NR_PHASES] = {false};

		explore(&g, (enum rwy_xenbus_side)side);
		for (size_t i = 0; i < g.nr_found; i++)
			phase_seen[g.found[i].phase] = true;
		for (int phase = 0; phase < RWY_NR_PHASES; phase++) {
			bool unused = side == BACK ? phase == RWY_PHASE_NEW
						   : phase >= RWY_PHASE_FOUND &&
							     phase <= RWY_PHASE_RESUMING;

			unused |= side == FRONT && phase == RWY_PHASE_READY;
			ck_assert_msg(phase_seen[phase] != unused, "side %d, phase %s", side,
				      rwy_xenbus_phase_name((enum rwy_xenbus_phase)phase));
		}
	}
}
END_TEST

static struct world feed(enum rwy_xenbus_side side, struct world w, enum rwy_xenbus_event event,
			 enum xenbus_state own, enum xenbus_state peer, bool online)
{
	struct rwy_xenbus_input in = {event, own, peer, online};

	return advance(side, w, &in);
}

static struct world finish_disconnect(enum rwy_xenbus_side side, struct world w,
				      enum xenbus_state peer, bool online)
{
	return w.disconnecting ? feed(side, w, RWY_EVENT_DISCONNECTED, w.node, peer, online) : w;
}

static bool is_closed(const struct world *w)
{
	return !w->connecting && !w->disconnecting &&
	       (w->phase == RWY_PHASE_CLOSED || w->phase == RWY_PHASE_GONE);
}

/* An orderly unplug; and a forced one, when the guest won't let go: libxl removes its directory. */
START_TEST(toolstack_can_close_from_everywhere)
{
	struct graph g;

	explore(&g, BACK);
	visit(&g, &(struct world){.phase = RWY_PHASE_NEW});
	for (size_t i = 0; i < g.nr_found; i++) {
		for (int peer = 0; peer < 9; peer++) {
			struct world w = feed(BACK, g.found[i], RWY_EVENT_OWN, XenbusStateClosing,
					      (enum xenbus_state)peer, false);

			/* A ring is gone on with first, if it can be. */
			if (w.phase == RWY_PHASE_FOUND)
				w = feed(BACK, w, RWY_EVENT_READY, w.node, (enum xenbus_state)peer,
					 false);
			if (w.phase == RWY_PHASE_RESUMING)
				w = feed(BACK, w, i % 2 ? RWY_EVENT_CONNECT_DONE : RWY_EVENT_FAILED,
					 w.node, (enum xenbus_state)peer, false);
			if (w.phase == RWY_PHASE_WAITING)
				w = feed(BACK, w, RWY_EVENT_PEER, w.node, XenbusStateUnknown,
					 false);
			w = finish_disconnect(BACK, w, (enum xenbus_state)peer, false);
			ck_assert_msg(is_closed(&w), "from %s, peer %d",
				      rwy_xenbus_phase_name(g.found[i].phase), peer);
			ck_assert(w.phase == RWY_PHASE_GONE || w.node == XenbusStateClosed);
		}
	}
}
END_TEST

START_TEST(removal_ends_in_gone_from_everywhere)
{
	struct graph g;

	for (int side = 0; side <= FRONT; side++) {
		explore(&g, (enum rwy_xenbus_side)side);
		visit(&g, &(struct world){.phase = RWY_PHASE_NEW});
		for (size_t i = 0; i < g.nr_found * 9; i++) {
			enum xenbus_state peer = (enum xenbus_state)(i % 9);
			struct world w = g.found[i / 9];

			w = feed(g.side, w, RWY_EVENT_REMOVED, w.node, peer, true);
			w = finish_disconnect(g.side, w, peer, true);
			ck_assert(w.phase == RWY_PHASE_GONE && is_closed(&w));
		}
	}
}
END_TEST

START_TEST(frontend_can_close_from_everywhere)
{
	struct graph g;

	explore(&g, FRONT);
	for (size_t i = 0; i < g.nr_found * 9; i++) {
		enum xenbus_state peer = (enum xenbus_state)(i % 9);
		struct world w = g.found[i / 9];

		w = feed(FRONT, w, RWY_EVENT_CLOSE, w.node, peer, true);
		w = feed(FRONT, w, RWY_EVENT_FAILED, w.node, peer, true); /* enough waiting */
		w = finish_disconnect(FRONT, w, peer, true);
		ck_assert_msg(is_closed(&w), "from %s, peer %d",
			      rwy_xenbus_phase_name(g.found[i / 9].phase), peer);
	}
}
END_TEST

/* Whatever happened before, short of removal: a frontend that does it right gets its device. */
START_TEST(well_behaved_frontend_always_connects_again)
{
	struct graph g;

	explore(&g, BACK);
	for (size_t i = 0; i < g.nr_found; i++) {
		struct world w = g.found[i];

		if (is_down(w.phase))
			continue;
		if (w.phase == RWY_PHASE_CONNECTING)
			w = feed(BACK, w, RWY_EVENT_CONNECT_DONE, w.node, 4, true);
		w = feed(BACK, w, RWY_EVENT_PEER, w.node, XenbusStateClosed, true);
		w = finish_disconnect(BACK, w, XenbusStateClosed, true);
		w = feed(BACK, w, RWY_EVENT_PEER, w.node, XenbusStateInitialising, true);
		w = feed(BACK, w, RWY_EVENT_READY, w.node, XenbusStateInitialising, true);
		w = feed(BACK, w, RWY_EVENT_PEER, w.node, XenbusStateInitialised, true);
		w = feed(BACK, w, RWY_EVENT_CONNECT_DONE, w.node, XenbusStateInitialised, true);
		ck_assert_msg(w.phase == RWY_PHASE_CONNECTED, "from %s ended in %s",
			      rwy_xenbus_phase_name(g.found[i].phase),
			      rwy_xenbus_phase_name(w.phase));
	}
}
END_TEST

START_TEST(frontend_connects_to_a_backend_that_comes_back)
{
	struct graph g;

	explore(&g, FRONT);
	for (size_t i = 0; i < g.nr_found; i++) {
		struct world w = g.found[i];

		if (is_down(w.phase))
			continue;
		w = feed(FRONT, w, RWY_EVENT_PEER, w.node, XenbusStateClosed, true);
		w = finish_disconnect(FRONT, w, XenbusStateClosed, true);
		w = feed(FRONT, w, RWY_EVENT_START, w.node, XenbusStateClosed, true);
		w = feed(FRONT, w, RWY_EVENT_PEER, w.node, XenbusStateInitWait, true);
		w = feed(FRONT, w, RWY_EVENT_PEER, w.node, XenbusStateConnected, true);
		w = feed(FRONT, w, RWY_EVENT_CONNECT_DONE, w.node, XenbusStateConnected, true);
		ck_assert_msg(w.phase == RWY_PHASE_CONNECTED, "from %s ended in %s",
			      rwy_xenbus_phase_name(g.found[i].phase),
			      rwy_xenbus_phase_name(w.phase));
	}
}
END_TEST

static Suite *xenbus_sequences_suite(void)
{
	Suite *suite = suite_create("xenbus_sequences");
	TCase *tc = tcase_create("reachable");

	tcase_add_test(tc, sequences_keep_actions_apart_and_writes_legal);
	tcase_add_test(tc, toolstack_can_close_from_everywhere);
	tcase_add_test(tc, removal_ends_in_gone_from_everywhere);
	tcase_add_test(tc, frontend_can_close_from_everywhere);
	tcase_add_test(tc, well_behaved_frontend_always_connects_again);
	tcase_add_test(tc, frontend_connects_to_a_backend_that_comes_back);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(xenbus_sequences_suite)
