// SPDX-License-Identifier: MIT
/*
 * The commands' side of the talk with an instance: its hypervisor and its xenstored.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/xenloop/runner.h"
#include "common/xenloop/tables.h"

static int say_hello(int sock)
{
	struct xenloop_request request = {
		.op = XENLOOP_HELLO, .role = XENLOOP_ROLE_RUNNER, .count = XENLOOP_PROTO_VERSION};

	return client_call(sock, &request, NULL, 0, NULL, 0, NULL);
}

int client_connect(const char *dir, char absolute[PATH_MAX])
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (!realpath(dir, absolute)) {
		complain("no instance in %s: start one with `xenloop up`", dir);
		return -ENOENT;
	}
	int len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" XENLOOP_SOCKET, absolute);
	if (len < 0 || (size_t)len >= sizeof(addr.sun_path)) {
		complain("%s: too long a path; choose a shorter one with -d", absolute);
		return -ENAMETOOLONG;
	}
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int err = errno;
		complain("no instance in %s (%s): start one with `xenloop up`", absolute,
			 strerror(err));
		if (sock >= 0)
			close(sock);
		return -err;
	}
	int rc = say_hello(sock);
	if (rc < 0) {
		complain("%s: the hypervisor is of another version", absolute);
		close(sock);
		return rc;
	}
	return sock;
}

int64_t client_call(int sock, const struct xenloop_request *request, const void *body,
		    size_t body_bytes, void *reply_body, size_t reply_body_bytes, int *fd)
{
	struct xenloop_reply reply;
	int fds[XENLOOP_FDS_MAX] = {-1, -1};

	ssize_t n = xenloop_send(sock, request, sizeof(*request), body, body_bytes, NULL, 0);
	if (n >= 0)
		n = xenloop_recv(sock, &reply, sizeof(reply), reply_body, reply_body_bytes, fds);
	if (fd)
		*fd = fds[0];
	if (n < (ssize_t)sizeof(reply))
		return -ENODEV;
	return reply.err ? (int64_t)reply.err : (int64_t)reply.value;
}

int64_t client_domains(int sock, struct xenloop_domain_info *infos)
{
	struct xenloop_request request = {.op = XENLOOP_DOMAINS, .count = XENLOOP_SLOTS};

	return client_call(sock, &request, NULL, 0, infos, XENLOOP_SLOTS * sizeof(*infos), NULL);
}

int64_t client_find_domain(int sock, const char *name, struct xenloop_domain_info *info)
{
	struct xenloop_domain_info infos[XENLOOP_SLOTS];
	char number[16];

	int64_t n = client_domains(sock, infos);
	for (int64_t i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%u", infos[i].domid);
		if ((infos[i].flags & XENLOOP_DOMAIN_DYING) ||
		    (strcmp(number, name) && strcmp(infos[i].name, name)))
			continue;
		*info = infos[i];
		return infos[i].domid;
	}
	complain("no domain \"%s\": `xenloop list` shows those that exist", name);
	return n < 0 ? n : -ESRCH;
}

struct xs_handle *client_open_store(const char *dir)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/xenstored/socket", dir) >= (int)sizeof(path))
		return NULL;
	setenv("XENSTORED_PATH", path, 1);
	struct xs_handle *xsh = xs_open(0);
	if (!xsh)
		complain("xenstored does not answer on %s: %s", path, strerror(errno));
	return xsh;
}
