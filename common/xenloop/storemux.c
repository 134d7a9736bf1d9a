// SPDX-License-Identifier: MIT
/*
 * The loop of the mux: accepts clients, moves bytes between their sockets and the router, and
 * closes clients that leave or break the rules. The `xenloop` runner calls storemux_run in a
 * process of its own. Clients are not trusted and cannot block it or grow it without bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/loop.h"
#include "common/xenloop/storemux.h"
#include "common/xenloop/storemux_ring.h"
#include "common/xenloop/storemux_route.h"

static void on_client(void *ctx, uint32_t epoll_events);

static void close_client(struct storemux_client *client)
{
	rwy_loop_remove(client->source);
	client->source = NULL;
	storemux_client_close(client);
}

/* Have the loop watch for what the client wants now. With nothing wanted the fd is not watched at
 * all, or a hung-up client with a request waiting for its turn would keep the loop spinning. */
static int watch_client(struct storemux *mux, struct storemux_client *client)
{
	uint32_t wanted = storemux_client_wants(client);
	int rc = 0;

	if (client->source && wanted == client->wanted)
		return 0;
	if (!wanted) {
		rwy_loop_remove(client->source);
		client->source = NULL;
	} else if (client->source) {
		rc = rwy_loop_modify_fd(client->source, wanted);
	} else {
		rc = rwy_loop_add_fd(mux->loop, client->fd, wanted, on_client, client,
				     &client->source);
	}
	client->wanted = wanted;
	return rc;
}

/* Send what waits. True: the client may have requests served again. */
static bool flush_client(struct storemux_client *client)
{
	bool kept_up = storemux_client_keeps_up(client);

	storemux_client_flush(client);
	return !kept_up && storemux_client_keeps_up(client);
}

/* Send, close and watch, each client as it needs. True: there may be more to put on the ring now,
 * for clients that caught up or were closed. */
static bool tend_clients(struct storemux *mux)
{
	bool more = false;

	for (uint32_t i = 0; i < STOREMUX_CLIENTS_MAX; i++) {
		struct storemux_client *client = &mux->clients[i];

		if (client->state == STOREMUX_CLIENT_OPEN ||
		    client->state == STOREMUX_CLIENT_DOOMED)
			more |= flush_client(client);
		if (client->state == STOREMUX_CLIENT_OPEN && watch_client(mux, client) < 0)
			client->state = STOREMUX_CLIENT_DOOMED;
		if (client->state == STOREMUX_CLIENT_DOOMED) {
			close_client(client);
			more = true;
		}
		if (client->state == STOREMUX_CLIENT_GONE && storemux_table_is_idle(mux->table, i))
			client->state = STOREMUX_CLIENT_FREE;
	}
	return more;
}

/* After every event: move what can be moved. Ends, as no client sends or leaves meanwhile. */
static void turn(struct storemux *mux)
{
	int rc = storemux_route_replies(mux);

	if (!rc)
		rc = storemux_route_requests(mux);
	while (tend_clients(mux) && !rc)
		rc = storemux_route_requests(mux);
	if (rc)
		rwy_loop_stop(mux->loop, rc);
}

static void on_client(void *ctx, uint32_t epoll_events)
{
	struct storemux_client *client = ctx;
	struct storemux *mux = client->mux;
	int rc = 0;

	if (epoll_events & ~EPOLLOUT && storemux_message_missing(&client->in) > 0)
		rc = storemux_client_receive(client);
	if (rc == -E2BIG)
		storemux_route_refuse(mux, client, rc);
	if (rc)
		client->state = STOREMUX_CLIENT_DOOMED;
	turn(mux);
}

static void on_ring_event(void *ctx, uint32_t epoll_events)
{
	struct storemux *mux = ctx;
	xenevtchn_port_or_error_t port;

	if (!(epoll_events & EPOLLIN)) {
		rwy_loop_stop(mux->loop, -EPIPE);
		return;
	}
	port = xenevtchn_pending(mux->xce);
	if (port < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Unmasked before the ring is read: what is put there later sends another event. */
	if (port < 0 || xenevtchn_unmask(mux->xce, port) < 0)
		rwy_loop_stop(mux->loop, -errno);
	else
		turn(mux);
}

static struct storemux_client *free_client(struct storemux *mux)
{
	for (uint32_t i = 0; i < STOREMUX_CLIENTS_MAX; i++)
		if (mux->clients[i].state == STOREMUX_CLIENT_FREE)
			return &mux->clients[i];
	return NULL;
}

static void on_connect(void *ctx, uint32_t epoll_events)
{
	struct storemux *mux = ctx;
	struct storemux_client *client = free_client(mux);
	int fd;

	if (epoll_events & (EPOLLHUP | EPOLLERR)) {
		rwy_loop_stop(mux->loop, -EPIPE);
		return;
	}
	fd = accept4(mux->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			rwy_loop_stop(mux->loop, -errno);
		return;
	}
	if (!client || storemux_client_open(client, fd) < 0) {
		rwy_log_limited(&mux->log_limit, rwy_loop_now_ns(mux->loop), RWY_LOG_WARNING,
				"too many clients: one more is turned away");
		close(fd);
		return;
	}
	client->mux = mux;
	turn(mux);
}

static void on_signal(void *ctx, int signo)
{
	struct storemux *mux = ctx;

	(void)signo;
	rwy_loop_stop(mux->loop, 0);
}

/* The loop's sources; rwy_loop_destroy removes what there is of them. */
static int watch_all(struct storemux *mux)
{
	struct rwy_loop_source *source;
	int flags = fcntl(mux->listen_fd, F_GETFL);
	sigset_t set;
	int rc;

	if (flags < 0 || fcntl(mux->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	rc = rwy_loop_add_signals(mux->loop, &set, on_signal, mux, &source);
	if (!rc)
		rc = rwy_loop_add_fd(mux->loop, mux->listen_fd, EPOLLIN, on_connect, mux, &source);
	if (!rc)
		rc = rwy_loop_add_fd(mux->loop, xenevtchn_fd(mux->xce), EPOLLIN, on_ring_event, mux,
				     &source);
	return rc;
}

static int serve_clients(struct storemux *mux)
{
	int rc = watch_all(mux);

	if (!rc)
		rc = storemux_route_reset(mux);
	if (!rc)
		rc = storemux_route_requests(mux);
	if (!rc)
		rc = rwy_loop_run(mux->loop);
	for (uint32_t i = 0; i < STOREMUX_CLIENTS_MAX; i++)
		if (mux->clients[i].state == STOREMUX_CLIENT_OPEN ||
		    mux->clients[i].state == STOREMUX_CLIENT_DOOMED)
			close_client(&mux->clients[i]);
	return rc;
}

int storemux_run(struct xenstore_domain_interface *ring, xenevtchn_handle *xce, evtchn_port_t port,
		 int listen_fd)
{
	struct storemux *mux = calloc(1, sizeof(*mux));
	int rc;

	if (!mux)
		return -ENOMEM;
	mux->ring = ring;
	mux->xce = xce;
	mux->port = port;
	mux->listen_fd = listen_fd;
	mux->log_limit.name = "store mux";
	rc = storemux_table_create(&mux->table);
	if (rc)
		goto err_free;
	rc = rwy_loop_create(&mux->loop, NULL, NULL);
	if (rc)
		goto err_destroy_table;
	rc = serve_clients(mux);
	rwy_loop_destroy(mux->loop);
err_destroy_table:
	storemux_table_destroy(mux->table);
err_free:
	free(mux);
	return rc;
}
