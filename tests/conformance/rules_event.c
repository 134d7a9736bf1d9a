// SPDX-License-Identifier: MIT
/*
 * Rules about events: when they are seen, masked, merged and kept, and how the device's fd behaves.
 * Called by main.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

static void notification_reaches_dom0(struct run *run)
{
	struct channel channel = open_channel(run);

	must(run, "notify %u", channel.guest_port);
	check_event(run, channel.own_port, "the guest's notification");
}

static void notification_reaches_the_guest(struct run *run)
{
	struct channel channel = open_channel(run);

	check_done(run, !xenevtchn_notify(run->xce, channel.own_port), "notify");
	check_guest_event(run, channel.guest_port, "our notification");
}

/* However often it is raised, a port is read once for each unmask. */
static void events_merge_until_unmasked(struct run *run)
{
	struct channel channel = open_channel(run);

	for (unsigned i = 0; i < 5; i++)
		must(run, "notify %u", channel.guest_port);
	check_event(run, channel.own_port, "the first notification");
	check_no_event(run, "before unmask");
	check_done(run, !xenevtchn_unmask(run->xce, channel.own_port), "unmask");
	if (next_event(run->xce, QUIET_MS))
		xenevtchn_unmask(run->xce, channel.own_port);
	check_no_event(run, "after the second unmask");
}

static void event_while_masked_comes_after_unmask(struct run *run)
{
	struct channel channel = open_channel(run);

	must(run, "notify %u", channel.guest_port);
	check_event(run, channel.own_port, "the first notification");
	must(run, "notify %u", channel.guest_port);
	check_no_event(run, "before unmask");
	check_done(run, !xenevtchn_unmask(run->xce, channel.own_port), "unmask");
	check_event(run, channel.own_port, "the second notification");
}

static void event_read_but_not_unmasked_masks_no_other_port(struct run *run)
{
	struct channel one = open_channel(run), two = open_channel(run);

	must(run, "notify %u", one.guest_port);
	check_event(run, one.own_port, "the notification of the first");
	must(run, "notify %u", two.guest_port);
	check_event(run, two.own_port, "the notification of the second");
}

/* What xenevtchn_unmask does, and what programs without the library do. */
static void write_of_a_port_to_the_fd_unmasks_it(struct run *run)
{
	struct channel channel = open_channel(run);
	uint32_t port = channel.own_port;

	must(run, "notify %u", channel.guest_port);
	check_event(run, port, "the first notification");
	ssize_t n = write(xenevtchn_fd(run->xce), &port, sizeof(port));
	CHECK(run, n == sizeof(port), "write returned %zd", n);
	check_no_event(run, "after the write");
	must(run, "notify %u", channel.guest_port);
	check_event(run, port, "the second notification");
}

static void one_read_takes_all_events(struct run *run)
{
	struct channel one = open_channel(run), two = open_channel(run);
	int64_t deadline = now_ms() + EVENT_WAIT_MS;
	uint32_t ports[8], seen = 0;

	must(run, "notify %u", one.guest_port);
	must(run, "notify %u", two.guest_port);
	while (seen < 2 && now_ms() < deadline) {
		if (!readable_within(xenevtchn_fd(run->xce), EVENT_WAIT_MS))
			break;
		ssize_t n = read(xenevtchn_fd(run->xce), ports, sizeof(ports));
		CHECK(run, n > 0 && n % 4 == 0, "read returned %zd", n);
		for (ssize_t i = 0; i < n / 4; i++)
			CHECK(run, ports[i] == one.own_port || ports[i] == two.own_port,
			      "read port %u", ports[i]);
		seen += n / 4;
	}
	CHECK(run, seen == 2, "%u events", seen);
	check_no_event(run, "after both");
}

static void read_without_event_is_EAGAIN_if_non_blocking(struct run *run)
{
	int fd = xenevtchn_fd(run->xce);

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	check_refused(run, xenevtchn_pending(run->xce) > 0, EAGAIN, "pending");
}

static void fd_is_always_writable_and_readable_with_an_event(struct run *run)
{
	struct pollfd pfd = {.fd = xenevtchn_fd(run->xce), .events = POLLIN | POLLOUT};

	int n = poll(&pfd, 1, 0);
	CHECK(run, n == 1 && pfd.revents == POLLOUT, "poll: %d, events %x", n, pfd.revents);
	struct channel channel = open_channel(run);
	must(run, "notify %u", channel.guest_port);
	CHECK(run, readable_within(pfd.fd, EVENT_WAIT_MS), "not readable");
	n = poll(&pfd, 1, 0);
	CHECK(run, n == 1 && pfd.revents == (POLLIN | POLLOUT), "poll: %d, events %x", n,
	      pfd.revents);
}

static void event_goes_to_the_handle_that_bound_the_port(struct run *run)
{
	struct channel channel = open_channel(run);
	xenevtchn_handle *other = xenevtchn_open(NULL, 0);

	check_done(run, other, "xenevtchn_open");
	must(run, "notify %u", channel.guest_port);
	bool strayed = next_event(other, QUIET_MS);
	xenevtchn_close(other);
	CHECK(run, !strayed, "another handle has an event");
	check_event(run, channel.own_port, "the notification");
}

static void event_is_kept_until_it_is_read(struct run *run)
{
	struct channel channel = open_channel(run);

	must(run, "notify %u", channel.guest_port);
	CHECK(run, readable_within(xenevtchn_fd(run->xce), EVENT_WAIT_MS), "not readable");
	must(run, "kill");
	check_event(run, channel.own_port, "the notification of a guest that has since died");
}

static const struct rule rules[] = {
	{"notification_reaches_dom0", notification_reaches_dom0},
	{"notification_reaches_the_guest", notification_reaches_the_guest},
	{"events_merge_until_unmasked", events_merge_until_unmasked},
	{"event_while_masked_comes_after_unmask", event_while_masked_comes_after_unmask},
	{"event_read_but_not_unmasked_masks_no_other_port",
	 event_read_but_not_unmasked_masks_no_other_port},
	{"write_of_a_port_to_the_fd_unmasks_it", write_of_a_port_to_the_fd_unmasks_it},
	{"one_read_takes_all_events", one_read_takes_all_events},
	{"read_without_event_is_EAGAIN_if_non_blocking",
	 read_without_event_is_EAGAIN_if_non_blocking},
	{"fd_is_always_writable_and_readable_with_an_event",
	 fd_is_always_writable_and_readable_with_an_event},
	{"event_goes_to_the_handle_that_bound_the_port",
	 event_goes_to_the_handle_that_bound_the_port},
	{"event_is_kept_until_it_is_read", event_is_kept_until_it_is_read},
};

const struct rule_group event_rules = RULE_GROUP(rules);
