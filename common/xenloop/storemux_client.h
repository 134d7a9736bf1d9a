/* SPDX-License-Identifier: MIT */
/*
 * One libxenstore client of the mux as a byte stream: a request being received, replies and events
 * waiting to be read. Knows nothing of what messages mean. The client is not trusted: at most one
 * request and STOREMUX_QUEUE_BYTES of output are held for it, and no call here ever blocks on it.
 * Called by the mux, from one thread.
 */
#pragma once
#include "common/xenloop/storemux_message.h"

#define STOREMUX_QUEUE_BYTES (128u * 1024)

enum storemux_client_state {
	STOREMUX_CLIENT_FREE,
	STOREMUX_CLIENT_OPEN,
	STOREMUX_CLIENT_DOOMED, /* to be closed by the loop: it broke the rules */
	STOREMUX_CLIENT_GONE,	/* closed; something on the ring is still to be ended for it */
};

struct rwy_loop_source;
struct storemux;

struct storemux_client {
	enum storemux_client_state state;
	struct storemux *mux; /* the loop's, borrowed */
	int fd;
	struct rwy_loop_source *source; /* the loop's; NULL while nothing is wanted of the fd */
	uint32_t wanted;		/* the epoll events that source waits for */
	struct storemux_message in;
	char *queue;
	uint32_t queue_start; /* of the bytes not yet sent */
	uint32_t queue_bytes;
};

/* FREE -> OPEN. Owns fd (non-blocking) on success. 0 or -ENOMEM. */
int storemux_client_open(struct storemux_client *client, int fd);
/* OPEN or DOOMED -> GONE: closes the fd, drops what was received and what waits to be sent. */
void storemux_client_close(struct storemux_client *client);

/* Receive at most the rest of one request into client->in. 0: look at storemux_message_missing().
 * -EPIPE: the client is gone. -E2BIG: it announces a body that is too long. -errno of recv. */
int storemux_client_receive(struct storemux_client *client);

/* Queue a whole message, with `len` bytes of body, for an OPEN client. 0, or -ENOBUFS if it does
 * not fit: the client doesn't read. */
int storemux_client_queue(struct storemux_client *client, const struct xsd_sockmsg *hdr,
			  const void *body);
/* Send what the socket takes. When nobody is there to read, the queue is dropped. */
void storemux_client_flush(struct storemux_client *client);

/* May another request of this client be served? Not while its replies pile up: with half a queue
 * free, the replies to the requests in flight always fit, so only events can overflow it. */
bool storemux_client_keeps_up(const struct storemux_client *client);

/* The epoll events to wait for; 0: none, not even EPOLLHUP. */
uint32_t storemux_client_wants(const struct storemux_client *client);
