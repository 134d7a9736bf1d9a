// SPDX-License-Identifier: MIT
/*
 * libxenevtchn on loopback Xen. A handle's fd is a pipe of u32 port numbers, which reads as
 * /dev/xen/evtchn does; its write side is in the same description, so it never hangs up. Binding
 * goes through the hypervisor; notify and unmask work on the shared port words and write into the
 * pipe of the handle that owns the other end. Unlike the device, writing a port to the fd does not
 * unmask it: call xenevtchn_unmask. A seed's order is that of xenevtchn_pending: who reads the fd
 * instead sees the plain one.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

/* The pipe of the handle that owns the remote end of a port, once fetched. */
struct link {
	uint32_t owner; /* 0: none yet */
	int fd;
};

struct xenevtchn_handle {
	struct conn conn;
	int fd;
	struct seed_die order, pace; /* of pending events; of notifications */
	pthread_rwlock_t links_lock; /* readers may write into the pipes */
	struct link links[XENLOOP_PORTS];
};

static xenevtchn_handle *open_handle(unsigned int flags)
{
	xenevtchn_handle *xce = calloc(1, sizeof(*xce));
	if (!xce)
		return NULL;
	int rc = -fault_at(FAULT_OPEN_EVTCHN);
	if (!rc)
		rc = conn_open(&xce->conn, XENLOOP_ROLE_EVTCHN, &xce->fd);
	if (!rc && xce->fd < 0) {
		conn_close(&xce->conn);
		rc = -EMFILE;
	}
	if (rc) {
		free(xce);
		errno = -rc;
		return NULL;
	}
	if (flags & XENEVTCHN_NO_CLOEXEC) {
		/* The connection is what the hypervisor takes for the file: it has to live on too. */
		fcntl(xce->fd, F_SETFD, 0);
		fcntl(xce->conn.sock, F_SETFD, 0);
	}
	pthread_rwlock_init(&xce->links_lock, NULL);
	if (seed_given) {
		seed_die_init(&xce->order);
		seed_die_init(&xce->pace);
	}
	fault_after(FAULT_OPEN_EVTCHN);
	return xce;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	if (flags & ~XENEVTCHN_NO_CLOEXEC) {
		errno = EINVAL;
		return NULL;
	}
	return open_handle(flags);
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned open_flags)
{
	struct xenloop_request request = {.op = XENLOOP_ADOPT};

	(void)logger;
	if (open_flags) {
		errno = EINVAL;
		return NULL;
	}
	xenevtchn_handle *xce = open_handle(0);
	if (!xce)
		return NULL;
	int adopted = fd;
	int64_t id = conn_call(&xce->conn, &request, NULL, 0, NULL, NULL, 0, &adopted);
	if (id < 0) {
		xenevtchn_close(xce);
		errno = -id;
		return NULL;
	}
	close(xce->fd);
	xce->fd = fd;
	xce->conn.id = id;
	return xce;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	if (!xce)
		return 0;
	for (uint32_t port = 0; port < XENLOOP_PORTS; port++)
		if (xce->links[port].owner)
			close(xce->links[port].fd);
	close(xce->fd);
	conn_close(&xce->conn);
	pthread_rwlock_destroy(&xce->links_lock);
	free(xce);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->fd;
}

static int call(xenevtchn_handle *xce, const struct xenloop_request *request)
{
	int64_t value = conn_call(&xce->conn, request, NULL, 0, NULL, NULL, 0, NULL);

	return value < 0 ? fail(-value) : (int)value;
}

static int call_or_fail(xenevtchn_handle *xce, enum fault_point point,
			const struct xenloop_request *request)
{
	int fault = fault_at(point);
	int value = fault ? fail(fault) : call(xce, request);

	if (value >= 0)
		fault_after(point);
	return value;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	return call_or_fail(xce, FAULT_BIND_UNBOUND,
			    &(struct xenloop_request){.op = XENLOOP_BIND_UNBOUND, .domid = domid});
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
						     evtchn_port_t remote_port)
{
	return call_or_fail(xce, FAULT_BIND_INTERDOMAIN,
			    &(struct xenloop_request){.op = XENLOOP_BIND_INTERDOMAIN,
						      .domid = domid,
						      .port = remote_port});
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	return call_or_fail(xce, FAULT_BIND_VIRQ,
			    &(struct xenloop_request){.op = XENLOOP_BIND_VIRQ, .port = virq});
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	return call(xce, &(struct xenloop_request){.op = XENLOOP_RESTRICT, .domid = domid});
}

static void drop_link(xenevtchn_handle *xce, evtchn_port_t port)
{
	pthread_rwlock_wrlock(&xce->links_lock);
	if (xce->links[port].owner)
		close(xce->links[port].fd);
	xce->links[port].owner = 0;
	pthread_rwlock_unlock(&xce->links_lock);
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	int fault = fault_at(FAULT_UNBIND);

	if (fault)
		return fail(fault);
	int rc = call(xce, &(struct xenloop_request){.op = XENLOOP_UNBIND, .port = port});
	if (rc)
		return rc;
	drop_link(xce, port);
	fault_after(FAULT_UNBIND);
	return 0;
}

/* The port's entry, if this handle owns the port. */
static struct xenloop_port *own_port(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (port >= XENLOOP_PORTS)
		return NULL;
	struct xenloop_port *entry = &xce->conn.tables->slot[xce->conn.slot].port[port];
	return atomic_load(&entry->owner) == xce->conn.id ? entry : NULL;
}

/* Ask for the pipe of whoever owns the remote end now. */
static int fetch_link(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct xenloop_request request = {.op = XENLOOP_PEER_PIPE, .port = port};
	int fd;

	int64_t owner = conn_call(&xce->conn, &request, NULL, 0, NULL, NULL, 0, &fd);
	if (owner < 0)
		return owner;
	if (fd < 0)
		return -EMFILE;
	pthread_rwlock_wrlock(&xce->links_lock);
	if (xce->links[port].owner)
		close(xce->links[port].fd);
	xce->links[port] = (struct link){.owner = owner, .fd = fd};
	pthread_rwlock_unlock(&xce->links_lock);
	return 0;
}

static void push(int fd, evtchn_port_t port)
{
	/* The pipe holds more numbers than there are ports, and each is in it once: this can fail
	 * only for an owner that unmasks what it has not read. */
	ssize_t written = write(fd, &port, sizeof(port));
	(void)written;
}

/* Raise the event if the link to the owner is at hand; false if it must be fetched first. */
static bool try_notify(xenevtchn_handle *xce, evtchn_port_t port, uint64_t peer)
{
	struct xenloop_port *remote = xenloop_peer_port(xce->conn.tables, peer);
	uint32_t seq = xenloop_seq(peer);
	uint32_t owner = atomic_load(&remote->owner);

	if (!owner)
		return true; /* bound, but nobody listens */
	pthread_rwlock_rdlock(&xce->links_lock);
	bool linked = xce->links[port].owner == owner;
	if (linked && xenloop_port_raise(remote, seq)) {
		fault_at(FAULT_PUSH);
		push(xce->links[port].fd, peer % XENLOOP_PORTS);
		xenloop_port_pushed(remote, seq);
	}
	pthread_rwlock_unlock(&xce->links_lock);
	return linked;
}

/* 0 or -errno. */
static int notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct xenloop_port *entry = own_port(xce, port);
	if (!entry)
		return -ENOTCONN;

	/* What the caller wrote to shared memory must be seen before the remote's pending bit is
	 * looked at: a bit still set means that the owner has yet to unmask, and then to look. */
	atomic_thread_fence(memory_order_seq_cst);
	for (;;) {
		uint64_t peer = atomic_load(&entry->peer);
		if (!peer)
			return 0; /* unbound: as Xen, no error */
		uint64_t word = atomic_load(&xenloop_peer_port(xce->conn.tables, peer)->word);
		if (xenloop_seq(word) != xenloop_seq(peer))
			return 0; /* closed as we looked */
		if ((word & XENLOOP_PENDING) || try_notify(xce, port, peer))
			return 0;
		int rc = fetch_link(xce, port);
		if (rc && rc != -ESRCH) /* -ESRCH: the other end has just gone */
			return rc;
	}
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	int fault = fault_at(FAULT_NOTIFY);

	if (fault)
		return fail(fault);
	if (__builtin_expect(seed_given, false))
		seed_linger(&xce->pace);
	int rc = notify(xce, port);
	if (rc)
		return fail(-rc);
	fault_after(FAULT_NOTIFY);
	return 0;
}

/*
 * As a read of one number, but of any that is in the pipe: take all of them and put the others
 * back, in their order. There is room for them; who polls meanwhile is woken by it. A process that
 * dies in between takes the handle along.
 */
static ssize_t read_any(xenevtchn_handle *xce, evtchn_port_t *port)
{
	evtchn_port_t all[XENLOOP_PORTS];
	ssize_t n = read(xce->fd, all, sizeof(all));

	if (n <= (ssize_t)sizeof(*port)) {
		*port = all[0];
		return n;
	}
	uint32_t nr_left = n / sizeof(*port) - 1;
	uint32_t pick = seed_roll(&xce->order, nr_left + 1);
	*port = all[pick];
	memmove(all + pick, all + pick + 1, (nr_left - pick) * sizeof(*port));
	n = write(xce->fd, all, nr_left * sizeof(*port));
	return n == (ssize_t)(nr_left * sizeof(*port)) ? (ssize_t)sizeof(*port) : 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	evtchn_port_t port;
	int fault = fault_at(FAULT_PENDING);

	if (fault)
		return fail(fault);
	ssize_t n = __builtin_expect(seed_given, false) ? read_any(xce, &port)
							: read(xce->fd, &port, sizeof(port));
	if (n < 0)
		return -1;
	if (n != sizeof(port))
		return fail(EIO);
	fault_after(FAULT_PENDING);
	return port;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct xenloop_port *entry = own_port(xce, port);
	int fault = fault_at(FAULT_UNMASK);

	if (fault)
		return fail(fault);
	if (entry && xenloop_port_unmask(entry)) /* as the device: not ours, not an error */
		push(xce->fd, port);
	fault_after(FAULT_UNMASK);
	return 0;
}
