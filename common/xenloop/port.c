// SPDX-License-Identifier: MIT
/*
 * Event ports: binding, closing and the hypervisor's own notifications. The state here is the
 * truth; the shared tables carry what notify needs. Requests come from library handles, remote
 * domids and ports in them are checked. Called by the dispatcher, by the ends of handles and
 * domains, and by grants that notify when unmapped.
 */
#include <stdint.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

#include "common/xenloop/hypervisor.h"

static struct xenloop_port *shared(struct domain *dom, uint32_t port)
{
	return &dom->shared->port[port];
}

/* The lowest free port, as Xen does it. -ENOSPC: the domain has as many as it may have. */
static int64_t find_free(const struct domain *dom)
{
	for (uint32_t port = 1; port <= dom->max_port; port++)
		if (dom->port[port].state == PORT_FREE)
			return port;
	return -ENOSPC;
}

/* Its event bits are clear and its sequence number is new. */
static struct port *open_port(struct domain *dom, uint32_t port, struct conn *owner,
			      enum port_state state)
{
	struct xenloop_port *entry = shared(dom, port);
	uint64_t seq = xenloop_seq(atomic_load(&entry->word)) + 1u;

	dom->port[port] = (struct port){.state = state, .owner = owner};
	atomic_store(&entry->peer, 0);
	atomic_store(&entry->word, (uint32_t)seq * (1ull << XENLOOP_SEQ_SHIFT));
	atomic_store(&entry->owner, owner ? owner->id : 0);
	return &dom->port[port];
}

static void push(struct domain *dom, uint32_t port)
{
	struct conn *owner = dom->port[port].owner;

	if (owner) {
		ssize_t written = write(owner->pipe, &port, sizeof(port));
		(void)written; /* full only if its owner unmasks what it has not read */
	}
}

static void raise_event(struct domain *dom, uint32_t port)
{
	struct xenloop_port *entry = shared(dom, port);
	uint32_t seq = xenloop_seq(atomic_load(&entry->word));

	if (dom->port[port].owner && xenloop_port_raise(entry, seq)) {
		push(dom, port);
		xenloop_port_pushed(entry, seq);
	}
}

static void connect_end(struct domain *dom, uint32_t port, struct domain *remote,
			uint32_t remote_port)
{
	dom->port[port].state = PORT_INTERDOMAIN;
	dom->port[port].remote_domid = remote->domid;
	dom->port[port].remote = remote;
	dom->port[port].remote_port = remote_port;
	uint32_t seq = xenloop_seq(atomic_load(&shared(remote, remote_port)->word));
	atomic_store(&shared(dom, port)->peer, xenloop_peer_pack(seq, remote->slot, remote_port));
}

/* As Xen: the other end of a closed port is unbound again, for the same domain. */
static void close_port(struct domain *dom, uint32_t port)
{
	struct port *own = &dom->port[port];
	struct xenloop_port *entry = shared(dom, port);

	if (own->state == PORT_INTERDOMAIN) {
		own->remote->port[own->remote_port].state = PORT_UNBOUND;
		atomic_store(&shared(own->remote, own->remote_port)->peer, 0);
	}
	*own = (struct port){.state = PORT_FREE};
	atomic_store(&entry->owner, 0);
	atomic_store(&entry->peer, 0);
	atomic_fetch_add(&entry->word, 1ull << XENLOOP_SEQ_SHIFT);
}

int64_t port_bind_unbound(struct conn *conn, uint32_t domid)
{
	if (conn->restricted_to != XENLOOP_NONE)
		return -EACCES; /* for its own domain, too */
	int64_t port = find_free(conn->dom);
	if (port >= 0)
		open_port(conn->dom, port, conn, PORT_UNBOUND)->remote_domid =
			domid == DOMID_SELF ? conn->dom->domid : (domid_t)domid;
	return port;
}

int64_t port_bind_kernel(struct domain *dom, uint32_t remote_domid)
{
	int64_t port = find_free(dom);

	if (port >= 0)
		open_port(dom, port, NULL, PORT_UNBOUND)->remote_domid = remote_domid;
	return port;
}

int64_t port_bind_interdomain(struct hypervisor *hv, struct conn *conn, uint32_t domid,
			      uint32_t remote_port)
{
	struct domain *dom = conn->dom, *remote = domain_find(hv, domid, dom);

	if (conn->restricted_to != XENLOOP_NONE && conn->restricted_to != domid)
		return -EACCES;
	if (!remote)
		return -ESRCH;
	int64_t port = find_free(dom); /* as Xen: before the remote port is looked at */
	if (port < 0)
		return port;
	if (!remote_port || remote_port >= XENLOOP_PORTS ||
	    remote->port[remote_port].state != PORT_UNBOUND ||
	    remote->port[remote_port].remote_domid != dom->domid)
		return -EINVAL;
	open_port(dom, port, conn, PORT_INTERDOMAIN);
	connect_end(dom, port, remote, remote_port);
	connect_end(remote, remote_port, dom, port);
	/* Events sent before went nowhere: as Xen, assume that there were some. */
	raise_event(dom, port);
	return port;
}

int64_t port_bind_virq(struct conn *conn, uint32_t virq)
{
	struct domain *dom = conn->dom;

	if (conn->restricted_to != XENLOOP_NONE)
		return -EACCES;
	if (virq >= NR_VIRQS)
		return -EINVAL;
	if (virq == VIRQ_TIMER)
		return -EEXIST; /* the kernel has it */
	for (uint32_t port = 1; port < XENLOOP_PORTS; port++)
		if (dom->port[port].state == PORT_VIRQ && dom->port[port].virq == virq)
			return -EEXIST;
	int64_t port = find_free(dom);
	if (port >= 0)
		open_port(dom, port, conn, PORT_VIRQ)->virq = virq;
	return port;
}

static bool owns(const struct conn *conn, uint32_t port)
{
	return port < XENLOOP_PORTS && conn->dom->port[port].owner == conn;
}

/* The handle lets go of the port, which stays open as long as an unmap notification needs it. */
static void disown(struct domain *dom, uint32_t port)
{
	if (!dom->port[port].holds) {
		close_port(dom, port);
		return;
	}
	dom->port[port].owner = NULL;
	atomic_store(&shared(dom, port)->owner, 0);
}

int64_t port_unbind(struct conn *conn, uint32_t port)
{
	if (port > conn->dom->max_port && port > XENLOOP_DEFAULT_MAX_PORT)
		return -EINVAL; /* Linux has no event word for it */
	if (!owns(conn, port))
		return -ENOTCONN;
	disown(conn->dom, port);
	return 0;
}

int64_t port_restrict(struct conn *conn, uint32_t domid)
{
	if (conn->restricted_to != XENLOOP_NONE)
		return -EACCES;
	if (!domid || domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	conn->restricted_to = domid;
	return 0;
}

struct conn *port_peer_owner(struct conn *conn, uint32_t port)
{
	if (!owns(conn, port) || conn->dom->port[port].state != PORT_INTERDOMAIN)
		return NULL;
	const struct port *own = &conn->dom->port[port];
	return own->remote->port[own->remote_port].owner;
}

int64_t port_status(struct hypervisor *hv, uint32_t domid, uint32_t port,
		    struct xenloop_port_status *status)
{
	static const uint32_t names[] = {[PORT_FREE] = EVTCHNSTAT_closed,
					 [PORT_UNBOUND] = EVTCHNSTAT_unbound,
					 [PORT_INTERDOMAIN] = EVTCHNSTAT_interdomain,
					 [PORT_VIRQ] = EVTCHNSTAT_virq};
	const struct domain *dom = domain_find(hv, domid, NULL);

	if (!dom)
		return -ESRCH;
	if (port >= XENLOOP_PORTS)
		return -EINVAL;
	*status = (struct xenloop_port_status){.status = names[dom->port[port].state],
					       .remote_domid = dom->port[port].remote_domid,
					       .remote_port = dom->port[port].remote_port,
					       .virq = dom->port[port].virq};
	return 0;
}

int port_hold(struct domain *dom, uint32_t port)
{
	if (port >= XENLOOP_PORTS || !dom->port[port].owner)
		return -EINVAL;
	dom->port[port].holds++;
	return 0;
}

void port_release(struct domain *dom, uint32_t port)
{
	struct port *own = &dom->port[port];

	own->holds--;
	if (!own->holds && !own->owner)
		close_port(dom, port);
}

void port_notify(struct domain *dom, uint32_t port)
{
	const struct port *own = &dom->port[port];

	if (own->state == PORT_INTERDOMAIN)
		raise_event(own->remote, own->remote_port);
}

void port_raise_virq(struct domain *dom, uint32_t virq)
{
	for (uint32_t port = 1; port < XENLOOP_PORTS; port++)
		if (dom->port[port].state == PORT_VIRQ && dom->port[port].virq == virq)
			raise_event(dom, port);
}

/* A notifier that was killed between raising an event and pushing its number left the other end
 * masked for good: push it. An event too many does no harm. */
static void finish_pushes(const struct port *own)
{
	if (own->state != PORT_INTERDOMAIN)
		return;
	struct xenloop_port *entry = shared(own->remote, own->remote_port);
	uint64_t word = atomic_fetch_and(&entry->word, ~XENLOOP_PUSH_MASK);
	if ((word & XENLOOP_PUSH_MASK) && (word & XENLOOP_MASKED))
		push(own->remote, own->remote_port);
}

void port_close_of_conn(struct conn *conn)
{
	struct domain *dom = conn->dom;

	for (uint32_t port = 1; port < XENLOOP_PORTS; port++) {
		if (dom->port[port].owner != conn)
			continue;
		finish_pushes(&dom->port[port]);
		disown(dom, port);
	}
}

void port_close_of_domain(struct domain *dom)
{
	for (uint32_t port = 1; port < XENLOOP_PORTS; port++)
		if (dom->port[port].state != PORT_FREE)
			close_port(dom, port);
}

uint32_t port_count(const struct domain *dom)
{
	uint32_t n = 0;

	for (uint32_t port = 1; port < XENLOOP_PORTS; port++)
		n += dom->port[port].state != PORT_FREE;
	return n;
}

void port_move(struct conn *from, struct conn *to)
{
	for (uint32_t port = 1; port < XENLOOP_PORTS; port++)
		if (from->dom->port[port].owner == from)
			from->dom->port[port].owner = to;
}
