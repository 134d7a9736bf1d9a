// SPDX-License-Identifier: MIT
/*
 * Waiting for xenstore to change, up to a deadline: a watch and poll(). What changed is for the
 * caller to read.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "backend/cli/cli_wait.h"

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull
#define MAX_MS	  1000000 /* a longer wait takes another round */

uint64_t cli_wait_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int cli_wait_left_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = cli_wait_now_ns();

	if (now_ns >= deadline_ns)
		return 0;
	uint64_t left_ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return left_ms < MAX_MS ? (int)left_ms : MAX_MS;
}

static void note_change(void *ctx, const char *path)
{
	struct cli_wait *wait = ctx;

	(void)path;
	wait->changed = true;
}

int cli_wait_open(struct cli_wait *wait, struct rwy_xenbus *xb, uint64_t deadline_ns,
		  const char *path)
{
	*wait = (struct cli_wait){.xb = xb, .deadline_ns = deadline_ns};
	return rwy_xenbus_add_watch(xb, note_change, wait, &wait->watch, "%s", path);
}

int cli_wait_next(struct cli_wait *wait)
{
	struct pollfd pollfd = {.fd = rwy_xenbus_fd(wait->xb), .events = POLLIN};

	while (!wait->changed) {
		int left_ms = cli_wait_left_ms(wait->deadline_ns);

		if (left_ms == 0)
			return -ETIMEDOUT;
		int ready = poll(&pollfd, 1, left_ms);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready <= 0)
			continue;
		int err = rwy_xenbus_dispatch(wait->xb);
		if (err)
			return err;
	}
	wait->changed = false;
	return 0;
}

void cli_wait_close(struct cli_wait *wait)
{
	rwy_xenbus_remove_watch(wait->watch);
	wait->watch = NULL;
}
