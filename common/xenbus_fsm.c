// SPDX-License-Identifier: MIT
/*
 * The handshake table and its search. FREESTANDING: the daemon, libringway and the kernel module
 * run this very file. The peer's state is hostile input: it becomes one bit of a mask before
 * anything looks at it. Called by whoever owns a device: control, libringway, kmod.
 */
#include "common/xenbus_fsm.h"

/* Sets: one bit per member. */
#define BACK	 (1u << RWY_XENBUS_BACK)
#define FRONT	 (1u << RWY_XENBUS_FRONT)
#define BOTH	 (BACK | FRONT)
#define IN(p)	 (1u << RWY_PHASE_##p)
#define AT(e)	 (1u << RWY_EVENT_##e)
#define STATE(s) (1u << XenbusState##s)
#define OFFLINE	 (1u << 0)
#define ONLINE	 (1u << 1)

/* Without CONNECT or DISCONNECT behind them; then with, up to I/O. */
#define IN_OFFER  (IN(OFFERED) | IN(READY))
#define IN_RESUME (IN(FOUND) | IN(RESUMING))
#define IN_USE	  (IN(CONNECTING) | IN(CONNECTED))
/* Where a DISCONNECT is to be started before the device can close. */
#define IN_OPEN (IN(NEW) | IN_RESUME | IN_OFFER | IN_USE)

#define RING_UP	    (STATE(Initialised) | STATE(Connected))
#define RING_IN_USE (RING_UP | STATE(Closing))
#define CLOSES	    (STATE(Closing) | STATE(Closed))
#define ENDED	    (CLOSES | STATE(Unknown))
/* The backend may be at the ring we gave it. */
#define MAY_USE_RING (0x1ffu & ~ENDED)
/* The frontend no longer stands behind the ring it gave us: it ended, or began anew. In Closing it
 * may still use it: blkfront can stay there for as long as the disk is open. */
#define RING_DOWN (STATE(Closed) | STATE(Unknown) | STATE(Initialising))
#define RING_KEPT (0x1ffu & ~RING_DOWN)

struct row {
	uint8_t sides;
	uint16_t phases;
	uint16_t events;
	/* Conditions; 0 is no condition. */
	uint16_t own;
	uint16_t peer;
	uint8_t online;
	/* The step. */
	uint8_t next;
	uint8_t write;
	uint8_t action;
};

enum {
	XenbusStateKeep = XenbusStateUnknown
}; /* leave the node as it is */

#define TO(next_, write_, action_) \
	.next = RWY_PHASE_##next_, .write = XenbusState##write_, .action = RWY_ACTION_##action_

/* The first row that fits is the step. No row: nothing changes. */
static const struct row table[] = {
	/* Our directory went away, or the domain did: nothing may be written any more. */
	{BOTH, IN_OPEN | IN(WAITING) | IN(CLOSED), AT(REMOVED), TO(REMOVING, Keep, DISCONNECT)},
	{BOTH, IN(CLOSING), AT(REMOVED), TO(REMOVING, Keep, NONE)},
	{BOTH, IN(REMOVING), AT(DISCONNECTED), TO(GONE, Keep, FORGET)},

	/* Somebody made the directory anew, too quickly for us to see it gone in between. */
	{BOTH, IN_RESUME | IN_USE | IN(WAITING) | IN(CLOSED), AT(OWN), .own = STATE(Initialising),
	 TO(REMOVING, Keep, DISCONNECT)},
	{BOTH, IN(CLOSING), AT(OWN), .own = STATE(Initialising), TO(REMOVING, Keep, NONE)},

	/* A predecessor died while connected, or while a close was waited for: its ring is gone on with,
	 * as long as the frontend stands behind it. Whether it is to be closed comes after. */
	{BACK, IN(NEW), AT(START), .own = STATE(Connected) | STATE(Closing), .peer = RING_IN_USE,
	 TO(FOUND, Keep, NONE)},
	{BACK, IN_RESUME, AT(READY) | AT(PEER), .own = STATE(Closing), .peer = RING_DOWN,
	 TO(CLOSING, Keep, DISCONNECT)},
	{BACK, IN_RESUME, AT(READY) | AT(PEER), .peer = RING_DOWN,
	 TO(CLOSING, Closing, DISCONNECT)},
	{BACK, IN_RESUME, AT(FAILED) | AT(CLOSE), .own = STATE(Closing),
	 TO(CLOSING, Keep, DISCONNECT)},
	{BACK, IN_RESUME, AT(OWN), .own = STATE(Closed), TO(CLOSING, Keep, DISCONNECT)},
	{BACK, IN(FOUND), AT(OWN), TO(FOUND, Keep, NONE)},
	{BACK, IN(FOUND), AT(READY), TO(RESUMING, Keep, CONNECT)},
	{BACK, IN(RESUMING), AT(OWN), TO(RESUMING, Keep, NONE)},
	{BACK, IN(RESUMING), AT(CONNECT_DONE), .own = STATE(Closing), .peer = RING_DOWN,
	 TO(CLOSING, Keep, DISCONNECT)},
	{BACK, IN(RESUMING), AT(CONNECT_DONE), .own = STATE(Closing), TO(WAITING, Keep, NONE)},
	{BACK, IN(RESUMING), AT(CONNECT_DONE), TO(CONNECTED, Keep, NONE)},

	/* The toolstack closes the device, with the frontend's consent while that uses the ring: it
	 * forces one that refuses by removing its directory. In WAITING a 5 is our own. */
	{BACK, IN(CONNECTED), AT(OWN), .own = STATE(Closing), .peer = RING_KEPT,
	 TO(WAITING, Keep, NONE)},
	{BOTH, IN_OPEN, AT(OWN), .own = STATE(Closing), TO(CLOSING, Keep, DISCONNECT)},
	{BOTH, IN_OFFER | IN_USE | IN(WAITING), AT(OWN), .own = STATE(Closed),
	 TO(CLOSING, Keep, DISCONNECT)},
	{BOTH, IN(CLOSED), AT(OWN), .own = STATE(Closing), TO(CLOSED, Closed, NONE)},

	/* It does so with online=0 as well; our write of the state may have hit its 5. */
	{BACK, IN(CONNECTED), AT(PEER) | AT(OWN), .peer = RING_KEPT, .online = OFFLINE,
	 TO(WAITING, Closing, NONE)},
	{BACK, IN_OFFER | IN(CONNECTING), AT(READY) | AT(PEER) | AT(OWN) | AT(CONNECT_DONE),
	 .online = OFFLINE, TO(CLOSING, Closing, DISCONNECT)},

	/* Backend: begin; or finish the close that a predecessor or the toolstack began. */
	{BACK, IN(NEW), AT(START), .online = OFFLINE, TO(CLOSED, Closed, NONE)},
	{BACK, IN(NEW), AT(START), .own = STATE(Closing), TO(CLOSED, Closed, NONE)},

	{BACK, IN(NEW), AT(START), TO(OFFERED, InitWait, OFFER)},

	/* Backend: connect. */
	{BACK, IN_OFFER, AT(READY), .peer = RING_UP, TO(CONNECTING, Keep, CONNECT)},
	{BACK, IN_OFFER, AT(READY), TO(READY, Keep, NONE)},
	{BACK, IN(READY), AT(PEER), .peer = RING_UP, TO(CONNECTING, Keep, CONNECT)},
	{BOTH, IN(CONNECTING), AT(CONNECT_DONE), TO(CONNECTED, Connected, NONE)},

	/* Backend: close. A frontend that closes before it connected waits for our 5, too; its own 5
	 * may have been followed by a 6 before we looked. */
	{BACK, IN_OFFER, AT(PEER), .peer = CLOSES, TO(CLOSING, Closing, DISCONNECT)},
	{BACK, IN(CONNECTING), AT(PEER), .peer = STATE(Closing), TO(CLOSING, Closing, DISCONNECT)},
	{BACK, IN(CONNECTED), AT(PEER), .peer = STATE(Closing), TO(WAITING, Closing, NONE)},
	{BACK, IN_USE, AT(PEER), .peer = RING_DOWN, TO(CLOSING, Closing, DISCONNECT)},
	{BACK, IN(WAITING), AT(PEER), .peer = RING_DOWN, TO(CLOSING, Keep, DISCONNECT)},
	{BACK, IN(WAITING), AT(CLOSE), TO(CLOSING, Keep, DISCONNECT)},
	{BACK, IN_OPEN, AT(CLOSE), TO(CLOSING, Closing, DISCONNECT)},
	{BOTH, IN_OPEN, AT(FAILED), TO(CLOSING, Closing, DISCONNECT)},
	{BOTH, IN(WAITING), AT(FAILED), TO(CLOSING, Keep, DISCONNECT)},

	/* Backend: a frontend that comes back. */
	{BACK, IN(CLOSING), AT(DISCONNECTED), .peer = STATE(Initialising), .online = ONLINE,
	 TO(OFFERED, InitWait, OFFER)},
	{BACK, IN(CLOSED), AT(PEER), .peer = STATE(Initialising), .online = ONLINE,
	 TO(OFFERED, InitWait, OFFER)},

	{BOTH, IN(CLOSING), AT(DISCONNECTED), TO(CLOSED, Closed, NONE)},

	/* Frontend: connect. START from CLOSED opens the device again. */
	{FRONT, IN(NEW) | IN(CLOSED), AT(START), TO(NEW, Initialising, NONE)},
	{FRONT, IN(NEW), AT(PEER), .peer = STATE(InitWait), TO(OFFERED, Initialised, OFFER)},
	{FRONT, IN(OFFERED), AT(PEER), .peer = STATE(Connected), TO(CONNECTING, Keep, CONNECT)},

	/* Frontend: the backend closes. */
	{FRONT, IN(OFFERED) | IN_USE, AT(PEER), .peer = CLOSES, TO(CLOSING, Closing, DISCONNECT)},

	/*
	 * Frontend: we close, and first let a backend that may be at our ring see it. One that is
	 * connected while we are NEW is so to a predecessor of ours. FAILED ends the waiting.
	 */
	{FRONT, IN(NEW), AT(CLOSE), .peer = STATE(Connected), TO(WAITING, Closing, NONE)},
	{FRONT, IN(OFFERED) | IN_USE, AT(CLOSE), .peer = MAY_USE_RING, TO(WAITING, Closing, NONE)},
	{FRONT, IN_OPEN, AT(CLOSE), TO(CLOSING, Closing, DISCONNECT)},
	{FRONT, IN(WAITING), AT(PEER), .peer = ENDED, TO(CLOSING, Keep, DISCONNECT)},
};

static bool meets(uint16_t condition, uint32_t bit)
{
	return !condition || (condition & bit);
}

/* A value that is no xenbus state is like no value. */
static uint32_t state_bit(enum xenbus_state state)
{
	uint32_t value = (uint32_t)state;

	return value <= XenbusStateReconfigured ? 1u << value : STATE(Unknown);
}

static const struct row *find_row(enum rwy_xenbus_side side, enum rwy_xenbus_phase phase,
				  const struct rwy_xenbus_input *in)
{
	uint32_t own = state_bit(in->own);
	uint32_t peer = state_bit(in->peer);
	uint32_t online = in->online ? ONLINE : OFFLINE;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct row *row = &table[i];

		if ((row->sides & 1u << side) && (row->phases & 1u << phase) &&
		    (row->events & 1u << in->event) && meets(row->own, own) &&
		    meets(row->peer, peer) && meets(row->online, online))
			return row;
	}
	return NULL;
}

struct rwy_xenbus_step rwy_xenbus_fsm_step(enum rwy_xenbus_side side, enum rwy_xenbus_phase phase,
					   const struct rwy_xenbus_input *in)
{
	struct rwy_xenbus_step step = {
		.phase = phase,
		.write = XenbusStateUnknown,
		.action = RWY_ACTION_NONE,
	};
	const struct row *row = NULL;

	if ((uint32_t)side <= RWY_XENBUS_FRONT && (uint32_t)phase < RWY_NR_PHASES &&
	    (uint32_t)in->event < RWY_NR_EVENTS)
		row = find_row(side, phase, in);
	if (row) {
		step.phase = (enum rwy_xenbus_phase)row->next;
		step.write = (enum xenbus_state)row->write;
		step.action = (enum rwy_xenbus_action)row->action;
	}
	return step;
}

/* Names are for logs and `ringway show`: any value has one. */
#define NAME_IN(names, value) \
	((uint32_t)(value) < sizeof(names) / sizeof((names)[0]) ? (names)[(value)] : "Unknown")

const char *rwy_xenbus_phase_name(enum rwy_xenbus_phase phase)
{
	static const char *const names[RWY_NR_PHASES] = {
		[RWY_PHASE_NEW] = "new",
		[RWY_PHASE_FOUND] = "found",
		[RWY_PHASE_RESUMING] = "resuming",
		[RWY_PHASE_OFFERED] = "offered",
		[RWY_PHASE_READY] = "ready",
		[RWY_PHASE_CONNECTING] = "connecting",
		[RWY_PHASE_CONNECTED] = "connected",
		[RWY_PHASE_WAITING] = "waiting",
		[RWY_PHASE_CLOSING] = "closing",
		[RWY_PHASE_CLOSED] = "closed",
		[RWY_PHASE_REMOVING] = "removing",
		[RWY_PHASE_GONE] = "gone",
	};

	return NAME_IN(names, phase);
}

const char *rwy_xenbus_event_name(enum rwy_xenbus_event event)
{
	static const char *const names[RWY_NR_EVENTS] = {
		[RWY_EVENT_START] = "start",	 [RWY_EVENT_READY] = "ready",
		[RWY_EVENT_PEER] = "peer",	 [RWY_EVENT_OWN] = "own",
		[RWY_EVENT_CLOSE] = "close",	 [RWY_EVENT_CONNECT_DONE] = "connect-done",
		[RWY_EVENT_FAILED] = "failed",	 [RWY_EVENT_DISCONNECTED] = "disconnected",
		[RWY_EVENT_REMOVED] = "removed",
	};

	return NAME_IN(names, event);
}

const char *rwy_xenbus_action_name(enum rwy_xenbus_action action)
{
	static const char *const names[RWY_NR_ACTIONS] = {
		[RWY_ACTION_NONE] = "none",	  [RWY_ACTION_OFFER] = "offer",
		[RWY_ACTION_CONNECT] = "connect", [RWY_ACTION_DISCONNECT] = "disconnect",
		[RWY_ACTION_FORGET] = "forget",
	};

	return NAME_IN(names, action);
}

const char *rwy_xenbus_state_name(int state)
{
	static const char *const names[] = {
		[XenbusStateUnknown] = "Unknown",
		[XenbusStateInitialising] = "Initialising",
		[XenbusStateInitWait] = "InitWait",
		[XenbusStateInitialised] = "Initialised",
		[XenbusStateConnected] = "Connected",
		[XenbusStateClosing] = "Closing",
		[XenbusStateClosed] = "Closed",
		[XenbusStateReconfiguring] = "Reconfiguring",
		[XenbusStateReconfigured] = "Reconfigured",
	};

	return NAME_IN(names, state);
}
