// SPDX-License-Identifier: MIT
/*
 * Ring pages and port (contract: lib_ring.h) over libxengnttab and libxenevtchn. Nothing here reads
 * what the backend writes.
 */
#include <errno.h>
#include <string.h>
#include "frontend/user/lib_ring.h"

int lib_ring_open(struct lib_ring *ring)
{
	int err;

	*ring = (struct lib_ring){.port = -1};
	ring->xgs = xengntshr_open(NULL, 0);
	if (!ring->xgs)
		return -errno;
	ring->xce = xenevtchn_open(NULL, 0);
	if (!ring->xce) {
		err = -errno;
		xengntshr_close(ring->xgs);
		ring->xgs = NULL;
		return err;
	}
	return 0;
}

void lib_ring_close(struct lib_ring *ring)
{
	if (!ring->xgs)
		return;
	lib_ring_unbind(ring);
	lib_ring_unshare(ring);
	xenevtchn_close(ring->xce);
	xengntshr_close(ring->xgs);
	*ring = (struct lib_ring){.port = -1};
}

int lib_ring_share(struct lib_ring *ring, uint32_t domid, uint32_t nr_pages)
{
	if (ring->pages && ring->nr_pages == nr_pages)
		return 0;
	lib_ring_unshare(ring);
	ring->pages = xengntshr_share_pages(ring->xgs, domid, (int)nr_pages, ring->gref, 1);
	if (!ring->pages)
		return -errno;
	ring->nr_pages = nr_pages;
	return 0;
}

void lib_ring_unshare(struct lib_ring *ring)
{
	if (ring->pages)
		xengntshr_unshare(ring->xgs, ring->pages, ring->nr_pages);
	ring->pages = NULL;
	ring->nr_pages = 0;
}

int lib_ring_bind(struct lib_ring *ring, uint32_t domid)
{
	lib_ring_unbind(ring);
	ring->port = xenevtchn_bind_unbound_port(ring->xce, domid);
	return ring->port < 0 ? -errno : 0;
}

void lib_ring_unbind(struct lib_ring *ring)
{
	if (ring->port >= 0)
		xenevtchn_unbind(ring->xce, (evtchn_port_t)ring->port);
	ring->port = -1;
}

/* Failing means that the port is gone, which the handshake will hear of by the backend's state. */
void lib_ring_notify(void *ctx)
{
	struct lib_ring *ring = ctx;

	if (ring->port >= 0)
		xenevtchn_notify(ring->xce, (evtchn_port_t)ring->port);
}

int lib_ring_fd(const struct lib_ring *ring)
{
	return xenevtchn_fd(ring->xce);
}

/* An event of a port that has been unbound meanwhile is nobody's. */
bool lib_ring_take_event(struct lib_ring *ring)
{
	int port = xenevtchn_pending(ring->xce);

	return port >= 0 && port == ring->port;
}

void lib_ring_unmask(struct lib_ring *ring)
{
	if (ring->port >= 0)
		xenevtchn_unmask(ring->xce, (evtchn_port_t)ring->port);
}
