/* SPDX-License-Identifier: MIT */
/*
 * The data process's end of the control socket: takes control's messages, keeps the devices, sends
 * answers. Trust: control is believed in what it asks for; the form of its messages is checked,
 * since a message of another build would be nonsense. Nothing is lost and nothing blocks when
 * control is slow to read: answers queue up, and no further message is taken until they are gone.
 * Called by main, served by the lane. Threads: the lane's.
 */
#pragma once
#include <sys/queue.h>
#include "backend/data/blkback.h"
#include "backend/data/lane.h"

struct ctl_answer;

struct ctl {
	struct lane *lane;
	int fd;
	struct lane_watch input;  /* messages; off as long as answers are unsent */
	struct lane_watch output; /* room for answers; on as long as they are unsent */
	bool leaving;		  /* control is gone: when the last device is, so are we */
	uint32_t nr_devices;
	LIST_HEAD(, blkback) devices;
	STAILQ_HEAD(, ctl_answer) unsent;
};

/* Watch fd (borrowed, a SOCK_SEQPACKET socket) from the lane, and send HELLO. 0 or -errno. */
int ctl_init(struct ctl *ctl, struct lane *lane, int fd);
/* After the lane stopped. */
void ctl_fini(struct ctl *ctl);
