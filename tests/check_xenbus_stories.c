// SPDX-License-Identifier: MIT
/*
 * The handshake table in the company of real toolstacks, frontends and backends: their stories, line
 * by line, with the step that each line must bring.
 */
#include "tests/xenbus_point.h"

struct line {
	enum rwy_xenbus_event event;
	int own; /* 0: what we wrote last */
	int peer;
	bool online;
	/* expected */
	enum rwy_xenbus_phase phase;
	int write;
	enum rwy_xenbus_action action;
};

static void play(enum rwy_xenbus_side side, const struct line *lines, size_t nr)
{
	struct point p = {.side = side, .phase = RWY_PHASE_NEW};
	enum xenbus_state node = XenbusStateInitialising;

	for (size_t i = 0; i < nr; i++) {
		const struct line *line = &lines[i];

		if (line->own)
			node = (enum xenbus_state)line->own;
		p.in.event = line->event;
		p.in.own = node;
		p.in.peer = (enum xenbus_state)line->peer;
		p.in.online = line->online;
		p.step = rwy_xenbus_fsm_step(side, p.phase, &p.in);
		ck_assert_msg(p.step.phase == line->phase && (int)p.step.write == line->write &&
				      p.step.action == line->action,
			      "line %zu: %s", i, describe(&p));
		if (p.step.write != XenbusStateUnknown)
			node = p.step.write;
		p.phase = p.step.phase;
	}
}

#define E(event_)		      RWY_EVENT_##event_
#define SAYS(phase_, write_, action_) RWY_PHASE_##phase_, write_, RWY_ACTION_##action_
#define STORY(name, side, ...)                                  \
	START_TEST(name)                                        \
	{                                                       \
		static const struct line lines[] = __VA_ARGS__; \
		play(side, lines, ARRAY_LEN(lines));            \
	}                                                       \
	END_TEST

/* clang-format off */
STORY(libxl_attaches_and_detaches, BACK, {
	{E(START),        1, 1, true,  SAYS(OFFERED, 2, OFFER)},
	{E(PEER),         0, 1, true,  SAYS(OFFERED, 0, NONE)},
	{E(READY),        0, 1, true,  SAYS(READY, 0, NONE)},
	{E(PEER),         0, 1, true,  SAYS(READY, 0, NONE)},
	{E(PEER),         0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
	{E(PEER),         0, 3, true,  SAYS(CONNECTING, 0, NONE)},
	{E(CONNECT_DONE), 0, 3, true,  SAYS(CONNECTED, 4, NONE)},
	{E(PEER),         0, 4, true,  SAYS(CONNECTED, 0, NONE)},
	{E(OWN),          5, 4, false, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 5, false, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 6, false, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, false, SAYS(CLOSED, 6, NONE)},
	{E(REMOVED),      0, 0, false, SAYS(REMOVING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 0, false, SAYS(GONE, 0, FORGET)},
})

STORY(guest_connects_before_the_hotplug_script_is_done, BACK, {
	{E(START), 1, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(PEER),  0, 3, true, SAYS(OFFERED, 0, NONE)},
	{E(READY), 0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
})

STORY(refused_device_waits_in_offered_for_libxl_to_remove_it, BACK, {
	{E(START),        1, 1, true,  SAYS(OFFERED, 2, OFFER)},
	{E(PEER),         0, 3, true,  SAYS(OFFERED, 0, NONE)},
	{E(OWN),          5, 3, false, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 3, false, SAYS(CLOSED, 6, NONE)},
	{E(REMOVED),      0, 0, false, SAYS(REMOVING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 0, false, SAYS(GONE, 0, FORGET)},
})

STORY(device_refused_for_good_closes, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(FAILED),       0, 3, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 3, true, SAYS(CLOSED, 6, NONE)},
	{E(PEER),         0, 3, true, SAYS(CLOSED, 0, NONE)},
})

STORY(guest_reloads_its_driver, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(PEER),         0, 5, true, SAYS(WAITING, 5, NONE)},
	{E(PEER),         0, 6, true, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, true, SAYS(CLOSED, 6, NONE)},
	{E(PEER),         0, 6, true, SAYS(CLOSED, 0, NONE)},
	{E(PEER),         0, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 1, true, SAYS(READY, 0, NONE)},
	{E(PEER),         0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
})

/* The new kernel sets Initialising while the old ring is still being drained. */
STORY(kexec_overtakes_the_disconnect, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(PEER),         0, 6, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(PEER),         0, 1, true, SAYS(CLOSING, 0, NONE)},
	{E(DISCONNECTED), 0, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
})

STORY(driver_restarts_without_closing, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(PEER),         0, 1, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 1, true, SAYS(OFFERED, 2, OFFER)},
})

STORY(guest_closes_while_we_connect, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(PEER),         0, 5, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(CONNECT_DONE), 0, 5, true, SAYS(CLOSING, 0, NONE)},
	{E(DISCONNECTED), 0, 6, true, SAYS(CLOSED, 6, NONE)},
})

STORY(guest_closes_before_it_connected, BACK, {
	{E(START),        1, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(PEER),         0, 5, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 5, true, SAYS(CLOSED, 6, NONE)},
	{E(READY),        0, 5, true, SAYS(CLOSED, 0, NONE)},
	{E(PEER),         0, 6, true, SAYS(CLOSED, 0, NONE)},
	{E(PEER),         0, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 1, true, SAYS(READY, 0, NONE)},
})

/* The one look that we get shows its 6. */
STORY(guest_closes_before_it_connected_too_quickly_to_be_seen, BACK, {
	{E(START),        1, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 1, true, SAYS(READY, 0, NONE)},
	{E(PEER),         0, 6, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, true, SAYS(CLOSED, 6, NONE)},
	{E(PEER),         0, 1, true, SAYS(OFFERED, 2, OFFER)},
	{E(PEER),         0, 6, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, true, SAYS(CLOSED, 6, NONE)},
})

STORY(domain_dies_while_we_connect, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(REMOVED),      0, 0, true, SAYS(REMOVING, 0, DISCONNECT)},
	{E(CONNECT_DONE), 0, 0, true, SAYS(REMOVING, 0, NONE)},
	{E(REMOVED),      0, 0, true, SAYS(REMOVING, 0, NONE)},
	{E(DISCONNECTED), 0, 0, true, SAYS(GONE, 0, FORGET)},
	{E(PEER),         0, 1, true, SAYS(GONE, 0, NONE)},
})

STORY(directory_goes_while_we_close, BACK, {
	{E(START),        1, 3, true,  SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true,  SAYS(CONNECTED, 4, NONE)},
	{E(OWN),          5, 6, false, SAYS(CLOSING, 0, DISCONNECT)},
	{E(REMOVED),      0, 0, false, SAYS(REMOVING, 0, NONE)},
	{E(DISCONNECTED), 0, 0, false, SAYS(GONE, 0, FORGET)},
})

STORY(device_is_attached_anew_before_we_saw_it_go, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(OWN),          1, 1, true, SAYS(REMOVING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 1, true, SAYS(GONE, 0, FORGET)},
})

/* libxl wrote online=0 and state 5; our 4 came after it. */
STORY(our_write_hits_the_toolstacks, BACK, {
	{E(START),        1, 3, true,  SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true,  SAYS(CONNECTED, 4, NONE)},
	{E(OWN),          4, 4, false, SAYS(WAITING, 5, NONE)},
	{E(PEER),         0, 6, false, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, false, SAYS(CLOSED, 6, NONE)},
	{E(PEER),         0, 1, false, SAYS(CLOSED, 0, NONE)},
})

/* A mounted disk: blkfront stays in Closing and goes on; xl block-detach fails after 10 s. */
STORY(guest_refuses_an_orderly_unplug, BACK, {
	{E(START),        1, 3, true,  SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true,  SAYS(CONNECTED, 4, NONE)},
	{E(OWN),          5, 4, false, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 5, false, SAYS(WAITING, 0, NONE)},
	{E(OWN),          5, 5, false, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 0, false, SAYS(CLOSING, 0, DISCONNECT)}, /* forced */
	{E(DISCONNECTED), 0, 0, false, SAYS(CLOSED, 6, NONE)},
})

STORY(ring_breaks_while_we_wait, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(PEER),         0, 5, true, SAYS(WAITING, 5, NONE)},
	{E(FAILED),       0, 5, true, SAYS(CLOSING, 0, DISCONNECT)},
})

STORY(toolstack_forces_closed, BACK, {
	{E(START),        1, 3, true,  SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
	{E(OWN),          6, 3, false, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 3, false, SAYS(CLOSED, 6, NONE)},
	{E(OWN),          5, 3, false, SAYS(CLOSED, 6, NONE)},
	{E(OWN),          6, 3, false, SAYS(CLOSED, 0, NONE)},
})

STORY(ring_breaks, BACK, {
	{E(START),        1, 3, true, SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 3, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(FAILED),       0, 4, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(FAILED),       0, 4, true, SAYS(CLOSING, 0, NONE)},
	{E(CLOSE),        0, 4, true, SAYS(CLOSING, 0, NONE)},
	{E(DISCONNECTED), 0, 4, true, SAYS(CLOSED, 6, NONE)},
})

STORY(daemon_starts_in_the_middle_of_a_removal, BACK, {
	{E(START),        5, 6, false, SAYS(CLOSED, 6, NONE)},
	{E(REMOVED),      0, 0, false, SAYS(REMOVING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 0, false, SAYS(GONE, 0, FORGET)},
})

STORY(daemon_finishes_a_close_of_its_predecessor, BACK, {
	{E(START), 5, 6, true, SAYS(CLOSED, 6, NONE)},
	{E(PEER),  0, 1, true, SAYS(OFFERED, 2, OFFER)},
})

STORY(daemon_goes_on_with_a_ring_of_its_predecessor, BACK, {
	{E(START),        4, 4, true,  SAYS(FOUND, 0, NONE)},
	{E(PEER),         0, 4, true,  SAYS(FOUND, 0, NONE)},
	{E(READY),        0, 4, true,  SAYS(RESUMING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true,  SAYS(CONNECTED, 0, NONE)},
	{E(PEER),         0, 5, true,  SAYS(WAITING, 5, NONE)},
})

/* It has seen our 4, and not said its own yet. */
STORY(daemon_goes_on_with_a_ring_that_was_just_connected, BACK, {
	{E(START),        4, 3, true,  SAYS(FOUND, 0, NONE)},
	{E(READY),        0, 3, true,  SAYS(RESUMING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 3, true,  SAYS(CONNECTED, 0, NONE)},
	{E(PEER),         0, 4, true,  SAYS(CONNECTED, 0, NONE)},
})

/* The guest has a file system on the disk: what it has in flight is answered all the same. */
STORY(daemon_goes_on_with_a_ring_that_was_to_be_closed, BACK, {
	{E(START),        5, 4, false, SAYS(FOUND, 0, NONE)},
	{E(READY),        0, 4, false, SAYS(RESUMING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, false, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 6, false, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, false, SAYS(CLOSED, 6, NONE)},
})

STORY(guest_closes_before_its_ring_is_gone_on_with, BACK, {
	{E(START),        4, 5, true,  SAYS(FOUND, 0, NONE)},
	{E(READY),        0, 5, true,  SAYS(RESUMING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 5, true,  SAYS(CONNECTED, 0, NONE)},
	{E(PEER),         0, 5, true,  SAYS(WAITING, 5, NONE)},
	{E(PEER),         0, 6, true,  SAYS(CLOSING, 0, DISCONNECT)},
})

STORY(daemon_cannot_go_on_with_a_ring_of_its_predecessor, BACK, {
	{E(START),        4, 4, true,  SAYS(FOUND, 0, NONE)},
	{E(READY),        0, 4, true,  SAYS(RESUMING, 0, CONNECT)},
	{E(FAILED),       0, 4, true,  SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 4, true,  SAYS(CLOSED, 6, NONE)},
	{E(PEER),         0, 1, true,  SAYS(OFFERED, 2, OFFER)},
})

/* pvgrub's successor, or a kernel after kexec, begins before we are ready. */
STORY(guest_begins_anew_before_its_ring_is_gone_on_with, BACK, {
	{E(START),        4, 4, true,  SAYS(FOUND, 0, NONE)},
	{E(PEER),         0, 1, true,  SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 1, true,  SAYS(OFFERED, 2, OFFER)},
	{E(READY),        0, 1, true,  SAYS(READY, 0, NONE)},
	{E(PEER),         0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
})

STORY(guest_has_begun_anew_while_no_daemon_ran, BACK, {
	{E(START),        4, 1, true,  SAYS(OFFERED, 2, OFFER)},
	{E(PEER),         0, 1, true,  SAYS(OFFERED, 0, NONE)},
	{E(READY),        0, 3, true,  SAYS(CONNECTING, 0, CONNECT)},
})

/* libxl asks, and then takes the directory away. */
STORY(ring_of_a_predecessor_is_removed_by_the_toolstack, BACK, {
	{E(START),        4, 4, true,  SAYS(FOUND, 0, NONE)},
	{E(OWN),          5, 4, false, SAYS(FOUND, 0, NONE)},
	{E(REMOVED),      0, 4, false, SAYS(REMOVING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 4, false, SAYS(GONE, 0, FORGET)},
})

STORY(frontend_connects_and_backend_closes, FRONT, {
	{E(START),        1, 1, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 1, true, SAYS(NEW, 0, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 0, NONE)},
	{E(PEER),         0, 4, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(PEER),         0, 4, true, SAYS(CONNECTING, 0, NONE)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(PEER),         0, 5, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(PEER),         0, 6, true, SAYS(CLOSING, 0, NONE)},
	{E(DISCONNECTED), 0, 6, true, SAYS(CLOSED, 6, NONE)},
	{E(PEER),         0, 2, true, SAYS(CLOSED, 0, NONE)},
})

STORY(frontend_closes_after_the_backend_knows, FRONT, {
	{E(START),        1, 2, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
	{E(PEER),         0, 4, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(CONNECTED, 4, NONE)},
	{E(CLOSE),        0, 4, true, SAYS(WAITING, 5, NONE)},
	{E(OWN),          5, 4, true, SAYS(WAITING, 0, NONE)},
	{E(CLOSE),        0, 4, true, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 5, true, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 5, true, SAYS(CLOSED, 6, NONE)},
	{E(START),        0, 6, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
})

STORY(frontend_gives_up_on_a_silent_backend, FRONT, {
	{E(START),        1, 2, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
	{E(CLOSE),        0, 2, true, SAYS(WAITING, 5, NONE)},
	{E(FAILED),       0, 2, true, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 2, true, SAYS(CLOSED, 6, NONE)},
})

STORY(frontend_closes_while_it_connects, FRONT, {
	{E(START),        1, 2, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
	{E(PEER),         0, 4, true, SAYS(CONNECTING, 0, CONNECT)},
	{E(CLOSE),        0, 4, true, SAYS(WAITING, 5, NONE)},
	{E(CONNECT_DONE), 0, 4, true, SAYS(WAITING, 0, NONE)},
	{E(PEER),         0, 6, true, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 6, true, SAYS(CLOSED, 6, NONE)},
})

/* A crashed predecessor left a stock backend connected: it moves only after 5 and 6. */
STORY(frontend_resets_a_backend_left_connected, FRONT, {
	{E(START),        4, 4, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 4, true, SAYS(NEW, 0, NONE)},
	{E(CLOSE),        0, 4, true, SAYS(WAITING, 5, NONE)},
	{E(PEER),         0, 5, true, SAYS(CLOSING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 5, true, SAYS(CLOSED, 6, NONE)},
	{E(START),        0, 6, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
})

STORY(frontend_never_offered_closes_at_once, FRONT, {
	{E(START),        1, 1, true, SAYS(NEW, 1, NONE)},
	{E(CLOSE),        0, 1, true, SAYS(CLOSING, 5, DISCONNECT)},
	{E(DISCONNECTED), 0, 1, true, SAYS(CLOSED, 6, NONE)},
})

STORY(frontend_directory_goes, FRONT, {
	{E(START),        1, 2, true, SAYS(NEW, 1, NONE)},
	{E(PEER),         0, 2, true, SAYS(OFFERED, 3, OFFER)},
	{E(REMOVED),      0, 0, true, SAYS(REMOVING, 0, DISCONNECT)},
	{E(DISCONNECTED), 0, 0, true, SAYS(GONE, 0, FORGET)},
})
/* clang-format on */

static Suite *xenbus_stories_suite(void)
{
	Suite *suite = suite_create("xenbus_stories");
	TCase *tc = tcase_create("stories");

	tcase_add_test(tc, libxl_attaches_and_detaches);
	tcase_add_test(tc, guest_connects_before_the_hotplug_script_is_done);
	tcase_add_test(tc, refused_device_waits_in_offered_for_libxl_to_remove_it);
	tcase_add_test(tc, device_refused_for_good_closes);
	tcase_add_test(tc, guest_reloads_its_driver);
	tcase_add_test(tc, kexec_overtakes_the_disconnect);
	tcase_add_test(tc, driver_restarts_without_closing);
	tcase_add_test(tc, guest_closes_while_we_connect);
	tcase_add_test(tc, guest_closes_before_it_connected);
	tcase_add_test(tc, guest_closes_before_it_connected_too_quickly_to_be_seen);
	tcase_add_test(tc, domain_dies_while_we_connect);
	tcase_add_test(tc, directory_goes_while_we_close);
	tcase_add_test(tc, device_is_attached_anew_before_we_saw_it_go);
	tcase_add_test(tc, our_write_hits_the_toolstacks);
	tcase_add_test(tc, guest_refuses_an_orderly_unplug);
	tcase_add_test(tc, ring_breaks_while_we_wait);
	tcase_add_test(tc, toolstack_forces_closed);
	tcase_add_test(tc, ring_breaks);
	tcase_add_test(tc, daemon_starts_in_the_middle_of_a_removal);
	tcase_add_test(tc, daemon_finishes_a_close_of_its_predecessor);
	tcase_add_test(tc, daemon_goes_on_with_a_ring_of_its_predecessor);
	tcase_add_test(tc, daemon_goes_on_with_a_ring_that_was_just_connected);
	tcase_add_test(tc, daemon_goes_on_with_a_ring_that_was_to_be_closed);
	tcase_add_test(tc, guest_closes_before_its_ring_is_gone_on_with);
	tcase_add_test(tc, daemon_cannot_go_on_with_a_ring_of_its_predecessor);
	tcase_add_test(tc, guest_begins_anew_before_its_ring_is_gone_on_with);
	tcase_add_test(tc, guest_has_begun_anew_while_no_daemon_ran);
	tcase_add_test(tc, ring_of_a_predecessor_is_removed_by_the_toolstack);
	tcase_add_test(tc, frontend_connects_and_backend_closes);
	tcase_add_test(tc, frontend_closes_after_the_backend_knows);
	tcase_add_test(tc, frontend_gives_up_on_a_silent_backend);
	tcase_add_test(tc, frontend_closes_while_it_connects);
	tcase_add_test(tc, frontend_resets_a_backend_left_connected);
	tcase_add_test(tc, frontend_never_offered_closes_at_once);
	tcase_add_test(tc, frontend_directory_goes);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(xenbus_stories_suite)
