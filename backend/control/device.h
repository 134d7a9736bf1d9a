/* SPDX-License-Identifier: MIT */
/*
 * A vbd's life in ringwayd: the handshake table is fed with what xenstore, the data process and the
 * admin say, and what it orders is done here. Nothing a guest does ends anything but its own
 * device. Called by watcher.c (changes), device_link.c (the data process), verdict.c (a late
 * verdict), main.c (the end), query_json.c (to look). Threads: the loop's.
 */
#pragma once
#include "backend/control/backdir.h"
#include "backend/control/control.h"
#include "backend/control/frontend.h"
#include "backend/control/pace.h"
#include "backend/control/quarantine.h"
#include "backend/control/reason.h"
#include "backend/control/target.h"
#include "backend/control/worker.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/xenbus_fsm.h"

enum device_verdict {
	VERDICT_UNKNOWN, /* not judged, or the target is still locked by somebody who may let go */
	VERDICT_GRANTED, /* target open */
	VERDICT_REFUSED,
};

/* Between the handshake and the data process. */
enum device_link {
	LINK_NONE,
	LINK_WAITING,	/* no data process is ready, or a sibling is at the target */
	LINK_ATTACHING, /* ATTACH sent */
	LINK_ATTACHED,
	LINK_DETACHING, /* DETACH sent */
};

struct device {
	TAILQ_ENTRY(device) all_link;
	TAILQ_ENTRY(device) dirty_link;
	bool dirty; /* on the watcher's list */
	struct control *control;
	struct backdir dir;
	char name[40]; /* "vbd 3/51712" */
	struct rwy_log_limit log;

	bool ours; /* its script node says so; seen once */
	bool check_domain;
	bool domain_seen; /* has been there */
	bool domain_gone; /* and is no more */
	enum rwy_xenbus_phase phase;
	enum xenbus_state own;	/* what our state node says, as last read or written */
	enum xenbus_state peer; /* what the frontend's says, as last read */
	bool online;
	bool plugged; /* hotplug-status = connected */
	bool offered; /* our feature nodes have been written */
	bool found;   /* it was in use when we started: a lock on its target is worth waiting for */
	struct rwy_xenbus_watch *peer_watch;
	bool peer_due;	   /* the frontend's state is to be read at the next look */
	bool peer_delayed; /* it changes too often: the timer makes it due */
	struct pace peer_pace;
	struct rwy_loop_timer *peer_timer;

	enum device_verdict verdict;
	struct reason why; /* of a refusal or of the last failure; "": none */
	struct backdir_config config;
	struct target target;
	struct rwy_loop_timer *retry; /* of the verdict */
	uint64_t retry_since_ns;      /* 0: not tried yet */

	enum device_link link;
	struct worker_lease lease;
	struct frontend frontend; /* valid unless the link is NONE */
	bool journaled;		  /* its queues' journals are about this ring; to be gone on with */
	unsigned int nr_anew;	  /* attached again since CONNECT, for a ring that was another */
	uint64_t lost_ns;	  /* when its data process ended */
	struct quarantine quarantine;
	bool stats_asked;
	bool stats_known;
	struct ctl_stats stats;
};

/* A directory worth looking at; it is looked at by the first device_refresh. */
int device_create(struct device **dev, struct control *control, uint32_t domid, uint32_t devid);
/* Nothing is written, nothing waited for; its journals stay, for whoever goes on with it. */
void device_destroy(struct device *dev);
/* NULL: none. */
struct device *device_find(struct control *control, uint32_t domid, uint32_t devid);

/* Look at xenstore and act on it. May destroy the device. */
void device_refresh(struct device *dev);
/* Feed one event and do what follows from it. May destroy the device. */
void device_handle(struct device *dev, enum rwy_xenbus_event event);
/* The verdict may have changed: go on from there. May destroy the device. */
void device_go_on(struct device *dev);

/*
 * Say what is wrong where the admin looks: `error` node, log (limited), `ringway show`. Keeps why.
 */
void device_complain(struct device *dev, const struct reason *why);
void device_forgive(struct device *dev);
