/* SPDX-License-Identifier: MIT */
/*
 * The xenbus mux of a domU on loopback Xen: it stands where a guest kernel has /dev/xen/xenbus. A
 * domain has one store ring; its processes are many libxenstore clients on a Unix stream socket
 * ($XENSTORED_PATH). The mux gives each request an id and each watch a token that is unique on the
 * ring, keeps who owns which transaction, and cleans up after a client that goes. The `xenloop`
 * runner calls it in a process of its own. xenstored is trusted to mean well but may die at any
 * instruction; clients are not trusted.
 *
 * How it differs from xenstored's own socket, as a guest kernel does: XS_RESET_WATCHES is refused
 * (EPERM); a transaction id of another client is ENOENT; XS_UNWATCH must name the path as it was
 * watched, not an alias of it (relative for absolute); an error found here may overtake the replies
 * to earlier requests; a request that takes one path must be that one string (EINVAL). A watch token
 * is at most STOREMUX_TOKEN_MAX bytes long.
 */
#pragma once
#include <xenevtchn.h>
#include <xen/xen.h>
#include <xen/io/xs_wire.h>

#define STOREMUX_CLIENTS_MAX		 64u  /* more are closed as they connect */
#define STOREMUX_REQUESTS_PER_CLIENT	 8u   /* in flight; further ones stay in the socket */
#define STOREMUX_WATCHES_PER_CLIENT	 128u /* beyond: E2BIG, as xenstored's own quota */
#define STOREMUX_TRANSACTIONS_PER_CLIENT 16u  /* beyond: ENOSPC */
#define STOREMUX_TOKEN_MAX		 (XENSTORE_PAYLOAD_MAX - XENSTORE_ABS_PATH_MAX - 2u)

/*
 * Serve the clients of listen_fd until SIGTERM (0), or until the ring, the event channel or the
 * listening socket breaks (-errno; -EPROTO: xenstored's side of the ring makes no sense;
 * -EPIPE: the event channel or the listening socket was shut down).
 *
 * ring: the domain's store page, shared with xenstored. xce: a handle on which `port`, the store's
 * event channel, is bound and nothing else. listen_fd: a listening AF_UNIX stream socket, made
 * non-blocking here. All three stay the caller's. Blocks SIGTERM in the calling thread and leaves
 * it blocked. What an earlier user of the ring left behind (replies, watches, transactions) is
 * discarded, provided that it had not stopped in the middle of a message.
 */
int storemux_run(struct xenstore_domain_interface *ring, xenevtchn_handle *xce, evtchn_port_t port,
		 int listen_fd);
