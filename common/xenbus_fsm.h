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

/*
 *            own state  backend                                frontend
 *            back/front
 * NEW        0, 1 / 1   seen, nothing offered yet              waits for InitWait
 * FOUND      4, 5 / -   a predecessor's ring is in use         (not used)
 * RESUMING   4, 5 / -   CONNECT to it under way                (not used)
 * OFFERED    2 / 3      features written, not ready to serve   ring published, waits for Connected
 * READY      2 / -      target open, hotplug-status connected  (not used)
 * CONNECTING 2 / 3      CONNECT under way                      CONNECT under way
 * CONNECTED  4          I/O runs                               I/O runs
 * WAITING    5          to be closed, frontend not yet; I/O    we want to close, backend not yet
 * CLOSING    5          DISCONNECT under way                   DISCONNECT under way
 * CLOSED     6          nothing of ours touches the guest      ring gone, grants ended
 * REMOVING   -          DISCONNECT under way, directory gone   the same
 * GONE       -          forget the device                      the same
 */
enum rwy_xenbus_phase {
	RWY_PHASE_NEW,
	RWY_PHASE_FOUND,
	RWY_PHASE_RESUMING,
	RWY_PHASE_OFFERED,
	RWY_PHASE_READY,
	RWY_PHASE_CONNECTING,
	RWY_PHASE_CONNECTED,
	RWY_PHASE_WAITING,
	RWY_PHASE_CLOSING,
	RWY_PHASE_CLOSED,
	RWY_PHASE_REMOVING,
	RWY_PHASE_GONE,
	RWY_NR_PHASES,
};

enum rwy_xenbus_event {
	/* Nodes are there (and readable): begin. Frontend: also from CLOSED, to open again. */
	RWY_EVENT_START,
	/* Backend: verdict positive, target open, hotplug-status=connected. */
	RWY_EVENT_READY,
	/* Peer state (re)read; also fed after START and READY. */
	RWY_EVENT_PEER,
	/* Our own state node was written by somebody else; `own` is what it says. A backend feeds
	 * it when `online` changed, too. */
	RWY_EVENT_OWN,
	/* Our side wants to close: detach, policy, shutdown. */
	RWY_EVENT_CLOSE,
	/* Outcome of CONNECT; never of one that a DISCONNECT has overtaken and ended. */
	RWY_EVENT_CONNECT_DONE,
	/* CONNECT failed, the ring broke, or the device is refused for good. Frontend in WAITING:
	 * the backend took too long. */
	RWY_EVENT_FAILED,
	/* Outcome of DISCONNECT: drained, unmapped, unbound. */
	RWY_EVENT_DISCONNECTED,
	/* Our directory is gone, or the domain died. */
	RWY_EVENT_REMOVED,
	RWY_NR_EVENTS,
};

enum rwy_xenbus_action {
	RWY_ACTION_NONE,
	/* Backend: write feature nodes, then the state. Frontend: make and publish the ring. */
	RWY_ACTION_OFFER,
	/* Backend: map ring, bind port, attach. Frontend: read the backend's nodes. */
	RWY_ACTION_CONNECT,
	/* Stop taking requests, drain, unmap, unbind; idempotent, cancels or follows a CONNECT
	 * under way; ends in DISCONNECTED, also when there was nothing to do. */
	RWY_ACTION_DISCONNECT,
	/* Free the device. A backend looks at its directory again: it may have been made anew. */
	RWY_ACTION_FORGET,
	RWY_NR_ACTIONS,
};

/* What the nodes say now, all of it with every event. */
struct rwy_xenbus_input {
	enum rwy_xenbus_event event;
	enum xenbus_state own;	/* our state node; Unknown when absent or unreadable */
	enum xenbus_state peer; /* the peer's; anything out of range counts as Unknown */
	bool online; /* backend: the toolstack's `online` node, true when absent; frontend: true */
};

struct rwy_xenbus_step {
	enum rwy_xenbus_phase phase;
	enum xenbus_state write; /* to write into our node; XenbusStateUnknown: leave it */
	/* Done before the write when it is OFFER, after the write otherwise. */
	enum rwy_xenbus_action action;
};

/*
 * The table. Total: any phase, event and peer value yields a step. What a backend does, by example:
 *   START                    -> OFFER, write 2, OFFERED (peer may be anything)
 *   START, online=0 or own 5 -> write 6, CLOSED: finish what the toolstack or a predecessor began,
 *                               but for:
 *   START, own 4 or 5, peer 3 to 5 -> FOUND without a word, whatever is to become of it
 *   READY in FOUND           -> RESUMING, CONNECT to the ring that a predecessor served;
 *                               CONNECT_DONE: CONNECTED, or WAITING with own 5, without a word,
 *                               and the caller feeds PEER. Until then PEER 1, 6 or gone, FAILED and CLOSE write 5,
 *                               DISCONNECT; OWN 6: DISCONNECT
 *   READY                    -> READY, or CONNECT when the peer is Initialised or Connected
 *   PEER 3 or 4              -> CONNECT from READY
 *   CONNECT_DONE             -> write 4
 *   PEER 1, 6 or gone while connecting or connected -> write 5, DISCONNECT; then write 6
 *   PEER 5 while connected   -> write 5, WAITING: it may go on using the ring until it writes 6
 *   PEER 5 while offered, ready or connecting -> write 5, DISCONNECT; then write 6
 *   PEER 6 while offered or ready             -> the same: its 5 went by before we looked
 *   PEER 1 while CLOSED and online -> OFFER, write 2 (a frontend that comes back: reload, kexec)
 *   DISCONNECTED while CLOSING and peer 1 and online -> OFFER, write 2 at once
 *   OWN 5 (libxl: remove)    -> DISCONNECT, then write 6; in CLOSED: write 6; while connected:
 *                               WAITING, for an orderly unplug is one that the guest agrees to
 *   WAITING                  -> I/O runs; PEER 1, 6 or gone (libxl's forced removal takes its
 *                               directory away), CLOSE, FAILED, OWN 6 -> DISCONNECT, then write 6
 *   OWN 6 (forced)           -> DISCONNECT, then write 6
 *   online=0 with READY, PEER, OWN or CONNECT_DONE -> write 5, then as OWN 5: a state we write can
 *                               overwrite the toolstack's 5; its online=0 stays
 *   OWN 1 from CONNECTING on -> as REMOVED: the directory was made anew
 *   FAILED, CLOSE            -> write 5, DISCONNECT, then write 6
 *   REMOVED                  -> DISCONNECT without any write, then FORGET
 * After a re-OFFER the caller feeds READY again when it still holds. A refused device just gets no
 * READY; FAILED on every OFFER would go round in circles with a frontend that sits in 1.
 *
 * What a frontend does:
 *   START  -> write 1, NEW (then PEER)
 *   PEER 2 -> OFFER, write 3;  PEER 4 -> CONNECT from OFFERED;  CONNECT_DONE -> write 4
 *   CLOSE  -> write 5, WAITING; PEER 5 or 6 or gone, or FAILED -> DISCONNECT, then write 6. At once
 *             when the backend can't be at our ring: has ended, or we are NEW and it is not in 4
 *   PEER 5 or 6 while offered, connecting or connected, FAILED -> write 5, DISCONNECT, then write 6
 *   OWN 5 (not in WAITING), OWN 6 -> DISCONNECT, then write 6
 *   OWN 1 from CONNECTING on, REMOVED: as a backend
 */
struct rwy_xenbus_step rwy_xenbus_fsm_step(enum rwy_xenbus_side side, enum rwy_xenbus_phase phase,
					   const struct rwy_xenbus_input *in);

/* For logs; any value has a name. In lower case: "connecting", "connect-done". */
const char *rwy_xenbus_phase_name(enum rwy_xenbus_phase phase);
const char *rwy_xenbus_event_name(enum rwy_xenbus_event event);
const char *rwy_xenbus_action_name(enum rwy_xenbus_action action);
/* "Initialising", ... as xl and the headers spell them; "Unknown" for any other value. */
const char *rwy_xenbus_state_name(int state);
