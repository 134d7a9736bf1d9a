// SPDX-License-Identifier: MIT
/* States in any order, frontends that come back as fast as they can, and some that are killed. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/hostile_front/attack.h"

/* All states there are, and what is none; the node goes away, too. */
static int state_flips(struct front *f)
{
	int err = front_publish(f, &(struct front_how){0});
	char any[8];

	while (front_goes_on(f) && !err) {
		uint64_t random = front_random(f);

		switch (random % 16) {
		case 0:
			front_remove(f, "state");
			break;
		case 1:
			front_random_bytes(f, any, sizeof(any));
			err = front_write(f, "state", any, sizeof(any));
			break;
		default:
			err = front_write_number(f, "state", random % 16 - 2);
			break;
		}
	}
	return err;
}

/* With what makes a backend work: 3 and 4 between 1, 5 and 6, each seen or not. */
static int connect_flips(struct front *f)
{
	static const enum xenbus_state states[] = {
		XenbusStateInitialising, XenbusStateInitialised, XenbusStateConnected,
		XenbusStateClosing,	 XenbusStateClosed,	 XenbusStateInitialised,
	};
	int err = front_publish(f, &(struct front_how){0});

	while (front_goes_on(f) && !err)
		err = front_write_state(f, states[front_random(f) % 6]);
	return err;
}

/* A ring that is good, used once, and closed in good order. */
static int reconnect_storm(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		err = front_connect(f, &(struct front_how){0});
		if (!err)
			err = front_expect_service(f);
		if (!err)
			err = front_reset(f);
	}
	return err;
}

/* Each ring is broken, and each brings a bad request: what is said of it must not fill the log. */
static int break_storm(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		struct rwy_blk_request req = front_read_request(f, 1, 0);

		err = front_connect(f, &(struct front_how){0});
		req.sector = f->capacity_sect;
		front_put_request(f, &req);
		front_push(f);
		if (!err)
			err = front_drain_any(f);
		if (err)
			break;
		front_sring(f)->req_prod = f->req_prod + 1000;
		front_notify(f);
		err = front_expect_broken(f);
		if (!err)
			err = front_reset(f);
	}
	return err;
}

/* The nodes of a ring change while the backend connects to it. */
static int ring_replaced_while_connecting(struct front *f)
{
	int err = front_publish(f, &(struct front_how){0});

	while (front_goes_on(f) && !err) {
		err = front_write_number(f, "ring-ref", front_random(f) % 64);
		if (!err)
			err = front_write_number(f, "ring-ref", f->ring_gref[0]);
		if (!err)
			err = front_write_state(f, XenbusStateInitialised);
		if (!err && front_random(f) % 8 == 0)
			err = front_write_state(f, XenbusStateInitialising);
	}
	return err;
}

/* In the child: I/O until killed. It has handles of its own, which end with it. */
static void be_killed(const char *vdev, int ready_fd)
{
	struct front f = {
		.random = (uint64_t)getpid(), .end_ns = UINT64_MAX, .max_rounds = UINT32_MAX};
	char ready = 1;

	if (front_open(&f, vdev) || front_connect(&f, &(struct front_how){.nr_ring_pages = 4}) ||
	    write(ready_fd, &ready, 1) != 1)
		_exit(1);
	for (;;) {
		for (uint32_t i = 0; i < f.nr_slots; i++) {
			struct rwy_blk_request req = front_read_request(&f, i, i);

			req.op = i & 1 ? RWY_BLK_OP_WRITE : RWY_BLK_OP_READ;
			front_put_request(&f, &req);
		}
		front_push(&f);
		if (front_drain_any(&f))
			_exit(1);
	}
}

static int kill_one(struct front *f)
{
	int ready[2], status;
	char byte;

	if (pipe(ready))
		return -errno;
	pid_t pid = fork();

	if (pid == 0) {
		close(ready[0]);
		be_killed(strrchr(f->own, '/') + 1, ready[1]);
	}
	close(ready[1]);
	bool began = pid > 0 && read(ready[0], &byte, 1) == 1;

	close(ready[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	if (!began)
		return complain("the frontend to be killed did not get to I/O");
	return front_reset(f);
}

static int killed(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err)
		err = kill_one(f);
	return err;
}

/* Its ring is at work in the backend; it never says that it is connected. */
static int stays_initialised(struct front *f)
{
	int err = front_publish(f, &(struct front_how){.nr_ring_pages = 4});

	if (!err)
		err = front_wait_state(f, 1u << XenbusStateConnected, "connecting");
	return err ? err : front_wait_time(f);
}

/* The backend has agreed to close; the ring is still ours. */
static int stays_closing(struct front *f)
{
	int err = front_write_state(f, XenbusStateClosing);

	if (!err)
		err = front_wait_state(f, 1u << XenbusStateClosing, "asked to close");
	return err ? err : front_wait_time(f);
}

#define ENTRY(name, text, answer, start, fn)         \
	{                                            \
		name, text, answer, start, false, fn \
	}

const struct attack state_attacks[] = {
	ENTRY("state-flips", "all states, and what is none, at full speed", ANSWER_ANY, START_ALONE,
	      state_flips),
	ENTRY("connect-flips", "the states that make a backend work, at full speed", ANSWER_ANY,
	      START_ALONE, connect_flips),
	ENTRY("reconnect-storm", "connects and closes as fast as it can", ANSWER_ANY, START_ALONE,
	      reconnect_storm),
	ENTRY("break-storm", "breaks its ring as often as it can", ANSWER_ANY, START_ALONE,
	      break_storm),
	ENTRY("ring-replaced", "ring-ref changes while the backend connects", ANSWER_ANY,
	      START_ALONE, ring_replaced_while_connecting),
	ENTRY("killed", "kill -9 in the middle of I/O", ANSWER_ANY, START_ALONE, killed),
	ENTRY("stays-initialised", "a good ring, and never Connected", ANSWER_ANY, START_ALONE,
	      stays_initialised),
	ENTRY("stays-closing", "asks to close, and never does", ANSWER_ANY, START_CONNECTED,
	      stays_closing),
	{0},
};
