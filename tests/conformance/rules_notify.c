// SPDX-License-Identifier: MIT
/*
 * Rules about unmap notification, on both ends of a grant: a byte is cleared and an event is sent
 * however the page comes to be unmapped. Called by main.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/conformance/conformance.h"

#define BYTE 300 /* that is to be cleared */

static uint8_t *map_notify(struct run *run, uint32_t gref, uint32_t port)
{
	uint8_t *page = xengnttab_map_grant_ref_notify(run->xgt, run->domid, gref,
						       PROT_READ | PROT_WRITE, BYTE, port);

	check_done(run, page, "map_grant_ref_notify");
	return keep_mapping(run, page, 1);
}

static void check_byte(struct run *run, const struct shared *shared, long wanted)
{
	long seen = must(run, "peek %ld %u", shared->id, BYTE);

	CHECK(run, seen == wanted, "the byte is %ld instead of %ld", seen, wanted);
	seen = must(run, "peek %ld %u", shared->id, BYTE + 1);
	CHECK(run, seen == 200, "the byte beside it is %ld", seen);
}

static void unmap_clears_the_byte_and_sends_the_event(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	struct channel channel = open_channel(run);

	must(run, "fill %ld 0 200", shared.id);
	uint8_t *page = map_notify(run, shared.gref[0], channel.own_port);
	check_byte(run, &shared, 200);
	unmap_page(run, page);
	check_guest_event(run, channel.guest_port, "the unmap notification");
	check_byte(run, &shared, 0);
}

static void unmap_clears_the_byte_without_an_event(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 200", shared.id);
	unmap_page(run, map_notify(run, shared.gref[0], -1));
	check_byte(run, &shared, 0);
}

struct to_map {
	uint32_t gref;
	uint32_t remote_port;
};

/* In a child: a channel and a page of its own. */
static int map_with_notification(struct run *run, const void *arg)
{
	const struct to_map *to_map = arg;

	int port = xenevtchn_bind_interdomain(run->xce, run->domid, to_map->remote_port);
	check_done(run, port > 0, "bind_interdomain");
	map_notify(run, to_map->gref, port);
	return 0;
}

/* The same, and the handle of the port is closed before the page is unmapped. */
static int map_and_close_evtchn(struct run *run, const void *arg)
{
	map_with_notification(run, arg);
	return xenevtchn_close(run->xce);
}

static void end_of_mapper_notifies(struct run *run, int signal, child_fn *mapper)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	struct to_map to_map = {.gref = shared.gref[0], .remote_port = must(run, "unbound 0")};

	must(run, "fill %ld 0 200", shared.id);
	start_child(run, mapper, &to_map);
	check_byte(run, &shared, 200);
	CHECK(run, !must(run, "event %d", QUIET_MS), "the guest has an event before the unmap");
	end_child(run, signal);
	check_guest_event(run, to_map.remote_port, "the unmap notification");
	check_byte(run, &shared, 0);
}

static void exit_of_the_mapper_notifies(struct run *run)
{
	end_of_mapper_notifies(run, 0, map_with_notification);
}

static void kill_of_the_mapper_notifies(struct run *run)
{
	end_of_mapper_notifies(run, SIGKILL, map_with_notification);
}

static void unmap_notifies_though_the_ports_handle_is_closed(struct run *run)
{
	end_of_mapper_notifies(run, SIGKILL, map_and_close_evtchn);
}

static void clearing_a_byte_of_a_read_only_map_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	void *page =
		keep_mapping(run,
			     xengnttab_map_grant_ref_notify(run->xgt, run->domid, shared.gref[0],
							    PROT_READ, BYTE, -1),
			     1);
	check_refused(run, page, EINVAL, "map_grant_ref_notify");
}

static void event_of_a_read_only_map_is_sent(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, false);
	struct channel channel = open_channel(run);

	uint8_t *page = xengnttab_map_grant_ref_notify(run->xgt, run->domid, shared.gref[0],
						       PROT_READ, -1, channel.own_port);
	check_done(run, page, "map_grant_ref_notify");
	keep_mapping(run, page, 1);
	unmap_page(run, page);
	check_guest_event(run, channel.guest_port, "the unmap notification");
}

static void map_with_notification_on_a_closed_port_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	struct channel channel = open_channel(run);

	check_done(run, !xenevtchn_unbind(run->xce, channel.own_port), "unbind");
	void *page = keep_mapping(
		run,
		xengnttab_map_grant_ref_notify(run->xgt, run->domid, shared.gref[0],
					       PROT_READ | PROT_WRITE, -1, channel.own_port),
		1);
	check_refused(run, page, EINVAL, "map_grant_ref_notify");
}

/* The other end: what the guest shares with a notification. */
static struct shared guest_shares_notify(struct run *run, uint32_t port)
{
	struct shared shared = {.id = must(run, "share-notify 0 1 %u %u", BYTE, port)};

	CHECK(run, sscanf(run->text, "%u", &shared.gref[0]) == 1, "no gref in \"%s\"", run->text);
	must(run, "fill %ld 0 200", shared.id);
	return shared;
}

static void check_guest_end(struct run *run, const char *command)
{
	struct channel channel = open_channel(run);
	struct shared shared = guest_shares_notify(run, channel.guest_port);

	uint8_t *page = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	CHECK(run, page[BYTE] == 200, "the byte is %u before", page[BYTE]);
	check_no_event(run, "before");
	if (*command)
		must(run, "%s", command);
	else
		must(run, "unshare %ld 0 1", shared.id);
	check_event(run, channel.own_port, "the notification of the guest's end");
	CHECK(run, !page[BYTE] && page[BYTE + 1] == 200, "the bytes are %u and %u", page[BYTE],
	      page[BYTE + 1]);
}

static void unshare_clears_the_byte_and_sends_the_event(struct run *run)
{
	check_guest_end(run, "");
}

static void kill_of_the_sharer_clears_the_byte_and_sends_the_event(struct run *run)
{
	check_guest_end(run, "kill");
}

static void share_with_notification_on_a_closed_port_is_EINVAL(struct run *run)
{
	long port = must(run, "unbound 0");

	must(run, "unbind %ld", port);
	check_refused(run, ask(run, "share-notify 0 1 -1 %ld", port) >= 0, EINVAL, "share");
}

static const struct rule rules[] = {
	{"unmap_clears_the_byte_and_sends_the_event", unmap_clears_the_byte_and_sends_the_event},
	{"unmap_clears_the_byte_without_an_event", unmap_clears_the_byte_without_an_event},
	{"exit_of_the_mapper_notifies", exit_of_the_mapper_notifies},
	{"kill_of_the_mapper_notifies", kill_of_the_mapper_notifies},
	{"unmap_notifies_though_the_ports_handle_is_closed",
	 unmap_notifies_though_the_ports_handle_is_closed},
	{"clearing_a_byte_of_a_read_only_map_is_EINVAL",
	 clearing_a_byte_of_a_read_only_map_is_EINVAL},
	{"event_of_a_read_only_map_is_sent", event_of_a_read_only_map_is_sent},
	{"map_with_notification_on_a_closed_port_is_EINVAL",
	 map_with_notification_on_a_closed_port_is_EINVAL},
	{"unshare_clears_the_byte_and_sends_the_event",
	 unshare_clears_the_byte_and_sends_the_event},
	{"kill_of_the_sharer_clears_the_byte_and_sends_the_event",
	 kill_of_the_sharer_clears_the_byte_and_sends_the_event},
	{"share_with_notification_on_a_closed_port_is_EINVAL",
	 share_with_notification_on_a_closed_port_is_EINVAL},
};

const struct rule_group notify_rules = RULE_GROUP(rules);
