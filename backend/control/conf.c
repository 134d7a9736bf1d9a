// SPDX-License-Identifier: MIT
/*
 * Names, values and rules of what an admin may set, and the file they may be in. inih takes lines
 * apart; it is handed them one by one here, since it would cut a long line in two, take an indented
 * one for more of the last value and let a [section] without keys pass. Trusts the admin, not the
 * file's being text. Called by options.c.
 */
#include "backend/control/conf.h"
#include "common/xs_parse.h"
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int set_processes(struct conf *conf, const char *value)
{
	uint32_t n;
	int err = rwy_xs_parse_u32(value, strlen(value), 1, CONF_MAX_PROCESSES, &n);

	if (!err)
		conf->nr_processes = n;
	return err;
}

static int set_log_level(struct conf *conf, const char *value)
{
	if (!strcmp(value, "debug"))
		conf->log_level = RWY_LOG_DEBUG;
	else if (!strcmp(value, "info"))
		conf->log_level = RWY_LOG_INFO;
	else
		return -EINVAL;
	return 0;
}

static int set_data_binary(struct conf *conf, const char *value)
{
	if (value[0] != '/' || strlen(value) >= sizeof(conf->data_binary))
		return -EINVAL;
	strcpy(conf->data_binary, value);
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct conf *conf, const char *value); /* 0, or an error: not allowed */
	const char *allowed;
} keys[CONF_NR_KEYS] = {
	[CONF_PROCESSES] = {"processes", set_processes, "a number from 1 to 256"},
	[CONF_LOG_LEVEL] = {"log-level", set_log_level, "info or debug"},
	[CONF_DATA_BINARY] = {"data-binary", set_data_binary, "an absolute path"},
};

_Static_assert(CONF_MAX_PROCESSES == 256, "one limit, said twice");

void conf_init(struct conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	conf->nr_processes = 1;
	conf->log_level = RWY_LOG_INFO;
}

const char *conf_key_name(enum conf_key key)
{
	return keys[key].name;
}

int conf_set(struct conf *conf, enum conf_key key, const char *value, struct reason *why)
{
	if (!keys[key].set(conf, value))
		return 0;
	return reason_set(why, -EINVAL, "%s takes %s, not \"%s\"", keys[key].name,
			  keys[key].allowed, value);
}

/* One reading of one file. */
struct reading {
	FILE *file;
	const char *path;
	struct conf *conf;
	struct reason *why;
	int err; /* of the fault that ended it */
	int line;
	bool seen[CONF_NR_KEYS];
};

/* Nothing more is read after it. */
__attribute__((format(printf, 2, 3))) static void fault(struct reading *r, const char *fmt, ...)
{
	char text[REASON_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	r->err = reason_set(r->why, -EINVAL, "%s:%d: %s", r->path, r->line, text);
}

/* One line without its end into buf; false: a fault, or the end of the file. */
static bool read_line(struct reading *r, char *buf, size_t size)
{
	size_t len = 0;
	int c;

	while ((c = getc(r->file)) != EOF && c != '\n') {
		if (len + 1 == size) {
			fault(r, "the line is longer than %zu characters", size - 1);
			return false;
		}
		if (c != '\t' && c != '\r' && iscntrl(c)) {
			fault(r, "a control character; this is no text file");
			return false;
		}
		buf[len++] = (char)c;
	}
	buf[len] = '\0';
	return c != EOF || len;
}

/* What inih asks for lines with; NULL ends it. */
static char *next_line(char *buf, int size, void *ctx)
{
	struct reading *r = ctx;

	if (r->err)
		return NULL;
	r->line++;
	if (!read_line(r, buf, (size_t)size)) {
		if (!r->err && ferror(r->file))
			r->err = reason_set(r->why, -errno, "%s: %s", r->path, strerror(errno));
		return NULL;
	}

	size_t indent = strspn(buf, " \t\r");
	memmove(buf, buf + indent, strlen(buf + indent) + 1);
	if (buf[0] == '[') {
		fault(r, "sections are not known here; write KEY = VALUE");
		return NULL;
	}
	return buf;
}

static void unknown_key(struct reading *r, const char *name)
{
	char known[128] = "";

	for (size_t i = 0; i < CONF_NR_KEYS; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, keys[i].name);
	}
	fault(r, "the key \"%s\" is not known; known are: %s", name, known);
}

/* inih's handler. */
static int take(void *ctx, const char *section, const char *name, const char *value)
{
	struct reading *r = ctx;
	struct reason why;
	enum conf_key key = 0;

	(void)section;
	while (key < CONF_NR_KEYS && strcmp(name, keys[key].name))
		key++;
	if (key == CONF_NR_KEYS) {
		unknown_key(r, name);
		return 0;
	}
	if (r->seen[key]) {
		fault(r, "%s is set for the second time", name);
		return 0;
	}
	r->seen[key] = true;
	if (!conf_set(r->conf, key, value, &why))
		return 1;
	fault(r, "%s", why.text);
	return 0;
}

int conf_load(struct conf *conf, const char *path, struct reason *why)
{
	struct reading r = {.path = path, .conf = conf, .why = why};

	r.file = fopen(path, "re");
	if (!r.file)
		return reason_set(why, -errno, "%s: %s", path, strerror(errno));

	int bad_line = ini_parse_stream(next_line, &r, take, &r);
	fclose(r.file);
	/* A line that inih made nothing of was not handed to take(), and reading went on. */
	if (bad_line > 0 && bad_line < r.line)
		return reason_set(why, -EINVAL, "%s:%d: not of the form KEY = VALUE", path,
				  bad_line);
	if (bad_line < 0 && !r.err)
		return reason_set(why, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	return r.err;
}
