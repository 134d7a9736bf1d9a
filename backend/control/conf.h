/* SPDX-License-Identifier: MIT */
/*
 * What an admin may set, by a line of ringwayd.conf(5) or by a long option of the same name: one
 * table of names, values and rules for both. Trusts the admin, and says so when that did not work
 * out. Called by options.c. Pure but for conf_load. Threads: one at a time.
 */
#pragma once
#include "backend/control/reason.h"
#include "common/log.h"
#include <limits.h>

#define CONF_DEFAULT_PATH  "/etc/ringway/ringwayd.conf"
#define CONF_PATH_ENV	   "RINGWAY_CONFIG"
#define CONF_MAX_PROCESSES 256u

enum conf_key {
	CONF_PROCESSES,
	CONF_LOG_LEVEL,
	CONF_DATA_BINARY,
	CONF_NR_KEYS,
};

struct conf {
	unsigned int nr_processes;    /* of ringwayd-data: 1 to CONF_MAX_PROCESSES */
	enum rwy_log_level log_level; /* RWY_LOG_INFO or RWY_LOG_DEBUG */
	char data_binary[PATH_MAX];   /* absolute; "": to be looked for */
};

/* The defaults. */
void conf_init(struct conf *conf);
/* As the file and the command line ("--" before it) have it. */
const char *conf_key_name(enum conf_key key);
/* -EINVAL: not a value of this key; why says what is. conf is then unchanged. */
int conf_set(struct conf *conf, enum conf_key key, const char *value, struct reason *why);

/*
 * Reads a file over what is in conf. -ENOENT and other -errno: it can't be read; -EINVAL: a line of
 * it makes no sense, or a key is there twice. why names the file and the first line at fault; conf
 * is then of no use.
 */
int conf_load(struct conf *conf, const char *path, struct reason *why);
