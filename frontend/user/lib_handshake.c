// SPDX-License-Identifier: MIT
/*
 * The life of a connection (contract: lib_handshake.h). The table says what comes next; here is
 * what it takes. What the table leaves to us: when to start over (the backend was restarted), when
 * to give up (deadlines, a refusal, the toolstack), and that grants end only when the backend has
 * let go (xen-blkback does so after our Closed, not before its Closing) or will never say so.
 */
#include <errno.h>
#include <string.h>
#include "frontend/user/lib_handshake.h"

#define NS_PER_MS 1000000ull
/* A backend that we find Closed with an error may still answer our Initialising by a new offer. */
#define REFUSED_GRACE_NS (2000 * NS_PER_MS)
/* How often a backend may end an attempt with an error: once may be the fault of a frontend that
 * was killed half-way and whose ring the backend was just mapping. */
#define MAX_REFUSALS 2u

static uint64_t connect_timeout_ns(const struct rwy_vbd *vbd)
{
	return vbd->options.connect_timeout_ms * NS_PER_MS;
}

/* --- what the table's actions are */

static int grant_pool(struct rwy_vbd *vbd)
{
	int err;

	if (vbd->granted)
		return 0;
	err = lib_pool_share(&vbd->io.pool, vbd->ring.xgs, vbd->bus.backend_domid,
			     vbd->options.max_data_pages);
	if (err)
		return err;
	vbd->granted = true;
	vbd->granted_domid = vbd->bus.backend_domid;
	return 0;
}

static int offer(struct rwy_vbd *vbd, enum xenbus_state state)
{
	uint32_t domid = vbd->bus.backend_domid;
	int err = grant_pool(vbd);

	if (!err)
		err = lib_ring_share(&vbd->ring, domid,
				     lib_xenbus_ring_pages(&vbd->bus, vbd->options.max_ring_pages));
	if (err) {
		lib_vbd_end(vbd, err, "cannot grant pages to the backend: %s", strerror(-err));
		return err;
	}
	err = lib_ring_bind(&vbd->ring, domid);
	if (err) {
		lib_vbd_end(vbd, err, "cannot make an event channel: %s", strerror(-err));
		return err;
	}
	vbd->offered = true;
	err = lib_io_prepare(&vbd->io, &vbd->ring, vbd->bus.devid);
	if (!err)
		err = lib_xenbus_publish(&vbd->bus, &vbd->ring, state);
	if (err)
		lib_vbd_end(vbd, err, "cannot publish the ring: %s", strerror(-err));
	return err;
}

static int connect(struct rwy_vbd *vbd)
{
	const char *bad;
	int err = lib_xenbus_features(&vbd->bus, &vbd->features, &bad);

	if (err)
		lib_vbd_end(vbd, -EPROTO, "the backend's node %s is missing or makes no sense",
			    bad);
	return err;
}

static void disconnect(struct rwy_vbd *vbd)
{
	lib_io_down(&vbd->io);
	lib_ring_unbind(&vbd->ring);
	vbd->deadline.step_ns = lib_vbd_now_ns() + connect_timeout_ns(vbd);
}

/* --- the table */

/* Do a step's action; true when it has an outcome to feed back. */
static bool act(struct rwy_vbd *vbd, const struct rwy_xenbus_step *step,
		enum rwy_xenbus_event *outcome)
{
	switch (step->action) {
	case RWY_ACTION_OFFER:
		*outcome = RWY_EVENT_FAILED;
		return offer(vbd, step->write) != 0;
	case RWY_ACTION_CONNECT:
		*outcome = connect(vbd) ? RWY_EVENT_FAILED : RWY_EVENT_CONNECT_DONE;
		return true;
	case RWY_ACTION_DISCONNECT:
		disconnect(vbd);
		*outcome = RWY_EVENT_DISCONNECTED;
		return true;
	default:
		return false;
	}
}

static void feed(struct rwy_vbd *vbd, enum rwy_xenbus_event event)
{
	struct rwy_xenbus_step step;

	do {
		struct rwy_xenbus_input in = {
			.event = event,
			.own = lib_xenbus_own(&vbd->bus),
			.peer = vbd->peer,
			.online = true,
		};

		step = rwy_xenbus_fsm_step(RWY_XENBUS_FRONT, vbd->phase, &in);
		vbd->phase = step.phase;
		/* An offer's state goes with the ring into one transaction. A state that can't be
		 * written is a directory that is gone: the deadlines and the watch see to it. */
		if (step.action != RWY_ACTION_OFFER && step.write != XenbusStateUnknown)
			lib_xenbus_write_state(&vbd->bus, step.write);
	} while (act(vbd, &step, &event));
}

/* --- where a step has led to */

static void came_up(struct rwy_vbd *vbd)
{
	int err = lib_io_up(&vbd->io, &vbd->features);

	if (err) {
		lib_vbd_end(vbd, err, "the backend has come back with another disk");
		return;
	}
	vbd->was_up = true;
	vbd->deadline.connect_ns = 0;
	lib_vbd_set_up(vbd, true);
}

static void went_down(struct rwy_vbd *vbd)
{
	lib_vbd_set_up(vbd, false);
	vbd->deadline.connect_ns = lib_vbd_now_ns() + vbd->options.reconnect_timeout_ms * NS_PER_MS;
}

static void leave_for_good(struct rwy_vbd *vbd)
{
	uint32_t nr_ring_pages = vbd->ring.nr_pages;

	lib_ring_unbind(&vbd->ring);
	lib_ring_unshare(&vbd->ring);
	/* The next frontend's turn, ours or another driver's; not when the toolstack waits for our
	 * Closed. */
	if (vbd->phase == RWY_PHASE_CLOSED && lib_xenbus_online(&vbd->bus))
		lib_xenbus_withdraw(&vbd->bus, nr_ring_pages);
	lib_xenbus_unfollow(&vbd->bus);
	memset(&vbd->deadline, 0, sizeof(vbd->deadline));
	vbd->left = true;
}

/* Nothing of ours is with the backend any more. Where it had our ring, an InitWait is a new offer
 * only after a close, and may otherwise be a backend that has yet to look at our state. */
static bool has_let_go(const struct rwy_vbd *vbd)
{
	switch (vbd->peer) {
	case XenbusStateInitWait:
		return vbd->saw_closing || !vbd->offered;
	case XenbusStateInitialised:
	case XenbusStateConnected:
	case XenbusStateClosing:
		return false;
	default:
		return true;
	}
}

/* Closed: once the backend has let go, or will never say so, it is over, or begins anew. */
static void closed(struct rwy_vbd *vbd)
{
	char text[LIB_XENBUS_ERROR_BYTES];

	if (!has_let_go(vbd) && lib_vbd_now_ns() < vbd->deadline.step_ns)
		return;
	vbd->deadline.step_ns = 0;
	if (lib_vbd_ended(vbd)) {
		leave_for_good(vbd);
		return;
	}
	lib_xenbus_error(&vbd->bus, text);
	if (!lib_xenbus_online(&vbd->bus))
		lib_vbd_end(vbd, -ESHUTDOWN, "the disk has been detached");
	else if (!vbd->was_up && vbd->offered && text[0] && ++vbd->refusals >= MAX_REFUSALS)
		lib_vbd_end(vbd, -EACCES, "backend refused: %s", text);
	else
		lib_handshake_start(vbd);
}

/* At open, a backend that is Closed with an error while we wait for its offer has refused, unless
 * it takes that back at once. Later it may be one that was stopped, says so, and will be back. */
static void watch_for_refusal(struct rwy_vbd *vbd)
{
	char text[LIB_XENBUS_ERROR_BYTES];

	if (vbd->was_up)
		return;
	if (vbd->phase != RWY_PHASE_NEW ||
	    (vbd->peer != XenbusStateClosing && vbd->peer != XenbusStateClosed)) {
		vbd->deadline.refused_ns = 0;
		return;
	}
	lib_xenbus_error(&vbd->bus, text);
	if (text[0] && !vbd->deadline.refused_ns)
		vbd->deadline.refused_ns = lib_vbd_now_ns() + REFUSED_GRACE_NS;
}

/* Feed, and follow up. */
static void drive(struct rwy_vbd *vbd, enum rwy_xenbus_event event)
{
	bool was_up = vbd->phase == RWY_PHASE_CONNECTED;
	bool is_up;

	feed(vbd, event);
	is_up = vbd->phase == RWY_PHASE_CONNECTED;
	if (is_up && !was_up)
		came_up(vbd);
	if (was_up && !is_up)
		went_down(vbd);
	watch_for_refusal(vbd);
	if (vbd->phase == RWY_PHASE_CLOSED)
		closed(vbd);
	if (vbd->phase == RWY_PHASE_GONE)
		leave_for_good(vbd);
}

/* The backend is at the ring of a frontend that was killed, or that we replace. QEMU and
 * xen-blkback offer anew only to a frontend that has closed: so that is what we do first. */
static bool is_with_predecessor(const struct rwy_vbd *vbd)
{
	return vbd->peer == XenbusStateConnected || vbd->peer == XenbusStateClosing;
}

/* --- what the event thread calls */

void lib_handshake_start(struct rwy_vbd *vbd)
{
	int err = lib_xenbus_follow(&vbd->bus);

	if (err) {
		lib_vbd_end(vbd, err == -ENOENT ? -ESHUTDOWN : err,
			    "cannot follow the backend of this disk: %s", strerror(-err));
		return;
	}
	if (vbd->granted && vbd->granted_domid != vbd->bus.backend_domid) {
		lib_vbd_end(vbd, -ESHUTDOWN, "the disk has moved to another backend domain");
		return;
	}
	vbd->phase = RWY_PHASE_NEW;
	vbd->peer = lib_xenbus_peer(&vbd->bus);
	vbd->saw_closing = vbd->peer == XenbusStateClosing;
	vbd->offered = false;
	vbd->deadline.refused_ns = 0;
	if (is_with_predecessor(vbd)) {
		vbd->deadline.step_ns = lib_vbd_now_ns() + connect_timeout_ns(vbd);
		drive(vbd, RWY_EVENT_CLOSE);
		return;
	}
	feed(vbd, RWY_EVENT_START);
	lib_handshake_peer(vbd);
}

static void resize(struct rwy_vbd *vbd)
{
	const char *bad;

	if (lib_xenbus_features(&vbd->bus, &vbd->features, &bad))
		lib_vbd_end(vbd, -EPROTO, "the backend's node %s is missing or makes no sense",
			    bad);
	else if (lib_io_resize(&vbd->io, &vbd->features))
		lib_vbd_end(vbd, -EPROTO, "the disk's sector size has changed");
}

/* The toolstack has set the backend back to Initialising: what served our ring is gone, and the
 * next one may look at the ring before it looks at our state. QEMU would begin at index 0 and run
 * requests again that were answered long ago. So the ring goes; an unused one may stay. */
static bool begun_anew(const struct rwy_vbd *vbd)
{
	return vbd->peer == XenbusStateInitialising &&
	       (vbd->phase == RWY_PHASE_CONNECTED || vbd->phase == RWY_PHASE_WAITING);
}

void lib_handshake_peer(struct rwy_vbd *vbd)
{
	if (vbd->left)
		return;
	vbd->peer = lib_xenbus_peer(&vbd->bus);
	if (vbd->peer == XenbusStateClosing || vbd->peer == XenbusStateClosed)
		vbd->saw_closing = true;
	if (vbd->phase == RWY_PHASE_CLOSED) {
		closed(vbd);
	} else if (vbd->peer == XenbusStateUnknown && vbd->phase != RWY_PHASE_NEW &&
		   !lib_xenbus_exists(&vbd->bus)) {
		lib_vbd_end(vbd, -ESHUTDOWN, "the disk has been removed");
		drive(vbd, RWY_EVENT_REMOVED);
	} else if (begun_anew(vbd)) {
		drive(vbd, RWY_EVENT_FAILED);
	} else if (vbd->phase == RWY_PHASE_CONNECTED && vbd->peer == XenbusStateConnected) {
		resize(vbd);
	} else {
		drive(vbd, RWY_EVENT_PEER);
	}
}

void lib_handshake_leave(struct rwy_vbd *vbd)
{
	vbd->leaving = true;
	vbd->deadline = (struct lib_deadlines){
		.step_ns = lib_vbd_now_ns() + connect_timeout_ns(vbd),
	};
	switch (vbd->phase) {
	case RWY_PHASE_NEW: /* nothing has been published */
	case RWY_PHASE_GONE:
		if (!vbd->left)
			leave_for_good(vbd);
		break;
	case RWY_PHASE_CLOSED:
		closed(vbd);
		break;
	default:
		drive(vbd, RWY_EVENT_CLOSE);
		break;
	}
}

static bool passed(uint64_t deadline_ns, uint64_t now_ns)
{
	return deadline_ns && now_ns >= deadline_ns;
}

static void give_up(struct rwy_vbd *vbd)
{
	const char *state = rwy_xenbus_state_name(vbd->peer);
	char text[LIB_XENBUS_ERROR_BYTES];

	lib_xenbus_error(&vbd->bus, text);
	if (!vbd->was_up && text[0])
		lib_vbd_end(vbd, -EACCES, "backend refused: %s", text);
	else if (!vbd->was_up)
		lib_vbd_end(vbd, -ETIMEDOUT, "the backend did not connect in time (it is %s)",
			    state);
	else
		lib_vbd_end(vbd, -ETIMEDOUT, "the backend did not come back in time (it is %s%s%s)",
			    state, text[0] ? ": " : "", text);
}

void lib_handshake_tick(struct rwy_vbd *vbd, uint64_t now_ns)
{
	if (passed(vbd->deadline.refused_ns, now_ns) || passed(vbd->deadline.connect_ns, now_ns)) {
		vbd->deadline.refused_ns = vbd->deadline.connect_ns = 0;
		give_up(vbd);
	}
	if (!passed(vbd->deadline.step_ns, now_ns))
		return;
	vbd->deadline.step_ns = 0;
	if (vbd->phase == RWY_PHASE_CLOSED) {
		closed(vbd);
	} else if (vbd->phase == RWY_PHASE_WAITING) {
		drive(vbd, RWY_EVENT_FAILED); /* the backend does not answer */
	}
}

uint64_t lib_handshake_next_ns(const struct rwy_vbd *vbd)
{
	const uint64_t all[] = {vbd->deadline.connect_ns, vbd->deadline.step_ns,
				vbd->deadline.refused_ns, vbd->deadline.drain_ns};
	uint64_t next = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] && (!next || all[i] < next))
			next = all[i];
	return next;
}
