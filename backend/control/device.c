// SPDX-License-Identifier: MIT
/*
 * The life of a vbd. Trusts dom0's nodes; a frontend's state is any value at any moment, and the
 * handshake table is total. Called by watcher.c, device_link.c, verdict.c and main.c.
 */
#include "backend/control/device.h"
#include "backend/control/device_journal.h"
#include "backend/control/device_link.h"
#include "backend/control/options.h"
#include "backend/control/query.h"
#include "backend/control/verdict.h"
#include "backend/control/watcher.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/blkif.h>

int device_create(struct device **out, struct control *control, uint32_t domid, uint32_t devid)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return -ENOMEM;
	dev->control = control;
	dev->check_domain = true;
	backdir_init(&dev->dir, control->xb, domid, devid);
	snprintf(dev->name, sizeof(dev->name), "vbd %u/%u", domid, devid);
	dev->log.name = dev->name;
	target_init(&dev->target);
	TAILQ_INSERT_TAIL(&control->devices, dev, all_link);
	*out = dev;
	return 0;
}

void device_destroy(struct device *dev)
{
	struct control *control = dev->control;

	watcher_unmark(control->watcher, dev);
	rwy_xenbus_remove_watch(dev->peer_watch);
	rwy_loop_remove_timer(dev->retry);
	rwy_loop_remove_timer(dev->peer_timer);
	worker_drop(&dev->lease);
	target_fini(&dev->target);
	TAILQ_REMOVE(&control->devices, dev, all_link);
	free(dev);
	query_wake(control->query);
}

struct device *device_find(struct control *control, uint32_t domid, uint32_t devid)
{
	struct device *dev;

	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (dev->dir.domid == domid && dev->dir.devid == devid)
			return dev;
	}
	return NULL;
}

void device_complain(struct device *dev, const struct reason *why)
{
	int err;

	if (why != &dev->why)
		dev->why = *why;
	rwy_log_limited(&dev->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_WARNING, "%s",
			dev->why.text);
	err = backdir_write_error(&dev->dir, dev->why.text);
	if (err && err != -ENOENT)
		rwy_log_limited(&dev->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_WARNING,
				"can't write its error node: %s", strerror(-err));
}

void device_forgive(struct device *dev)
{
	dev->why.text[0] = '\0';
	backdir_write_error(&dev->dir, "");
}

/*
 * To the table, a closed device that is not online is not offered again, whatever the frontend
 * does. The same holds for one that is refused.
 */
static bool counts_as_online(const struct device *dev)
{
	bool closed = dev->phase == RWY_PHASE_CLOSING || dev->phase == RWY_PHASE_CLOSED;

	return dev->online && !(closed && dev->verdict == VERDICT_REFUSED);
}

static struct backdir_disk describe_disk(const struct device *dev)
{
	return (struct backdir_disk){
		.capacity_sect = dev->target.capacity_sect,
		.physical_sector_bytes = dev->target.physical_sector_bytes,
		.info = (dev->target.writable ? 0u : VDISK_READONLY) |
			(dev->config.cdrom ? VDISK_CDROM : 0u) |
			(dev->config.removable ? VDISK_REMOVABLE : 0u),
	};
}

/*
 * If somebody else wrote our state meanwhile, that is left standing and looked at next, and it is
 * false that comes back.
 */
static bool switch_state(struct device *dev, enum xenbus_state to, bool offer)
{
	struct backdir_disk disk = describe_disk(dev);
	struct backdir_switch s = {.from = dev->own, .to = to, .offer = offer};

	if (dev->target.open && (offer || to == XenbusStateConnected))
		s.disk = &disk;

	int err = backdir_switch(&dev->dir, &s);
	if (!err) {
		dev->own = to;
		dev->offered |= offer;
		return true;
	}
	if (err != -ESTALE && err != -ENOENT)
		rwy_log_limited(&dev->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_ERROR,
				"can't write state %s: %s", rwy_xenbus_state_name(to),
				strerror(-err));
	watcher_mark(dev->control->watcher, dev);
	return false;
}

static enum rwy_xenbus_event perform(struct device *dev, const struct rwy_xenbus_step *step)
{
	bool offer = step->action == RWY_ACTION_OFFER;

	if (offer && dev->verdict == VERDICT_UNKNOWN)
		verdict_reach(dev);
	if (step->write != XenbusStateUnknown)
		switch_state(dev, step->write, offer);
	if (step->action == RWY_ACTION_CONNECT)
		return device_link_connect(dev);
	if (step->action == RWY_ACTION_DISCONNECT)
		return device_link_disconnect(dev);
	return RWY_NR_EVENTS;
}

/* One event, and those that its actions bring forth at once. */
static void feed(struct device *dev, enum rwy_xenbus_event event)
{
	while (event != RWY_NR_EVENTS && dev->phase != RWY_PHASE_GONE) {
		struct rwy_xenbus_input in = {
			.event = event,
			.own = dev->own,
			.peer = dev->peer,
			.online = counts_as_online(dev),
		};
		struct rwy_xenbus_step step = rwy_xenbus_fsm_step(RWY_XENBUS_BACK, dev->phase, &in);

		if (rwy_log_level() >= RWY_LOG_DEBUG)
			rwy_debug("%s: %s + %s (own %s, peer %s) -> %s, write %s, %s", dev->name,
				  rwy_xenbus_phase_name(dev->phase), rwy_xenbus_event_name(event),
				  rwy_xenbus_state_name(in.own), rwy_xenbus_state_name(in.peer),
				  rwy_xenbus_phase_name(step.phase),
				  rwy_xenbus_state_name(step.write),
				  rwy_xenbus_action_name(step.action));
		dev->phase = step.phase;
		event = perform(dev, &step);
	}
}

/* A target is kept over a frontend's restart, but not beyond the VM, the toolstack's will or ours. */
static bool is_over(const struct device *dev)
{
	return dev->phase == RWY_PHASE_CLOSED && dev->link == LINK_NONE &&
	       (!dev->online || dev->domain_gone || dev->verdict == VERDICT_REFUSED);
}

/* Its directory may have been made anew meanwhile. */
static void forget(struct device *dev)
{
	struct control *control = dev->control;
	uint32_t domid = dev->dir.domid, devid = dev->dir.devid;

	device_journal_remove(dev);
	device_destroy(dev);
	watcher_adopt(control->watcher, domid, devid);
}

/*
 * The script has run. Before that, xen-blkback may have had the device as well, and written what it
 * offers after us; its nodes are cleared before a frontend can connect by them.
 */
static void get_ready(struct device *dev)
{
	if (dev->phase == RWY_PHASE_OFFERED && !switch_state(dev, dev->own, true))
		return;
	feed(dev, RWY_EVENT_READY);
	feed(dev, RWY_EVENT_PEER);
}

void device_go_on(struct device *dev)
{
	if (dev->phase == RWY_PHASE_FOUND || (dev->phase == RWY_PHASE_OFFERED && dev->plugged)) {
		if (dev->verdict == VERDICT_REFUSED)
			feed(dev, RWY_EVENT_FAILED);
		else if (dev->verdict == VERDICT_GRANTED)
			get_ready(dev);
	}
	if (is_over(dev))
		verdict_drop(dev);

	if (dev->phase == RWY_PHASE_GONE)
		forget(dev);
	else
		query_wake(dev->control->query);
}

/* What connects says so; what it complained about is over. */
static void say_connected(struct device *dev, bool again)
{
	rwy_log_limited(&dev->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_INFO,
			"connected %sto %s, %s, %u ring pages, %u queues, %s",
			again ? "again " : "", dev->config.params,
			dev->target.writable ? "writable" : "read-only",
			dev->frontend.nr_ring_pages, dev->frontend.nr_queues,
			frontend_abi_name(dev->frontend.abi));
	dev->offered = true;
	device_forgive(dev);
}

void device_handle(struct device *dev, enum rwy_xenbus_event event)
{
	bool resuming = dev->phase == RWY_PHASE_RESUMING;

	feed(dev, event);
	if (event == RWY_EVENT_CONNECT_DONE && dev->link == LINK_ATTACHED) {
		say_connected(dev, resuming);
		if (resuming) /* what was waited with until then */
			feed(dev, RWY_EVENT_PEER);
	} else if (event == RWY_EVENT_DISCONNECTED) {
		rwy_log_limited(&dev->log, rwy_loop_now_ns(dev->control->loop), RWY_LOG_INFO,
				"disconnected");
	}
	device_go_on(dev);
}

static void look_at_peer(struct device *dev)
{
	dev->peer_due = true;
	watcher_mark(dev->control->watcher, dev);
}

/*
 * Each look may cost dozens of messages to xenstored, and a ring mapped and unmapped in the data
 * process; how often the state is written costs the frontend next to nothing.
 */
static void peer_changed(void *ctx, const char *path)
{
	struct device *dev = ctx;
	uint64_t now_ns = rwy_loop_now_ns(dev->control->loop);

	(void)path;
	if (dev->peer_delayed)
		return;
	uint64_t wait_ns = pace_ask(&dev->peer_pace, now_ns);

	if (!wait_ns) {
		look_at_peer(dev);
		return;
	}
	dev->peer_delayed = true;
	rwy_loop_arm_timer(dev->peer_timer, now_ns + wait_ns);
}

static void peer_delay_is_over(void *ctx)
{
	struct device *dev = ctx;

	dev->peer_delayed = false;
	peer_changed(dev, NULL);
}

static int watch_peer(struct device *dev)
{
	if (!dev->peer_timer) {
		int err = rwy_loop_add_timer(dev->control->loop, peer_delay_is_over, dev,
					     &dev->peer_timer);

		if (err)
			return err;
	}
	return rwy_xenbus_add_watch(dev->dir.xb, peer_changed, dev, &dev->peer_watch, "%s/state",
				    dev->dir.frontend);
}

static enum xenbus_state read_peer(const struct device *dev)
{
	return dev->domain_gone ? XenbusStateUnknown : backdir_peer_state(&dev->dir);
}

/*
 * A domain that is not known to xenstore yet may still come; one that was there and is not is dead.
 */
static void look_at_domain(struct device *dev)
{
	bool there = xs_is_domain_introduced(rwy_xenbus_handle(dev->dir.xb), dev->dir.domid);

	dev->check_domain = false;
	dev->peer_due = true;
	dev->domain_gone = dev->domain_seen && !there;
	dev->domain_seen |= there;
}

/*
 * What was connected may have writes under way that its last backend has left. Only when they have
 * ended may it be said to be closed.
 */
static bool is_still_written(struct device *dev)
{
	if (dev->own < XenbusStateConnected || !worker_pool_has_leftovers(dev->control->pool))
		return false;
	reason_set(&dev->why, 0,
		   "waiting for the end of the I/O that a ringwayd before this one left");
	return true;
}

/* The toolstack may write a directory in one transaction (libxl does) or node by node; begin when
 * all is there. */
static void begin(struct device *dev)
{
	int err = backdir_read_config(&dev->dir, &dev->config, &dev->why);

	if (err == -ENOENT)
		return;
	dev->own = backdir_own_state(&dev->dir);
	if (is_still_written(dev))
		return;
	if (watch_peer(dev)) {
		rwy_error("%s: can't watch its frontend; it is not served", dev->name);
		return;
	}
	dev->online = backdir_is_online(&dev->dir);
	dev->plugged = backdir_is_plugged(&dev->dir);
	/* Without its script having run, another backend's driver was quicker to write a 2. */
	dev->found =
		dev->plugged && dev->own > XenbusStateInitialising && dev->own < XenbusStateClosing;
	dev->peer = read_peer(dev);
	if (err) {
		dev->verdict = VERDICT_REFUSED;
		device_complain(dev, &dev->why);
	}
	feed(dev, RWY_EVENT_START);
	if (dev->phase == RWY_PHASE_FOUND && dev->verdict == VERDICT_UNKNOWN)
		verdict_reach(dev);
	feed(dev, RWY_EVENT_PEER);
}

/*
 * Removed and made again, too quickly to be seen: offered and now as new; or in whatever state
 * another backend's driver has written, but without what we had offered, or about another target.
 * In use, a disk stays what it is. The table knows the other phases' case of the first.
 */
static bool was_made_anew(const struct device *dev)
{
	bool waiting = dev->phase == RWY_PHASE_OFFERED || dev->phase == RWY_PHASE_READY;

	if (waiting && dev->own == XenbusStateInitialising)
		return true;
	if (!dev->offered)
		return false;
	return !backdir_is_offered(&dev->dir) ||
	       (waiting && !backdir_says(&dev->dir, &dev->config));
}

/* The toolstack says online=0 in the same breath. */
static void say_who_closed(struct device *dev)
{
	struct reason why;

	if (dev->own != XenbusStateClosing || !dev->online)
		return;
	reason_set(&why, 0,
		   "somebody other than the toolstack wrote state 5 to %s; is xen-blkback bound to "
		   "it? see USE WITH XL in ringwayd(8)",
		   dev->dir.path);
	device_complain(dev, &why);
}

/* Not when it is our own writes that have us look: a frontend could answer each with another. */
static void catch_up_with_peer(struct device *dev)
{
	if (!dev->peer_due)
		return;
	dev->peer_due = false;
	enum xenbus_state peer = read_peer(dev);

	if (peer != dev->peer) {
		dev->peer = peer;
		feed(dev, RWY_EVENT_PEER);
	}
}

/* What was written since we last looked, however often. */
static void catch_up(struct device *dev)
{
	enum xenbus_state own = backdir_own_state(&dev->dir);
	bool was_online = dev->online, is_new = own != dev->own;

	dev->own = own;
	dev->online = backdir_is_online(&dev->dir);
	dev->plugged = backdir_is_plugged(&dev->dir);
	if (was_made_anew(dev)) {
		feed(dev, RWY_EVENT_REMOVED);
		return;
	}
	if (is_new)
		say_who_closed(dev);
	if (is_new || dev->online != was_online)
		feed(dev, RWY_EVENT_OWN);
	catch_up_with_peer(dev);
}

void device_refresh(struct device *dev)
{
	enum backdir_owner owner = backdir_owner(&dev->dir);

	if (dev->phase == RWY_PHASE_NEW && owner != BACKDIR_OURS) {
		if (owner == BACKDIR_ABSENT)
			device_journal_remove(dev);
		device_destroy(dev);
		return;
	}
	dev->ours = true;
	if (dev->check_domain)
		look_at_domain(dev);
	if (owner == BACKDIR_ABSENT)
		feed(dev, RWY_EVENT_REMOVED);
	else if (dev->phase == RWY_PHASE_NEW)
		begin(dev);
	else
		catch_up(dev);
	device_go_on(dev);
}
