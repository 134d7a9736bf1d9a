// SPDX-License-Identifier: MIT
/*
 * The hypervisor's calls: one table of who may call what, one short function for each. Lengths and
 * counts are checked here; ports, grefs and ids by those who own them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xenloop/hypervisor.h"

static void give_fd(struct call *call, int fd)
{
	call->out_fds[call->nr_out_fds++] = fd;
}

static void give_body(struct call *call, const void *body, size_t bytes)
{
	call->out_body = body;
	call->out_body_bytes = bytes;
}

/* The pipe of an event handle: a read-write description for the notifiers and ourselves, another
 * for the owner, whose O_NONBLOCK is then its own. */
static int open_pipe(struct conn *conn, struct call *call)
{
	char path[64];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	conn->pipe = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	call->own_fd = open(path, O_RDWR | O_CLOEXEC);
	int err = errno;
	close(ends[0]);
	close(ends[1]);
	if (conn->pipe < 0 || call->own_fd < 0)
		return -err;
	give_fd(call, call->own_fd);
	return 0;
}

/* A token of this domain must be of its present incarnation; its bearer was started by exec. */
static int check_token(struct hypervisor *hv, struct conn *conn, const struct call *call)
{
	char text[XENLOOP_TOKEN_MAX + 1], own[XENLOOP_TOKEN_MAX + 1], prefix[64];

	if (!call->body_bytes || call->body_bytes > XENLOOP_TOKEN_MAX)
		return 0;
	memcpy(text, call->body, call->body_bytes);
	text[call->body_bytes] = '\0';
	process_token(hv, conn->dom, own);
	if (!strcmp(text, own))
		return process_track(hv, conn->dom, conn->pid);
	snprintf(prefix, sizeof(prefix), "%s.%u.", hv->instance, conn->dom->domid);
	return strncmp(text, prefix, strlen(prefix)) ? 0 : -ESRCH;
}

static int64_t hello(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	const struct xenloop_request *request = &call->request;
	struct domain *dom = domain_find(hv, request->domid, NULL);
	int rc = 0;

	if (request->count != XENLOOP_PROTO_VERSION || request->role < XENLOOP_ROLE_EVTCHN ||
	    request->role > XENLOOP_ROLE_RUNNER)
		return -EPROTO;
	if (request->role == XENLOOP_ROLE_RUNNER) {
		conn->role = request->role;
		return 0;
	}
	if (!dom || dom->state != DOMAIN_RUNNING)
		return -ESRCH;
	conn->dom = dom;
	give_fd(call, hv->tables_fd);
	if (request->role == XENLOOP_ROLE_EVTCHN)
		rc = open_pipe(conn, call);
	else if (request->role == XENLOOP_ROLE_GNTSHR)
		give_fd(call, dom->ram_fd);
	if (!rc)
		rc = check_token(hv, conn, call);
	if (rc) {
		call->nr_out_fds = 0;
		return rc;
	}
	conn->role = request->role;
	conn->id = hv->next_handle++;
	call->reply.count = dom->slot;
	return conn->id;
}

static int64_t bind_unbound(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	(void)hv;
	return port_bind_unbound(conn, call->request.domid);
}

static int64_t bind_interdomain(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	int64_t port = port_bind_interdomain(hv, conn, call->request.domid, call->request.port);

	if (port >= 0 && !call->request.domid && call->request.port == hv->store_port &&
	    !conn->dom->domid)
		hypervisor_store_bound(hv);
	return port;
}

static int64_t bind_virq(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	(void)hv;
	return port_bind_virq(conn, call->request.port);
}

static int64_t unbind(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	(void)hv;
	return port_unbind(conn, call->request.port);
}

static int64_t restrict_to(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	(void)hv;
	return port_restrict(conn, call->request.domid);
}

static int64_t peer_pipe(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	struct conn *owner = port_peer_owner(conn, call->request.port);

	(void)hv;
	if (!owner)
		return -ESRCH;
	give_fd(call, owner->pipe);
	return owner->id;
}

static struct conn *conn_of_pipe(struct hypervisor *hv, const struct domain *dom, int pipe_fd)
{
	struct stat wanted, got;

	if (fstat(pipe_fd, &wanted) < 0)
		return NULL;
	for (struct conn *conn = hv->conns; conn; conn = conn->next)
		if (!conn->dead && conn->dom == dom && conn->pipe >= 0 &&
		    !fstat(conn->pipe, &got) && got.st_ino == wanted.st_ino &&
		    got.st_dev == wanted.st_dev)
			return conn;
	return NULL;
}

/* A program that re-executed itself kept the pipe and the old connection open, but has no other
 * hold of the handle. The old connection keeps a role, but owns nothing any more. */
static int64_t adopt(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	struct conn *old = call->fd >= 0 ? conn_of_pipe(hv, conn->dom, call->fd) : NULL;

	if (!old || old == conn)
		return -EINVAL;
	int own_pipe = conn->pipe;
	uint32_t own_id = conn->id;
	port_move(old, conn);
	conn->pipe = old->pipe;
	conn->id = old->id;
	conn->restricted_to = old->restricted_to;
	old->pipe = own_pipe;
	old->id = own_id;
	return conn->id;
}

static bool is_privileged(const struct conn *conn)
{
	return !conn->dom || !conn->dom->domid;
}

static int64_t ram(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	struct domain *dom = domain_find(hv, call->request.domid, conn->dom);

	if (conn->role == XENLOOP_ROLE_CTRL && !is_privileged(conn))
		return -EPERM;
	if (!dom)
		return -ESRCH;
	give_fd(call, dom->ram_fd);
	call->reply.count = dom->incarnation;
	return dom->slot;
}

static bool is_page_count(uint32_t count)
{
	return count && count <= XENLOOP_CALL_PAGES;
}

static int64_t map(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	uint32_t count = call->request.count;

	if (!is_page_count(count) || call->body_bytes != count * sizeof(struct xenloop_gref))
		return -EINVAL;
	return grant_map(hv, conn, &call->request, call->body);
}

static int64_t share(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	static uint32_t grefs[XENLOOP_CALL_PAGES];

	if (!is_page_count(call->request.count))
		return -EINVAL;
	int64_t id = grant_share(hv, conn, &call->request, grefs);
	if (id >= 0)
		give_body(call, grefs, call->request.count * sizeof(grefs[0]));
	return id;
}

static int64_t unmap(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	return grant_unmap(hv, conn, call->request.id);
}

static int64_t unshare(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	return grant_unshare(hv, conn, call->request.id, call->request.count);
}

static int64_t domains(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	static struct xenloop_domain_info infos[XENLOOP_SLOTS];
	uint32_t max = call->request.count < XENLOOP_SLOTS ? call->request.count : XENLOOP_SLOTS;

	if (!is_privileged(conn))
		return -EPERM;
	uint32_t n = domain_list(hv, call->request.domid, max, infos);
	give_body(call, infos, n * sizeof(infos[0]));
	return n;
}

static int64_t status_of_port(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	static struct xenloop_port_status status;

	if (!is_privileged(conn))
		return -EPERM;
	int64_t rc = port_status(hv, call->request.domid, call->request.port, &status);
	if (!rc)
		give_body(call, &status, sizeof(status));
	return rc;
}

static int64_t create(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	struct xenloop_new new;
	struct domain *dom;

	(void)conn;
	if (call->body_bytes != sizeof(new))
		return -EINVAL;
	memcpy(&new, call->body, sizeof(new));
	if (!memchr(new.name, '\0', sizeof(new.name)))
		return -EINVAL;
	int rc = domain_create(hv, call->request.domid, &new, &dom);
	if (rc)
		return rc;
	grant_reserve(dom, XENLOOP_STORE_GREF, 0);
	rc = child_start_mux(hv, dom, &call->own_fd);
	if (rc) {
		domain_destroy(hv, dom);
		return rc;
	}
	give_fd(call, call->own_fd);
	rwy_info("domain %u: created, \"%s\"", dom->domid, dom->name);
	return dom->domid;
}

static int64_t join(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	static char token[XENLOOP_TOKEN_MAX + 1];
	struct domain *dom = domain_find(hv, call->request.domid, NULL);

	if (!dom || dom->state != DOMAIN_RUNNING)
		return -ESRCH;
	int rc = process_track(hv, dom, conn->pid);
	if (rc)
		return rc;
	process_token(hv, dom, token);
	give_body(call, token, sizeof(token));
	return 0;
}

static int64_t stop(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	struct domain *dom = domain_find(hv, call->request.domid, NULL);

	(void)conn;
	if (!dom || !dom->domid)
		return dom ? -EPERM : -ESRCH;
	domain_stop(hv, dom, DOMAIN_STOPPED);
	return 0;
}

static int64_t destroy(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	struct domain *dom = domain_find(hv, call->request.domid, NULL);

	(void)conn;
	if (!dom || !dom->domid)
		return dom ? -EPERM : -ESRCH;
	rwy_info("domain %u: destroyed", dom->domid);
	domain_destroy(hv, dom);
	return 0;
}

static int64_t down(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	(void)conn;
	(void)call;
	hv->stopping = true;
	return 0;
}

#define BY(role) (1u << XENLOOP_ROLE_##role)

static const struct {
	uint32_t roles;
	int64_t (*fn)(struct hypervisor *hv, struct conn *conn, struct call *call);
} calls[] = {
	[XENLOOP_HELLO] = {1u << 0, hello},
	[XENLOOP_BIND_UNBOUND] = {BY(EVTCHN), bind_unbound},
	[XENLOOP_BIND_INTERDOMAIN] = {BY(EVTCHN), bind_interdomain},
	[XENLOOP_BIND_VIRQ] = {BY(EVTCHN), bind_virq},
	[XENLOOP_UNBIND] = {BY(EVTCHN), unbind},
	[XENLOOP_RESTRICT] = {BY(EVTCHN), restrict_to},
	[XENLOOP_PEER_PIPE] = {BY(EVTCHN), peer_pipe},
	[XENLOOP_ADOPT] = {BY(EVTCHN), adopt},
	[XENLOOP_RAM] = {BY(GNTTAB) | BY(CTRL), ram},
	[XENLOOP_MAP] = {BY(GNTTAB), map},
	[XENLOOP_UNMAP] = {BY(GNTTAB), unmap},
	[XENLOOP_SHARE] = {BY(GNTSHR), share},
	[XENLOOP_UNSHARE] = {BY(GNTSHR), unshare},
	[XENLOOP_DOMAINS] = {BY(CTRL) | BY(RUNNER), domains},
	[XENLOOP_PORT_STATUS] = {BY(CTRL) | BY(RUNNER), status_of_port},
	[XENLOOP_CREATE] = {BY(RUNNER), create},
	[XENLOOP_JOIN] = {BY(RUNNER), join},
	[XENLOOP_STOP] = {BY(RUNNER), stop},
	[XENLOOP_DESTROY] = {BY(RUNNER), destroy},
	[XENLOOP_DOWN] = {BY(RUNNER), down},
};

void dispatch(struct hypervisor *hv, struct conn *conn, struct call *call)
{
	uint32_t op = call->request.op;
	int64_t value = -EPROTO;

	if (op < sizeof(calls) / sizeof(calls[0]) && (calls[op].roles & (1u << conn->role)))
		value = calls[op].fn(hv, conn, call);
	call->reply.err = value < 0 ? value : 0;
	call->reply.value = value < 0 ? 0 : value;
}
