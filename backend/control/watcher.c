// SPDX-License-Identifier: MIT
/*
 * Watches the backend tree and the domains. Trusts xenstored; how often a guest causes events is
 * nothing it can profit from. Called by main.c, device.c and the loop.
 */
#include "backend/control/watcher.h"
#include "backend/control/device.h"
#include "backend/control/watcher_path.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/xs_parse.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define DEVICES_PER_ROUND 16
#define MAX_DOMID	  0x7fefu /* DOMID_FIRST_RESERVED - 1 */

struct watcher {
	struct control *control;
	struct rwy_loop_source *source;
	struct rwy_loop_timer *timer; /* the next round of looking */
	struct rwy_xenbus_watch *tree;
	struct rwy_xenbus_watch *introduced;
	struct rwy_xenbus_watch *released;
	bool scan_due;
	bool domains_due;
	TAILQ_HEAD(dirty_list, device) dirty; /* in the order they were marked */
};

static void look_soon(struct watcher *w)
{
	rwy_loop_arm_timer(w->timer, rwy_loop_now_ns(w->control->loop));
}

void watcher_mark(struct watcher *watcher, struct device *dev)
{
	if (dev->dirty)
		return;
	dev->dirty = true;
	TAILQ_INSERT_TAIL(&watcher->dirty, dev, dirty_link);
	look_soon(watcher);
}

void watcher_unmark(struct watcher *watcher, struct device *dev)
{
	if (!dev->dirty)
		return;
	dev->dirty = false;
	TAILQ_REMOVE(&watcher->dirty, dev, dirty_link);
}

static void mark_all(struct watcher *w)
{
	struct device *dev;

	TAILQ_FOREACH(dev, &w->control->devices, all_link)
	watcher_mark(w, dev);
}

/* Whether it is ours shows when it is looked at. */
void watcher_adopt(struct watcher *watcher, uint32_t domid, uint32_t devid)
{
	struct device *dev = device_find(watcher->control, domid, devid);

	if (!dev && device_create(&dev, watcher->control, domid, devid)) {
		rwy_error("vbd %u/%u: no memory for it", domid, devid);
		return;
	}
	watcher_mark(watcher, dev);
}

static void scan_domain(struct watcher *w, uint32_t domid)
{
	char **names;
	unsigned int nr;
	uint32_t devid;

	if (rwy_xenbus_list(w->control->xb, RWY_XENBUS_NO_TX, &names, &nr, "%s/%u",
			    RWY_XS_BACKEND_VBD, domid))
		return;
	for (unsigned int i = 0; i < nr; i++) {
		if (!rwy_xs_parse_component(names[i], UINT32_MAX, &devid))
			watcher_adopt(w, domid, devid);
	}
	free(names);
}

/* What is there is looked at, and what we have: that is how a vanished one is found out. */
static void scan(struct watcher *w)
{
	char **names;
	unsigned int nr;
	uint32_t domid;

	mark_all(w);
	if (rwy_xenbus_list(w->control->xb, RWY_XENBUS_NO_TX, &names, &nr, "%s",
			    RWY_XS_BACKEND_VBD))
		return;
	for (unsigned int i = 0; i < nr; i++) {
		if (!rwy_xs_parse_component(names[i], MAX_DOMID, &domid))
			scan_domain(w, domid);
	}
	free(names);
}

static void check_domains(struct watcher *w)
{
	struct device *dev;

	TAILQ_FOREACH(dev, &w->control->devices, all_link)
	dev->check_domain = true;
	mark_all(w);
}

static void look(void *ctx)
{
	struct watcher *w = ctx;
	struct device *dev;

	if (w->scan_due) {
		w->scan_due = false;
		scan(w);
	}
	if (w->domains_due) {
		w->domains_due = false;
		check_domains(w);
	}
	for (int i = 0; i < DEVICES_PER_ROUND && (dev = TAILQ_FIRST(&w->dirty)); i++) {
		watcher_unmark(w, dev);
		device_refresh(dev);
	}
	if (!TAILQ_EMPTY(&w->dirty))
		look_soon(w);
}

/* The nodes that other hands write; what we write ourselves is no news. */
static bool matters(const struct device *dev, const char *node)
{
	return dev->phase == RWY_PHASE_NEW || !strcmp(node, "state") || !strcmp(node, "online") ||
	       !strcmp(node, RWY_XS_HOTPLUG_STATUS_NODE);
}

static void tree_changed(void *ctx, const char *path)
{
	struct watcher *w = ctx;
	struct watcher_path p = watcher_path_parse(path);

	if (p.kind == WATCHER_PATH_COARSE) {
		w->scan_due = true;
		look_soon(w);
		return;
	}

	struct device *dev = device_find(w->control, p.domid, p.devid);
	if (!dev && (p.kind == WATCHER_PATH_DEVICE || !strcmp(p.node, "script")))
		watcher_adopt(w, p.domid, p.devid);
	else if (dev && (p.kind == WATCHER_PATH_DEVICE || matters(dev, p.node)))
		watcher_mark(w, dev);
}

static void domains_changed(void *ctx, const char *path)
{
	struct watcher *w = ctx;

	(void)path;
	w->domains_due = true;
	look_soon(w);
}

static void on_xenstore(void *ctx, uint32_t epoll_events)
{
	struct watcher *w = ctx;

	(void)epoll_events;
	if (!rwy_xenbus_dispatch(w->control->xb))
		return;
	rwy_error("xenstored went away; ringwayd can't go on without it");
	rwy_loop_remove(w->source);
	w->source = NULL;
	rwy_loop_stop(w->control->loop, 1);
}

int watcher_create(struct watcher **watcher, struct control *control)
{
	struct watcher *w = calloc(1, sizeof(*w));
	struct rwy_xenbus *xb = control->xb;

	if (!w)
		return -ENOMEM;
	w->control = control;
	TAILQ_INIT(&w->dirty);
	int err = rwy_loop_add_timer(control->loop, look, w, &w->timer);
	if (!err)
		err = rwy_loop_add_fd(control->loop, rwy_xenbus_fd(xb), EPOLLIN, on_xenstore, w,
				      &w->source);
	if (!err)
		err = rwy_xenbus_add_watch(xb, tree_changed, w, &w->tree, "%s", RWY_XS_BACKEND_VBD);
	if (!err)
		err = rwy_xenbus_add_watch(xb, domains_changed, w, &w->introduced,
					   "@introduceDomain");
	if (!err)
		err = rwy_xenbus_add_watch(xb, domains_changed, w, &w->released, "@releaseDomain");
	if (err) {
		watcher_destroy(w);
		return err;
	}
	*watcher = w;
	return 0;
}

void watcher_destroy(struct watcher *watcher)
{
	if (!watcher)
		return;
	rwy_xenbus_remove_watch(watcher->tree);
	rwy_xenbus_remove_watch(watcher->introduced);
	rwy_xenbus_remove_watch(watcher->released);
	rwy_loop_remove(watcher->source);
	rwy_loop_remove_timer(watcher->timer);
	free(watcher);
}
