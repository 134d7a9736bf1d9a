// SPDX-License-Identifier: MIT
/*
 * What store messages mean to the mux: requests on their way to the ring, replies and events on
 * their way back. Clients' requests are not trusted; xenstored's messages are checked as far as
 * they lead into the mux's own memory. The mux's loop calls this.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/loop.h"
#include "common/xenloop/storemux_ring.h"
#include "common/xenloop/storemux_route.h"

#define RESET_ID 0u /* req_id of the mux's own XS_RESET_WATCHES; no id of the table's is 0 */

static uint32_t owner_of(const struct storemux *mux, const struct storemux_client *client)
{
	return client - mux->clients;
}

static void deliver(struct storemux *mux, struct storemux_client *client,
		    const struct xsd_sockmsg *hdr, const void *body)
{
	if (client->state != STOREMUX_CLIENT_OPEN)
		return;
	if (storemux_client_queue(client, hdr, body) == 0)
		return;
	client->state = STOREMUX_CLIENT_DOOMED;
	rwy_log_limited(&mux->log_limit, rwy_loop_now_ns(mux->loop), RWY_LOG_WARNING,
			"client %u does not read its events: dropped", owner_of(mux, client));
}

/* xsd_errors has every error that this file gives. */
static const char *error_name(int err)
{
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (xsd_errors[i].errnum == -err)
			return xsd_errors[i].errstring;
	return "EINVAL";
}

void storemux_route_refuse(struct storemux *mux, struct storemux_client *client, int err)
{
	const char *name = error_name(err);
	struct xsd_sockmsg hdr = client->in.hdr;

	hdr.type = XS_ERROR;
	hdr.len = strlen(name) + 1;
	deliver(mux, client, &hdr, name);
}

/* What a kernel says to every XS_UNWATCH, also of what is not watched. */
static void say_unwatched(struct storemux *mux, struct storemux_client *client, uint32_t req_id)
{
	struct xsd_sockmsg hdr = {.type = XS_UNWATCH, .req_id = req_id, .len = sizeof("OK")};

	deliver(mux, client, &hdr, "OK");
}

/* The message in mux->out becomes a request of owner's; there is room for it. */
static void post(struct storemux *mux, uint32_t owner, uint32_t client_id, uint32_t watch_id)
{
	struct storemux_request *request = storemux_table_add_request(mux->table, owner);

	request->client_id = client_id;
	request->type = mux->out.hdr.type;
	request->watch_id = watch_id;
	mux->out.hdr.req_id = request->ring_id;
	mux->out.done_bytes = 0;
}

static void pass(struct storemux *mux, struct storemux_client *client)
{
	mux->out.hdr = client->in.hdr;
	memcpy(mux->out.body, client->in.body, client->in.hdr.len);
	post(mux, owner_of(mux, client), client->in.hdr.req_id, 0);
}

/* XS_WATCH or XS_UNWATCH of that watch, with a token that is unique on the ring. */
static void post_watch(struct storemux *mux, const struct storemux_watch *watch,
		       const struct xsd_sockmsg *hdr)
{
	size_t path_bytes = strlen(watch->path) + 1;

	mux->out.hdr = *hdr;
	memcpy(mux->out.body, watch->path, path_bytes);
	mux->out.hdr.len = path_bytes + 1 +
			   snprintf(mux->out.body + path_bytes, sizeof(mux->out.body) - path_bytes,
				    "%08x", watch->ring_id);
	post(mux, watch->owner, hdr->req_id, watch->ring_id);
}

static void post_unwatch(struct storemux *mux, struct storemux_watch *watch,
			 const struct xsd_sockmsg *hdr)
{
	watch->state = STOREMUX_WATCH_REMOVING;
	post_watch(mux, watch, hdr);
}

static int request_watch(struct storemux *mux, struct storemux_client *client)
{
	const struct storemux_message *in = &client->in;
	const char *path = in->body, *token = storemux_message_second(in);
	struct storemux_watch *watch;
	int err;

	/* xenstored cannot report changes under a longer path, nor we with a longer token. */
	if (!token || strlen(path) > XENSTORE_ABS_PATH_MAX || strlen(token) > STOREMUX_TOKEN_MAX)
		return -EINVAL;
	err = storemux_table_add_watch(mux->table, owner_of(mux, client), path, token, &watch);
	if (!err)
		post_watch(mux, watch, &in->hdr);
	return err;
}

static int request_unwatch(struct storemux *mux, struct storemux_client *client)
{
	const struct storemux_message *in = &client->in;
	const char *token = storemux_message_second(in);
	struct storemux_watch *watch;

	if (!token)
		return -EINVAL;
	watch = storemux_table_find_watch(mux->table, owner_of(mux, client), in->body, token);
	if (watch)
		post_unwatch(mux, watch, &in->hdr);
	else
		say_unwatched(mux, client, in->hdr.req_id);
	return 0;
}

static int request_tx_start(struct storemux *mux, struct storemux_client *client)
{
	int err = storemux_table_reserve_tx(mux->table, owner_of(mux, client));

	if (!err)
		pass(mux, client);
	return err;
}

/* Well-formed, the request ends the transaction whatever the reply, so it is forgotten here. */
static int request_tx_end(struct storemux *mux, struct storemux_client *client)
{
	const struct storemux_message *in = &client->in;

	if (in->hdr.len != 2 || (memcmp(in->body, "T", 2) != 0 && memcmp(in->body, "F", 2) != 0))
		return -EINVAL;
	pass(mux, client);
	storemux_table_remove_tx(mux->table, owner_of(mux, client), in->hdr.tx_id);
	return 0;
}

/* The protocol has exactly one string here, and no store needs to cope with anything else. */
static int request_path(struct storemux *mux, struct storemux_client *client)
{
	const struct storemux_message *in = &client->in;

	if (memchr(in->body, '\0', in->hdr.len) != in->body + in->hdr.len - 1)
		return -EINVAL;
	pass(mux, client);
	return 0;
}

/* 0: the client's request is in mux->out, or answered. -errno: it is refused. */
static int route_request(struct storemux *mux, struct storemux_client *client)
{
	const struct xsd_sockmsg *hdr = &client->in.hdr;

	if (hdr->tx_id && !storemux_table_has_tx(mux->table, owner_of(mux, client), hdr->tx_id))
		return -ENOENT;
	switch (hdr->type) {
	case XS_DIRECTORY:
	case XS_READ:
	case XS_GET_PERMS:
	case XS_MKDIR:
	case XS_RM:
		return request_path(mux, client);
	case XS_RESET_WATCHES: /* would take other clients' watches along */
		return -EPERM;
	case XS_WATCH:
		return request_watch(mux, client);
	case XS_UNWATCH:
		return request_unwatch(mux, client);
	case XS_TRANSACTION_START:
		return request_tx_start(mux, client);
	case XS_TRANSACTION_END:
		return request_tx_end(mux, client);
	default:
		pass(mux, client);
		return 0;
	}
}

/* End one thing of a client that is gone. */
static void clean_up(struct storemux *mux, uint32_t owner)
{
	struct storemux_watch *watch = storemux_table_any_watch(mux->table, owner);
	uint32_t tx_id = storemux_table_any_tx(mux->table, owner);

	if (watch) {
		post_unwatch(mux, watch, &(struct xsd_sockmsg){.type = XS_UNWATCH});
	} else {
		mux->out.hdr = (struct xsd_sockmsg){
			.type = XS_TRANSACTION_END,
			.tx_id = tx_id,
			.len = sizeof("F"),
		};
		memcpy(mux->out.body, "F", sizeof("F"));
		post(mux, owner, 0, 0);
		storemux_table_remove_tx(mux->table, owner, tx_id);
	}
}

static bool is_ready(const struct storemux *mux, uint32_t owner)
{
	const struct storemux_client *client = &mux->clients[owner];

	if (!storemux_table_has_room(mux->table, owner))
		return false;
	if (client->state == STOREMUX_CLIENT_GONE)
		return storemux_table_any_watch(mux->table, owner) ||
		       storemux_table_any_tx(mux->table, owner);
	return client->state == STOREMUX_CLIENT_OPEN && storemux_client_keeps_up(client) &&
	       storemux_message_missing(&client->in) == 0;
}

/* The next client, in turn, of which something can be put on the ring; NULL: none. */
static struct storemux_client *next_ready(struct storemux *mux)
{
	for (uint32_t i = 1; i <= STOREMUX_CLIENTS_MAX; i++) {
		uint32_t owner = (mux->last_served + i) % STOREMUX_CLIENTS_MAX;

		if (is_ready(mux, owner)) {
			mux->last_served = owner;
			return &mux->clients[owner];
		}
	}
	return NULL;
}

static void serve(struct storemux *mux, struct storemux_client *client)
{
	int err;

	if (client->state == STOREMUX_CLIENT_GONE) {
		clean_up(mux, owner_of(mux, client));
		return;
	}
	err = route_request(mux, client);
	if (err)
		storemux_route_refuse(mux, client, err);
	client->in.done_bytes = 0;
}

static int notify(struct storemux *mux)
{
	return xenevtchn_notify(mux->xce, mux->port) < 0 ? -errno : 0;
}

int storemux_route_requests(struct storemux *mux)
{
	bool moved = false;

	/* Ends: a client gives one request per round of the loop, and one gone has a bounded
	 * number of things to end. */
	for (;;) {
		int rc = storemux_ring_send(mux->ring, &mux->out);
		struct storemux_client *client;

		if (rc < 0)
			return rc;
		moved |= rc > 0;
		if (storemux_message_missing(&mux->out) > 0)
			break; /* the ring is full; xenstored will send an event */
		client = next_ready(mux);
		if (!client)
			break;
		serve(mux, client);
	}
	return moved ? notify(mux) : 0;
}

static int route_event(struct storemux *mux)
{
	struct storemux_message *in = &mux->in;
	const char *token = storemux_message_second(in);
	struct storemux_watch *watch;
	size_t path_bytes, token_bytes;

	if (!token || strlen(in->body) > XENSTORE_ABS_PATH_MAX)
		return -EPROTO;
	watch = storemux_table_find_watch_by_id(mux->table, strtoul(token, NULL, 16));
	if (!watch)
		return 0; /* sent before it was removed */
	path_bytes = strlen(in->body) + 1;
	token_bytes = strlen(watch->token) + 1;
	memcpy(in->body + path_bytes, watch->token, token_bytes);
	in->hdr.len = path_bytes + token_bytes;
	deliver(mux, &mux->clients[watch->owner], &in->hdr, in->body);
	return 0;
}

static void settle_watch(struct storemux *mux, const struct storemux_request *request, bool ok)
{
	struct storemux_watch *watch =
		storemux_table_find_watch_by_id(mux->table, request->watch_id);

	/* Nothing but ENOENT can be wrong with our XS_UNWATCH: it is gone either way. */
	if (!watch)
		return;
	if (request->type == XS_UNWATCH)
		storemux_table_remove_watch(mux->table, watch);
	else if (watch->state == STOREMUX_WATCH_ADDING && ok)
		watch->state = STOREMUX_WATCH_LIVE;
	else if (watch->state == STOREMUX_WATCH_ADDING)
		storemux_table_remove_watch(mux->table, watch);
}

static int settle_tx_start(struct storemux *mux, uint32_t owner, bool ok)
{
	const struct storemux_message *in = &mux->in;
	unsigned long tx_id;
	char *end;

	if (!ok) {
		storemux_table_cancel_tx(mux->table, owner);
		return 0;
	}
	if (in->hdr.len == 0 || in->body[in->hdr.len - 1] != '\0')
		return -EPROTO;
	tx_id = strtoul(in->body, &end, 10);
	if (*end != '\0' || tx_id == 0 || tx_id > UINT32_MAX)
		return -EPROTO;
	storemux_table_commit_tx(mux->table, owner, tx_id);
	return 0;
}

/* What the reply in mux->in changes in our books. 0 or -EPROTO. */
static int settle(struct storemux *mux, const struct storemux_request *request)
{
	bool ok = mux->in.hdr.type != XS_ERROR;

	if (ok && mux->in.hdr.type != request->type)
		return -EPROTO;
	switch (request->type) {
	case XS_WATCH:
	case XS_UNWATCH:
		settle_watch(mux, request, ok);
		return 0;
	case XS_TRANSACTION_START:
		return settle_tx_start(mux, request->owner, ok);
	default:
		return 0;
	}
}

static int route_reply(struct storemux *mux)
{
	struct storemux_message *in = &mux->in;
	struct storemux_request request;
	int rc;

	if (mux->phase == STOREMUX_RESETTING) {
		/* Clients' requests went after this one, and are answered after it. XS_ERROR will do:
		 * an old xenstored may not know the request, and there's nothing else to try. */
		if (in->hdr.type != XS_WATCH_EVENT && in->hdr.req_id == RESET_ID)
			mux->phase = STOREMUX_SERVING;
		return 0;
	}
	if (in->hdr.type == XS_WATCH_EVENT)
		return route_event(mux);
	if (!storemux_table_take_request(mux->table, in->hdr.req_id, &request))
		return -EPROTO;
	rc = settle(mux, &request);
	if (request.type == XS_UNWATCH) {
		say_unwatched(mux, &mux->clients[request.owner], request.client_id);
	} else {
		in->hdr.req_id = request.client_id;
		deliver(mux, &mux->clients[request.owner], &in->hdr, in->body);
	}
	return rc;
}

int storemux_route_replies(struct storemux *mux)
{
	bool made_room = false;

	/* Ends when xenstored, which is trusted, pauses for as long as it takes us to hand out. */
	for (;;) {
		int rc = storemux_ring_receive(mux->ring, &mux->in, &made_room);

		if (rc)
			return rc;
		if (storemux_message_missing(&mux->in) > 0)
			break;
		rc = route_reply(mux);
		if (rc)
			return rc;
		mux->in.done_bytes = 0;
	}
	return made_room ? notify(mux) : 0;
}

int storemux_route_reset(struct storemux *mux)
{
	mux->phase = STOREMUX_RESETTING;
	mux->in.done_bytes = 0;
	mux->out.hdr = (struct xsd_sockmsg){
		.type = XS_RESET_WATCHES,
		.req_id = RESET_ID,
		.len = 1, /* some servers want at least the NUL */
	};
	mux->out.body[0] = '\0';
	mux->out.done_bytes = 0;
	return storemux_ring_discard(mux->ring);
}
