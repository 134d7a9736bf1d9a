/* SPDX-License-Identifier: MIT */
/*
 * The world that check_storemux.c and check_storemux_flow.c put the store mux into: a process for the mux, a store ring, an
 * event channel (a pair of eventfds behind the four libxenevtchn functions that the mux calls), and
 * a small xenstored in a thread at the ring's other end, which can hold back its answers and lie.
 * Of the store it does only what the tests look at: transactions exist, but isolate nothing.
 */
#pragma once
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>
#include "common/log.h"
#include "common/xenloop/storemux.h"

#define PORT	     7u
#define FIRST_INDEX  (UINT32_MAX - 600u) /* every test crosses 2^32 soon */
#define NODES_MAX    256
#define WATCHES_MAX  512
#define TX_MAX	     64
#define DEADLINE_SEC 20

/* The event channel, in place of libxenevtchn's. */

struct xenevtchn_handle {
	int rx_fd, tx_fd;
};

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->rx_fd;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint64_t count;

	return read(xce->rx_fd, &count, sizeof(count)) < 0 ? -1 : (int)PORT;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	return port == PORT ? 0 : -1;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	return port == PORT ? eventfd_write(xce->tx_fd, 1) : -1;
}

enum lie {
	LIE_NONE,
	LIE_UNKNOWN_ID,
	LIE_WRONG_TYPE,
	LIE_BAD_INDEX,
	LIE_LONG_BODY,
	LIE_BAD_TX_ID,
	LIE_BAD_EVENT,
	LIE_ERROR_WORD,
};

struct node {
	char *path, *value;
	uint32_t value_bytes;
};

struct watch {
	char *path, *token;
};

struct store {
	struct xenstore_domain_interface *ring;
	int rx_fd, tx_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop, hold;
	enum lie lie;
	struct node nodes[NODES_MAX];
	struct watch watches[WATCHES_MAX];
	uint32_t tx_ids[TX_MAX];
	uint32_t nodes_used, watches_used, tx_used, next_tx_id;
	uint32_t watches_made, resets, longest_token;
};

static struct {
	struct store store;
	struct xenstore_domain_interface *ring;
	pid_t mux_pid;
	int listen_fd, log_fd;
	int mux_exit; /* -1: not yet waited for */
	int expected_exit;
	char dir[64], path[96];
} world;

/* Wait for the mux's event; false: the store is to stop. */
static bool store_sleep(struct store *s)
{
	struct pollfd pfd = {.fd = s->rx_fd, .events = POLLIN};
	uint64_t count;

	ck_assert_int_ge(poll(&pfd, 1, -1), 0);
	if (read(s->rx_fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return !__atomic_load_n(&s->stop, __ATOMIC_SEQ_CST);
}

/* Byte by byte: slow, obvious, and nothing like the code under test. */
static bool store_read(struct store *s, void *buf, uint32_t bytes)
{
	struct xenstore_domain_interface *r = s->ring;

	for (uint32_t i = 0; i < bytes; i++) {
		uint32_t cons = r->req_cons;

		while (__atomic_load_n(&r->req_prod, __ATOMIC_SEQ_CST) == cons) {
			eventfd_write(s->tx_fd, 1);
			if (!store_sleep(s))
				return false;
		}
		((char *)buf)[i] = r->req[cons % XENSTORE_RING_SIZE];
		__atomic_store_n(&r->req_cons, cons + 1, __ATOMIC_SEQ_CST);
	}
	return true;
}

static bool store_write(struct store *s, const void *buf, uint32_t bytes)
{
	struct xenstore_domain_interface *r = s->ring;

	for (uint32_t i = 0; i < bytes; i++) {
		uint32_t prod = r->rsp_prod;

		while (prod - __atomic_load_n(&r->rsp_cons, __ATOMIC_SEQ_CST) ==
		       XENSTORE_RING_SIZE) {
			eventfd_write(s->tx_fd, 1);
			if (!store_sleep(s))
				return false;
		}
		r->rsp[prod % XENSTORE_RING_SIZE] = ((const char *)buf)[i];
		__atomic_store_n(&r->rsp_prod, prod + 1, __ATOMIC_SEQ_CST);
	}
	eventfd_write(s->tx_fd, 1);
	return true;
}

static bool store_reply(struct store *s, struct xsd_sockmsg hdr, const void *body, uint32_t bytes)
{
	hdr.len = bytes;
	return store_write(s, &hdr, sizeof(hdr)) && store_write(s, body, bytes);
}

static bool store_error(struct store *s, struct xsd_sockmsg hdr, const char *name)
{
	hdr.type = XS_ERROR;
	return store_reply(s, hdr, name, strlen(name) + 1);
}

static bool store_fire(struct store *s, const char *path, const struct watch *watch)
{
	size_t path_bytes = strlen(path) + 1, token_bytes = strlen(watch->token) + 1;
	char body[XENSTORE_PAYLOAD_MAX];

	memcpy(body, path, path_bytes);
	memcpy(body + path_bytes, watch->token, token_bytes);
	return store_reply(s, (struct xsd_sockmsg){.type = XS_WATCH_EVENT}, body,
			   path_bytes + token_bytes);
}

static struct node *store_node(struct store *s, const char *path)
{
	for (uint32_t i = 0; i < s->nodes_used; i++)
		if (strcmp(s->nodes[i].path, path) == 0)
			return &s->nodes[i];
	return NULL;
}

static int store_tx(struct store *s, uint32_t tx_id)
{
	for (uint32_t i = 0; i < s->tx_used; i++)
		if (s->tx_ids[i] == tx_id)
			return i;
	return -1;
}

static bool do_read(struct store *s, struct xsd_sockmsg hdr, const char *body)
{
	struct node *node = store_node(s, body);

	if (!node)
		return store_error(s, hdr, "ENOENT");
	return store_reply(s, hdr, node->value, node->value_bytes);
}

static bool do_write(struct store *s, struct xsd_sockmsg hdr, const char *body)
{
	struct node *node = store_node(s, body);

	if (!node) {
		ck_assert_uint_lt(s->nodes_used, NODES_MAX);
		node = &s->nodes[s->nodes_used++];
		node->path = strdup(body);
	}
	free(node->value);
	node->value_bytes = hdr.len - strlen(body) - 1;
	node->value = malloc(node->value_bytes + 1);
	memcpy(node->value, body + strlen(body) + 1, node->value_bytes);
	if (!store_reply(s, hdr, "OK", 3))
		return false;
	for (uint32_t i = 0; i < s->watches_used; i++)
		if (xs_path_is_subpath(s->watches[i].path, body) &&
		    !store_fire(s, body, &s->watches[i]))
			return false;
	return true;
}

static int store_watch(struct store *s, const char *path, const char *token)
{
	for (uint32_t i = 0; i < s->watches_used; i++)
		if (strcmp(s->watches[i].path, path) == 0 &&
		    strcmp(s->watches[i].token, token) == 0)
			return i;
	return -1;
}

static bool do_watch(struct store *s, struct xsd_sockmsg hdr, const char *body)
{
	const char *token = body + strlen(body) + 1;
	struct watch *watch = &s->watches[s->watches_used];

	if (body[0] == '!')
		return store_error(s, hdr, "EINVAL");
	if (store_watch(s, body, token) >= 0)
		return store_error(s, hdr, "EEXIST");
	ck_assert_uint_lt(s->watches_used, WATCHES_MAX);
	*watch = (struct watch){strdup(body), strdup(token)};
	s->watches_used++;
	s->watches_made++;
	if (s->longest_token < strlen(token))
		s->longest_token = strlen(token);
	return store_reply(s, hdr, "OK", 3) && store_fire(s, body, watch);
}

static void forget_watch(struct store *s, uint32_t i)
{
	free(s->watches[i].path);
	free(s->watches[i].token);
	s->watches[i] = s->watches[--s->watches_used];
}

static bool do_unwatch(struct store *s, struct xsd_sockmsg hdr, const char *body)
{
	int i = store_watch(s, body, body + strlen(body) + 1);

	if (i < 0)
		return store_error(s, hdr, "ENOENT");
	forget_watch(s, i);
	return store_reply(s, hdr, "OK", 3);
}

static bool do_tx_start(struct store *s, struct xsd_sockmsg hdr)
{
	char id[16];

	if (hdr.tx_id)
		return store_error(s, hdr, "EBUSY");
	ck_assert_uint_lt(s->tx_used, TX_MAX);
	s->tx_ids[s->tx_used++] = ++s->next_tx_id;
	snprintf(id, sizeof(id), "%u", s->next_tx_id);
	return store_reply(s, hdr, id, strlen(id) + 1);
}

static bool do_tx_end(struct store *s, struct xsd_sockmsg hdr)
{
	int i = store_tx(s, hdr.tx_id);

	if (i < 0)
		return store_error(s, hdr, "ENOENT");
	s->tx_ids[i] = s->tx_ids[--s->tx_used];
	return store_reply(s, hdr, "OK", 3);
}

static bool do_reset(struct store *s, struct xsd_sockmsg hdr)
{
	while (s->watches_used)
		forget_watch(s, 0);
	s->tx_used = 0;
	s->resets++;
	return store_reply(s, hdr, "OK", 3);
}

/* Each of these must end the mux with -EPROTO. */
static bool tell_lie(struct store *s, struct xsd_sockmsg hdr)
{
	switch (s->lie) {
	case LIE_UNKNOWN_ID:
		hdr.req_id ^= 1u << 30;
		return store_reply(s, hdr, "OK", 3);
	case LIE_WRONG_TYPE:
		hdr.type = XS_MKDIR;
		return store_reply(s, hdr, "OK", 3);
	case LIE_BAD_INDEX:
		s->ring->rsp_prod += XENSTORE_RING_SIZE + 1;
		return eventfd_write(s->tx_fd, 1) == 0;
	case LIE_LONG_BODY:
		hdr.len = XENSTORE_PAYLOAD_MAX + 1;
		return store_write(s, &hdr, sizeof(hdr));
	case LIE_BAD_TX_ID:
		return store_reply(s, hdr, "12x", 4);
	case LIE_BAD_EVENT:
		hdr.type = XS_WATCH_EVENT;
		return store_reply(s, hdr, "no token", 9);
	case LIE_ERROR_WORD:
		s->ring->server_features = XENSTORE_SERVER_FEATURE_ERROR;
		s->ring->error = XENSTORE_ERROR_PROTO;
		return eventfd_write(s->tx_fd, 1) == 0;
	default:
		return false;
	}
}

static bool store_handle(struct store *s, struct xsd_sockmsg hdr, const char *body)
{
	if (s->lie)
		return tell_lie(s, hdr);
	if (hdr.tx_id && store_tx(s, hdr.tx_id) < 0)
		return store_error(s, hdr, "ENOENT");
	switch (hdr.type) {
	case XS_READ:
		return do_read(s, hdr, body);
	case XS_WRITE:
		return do_write(s, hdr, body);
	case XS_WATCH:
		return do_watch(s, hdr, body);
	case XS_UNWATCH:
		return do_unwatch(s, hdr, body);
	case XS_TRANSACTION_START:
		return do_tx_start(s, hdr);
	case XS_TRANSACTION_END:
		return do_tx_end(s, hdr);
	case XS_RESET_WATCHES:
		return do_reset(s, hdr);
	default:
		return store_error(s, hdr, "ENOSYS");
	}
}

static void *store_main(void *arg)
{
	struct store *s = arg;
	char body[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg hdr;
	bool more = true;

	while (more && store_read(s, &hdr, sizeof(hdr))) {
		ck_assert_uint_le(hdr.len, XENSTORE_PAYLOAD_MAX);
		if (!store_read(s, body, hdr.len))
			break;
		body[hdr.len] = '\0';
		pthread_mutex_lock(&s->lock);
		while (s->hold && !s->stop)
			pthread_cond_wait(&s->changed, &s->lock);
		more = store_handle(s, hdr, body);
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static void store_set_hold(bool hold)
{
	pthread_mutex_lock(&world.store.lock);
	world.store.hold = hold;
	pthread_cond_broadcast(&world.store.changed);
	pthread_mutex_unlock(&world.store.lock);
}

static inline void store_set_lie(enum lie lie)
{
	pthread_mutex_lock(&world.store.lock);
	world.store.lie = lie;
	pthread_mutex_unlock(&world.store.lock);
}

static void wait_for(bool (*done)(const struct store *s))
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_SEC;
	pthread_mutex_lock(&world.store.lock);
	while (!done(&world.store))
		ck_assert_int_eq(
			pthread_cond_timedwait(&world.store.changed, &world.store.lock, &until), 0);
	pthread_mutex_unlock(&world.store.lock);
}

static inline bool store_is(bool (*done)(const struct store *s))
{
	bool is;

	pthread_mutex_lock(&world.store.lock);
	is = done(&world.store);
	pthread_mutex_unlock(&world.store.lock);
	return is;
}

static bool nothing_left(const struct store *s)
{
	return s->watches_used == 0 && s->tx_used == 0;
}

/* In the runner's process, whatever becomes of the tests'. */
static void make_dir(void)
{
	strcpy(world.dir, "/tmp/check_storemux.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(world.dir));
}

static void remove_dir(void)
{
	snprintf(world.path, sizeof(world.path), "%s/socket", world.dir);
	unlink(world.path);
	rmdir(world.dir);
}

static void listen_here(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(world.path, sizeof(world.path), "%s/socket", world.dir);
	strcpy(addr.sun_path, world.path);
	unlink(world.path); /* of a test that failed */
	world.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(world.listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(world.listen_fd, 128), 0);
	setenv("XENSTORED_PATH", world.path, 1);
}

static void start_mux(xenevtchn_handle *xce)
{
	world.log_fd = memfd_create("log", 0);
	world.mux_exit = -1;
	world.expected_exit = 0;
	world.mux_pid = fork();
	ck_assert_int_ge(world.mux_pid, 0);
	if (world.mux_pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(world.log_fd, STDERR_FILENO);
	rwy_log_init("mux", RWY_LOG_INFO);
	_exit(-storemux_run(world.ring, xce, PORT, world.listen_fd));
}

static void start_world(void)
{
	struct store *s = &world.store;
	struct xenevtchn_handle mux_end = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};

	world.ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(world.ring, MAP_FAILED);
	world.ring->req_cons = world.ring->req_prod = FIRST_INDEX;
	/* A reply that an earlier user of the ring did not read. */
	world.ring->rsp_cons = FIRST_INDEX;
	world.ring->rsp_prod = FIRST_INDEX + 19;
	listen_here();
	start_mux(&mux_end);
	memset(s, 0, sizeof(*s));
	s->ring = world.ring;
	s->rx_fd = mux_end.tx_fd;
	s->tx_fd = mux_end.rx_fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	ck_assert_int_eq(pthread_create(&s->thread, NULL, store_main, s), 0);
}

static void wait_for_mux(void)
{
	int status;

	if (world.mux_exit >= 0)
		return;
	ck_assert_int_eq(waitpid(world.mux_pid, &status, 0), world.mux_pid);
	ck_assert(WIFEXITED(status));
	world.mux_exit = WEXITSTATUS(status);
}

static void stop_world(void)
{
	struct store *s = &world.store;

	if (world.mux_exit < 0)
		kill(world.mux_pid, SIGTERM);
	wait_for_mux();
	ck_assert_int_eq(world.mux_exit, world.expected_exit);
	__atomic_store_n(&s->stop, true, __ATOMIC_SEQ_CST);
	eventfd_write(s->rx_fd, 1);
	store_set_hold(false);
	pthread_join(s->thread, NULL);
	while (s->watches_used)
		forget_watch(s, 0);
	for (uint32_t i = 0; i < s->nodes_used; i++) {
		free(s->nodes[i].path);
		free(s->nodes[i].value);
	}
	munmap(world.ring, 4096);
	close(s->rx_fd);
	close(s->tx_fd);
	close(world.listen_fd);
	close(world.log_fd);
	unlink(world.path);
}

static inline uint32_t log_lines_with(const char *text)
{
	char log[4096];
	ssize_t got = pread(world.log_fd, log, sizeof(log) - 1, 0);
	uint32_t found = 0;

	log[got < 0 ? 0 : got] = '\0';
	for (const char *at = log; (at = strstr(at, text)); at++)
		found++;
	return found;
}
