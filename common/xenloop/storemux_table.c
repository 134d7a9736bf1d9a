// SPDX-License-Identifier: MIT
/*
 * Who owns what on a store ring. Every owner has its own arrays, so that its bounds are those of
 * the arrays. An id on the ring is a place in them plus a serial number, so that what xenstored
 * says about something ended is not taken for its successor. The mux calls this; ids from the ring
 * are checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/xenloop/storemux.h"
#include "common/xenloop/storemux_table.h"

#define REQUEST_PLACES (STOREMUX_CLIENTS_MAX * STOREMUX_REQUESTS_PER_CLIENT)
#define WATCH_PLACES   (STOREMUX_CLIENTS_MAX * STOREMUX_WATCHES_PER_CLIENT)

struct owner {
	struct storemux_request requests[STOREMUX_REQUESTS_PER_CLIENT]; /* ring_id 0: free */
	struct storemux_watch *watches[STOREMUX_WATCHES_PER_CLIENT];	/* NULL: free */
	uint32_t tx_ids[STOREMUX_TRANSACTIONS_PER_CLIENT];		/* 0: free */
	uint32_t tx_reserved;
};

struct storemux_table {
	uint32_t serial;
	struct owner owners[STOREMUX_CLIENTS_MAX];
};

int storemux_table_create(struct storemux_table **table)
{
	*table = calloc(1, sizeof(**table));
	return *table ? 0 : -ENOMEM;
}

void storemux_table_destroy(struct storemux_table *table)
{
	if (!table)
		return;
	for (uint32_t o = 0; o < STOREMUX_CLIENTS_MAX; o++)
		for (uint32_t i = 0; i < STOREMUX_WATCHES_PER_CLIENT; i++)
			free(table->owners[o].watches[i]);
	free(table);
}

/* An id whose remainder by `places` is `place`; never 0. */
static uint32_t new_id(struct storemux_table *table, uint32_t place, uint32_t places)
{
	table->serial = table->serial % (UINT32_MAX / places - 1) + 1;
	return table->serial * places + place;
}

struct storemux_request *storemux_table_add_request(struct storemux_table *table, uint32_t owner)
{
	struct storemux_request *requests = table->owners[owner].requests;

	for (uint32_t i = 0; i < STOREMUX_REQUESTS_PER_CLIENT; i++) {
		uint32_t place = owner * STOREMUX_REQUESTS_PER_CLIENT + i;

		if (requests[i].ring_id)
			continue;
		requests[i] = (struct storemux_request){
			.ring_id = new_id(table, place, REQUEST_PLACES),
			.owner = owner,
		};
		return &requests[i];
	}
	return NULL;
}

bool storemux_table_take_request(struct storemux_table *table, uint32_t ring_id,
				 struct storemux_request *request)
{
	uint32_t place = ring_id % REQUEST_PLACES;
	struct owner *owner = &table->owners[place / STOREMUX_REQUESTS_PER_CLIENT];
	struct storemux_request *found = &owner->requests[place % STOREMUX_REQUESTS_PER_CLIENT];

	if (!ring_id || found->ring_id != ring_id)
		return false;
	*request = *found;
	found->ring_id = 0;
	return true;
}

bool storemux_table_has_room(const struct storemux_table *table, uint32_t owner)
{
	for (uint32_t i = 0; i < STOREMUX_REQUESTS_PER_CLIENT; i++)
		if (!table->owners[owner].requests[i].ring_id)
			return true;
	return false;
}

static struct storemux_watch *new_watch(const char *path, const char *token)
{
	size_t path_bytes = strlen(path) + 1, token_bytes = strlen(token) + 1;
	struct storemux_watch *watch = malloc(sizeof(*watch) + path_bytes + token_bytes);

	if (!watch)
		return NULL;
	char *strings = (char *)(watch + 1);

	*watch = (struct storemux_watch){.path = strings, .token = strings + path_bytes};
	memcpy(strings, path, path_bytes);
	memcpy(strings + path_bytes, token, token_bytes);
	return watch;
}

int storemux_table_add_watch(struct storemux_table *table, uint32_t owner, const char *path,
			     const char *token, struct storemux_watch **watch)
{
	struct storemux_watch **watches = table->owners[owner].watches;
	uint32_t i = 0;

	while (i < STOREMUX_WATCHES_PER_CLIENT && watches[i])
		i++;
	if (i == STOREMUX_WATCHES_PER_CLIENT)
		return -E2BIG;
	*watch = watches[i] = new_watch(path, token);
	if (!*watch)
		return -ENOMEM;
	(*watch)->state = STOREMUX_WATCH_ADDING;
	(*watch)->owner = owner;
	(*watch)->ring_id = new_id(table, owner * STOREMUX_WATCHES_PER_CLIENT + i, WATCH_PLACES);
	return 0;
}

struct storemux_watch *storemux_table_find_watch(struct storemux_table *table, uint32_t owner,
						 const char *path, const char *token)
{
	for (uint32_t i = 0; i < STOREMUX_WATCHES_PER_CLIENT; i++) {
		struct storemux_watch *watch = table->owners[owner].watches[i];

		if (watch && watch->state != STOREMUX_WATCH_REMOVING &&
		    strcmp(watch->path, path) == 0 && strcmp(watch->token, token) == 0)
			return watch;
	}
	return NULL;
}

/* Where the watch of that id would be kept. */
static struct storemux_watch **place_of_watch(struct storemux_table *table, uint32_t ring_id)
{
	uint32_t place = ring_id % WATCH_PLACES;
	struct owner *owner = &table->owners[place / STOREMUX_WATCHES_PER_CLIENT];

	return &owner->watches[place % STOREMUX_WATCHES_PER_CLIENT];
}

struct storemux_watch *storemux_table_find_watch_by_id(struct storemux_table *table,
						       uint32_t ring_id)
{
	struct storemux_watch *watch = *place_of_watch(table, ring_id);

	return watch && watch->ring_id == ring_id ? watch : NULL;
}

struct storemux_watch *storemux_table_any_watch(struct storemux_table *table, uint32_t owner)
{
	for (uint32_t i = 0; i < STOREMUX_WATCHES_PER_CLIENT; i++) {
		struct storemux_watch *watch = table->owners[owner].watches[i];

		if (watch && watch->state == STOREMUX_WATCH_LIVE)
			return watch;
	}
	return NULL;
}

void storemux_table_remove_watch(struct storemux_table *table, struct storemux_watch *watch)
{
	*place_of_watch(table, watch->ring_id) = NULL;
	free(watch);
}

/* The place of tx_id, 0 being that of free places, among the owner's transactions, or -1. */
static int place_of_tx(const struct storemux_table *table, uint32_t owner, uint32_t tx_id)
{
	for (uint32_t i = 0; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++)
		if (table->owners[owner].tx_ids[i] == tx_id)
			return i;
	return -1;
}

int storemux_table_reserve_tx(struct storemux_table *table, uint32_t owner)
{
	uint32_t used = table->owners[owner].tx_reserved;

	for (uint32_t i = 0; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++)
		used += table->owners[owner].tx_ids[i] != 0;
	if (used >= STOREMUX_TRANSACTIONS_PER_CLIENT)
		return -ENOSPC;
	table->owners[owner].tx_reserved++;
	return 0;
}

void storemux_table_commit_tx(struct storemux_table *table, uint32_t owner, uint32_t tx_id)
{
	table->owners[owner].tx_reserved--;
	/* A reservation is a free place. */
	table->owners[owner].tx_ids[place_of_tx(table, owner, 0)] = tx_id;
}

void storemux_table_cancel_tx(struct storemux_table *table, uint32_t owner)
{
	table->owners[owner].tx_reserved--;
}

bool storemux_table_has_tx(const struct storemux_table *table, uint32_t owner, uint32_t tx_id)
{
	return tx_id && place_of_tx(table, owner, tx_id) >= 0;
}

uint32_t storemux_table_any_tx(const struct storemux_table *table, uint32_t owner)
{
	for (uint32_t i = 0; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++)
		if (table->owners[owner].tx_ids[i])
			return table->owners[owner].tx_ids[i];
	return 0;
}

void storemux_table_remove_tx(struct storemux_table *table, uint32_t owner, uint32_t tx_id)
{
	if (storemux_table_has_tx(table, owner, tx_id))
		table->owners[owner].tx_ids[place_of_tx(table, owner, tx_id)] = 0;
}

bool storemux_table_is_idle(const struct storemux_table *table, uint32_t owner)
{
	const struct owner *o = &table->owners[owner];

	for (uint32_t i = 0; i < STOREMUX_REQUESTS_PER_CLIENT; i++)
		if (o->requests[i].ring_id)
			return false;
	for (uint32_t i = 0; i < STOREMUX_WATCHES_PER_CLIENT; i++)
		if (o->watches[i])
			return false;
	return !o->tx_reserved && !storemux_table_any_tx(table, owner);
}
