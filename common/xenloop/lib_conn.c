// SPDX-License-Identifier: MIT
/*
 * A library handle's connection to the hypervisor process: opened from the environment, one request
 * at a time. Trusts the hypervisor. Called by the handles of the other lib_*.c files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

int fail(int err)
{
	errno = err;
	return -1;
}

static int connect_to(const char *dir)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" XENLOOP_SOCKET, dir);

	if (len < 0 || (size_t)len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int err = errno;
		close(sock);
		return -err;
	}
	return sock;
}

static int hello(struct conn *conn, enum xenloop_role role, uint32_t domid, int *fd)
{
	const char *token = getenv(XENLOOP_ENV_TOKEN);
	struct xenloop_request request = {
		.op = XENLOOP_HELLO, .role = role, .domid = domid, .count = XENLOOP_PROTO_VERSION};
	struct xenloop_reply reply;
	int fds[XENLOOP_FDS_MAX];

	ssize_t n = xenloop_send(conn->sock, &request, sizeof(request), token ? token : "",
				 token ? strlen(token) : 0, NULL, 0);
	if (n >= 0)
		n = xenloop_recv(conn->sock, &reply, sizeof(reply), NULL, 0, fds);
	if (n < 0)
		return n;
	*fd = fds[1];
	if (n < (ssize_t)sizeof(reply))
		return -ENODEV;
	if (reply.err)
		return reply.err;
	if (fds[0] < 0)
		return -EMFILE;
	conn->id = reply.value;
	conn->slot = reply.count % XENLOOP_SLOTS;
	conn->tables = mmap(NULL, sizeof(*conn->tables), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_NORESERVE, fds[0], 0);
	close(fds[0]);
	return conn->tables == MAP_FAILED ? -errno : 0;
}

int conn_open(struct conn *conn, enum xenloop_role role, int *fd)
{
	const char *dir = getenv(XENLOOP_ENV_DIR);
	const char *domid = getenv(XENLOOP_ENV_DOMID);

	*fd = -1;
	if (!dir)
		return -ENODEV;
	conn->sock = connect_to(dir);
	if (conn->sock < 0)
		return conn->sock;
	int rc = hello(conn, role, domid ? strtoul(domid, NULL, 10) : 0, fd);
	if (rc) {
		close(conn->sock);
		if (*fd >= 0)
			close(*fd);
		return rc;
	}
	pthread_mutex_init(&conn->lock, NULL);
	return 0;
}

void conn_close(struct conn *conn)
{
	close(conn->sock);
	conn_leave(conn);
}

void conn_leave(struct conn *conn)
{
	munmap(conn->tables, sizeof(*conn->tables));
	pthread_mutex_destroy(&conn->lock);
}

int64_t conn_call(struct conn *conn, const struct xenloop_request *request, const void *body,
		  size_t body_bytes, struct xenloop_reply *reply, void *reply_body,
		  size_t reply_body_bytes, int *fd)
{
	struct xenloop_reply own_reply;
	int fds[XENLOOP_FDS_MAX] = {-1, -1};
	int nr_fds = request->op == XENLOOP_ADOPT; /* the only request that carries one */

	if (!reply)
		reply = &own_reply;
	pthread_mutex_lock(&conn->lock);
	ssize_t n =
		xenloop_send(conn->sock, request, sizeof(*request), body, body_bytes, fd, nr_fds);
	if (n >= 0)
		n = xenloop_recv(conn->sock, reply, sizeof(*reply), reply_body, reply_body_bytes,
				 fds);
	pthread_mutex_unlock(&conn->lock);

	if (fd)
		*fd = fds[0];
	if (n < (ssize_t)sizeof(*reply))
		return -ENODEV; /* the hypervisor is gone, or has ended this domain */
	return reply->err ? (int64_t)reply->err : (int64_t)reply->value;
}
