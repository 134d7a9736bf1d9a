/* SPDX-License-Identifier: MIT */
/*
 * The query socket (common/paths.h): one line in, one JSON document out, never blocking the daemon.
 * A bounded number of clients, each with a time limit; waiting for a verdict or for counters is a
 * state of the client. Only root reaches the socket (0600); it is still held to its bounds. Called
 * by main.c; woken by device.c and device_link.c.
 */
#pragma once
#include "backend/control/control.h"

/* Replaces a socket left by a predecessor: the caller holds the run directory's lock. */
int query_create(struct query **query, struct control *control, const char *rundir);
/* Removes the socket. NULL is fine. */
void query_destroy(struct query *query);

/* Something has changed that a client may be waiting for. NULL is fine. Safe in any callback. */
void query_wake(struct query *query);
