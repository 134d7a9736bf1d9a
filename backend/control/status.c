// SPDX-License-Identifier: MIT
/*
 * Tells the service manager. Trusts it, and the texts of worker_pool_trouble, which are clean.
 * Called by main.c and the loop.
 */
#include "backend/control/status.h"
#include "backend/control/device.h"
#include "common/loop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define SECOND_NS  1000000000ull
#define TEXT_BYTES (REASON_BYTES + 64)

struct status {
	struct control *control;
	struct rwy_loop_timer *timer;
	bool due; /* the timer is armed */
	bool ready;
	bool stopping;
	uint64_t told_ns;
	char told[TEXT_BYTES];
};

static unsigned int nr_served(const struct control *control)
{
	const struct device *dev;
	unsigned int nr = 0;

	TAILQ_FOREACH(dev, &control->devices, all_link)
	{
		if (dev->link == LINK_ATTACHED)
			nr++;
	}
	return nr;
}

static void describe(const struct status *s, char text[TEXT_BYTES])
{
	const struct control *control = s->control;
	const struct reason *trouble = control->pool ? worker_pool_trouble(control->pool) : NULL;
	unsigned int nr = nr_served(control);

	if (trouble)
		snprintf(text, TEXT_BYTES, "No data process: %s", trouble->text);
	else
		snprintf(text, TEXT_BYTES, "Serving %u disk%s", nr, nr == 1 ? "" : "s");
}

static void tell(struct status *s)
{
	char text[TEXT_BYTES];

	describe(s, text);
	if (!strcmp(text, s->told))
		return;
	strcpy(s->told, text);
	s->told_ns = rwy_loop_now_ns(s->control->loop);
	sd_notifyf(0, "STATUS=%s", text);
}

static void on_timer(void *ctx)
{
	struct status *s = ctx;

	s->due = false;
	if (!s->stopping)
		tell(s);
}

int status_create(struct status **status, struct control *control)
{
	struct status *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->control = control;
	err = rwy_loop_add_timer(control->loop, on_timer, s, &s->timer);
	if (err) {
		free(s);
		return err;
	}
	*status = s;
	return 0;
}

void status_destroy(struct status *status)
{
	if (!status)
		return;
	rwy_loop_remove_timer(status->timer);
	free(status);
}

void status_touch(struct status *status)
{
	if (status->due)
		return;
	status->due = true;
	rwy_loop_arm_timer(status->timer, status->told_ns + SECOND_NS);
}

void status_ready(struct status *status)
{
	if (status->ready) {
		status_touch(status);
		return;
	}
	status->ready = true;
	sd_notify(0, "READY=1");
	tell(status);
}

void status_stopping(struct status *status)
{
	status->stopping = true;
	sd_notify(0, "STOPPING=1\nSTATUS=Waiting for guests' I/O");
}
