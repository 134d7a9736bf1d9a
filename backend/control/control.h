/* SPDX-License-Identifier: MIT */
/*
 * The map of ringwayd: the one object that its parts hang from.
 *
 *   main.c, options.c, conf.c          start, command line and configuration file, the way out
 *   instance.c, status.c               one instance; what the service manager is told
 *   watcher.c, watcher_path.c          what appears and changes in xenstore
 *   device.c                           a device's life cycle: events in, actions out
 *   backdir.c, frontend.c              its own directory; what the guest published
 *   verdict.c                          may it be served, and with what:
 *     target.c, target_direct.c, target_lock.c, backing.c  the disk, and what lies under it
 *     rivals.c                           who else uses it
 *     policy.c, policy_match.c, policy_audit.c
 *   device_link.c                      its place in a data process, and in the next
 *     device_attach.c                    the way in
 *     device_journal.c, journal_file.c   what outlives the process
 *     quarantine.c                       too many have died of it
 *   worker.c                           the data processes
 *     worker_spawn.c, worker_fence.c     start, and the end of the last I/O
 *     worker_leftovers.c                 those of a ringwayd before
 *     worker_lease.c, worker_queues.c, channel.c  what is said about devices
 *   query.c, query_json.c              the query socket, and what it answers
 *
 * Single-threaded: everything runs from the loop.
 */
#pragma once
#include <stdbool.h>
#include <sys/queue.h>

struct device;
struct options;
struct policy;
struct query;
struct rwy_loop;
struct rwy_xenbus;
struct status;
struct watcher;
struct worker_pool;

struct control {
	bool leaving; /* there are no devices any more; data processes finish what they have */
	const struct options *options;
	struct rwy_loop *loop;
	struct status *status;
	struct rwy_xenbus *xb;
	struct policy *policy;
	struct worker_pool *pool;
	int journal_fd; /* the directory of journals */
	struct watcher *watcher;
	struct query *query;
	TAILQ_HEAD(device_list, device) devices;
};
