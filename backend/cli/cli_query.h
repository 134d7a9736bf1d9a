/* SPDX-License-Identifier: MIT */
/*
 * Asking ringwayd over its query socket (common/paths.h). The daemon is trusted to be root's; its
 * answers may quote guests.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A connected socket, the caller's to close, or -errno: see cli_query_is_down. */
int cli_query_open(void);
/* Whether an error of cli_query_open means that no ringwayd runs. */
bool cli_query_is_down(int err);

/*
 * Send one line (printf style, without its newline) and read the answer to EOF; closes fd in
 * any case. *reply: a JSON object, the caller's reference. -ETIMEDOUT at the deadline, -EPIPE when
 * ringwayd went away, -EBADMSG when the answer is no JSON object or an error.
 */
int cli_query_ask(int fd, uint64_t deadline_ns, json_t **reply, const char *line_fmt, ...)
	__attribute__((format(printf, 4, 5)));
