// SPDX-License-Identifier: MIT
/*
 * Asking ringwayd over its query socket: one line out, one JSON document back. Bounded in size and
 * time, so that a daemon in trouble cannot hang the command that is to find out.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "backend/cli/cli_json.h"
#include "backend/cli/cli_query.h"
#include "backend/cli/cli_wait.h"
#include "common/cleanup.h"
#include "common/paths.h"

#define MAX_REPLY_BYTES	  (64u << 20) /* tens of thousands of devices */
#define READ_BYTES	  65536u
#define CONNECT_TIMEOUT_S 5 /* to get a place in the listener's queue */

int cli_query_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_S};
	const char *rundir = getenv(RWY_RUNDIR_ENV);
	int len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s",
			   rundir ? rundir : RWY_RUNDIR, RWY_QUERY_SOCKET);
	_rwy_close int fd = -1;

	if (len < 0 || (size_t)len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return rwy_steal_fd(&fd);
}

bool cli_query_is_down(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED;
}

__attribute__((format(printf, 2, 0))) static int send_line(int fd, const char *line_fmt,
							   va_list args)
{
	_rwy_free char *line = NULL;
	int len = vasprintf(&line, line_fmt, args);

	if (len < 0) {
		line = NULL;
		return -ENOMEM;
	}
	line[len] = '\n'; /* in place of the NUL: nothing reads it as a string from here on */
	ssize_t sent = send(fd, line, (size_t)len + 1, MSG_NOSIGNAL);
	if (sent < 0)
		return -errno;
	return sent == len + 1 ? 0 : -EIO;
}

/* Everything up to EOF, in *text (to free) of *len bytes. */
static int read_reply(int fd, uint64_t deadline_ns, char **text, size_t *len)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	for (;;) {
		int left_ms = cli_wait_left_ms(deadline_ns);

		if (left_ms == 0)
			return -ETIMEDOUT;
		int ready = poll(&pollfd, 1, left_ms);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready <= 0)
			continue;
		if (*len + READ_BYTES > MAX_REPLY_BYTES)
			return -EBADMSG;
		char *grown = realloc(*text, *len + READ_BYTES);
		if (!grown)
			return -ENOMEM;
		*text = grown;
		ssize_t got = recv(fd, grown + *len, READ_BYTES, MSG_DONTWAIT);
		if (got == 0)
			return 0;
		if (got > 0)
			*len += (size_t)got;
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

int cli_query_ask(int fd, uint64_t deadline_ns, json_t **reply, const char *line_fmt, ...)
{
	_rwy_close int socket_fd = fd;
	_rwy_free char *text = NULL;
	size_t len = 0;
	va_list args;

	va_start(args, line_fmt);
	int err = send_line(socket_fd, line_fmt, args);
	va_end(args);
	if (!err)
		err = read_reply(socket_fd, deadline_ns, &text, &len);
	if (err == -ECONNRESET || (!err && len == 0))
		return -EPIPE;
	if (err)
		return err;
	_cli_json json_t *json = json_loadb(text, len, 0, NULL);
	if (!json_is_object(json) || json_object_get(json, "error"))
		return -EBADMSG;
	*reply = rwy_steal_ptr(&json);
	return 0;
}
