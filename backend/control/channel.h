/* SPDX-License-Identifier: MIT */
/*
 * Our end of the socket to one data process: whole messages out, with descriptors where some go
 * along, never blocking; whole messages in, a bounded number per round. Does not look into them.
 * Called by worker.c and worker_lease.c. Threads: the loop's.
 */
#pragma once
#include "backend/ctl_msg.h"
#include "common/loop.h"
#include <stddef.h>

struct channel;

/* The longest message either side sends, and the most descriptors that go along with one. */
#define CHANNEL_MESSAGE_BYTES 512u
#define CHANNEL_MAX_FDS	      2u

struct channel_events {
	/* msg: len bytes, at least a header; valid during the call. May close the channel. */
	void (*message)(void *ctx, const struct ctl_header *msg, size_t len);
	/* EOF, a fault of the socket, or a message too short or too long; nothing follows. Once. */
	void (*lost)(void *ctx, const char *why);
};

/* fd: SOCK_SEQPACKET, owned by the channel on success, by the caller on failure. */
int channel_create(struct channel **channel, struct rwy_loop *loop, int fd,
		   const struct channel_events *events, void *ctx);
/* Closes the fd; what was not sent yet is dropped. Not from inside a callback. NULL is fine. */
void channel_destroy(struct channel *channel);
/* Closes the fd and calls nothing any more. Safe inside a callback. */
void channel_close(struct channel *channel);

/* Sends, or queues while the socket is full. The fds are borrowed. A caller with a bounded number of
 * unanswered messages has a bounded queue. -EPIPE once closed or lost, -ENOMEM. */
int channel_send(struct channel *channel, const void *msg, size_t len, const int *fds,
		 unsigned int nr_fds);
