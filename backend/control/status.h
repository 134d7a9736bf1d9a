/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told (sd_notify): that ringwayd is ready, how many disks it serves or
 * why it can't, that it stops. Without a service manager nothing happens. Guests connect and
 * disconnect as they like, so that changes are told once a second at most. Called by main.c.
 * Threads: the loop's.
 */
#pragma once
#include "backend/control/control.h"

struct status;

int status_create(struct status **status, struct control *control);
/* NULL is fine. */
void status_destroy(struct status *status);

/* The first time: at once, start-up is complete. Later the same as status_touch. */
void status_ready(struct status *status);
/* Something it is about may have changed. */
void status_touch(struct status *status);
/* At once, and the last word. */
void status_stopping(struct status *status);
