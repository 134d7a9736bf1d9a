/* SPDX-License-Identifier: MIT */
/*
 * The documents of the query socket; common/paths.h says what is in them. Called by query.c.
 */
#pragma once
#include "backend/control/device.h"
#include <jansson.h>

/*
 * only: that device alone; NULL with all set: every device; NULL otherwise: none. NULL: no memory.
 */
json_t *query_json_show(struct control *control, struct device *only, bool all);
/* dev: NULL is "unknown". */
json_t *query_json_verdict(const struct device *dev);
json_t *query_json_error(const char *text);
