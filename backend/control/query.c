// SPDX-License-Identifier: MIT
/*
 * Serves the query socket. Trusts its clients (root) with nothing but a line and some patience.
 * Called by main.c and the loop; woken by device.c and device_link.c.
 */
#include "backend/control/query.h"
#include "backend/control/device_link.h"
#include "backend/control/query_json.h"
#include "common/cleanup.h"
#include "common/paths.h"
#include "common/xs_parse.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define MAX_CLIENTS	 32u
#define LINE_BYTES	 128u
#define MS_NS		 1000000ull
#define ACCEPT_PAUSE_NS	 (100 * MS_NS)
#define LINE_LIMIT_NS	 (5000 * MS_NS)
#define STATS_LIMIT_NS	 (1000 * MS_NS)
#define VERDICT_LIMIT_NS (10000 * MS_NS)
#define REPLY_LIMIT_NS	 (10000 * MS_NS)

enum client_state {
	CLIENT_READING,
	CLIENT_AWAITS_STATS,
	CLIENT_AWAITS_VERDICT,
	CLIENT_REPLYING,
};

struct client {
	TAILQ_ENTRY(client) link;
	struct query *query;
	int fd;
	struct rwy_loop_source *source;
	struct rwy_loop_timer *timer; /* the limit of its state */
	enum client_state state;
	char line[LINE_BYTES];
	size_t line_len;
	bool all; /* asked about every device, and not about the one below */
	uint32_t domid;
	uint32_t devid;
	char *reply;
	size_t reply_len;
	size_t reply_sent;
};

struct query {
	struct control *control;
	int fd;
	struct rwy_loop_source *source;
	struct rwy_loop_timer *relisten; /* after accept has failed */
	struct rwy_loop_timer *waker;	 /* runs what query_wake asked for, from the loop */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	unsigned int nr_clients;
	TAILQ_HEAD(client_list, client) clients;
};

static void drop(struct client *c)
{
	struct query *q = c->query;

	rwy_loop_remove(c->source);
	rwy_loop_remove_timer(c->timer);
	close(c->fd);
	TAILQ_REMOVE(&q->clients, c, link);
	if (q->nr_clients-- == MAX_CLIENTS)
		rwy_loop_modify_fd(q->source, EPOLLIN);
	free(c->reply);
	free(c);
}

static void limit(struct client *c, enum client_state state, uint64_t for_ns)
{
	c->state = state;
	rwy_loop_arm_timer(c->timer, rwy_loop_now_ns(c->query->control->loop) + for_ns);
}

/* Sends what the socket takes. May drop the client. */
static void send_some(struct client *c)
{
	while (c->reply_sent < c->reply_len) {
		ssize_t n = send(c->fd, c->reply + c->reply_sent, c->reply_len - c->reply_sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			rwy_loop_modify_fd(c->source, EPOLLOUT);
			return;
		}
		if (n < 0)
			break;
		c->reply_sent += (size_t)n;
	}
	drop(c);
}

/* Takes the document. May drop the client. */
static void reply(struct client *c, json_t *document)
{
	char *json = document ? json_dumps(document, JSON_COMPACT) : NULL;

	json_decref(document);
	if (!json || asprintf(&c->reply, "%s\n", json) < 0) {
		c->reply = NULL;
		free(json);
		drop(c);
		return;
	}
	free(json);
	c->reply_len = strlen(c->reply);
	limit(c, CLIENT_REPLYING, REPLY_LIMIT_NS);
	send_some(c);
}

static struct device *asked_device(const struct client *c)
{
	struct device *dev = device_find(c->query->control, c->domid, c->devid);

	return dev && dev->ours ? dev : NULL;
}

static bool stats_are_due(const struct client *c)
{
	const struct device *dev;

	TAILQ_FOREACH(dev, &c->query->control->devices, all_link)
	{
		if (dev->stats_asked &&
		    (c->all || (dev->dir.domid == c->domid && dev->dir.devid == c->devid)))
			return true;
	}
	return false;
}

static void reply_show(struct client *c)
{
	reply(c, query_json_show(c->query->control, c->all ? NULL : asked_device(c), c->all));
}

static void ask_show(struct client *c)
{
	struct device *dev;

	TAILQ_FOREACH(dev, &c->query->control->devices, all_link)
	{
		if (c->all || (dev->dir.domid == c->domid && dev->dir.devid == c->devid))
			device_link_ask_stats(dev);
	}
	limit(c, CLIENT_AWAITS_STATS, STATS_LIMIT_NS);
	if (!stats_are_due(c))
		reply_show(c);
}

static bool verdict_is_out(const struct client *c)
{
	const struct device *dev = asked_device(c);

	return dev && dev->verdict != VERDICT_UNKNOWN;
}

static void reply_verdict(struct client *c)
{
	reply(c, query_json_verdict(asked_device(c)));
}

/* The directory may have been removed and made again since it was looked at. */
static void ask_verdict(struct client *c)
{
	struct device *dev = asked_device(c);

	if (dev)
		device_refresh(dev);
	limit(c, CLIENT_AWAITS_VERDICT, VERDICT_LIMIT_NS);
	if (verdict_is_out(c))
		reply_verdict(c);
}

/* "<domid> <devid>" */
static bool parse_device(struct client *c, char *words)
{
	char *space = strchr(words, ' ');

	if (!space)
		return false;
	*space = '\0';
	return !rwy_xs_parse_component(words, UINT32_MAX, &c->domid) &&
	       !rwy_xs_parse_component(space + 1, UINT32_MAX, &c->devid);
}

static void handle_line(struct client *c)
{
	if (!strcmp(c->line, "show")) {
		c->all = true;
		ask_show(c);
	} else if (!strncmp(c->line, "show ", 5) && parse_device(c, c->line + 5)) {
		ask_show(c);
	} else if (!strncmp(c->line, "verdict ", 8) && parse_device(c, c->line + 8)) {
		ask_verdict(c);
	} else {
		reply(c,
		      query_json_error("known are: show; show DOMID DEVID; verdict DOMID DEVID"));
	}
}

static void read_line(struct client *c)
{
	ssize_t n = recv(c->fd, c->line + c->line_len, LINE_BYTES - c->line_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	c->line_len += (size_t)n;

	char *end = memchr(c->line, '\n', c->line_len);
	if (end) {
		*end = '\0';
		rwy_loop_modify_fd(c->source, 0); /* hanging up is still reported */
		handle_line(c);
	} else if (c->line_len == LINE_BYTES) {
		reply(c, query_json_error("too long a line"));
	}
}

static void on_client(void *ctx, uint32_t epoll_events)
{
	struct client *c = ctx;

	if (c->state == CLIENT_READING)
		read_line(c);
	else if (epoll_events & (EPOLLHUP | EPOLLERR))
		drop(c);
	else if (c->state == CLIENT_REPLYING)
		send_some(c);
}

static void on_limit(void *ctx)
{
	struct client *c = ctx;

	if (c->state == CLIENT_AWAITS_STATS)
		reply_show(c);
	else if (c->state == CLIENT_AWAITS_VERDICT)
		reply_verdict(c);
	else
		drop(c);
}

static void wake_clients(void *ctx)
{
	struct query *q = ctx;
	struct client *c, *next;

	for (c = TAILQ_FIRST(&q->clients); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state == CLIENT_AWAITS_STATS && !stats_are_due(c))
			reply_show(c);
		else if (c->state == CLIENT_AWAITS_VERDICT && verdict_is_out(c))
			reply_verdict(c);
	}
}

void query_wake(struct query *query)
{
	if (query && query->nr_clients)
		rwy_loop_arm_timer(query->waker, rwy_loop_now_ns(query->control->loop));
}

static int add_client(struct query *q, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->query = q;
	c->fd = fd;
	err = rwy_loop_add_timer(q->control->loop, on_limit, c, &c->timer);
	if (err)
		goto err_free;
	err = rwy_loop_add_fd(q->control->loop, fd, EPOLLIN, on_client, c, &c->source);
	if (err)
		goto err_timer;
	TAILQ_INSERT_TAIL(&q->clients, c, link);
	q->nr_clients++;
	limit(c, CLIENT_READING, LINE_LIMIT_NS);
	return 0;

err_timer:
	rwy_loop_remove_timer(c->timer);
err_free:
	free(c);
	return err;
}

static void listen_again(void *ctx)
{
	struct query *q = ctx;

	if (q->nr_clients < MAX_CLIENTS)
		rwy_loop_modify_fd(q->source, EPOLLIN);
}

static void pause_listening(struct query *q)
{
	rwy_loop_modify_fd(q->source, 0);
	rwy_loop_arm_timer(q->relisten, rwy_loop_now_ns(q->control->loop) + ACCEPT_PAUSE_NS);
}

/* With all places taken, further clients wait in the socket's queue. */
static void on_listen(void *ctx, uint32_t epoll_events)
{
	struct query *q = ctx;
	int fd = accept4(q->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)epoll_events;
	if (fd < 0) {
		/* Out of descriptors: the client stays in the queue and would wake us at once. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_listening(q);
		return;
	}
	if (add_client(q, fd))
		close(fd);
	if (q->nr_clients == MAX_CLIENTS)
		rwy_loop_modify_fd(q->source, 0);
}

/* Made under a tight umask: there is no moment in which others could connect. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_rwy_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (unlink(path) && errno != ENOENT)
		return -errno;

	mode_t old = umask(0177);
	int err = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(old);
	if (!err && listen(fd, 64))
		err = -errno;
	return err ? err : rwy_steal_fd(&fd);
}

int query_create(struct query **query, struct control *control, const char *rundir)
{
	struct query *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return -ENOMEM;
	q->control = control;
	TAILQ_INIT(&q->clients);
	int len = snprintf(q->path, sizeof(q->path), "%s/%s", rundir, RWY_QUERY_SOCKET);
	if ((size_t)len >= sizeof(q->path)) {
		err = -ENAMETOOLONG;
		goto err_free;
	}
	q->fd = listen_at(q->path);
	if (q->fd < 0) {
		err = q->fd;
		goto err_free;
	}
	err = rwy_loop_add_timer(control->loop, wake_clients, q, &q->waker);
	if (err)
		goto err_close;
	err = rwy_loop_add_timer(control->loop, listen_again, q, &q->relisten);
	if (err)
		goto err_waker;
	err = rwy_loop_add_fd(control->loop, q->fd, EPOLLIN, on_listen, q, &q->source);
	if (err)
		goto err_relisten;
	*query = q;
	return 0;

err_relisten:
	rwy_loop_remove_timer(q->relisten);
err_waker:
	rwy_loop_remove_timer(q->waker);
err_close:
	close(q->fd);
	unlink(q->path);
err_free:
	free(q);
	return err;
}

void query_destroy(struct query *query)
{
	struct client *c;

	if (!query)
		return;
	while ((c = TAILQ_FIRST(&query->clients)))
		drop(c);
	rwy_loop_remove(query->source);
	rwy_loop_remove_timer(query->relisten);
	rwy_loop_remove_timer(query->waker);
	close(query->fd);
	unlink(query->path);
	free(query);
}
