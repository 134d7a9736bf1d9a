// SPDX-License-Identifier: MIT
/*
 * One libxenstore client of the mux as a byte stream. The client is not trusted: what it announces
 * is bounded before it is received, and what it does not read is bounded too. The mux calls this.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/xenloop/storemux.h"
#include "common/xenloop/storemux_client.h"

_Static_assert(STOREMUX_REQUESTS_PER_CLIENT * sizeof(((struct storemux_message *)0)->bytes) <=
		       STOREMUX_QUEUE_BYTES / 2,
	       "replies to the requests in flight fit in half a queue");

int storemux_client_open(struct storemux_client *client, int fd)
{
	char *queue = malloc(STOREMUX_QUEUE_BYTES);

	if (!queue)
		return -ENOMEM;
	*client = (struct storemux_client){
		.state = STOREMUX_CLIENT_OPEN,
		.fd = fd,
		.queue = queue,
	};
	return 0;
}

void storemux_client_close(struct storemux_client *client)
{
	close(client->fd);
	client->fd = -1;
	free(client->queue);
	client->queue = NULL;
	client->queue_bytes = 0;
	client->in.done_bytes = 0;
	client->state = STOREMUX_CLIENT_GONE;
}

int storemux_client_receive(struct storemux_client *client)
{
	struct storemux_message *in = &client->in;
	uint32_t missing;

	while ((missing = storemux_message_missing(in)) > 0) {
		ssize_t got = recv(client->fd, in->bytes + in->done_bytes, missing, MSG_DONTWAIT);

		if (got == 0)
			return -EPIPE;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (!storemux_message_advance(in, got))
			return -E2BIG;
	}
	return 0;
}

int storemux_client_queue(struct storemux_client *client, const struct xsd_sockmsg *hdr,
			  const void *body)
{
	uint32_t need = sizeof(*hdr) + hdr->len;
	char *end;

	if (need > STOREMUX_QUEUE_BYTES - client->queue_bytes)
		return -ENOBUFS;
	if (need > STOREMUX_QUEUE_BYTES - client->queue_bytes - client->queue_start) {
		memmove(client->queue, client->queue + client->queue_start, client->queue_bytes);
		client->queue_start = 0;
	}
	end = client->queue + client->queue_start + client->queue_bytes;
	memcpy(end, hdr, sizeof(*hdr));
	memcpy(end + sizeof(*hdr), body, hdr->len);
	client->queue_bytes += need;
	return 0;
}

void storemux_client_flush(struct storemux_client *client)
{
	while (client->queue_bytes > 0) {
		ssize_t sent = send(client->fd, client->queue + client->queue_start,
				    client->queue_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return;
		/* Requests it sent before it left are still served, as a guest kernel would. */
		if (sent < 0)
			sent = client->queue_bytes;
		client->queue_start += sent;
		client->queue_bytes -= sent;
	}
	client->queue_start = 0;
}

bool storemux_client_keeps_up(const struct storemux_client *client)
{
	return client->queue_bytes <= STOREMUX_QUEUE_BYTES / 2;
}

uint32_t storemux_client_wants(const struct storemux_client *client)
{
	uint32_t events = 0;

	if (storemux_message_missing(&client->in) > 0)
		events |= EPOLLIN;
	if (client->queue_bytes > 0)
		events |= EPOLLOUT;
	return events;
}
