/* SPDX-License-Identifier: MIT */
/*
 * What store messages mean to the mux: which requests go on the ring and as what, who a reply or an
 * event is for, what a client that is gone still has to have ended. Called by the mux's loop, which
 * owns the state below; one thread. xenstored's messages are checked as far as they lead into the
 * mux's own memory; clients' are checked before they reach the ring.
 */
#pragma once
#include <xenevtchn.h>
#include "common/log.h"
#include "common/xenloop/storemux.h"
#include "common/xenloop/storemux_client.h"
#include "common/xenloop/storemux_table.h"

struct rwy_loop;

enum storemux_phase {
	STOREMUX_RESETTING, /* XS_RESET_WATCHES is unanswered: what comes is for an earlier user */
	STOREMUX_SERVING,
};

struct storemux {
	struct xenstore_domain_interface *ring;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	int listen_fd;
	struct rwy_loop *loop;
	struct rwy_log_limit log_limit;
	enum storemux_phase phase;
	struct storemux_table *table; /* the owner's number is the place in clients[] */
	struct storemux_client clients[STOREMUX_CLIENTS_MAX];
	uint32_t last_served;		 /* place of the client whose request was taken last */
	struct storemux_message out, in; /* on its way to the ring, from the ring */
};

/* Begin with a ring that others may have used: forget replies, have watches and transactions
 * forgotten. 0 or -errno. */
int storemux_route_reset(struct storemux *mux);

/* Put on the ring what clients ask and what must be ended for clients gone, one message each in
 * turn, until there is no more or the ring is full. 0 or -errno. */
int storemux_route_requests(struct storemux *mux);

/* Hand out what is on the ring until it is empty; clients that are too slow become DOOMED. 0 or
 * -errno (-EPROTO: not what xenstored should say). */
int storemux_route_replies(struct storemux *mux);

/* Answer the request that client is sending, of which only the header need be there. */
void storemux_route_refuse(struct storemux *mux, struct storemux_client *client, int err);
