/* SPDX-License-Identifier: MIT */
/*
 * The xenbus handshake as a pure table: (side, phase, event, peer state, online) -> phase, state to
 * write, action. No I/O, no memory, no clock; FREESTANDING, so that daemon, library and kernel
 * module run the same table. The I/O half is xenbus.h and the caller's own: read nodes, feed
 * events, write the state, do the action, feed its outcome back.
 *
 * Trust: the peer's state is any value it likes; the table is total, and a peer can only ever make
 * us drop our own end. Source: Xen's io/xenbus.h, libxl 4.17 (removal: online=0 and state 5 written
 * into *our* node), Linux's xenbus habits.
 *
 * A phase says more than the xenbus state: it knows whether something asynchronous is under way, so
 * that an action is never started twice. At most one of CONNECT and DISCONNECT is under way at a
 * time.
 */
#pragma once
#include "ring/port.h"

enum rwy_xenbus_side {
	RWY_XENBUS_BACK,
	RWY_XENBUS_FRONT,
};

/*                              own state   backend                               frontend
 * --------------------------------------------------------------------------------------------------------------
 */
enum rwy_xenbus_phase {
	RWY_PHASE_NEW, /* 0, 1       seen, nothing offered yet             waiting for the backend's
			  InitWait */
	RWY_PHASE_OFFERED,    /* 2 / 3      features written, not ready to serve  ring published,
				 waiting for Connected */
	RWY_PHASE_READY,      /* 2          target open, hotplug-status connected (not used) */
	RWY_PHASE_CONNECTING, /* 2 / 3      CONNECT under way                     CONNECT under way
			       */
	RWY_PHASE_CONNECTED,  /* 4          I/O runs                              I/O runs */
	RWY_PHASE_WAITING,    /* 5          (not used)                            we asked to close;
				 backend not there yet */
	RWY_PHASE_CLOSING,  /* 5          DISCONNECT under way                  DISCONNECT under way
			     */
	RWY_PHASE_CLOSED,   /* 6          nothing of ours touches the guest     ring gone, grants
			       ended */
	RWY_PHASE_REMOVING, /* -          DISCONNECT under way, directory gone  the same */
	RWY_PHASE_GONE,	    /* -          forget the device                     the same */
	RWY_NR_PHASES,
};

enum rwy_xenbus_event {
	RWY_EVENT_START, /* nodes are there (and readable): begin */
	RWY_EVENT_READY, /* backend: verdict positive, target open, hotplug-status=connected */
	RWY_EVENT_PEER,	 /* peer state (re)read; also fed after START and READY */
	RWY_EVENT_OWN, /* our own state node was written by somebody else; `own` is what it says */
	RWY_EVENT_CLOSE,	/* our side wants to close: detach, policy, shutdown */
	RWY_EVENT_CONNECT_DONE, /* outcome of CONNECT */
	RWY_EVENT_FAILED, /* CONNECT failed, the ring broke, or the device is refused for good */
	RWY_EVENT_DISCONNECTED, /* outcome of DISCONNECT: drained, unmapped, unbound */
	RWY_EVENT_REMOVED,	/* our directory is gone, or the domain died */
	RWY_NR_EVENTS,
};

enum rwy_xenbus_action {
	RWY_ACTION_NONE,
	RWY_ACTION_OFFER,      /* backend: write feature nodes, then the state; frontend: make and
				  publish the ring */
	RWY_ACTION_CONNECT,    /* backend: map ring, bind port, attach; frontend: read the backend's
				  nodes */
	RWY_ACTION_DISCONNECT, /* stop taking requests, drain, unmap, unbind; idempotent; ends in
				  DISCONNECTED */
	RWY_ACTION_FORGET,     /* free the device */
	RWY_NR_ACTIONS,
};

struct rwy_xenbus_input {
	enum rwy_xenbus_event event;
	enum xenbus_state own; /* what our state node says now; Unknown when absent or unreadable */
	enum xenbus_state peer; /* what the peer's says; anything out of range counts as Unknown */
	bool online;		/* backend: the toolstack's `online` node; frontends pass true */
};

struct rwy_xenbus_step {
	enum rwy_xenbus_phase phase;
	enum xenbus_state write; /* to write into our node; XenbusStateUnknown: leave it */
	enum rwy_xenbus_action
		action; /* do it before the write when it is OFFER, after the write otherwise */
};

/*
 * The table. Total: any phase, event and peer value yields a step. What a backend does, by example:
 *   START            -> OFFER, write 2, OFFERED          (peer may be anything)
 *   READY            -> READY, or CONNECT when the peer is Initialised or Connected
 *   PEER 3 or 4      -> CONNECT from READY
 *   CONNECT_DONE     -> write 4
 *   PEER 5, 6 or gone while connecting or connected -> write 5, DISCONNECT; then write 6
 *   PEER 1 while CLOSED and online -> OFFER, write 2 (a frontend that comes back: reboot of the
 * driver, kexec) DISCONNECTED while CLOSING and peer 1 and online -> OFFER, write 2 at once OWN 5
 * (libxl: remove) -> DISCONNECT, then write 6;  OWN 6 -> DISCONNECT FAILED           -> write 5,
 * DISCONNECT, then write 6 REMOVED          -> DISCONNECT without any write, then FORGET After a
 * re-OFFER the caller feeds READY again when it still holds. What a frontend does: START -> write
 * 1, NEW (then PEER) PEER 2           -> OFFER, write 3;  PEER 4 -> CONNECT from OFFERED;
 * CONNECT_DONE -> write 4 CLOSE            -> write 5, WAITING; PEER 5 or 6 or gone -> DISCONNECT,
 * then write 6 PEER 5 or 6 while offered, connecting or connected -> write 5, DISCONNECT, then
 * write 6
 */
struct rwy_xenbus_step rwy_xenbus_fsm_step(enum rwy_xenbus_side side, enum rwy_xenbus_phase phase,
					   const struct rwy_xenbus_input *in);

const char *rwy_xenbus_phase_name(enum rwy_xenbus_phase phase);
const char *rwy_xenbus_event_name(enum rwy_xenbus_event event);
const char *rwy_xenbus_action_name(enum rwy_xenbus_action action);
/* "Initialising", ... as xl and the headers spell them; "Unknown" for any other value. */
const char *rwy_xenbus_state_name(int state);
