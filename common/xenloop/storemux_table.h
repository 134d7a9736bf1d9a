/* SPDX-License-Identifier: MIT */
/*
 * Who owns what on a store ring: requests in flight, watches, transactions. Each client of the mux
 * is an owner, 0 to STOREMUX_CLIENTS_MAX - 1, with a fixed share of everything, so that none can
 * starve another. Pure bookkeeping, called by the mux from one thread; it checks the ids that come
 * from the ring, and trusts its caller about owners.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct storemux_table;

enum storemux_watch_state {
	STOREMUX_WATCH_ADDING,	 /* XS_WATCH is in flight */
	STOREMUX_WATCH_LIVE,	 /* xenstored has it */
	STOREMUX_WATCH_REMOVING, /* XS_UNWATCH is in flight */
};

struct storemux_watch {
	enum storemux_watch_state state;
	uint32_t owner;
	uint32_t ring_id; /* never 0; what its token on the ring is made from */
	const char *path;
	const char *token; /* the client's own */
};

struct storemux_request {
	uint32_t ring_id; /* never 0, and not that of a recent request */
	uint32_t owner;
	uint32_t client_id; /* the client's own req_id */
	uint32_t type;	    /* XS_* */
	uint32_t watch_id;  /* ring_id of the watch that XS_WATCH or XS_UNWATCH is about */
};

/* 0 or -ENOMEM. */
int storemux_table_create(struct storemux_table **table);
/* With all that is in it. NULL is fine. */
void storemux_table_destroy(struct storemux_table *table);

/* For the caller to fill in, before anything else is called. NULL: the owner's share is in use. */
struct storemux_request *storemux_table_add_request(struct storemux_table *table, uint32_t owner);
/* Remove the request with that id, with a copy to *request. False: none such is in flight. */
bool storemux_table_take_request(struct storemux_table *table, uint32_t ring_id,
				 struct storemux_request *request);
bool storemux_table_has_room(const struct storemux_table *table, uint32_t owner);

/* A watch in state ADDING, good until it is removed; path and token are copied, and may equal those
 * of another. -E2BIG: the owner's share is in use. -ENOMEM. */
int storemux_table_add_watch(struct storemux_table *table, uint32_t owner, const char *path,
			     const char *token, struct storemux_watch **watch);
/* A watch of the owner's with that path and token that is not REMOVING. NULL: none. */
struct storemux_watch *storemux_table_find_watch(struct storemux_table *table, uint32_t owner,
						 const char *path, const char *token);
/* Any owner's, in any state. NULL: none (any more). */
struct storemux_watch *storemux_table_find_watch_by_id(struct storemux_table *table,
						       uint32_t ring_id);
/* Any LIVE watch of the owner, or NULL. */
struct storemux_watch *storemux_table_any_watch(struct storemux_table *table, uint32_t owner);
void storemux_table_remove_watch(struct storemux_table *table, struct storemux_watch *watch);

/* Transactions get their id only with the reply: reserve with the request, then commit or cancel
 * with the reply. -ENOSPC: the owner's share is in use or reserved. */
int storemux_table_reserve_tx(struct storemux_table *table, uint32_t owner);
void storemux_table_commit_tx(struct storemux_table *table, uint32_t owner, uint32_t tx_id);
void storemux_table_cancel_tx(struct storemux_table *table, uint32_t owner);
bool storemux_table_has_tx(const struct storemux_table *table, uint32_t owner, uint32_t tx_id);
/* The id of any transaction of the owner, or 0. */
uint32_t storemux_table_any_tx(const struct storemux_table *table, uint32_t owner);
void storemux_table_remove_tx(struct storemux_table *table, uint32_t owner, uint32_t tx_id);

/* Nothing on the ring belongs to this owner: its number may be given to another client. */
bool storemux_table_is_idle(const struct storemux_table *table, uint32_t owner);
