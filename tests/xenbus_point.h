/* SPDX-License-Identifier: MIT */
/*
 * One step of the handshake table with all that went into it, for the programs that test the table:
 * check_xenbus_fsm.c, check_xenbus_sequences.c, check_xenbus_stories.c.
 */
#pragma once
#include "common/xenbus_fsm.h"
#include "tests/check_main.h"

#include <stdio.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BACK	     RWY_XENBUS_BACK
#define FRONT	     RWY_XENBUS_FRONT

struct point {
	enum rwy_xenbus_side side;
	enum rwy_xenbus_phase phase;
	struct rwy_xenbus_input in;
	struct rwy_xenbus_step step;
};

static inline const char *describe(const struct point *p)
{
	static char text[200];

	snprintf(text, sizeof(text), "%s %s + %s(own %d, peer %d, online %d) -> %s, write %d, %s",
		 p->side == BACK ? "back" : "front", rwy_xenbus_phase_name(p->phase),
		 rwy_xenbus_event_name(p->in.event), p->in.own, p->in.peer, p->in.online,
		 rwy_xenbus_phase_name(p->step.phase), p->step.write,
		 rwy_xenbus_action_name(p->step.action));
	return text;
}

#define assert_point(p, cond) ck_assert_msg(cond, "%s: %s", #cond, describe(p))

static inline bool is_down(enum rwy_xenbus_phase phase)
{
	return phase == RWY_PHASE_REMOVING || phase == RWY_PHASE_GONE;
}

static inline bool is_disconnecting(enum rwy_xenbus_phase phase)
{
	return phase == RWY_PHASE_CLOSING || phase == RWY_PHASE_REMOVING;
}
