// SPDX-License-Identifier: MIT
/*
 * Time limits of the conformance program: it waits for fds, never for longer than it says, and
 * never by sleeping. Called by both sides.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "tests/conformance/conformance.h"

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool readable_within(int fd, int ms)
{
	int64_t deadline = now_ms() + ms;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (n >= 0 || errno != EINTR)
			return n > 0;
	}
}
