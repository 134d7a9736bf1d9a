// SPDX-License-Identifier: MIT
/*
 * Watch events as no well-behaved store sends them: storms, events of watches long gone, malformed
 * ones, and a store that dies. The store is a thread here that speaks just enough of the protocol:
 * it says OK to XS_WATCH and XS_UNWATCH, and sends the events that the test makes up.
 */
#include "common/xenbus_impl.h"
#include "tests/check_main.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <dirent.h>
#include <unistd.h>

#define EVENT_WAIT_MS 5000

static struct {
	char dir[32];
	int listener;
	int conn;
	pthread_t thread;
	char token[32]; /* of the watch added last */
	bool refuse_watches;
} store;

static struct rwy_xenbus *xb;

/* ---- the store */

static void store_send(uint32_t type, const void *body, size_t len)
{
	struct xsd_sockmsg header = {.type = type, .len = (uint32_t)len};

	if (send(store.conn, &header, sizeof(header), MSG_NOSIGNAL | (len ? MSG_MORE : 0)) > 0 &&
	    len)
		send(store.conn, body, len, MSG_NOSIGNAL);
}

static void store_event(const char *path, const char *token)
{
	char body[1200];
	int len = snprintf(body, sizeof(body), "%s%c%s", path, '\0', token);

	store_send(XS_WATCH_EVENT, body, (size_t)len + 1);
}

static void store_answer(const struct xsd_sockmsg *header, const char *body)
{
	if (header->type == XS_WATCH && store.refuse_watches) {
		store_send(XS_ERROR, "E2BIG", sizeof("E2BIG"));
		return;
	}
	store_send(header->type, "OK", sizeof("OK"));
	if (header->type == XS_WATCH) {
		const char *token = body + strlen(body) + 1;

		snprintf(store.token, sizeof(store.token), "%s", token);
		store_event(body, token);
	}
}

static void *store_main(void *arg)
{
	struct xsd_sockmsg header;
	char body[XENSTORE_PAYLOAD_MAX + 1];

	store.conn = accept4(store.listener, NULL, NULL, SOCK_CLOEXEC);
	while (recv(store.conn, &header, sizeof(header), MSG_WAITALL) == sizeof(header)) {
		if (header.len && recv(store.conn, body, header.len, MSG_WAITALL) <= 0)
			break;
		body[header.len] = '\0';
		store_answer(&header, body);
	}
	shutdown(store.conn, SHUT_RDWR);
	return arg;
}

static void store_die(void)
{
	shutdown(store.conn, SHUT_RDWR);
	pthread_join(store.thread, NULL);
	store.thread = 0;
}

static void set_up(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memset(&store, 0, sizeof(store));
	strcpy(store.dir, "/tmp/check_events-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(store.dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", store.dir);
	setenv("XENSTORED_PATH", address.sun_path, 1);
	store.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(store.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(store.listener, 1), 0);
	ck_assert_int_eq(pthread_create(&store.thread, NULL, store_main, NULL), 0);
	ck_assert_int_eq(rwy_xenbus_open(&xb), 0);
}

static void tear_down(void)
{
	rwy_xenbus_close(xb);
	if (store.thread)
		pthread_join(store.thread, NULL);
	close(store.conn);
	close(store.listener);
	unlink(getenv("XENSTORED_PATH"));
	rmdir(store.dir);
}

/* ---- what the test sees */

struct seen {
	struct rwy_xenbus_watch *watch;
	char token[32];
	unsigned int calls;
	char last[RWY_XENBUS_PATH_BYTES];
	void (*then)(struct seen *seen);
};

static void saw(void *ctx, const char *path)
{
	struct seen *seen = ctx;

	seen->calls++;
	snprintf(seen->last, sizeof(seen->last), "%s", path);
	if (seen->then)
		seen->then(seen);
}

static bool fd_is_readable(int timeout_ms)
{
	struct pollfd p = {.fd = rwy_xenbus_fd(xb), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static bool watch_waits(const struct rwy_xenbus_watch *watch)
{
	struct rwy_xenbus_watch *last;

	pthread_mutex_lock(&xb->events.lock);
	last = TAILQ_LAST(&xb->events.pending, rwy_xenbus_pending);
	pthread_mutex_unlock(&xb->events.lock);
	return last == watch;
}

/* The pump has collected what was sent before `watch`'s event. */
static void wait_for(const struct rwy_xenbus_watch *watch)
{
	while (!watch_waits(watch))
		sched_yield();
}

/* Added, and its first event taken. */
static void add_watch(struct seen *seen, const char *path)
{
	ck_assert_int_eq(rwy_xenbus_add_watch(xb, saw, seen, &seen->watch, "%s", path), 0);
	wait_for(seen->watch);
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), 0);
	snprintf(seen->token, sizeof(seen->token), "%s", store.token);
	seen->calls = 0;
	seen->last[0] = '\0';
}

/* Two watches: one to look at, and one whose event marks the end of what was sent. */
static struct seen subject, marker;

static void set_up_watches(void)
{
	set_up();
	memset(&subject, 0, sizeof(subject));
	memset(&marker, 0, sizeof(marker));
	add_watch(&subject, "/w");
	add_watch(&marker, "/marker");
}

static void collect_all(void)
{
	store_event("/marker", marker.token);
	wait_for(marker.watch);
}

static void dispatch_all(void)
{
	while (fd_is_readable(0))
		ck_assert_int_eq(rwy_xenbus_dispatch(xb), 0);
}

/* ---- storms */

START_TEST(many_events_for_one_path_are_one_call)
{
	for (int i = 0; i < 10000; i++)
		store_event("/w/state", subject.token);
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 1);
	ck_assert_str_eq(subject.last, "/w/state");
}
END_TEST

START_TEST(a_few_paths_are_told_apart)
{
	for (int i = 0; i < 80; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/w/%d", i % 8);
		store_event(path, subject.token);
	}
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 8);
	ck_assert_str_eq(subject.last, "/w/7");
}
END_TEST

START_TEST(many_paths_become_the_watched_one)
{
	for (int i = 0; i < 5000; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/w/%d", i);
		store_event(path, subject.token);
	}
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 1);
	ck_assert_str_eq(subject.last, "/w");
	store_event("/w/new", subject.token);
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 2);
	ck_assert_str_eq(subject.last, "/w/new");
}
END_TEST

#define NR_WATCHES 100

START_TEST(one_dispatch_is_bounded_and_the_fd_tells_of_the_rest)
{
	struct seen seen[NR_WATCHES] = {0};
	unsigned int total = 0;

	for (int i = 0; i < NR_WATCHES; i++)
		add_watch(&seen[i], "/w");
	for (int i = 0; i < NR_WATCHES; i++)
		store_event("/w", seen[i].token);
	collect_all();
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), 0);
	for (int i = 0; i < NR_WATCHES; i++)
		total += seen[i].calls;
	ck_assert_uint_ge(total, 1);
	ck_assert_uint_lt(total, NR_WATCHES);
	ck_assert(fd_is_readable(0));
	dispatch_all();
	for (int i = 0; i < NR_WATCHES; i++)
		ck_assert_uint_eq(seen[i].calls, 1);
	ck_assert(!fd_is_readable(0));
}
END_TEST

static void provoke(struct seen *seen)
{
	store_event("/w", seen->token);
	wait_for(seen->watch);
}

/* Each callback brings the next event: the marker still gets its turn, and dispatch returns. */
START_TEST(storming_watch_does_not_starve_another)
{
	subject.then = provoke;
	store_event("/w", subject.token);
	collect_all();
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), 0);
	ck_assert_uint_eq(marker.calls, 1);
	ck_assert_uint_le(subject.calls, 64);
	ck_assert(fd_is_readable(0));
	subject.then = NULL;
}
END_TEST

/* ---- events nobody waits for */

START_TEST(stale_and_malformed_events_are_dropped)
{
	char gone[32];

	strcpy(gone, subject.token);
	rwy_xenbus_remove_watch(subject.watch);
	store_event("/w", gone);
	store_event("/w", "");
	store_event("/w", "-1");
	store_event("/w", "18446744073709551616");
	store_event("/w", "0x7ffff7dd5000");
	store_send(XS_WATCH_EVENT, "/w", sizeof("/w"));
	store_send(XS_WATCH_EVENT, "", 0);
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 0);
	ck_assert_uint_eq(marker.calls, 1);
}
END_TEST

START_TEST(new_watch_does_not_get_a_stale_event)
{
	struct seen other = {0};
	char gone[32];

	strcpy(gone, subject.token);
	rwy_xenbus_remove_watch(subject.watch);
	add_watch(&other, "/w");
	ck_assert_str_ne(other.token, gone);
	store_event("/w/x", gone);
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(other.calls, 0);
}
END_TEST

START_TEST(events_waiting_for_a_removed_watch_are_dropped)
{
	store_event("/w/1", subject.token);
	collect_all();
	rwy_xenbus_remove_watch(subject.watch);
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 0);
	ck_assert_uint_eq(marker.calls, 1);
}
END_TEST

static void remove_self(struct seen *seen)
{
	rwy_xenbus_remove_watch(seen->watch);
}

static void remove_marker(struct seen *seen)
{
	rwy_xenbus_remove_watch(marker.watch);
	seen->then = NULL;
}

START_TEST(watch_that_removes_itself_gets_no_more_paths)
{
	subject.then = remove_self;
	store_event("/w/1", subject.token);
	store_event("/w/2", subject.token);
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 1);
	ck_assert_str_eq(subject.last, "/w/1");
}
END_TEST

START_TEST(callback_may_remove_a_watch_that_waits)
{
	subject.then = remove_marker;
	store_event("/w/1", subject.token);
	store_event("/w/2", subject.token);
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(subject.calls, 2);
	ck_assert_uint_eq(marker.calls, 0);
}
END_TEST

/* ---- the end of the store */

static bool is_lost(void)
{
	bool lost;

	pthread_mutex_lock(&xb->events.lock);
	lost = xb->events.lost;
	pthread_mutex_unlock(&xb->events.lock);
	return lost;
}

static void lose_store(void)
{
	store_die();
	while (!is_lost())
		sched_yield();
}

START_TEST(loss_of_the_store_is_told_after_the_last_event)
{
	store_event("/w/last", subject.token);
	collect_all();
	lose_store();
	ck_assert(fd_is_readable(0));
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), -EPIPE);
	ck_assert_str_eq(subject.last, "/w/last");
	ck_assert(fd_is_readable(0));
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), -EPIPE);
}
END_TEST

START_TEST(loss_of_the_store_wakes_who_polls)
{
	ck_assert(!fd_is_readable(0));
	store_die();
	ck_assert(fd_is_readable(EVENT_WAIT_MS));
	ck_assert_int_eq(rwy_xenbus_dispatch(xb), -EPIPE);
}
END_TEST

static int must_not_run(struct rwy_xenbus *store_of, xs_transaction_t tx, void *ctx)
{
	(void)store_of;
	(void)tx;
	(void)ctx;
	ck_abort_msg("a transaction that never began");
}

START_TEST(requests_to_a_lost_store_fail_and_close_still_works)
{
	char buf[8];
	struct rwy_xenbus_watch *watch;
	uint32_t domid = 99;

	lose_store();
	ck_assert_int_lt(rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, buf, sizeof(buf), "/a"), 0);
	ck_assert_int_lt(rwy_xenbus_add_watch(xb, saw, NULL, &watch, "/a"), 0);
	ck_assert_int_lt(rwy_xenbus_transact(xb, must_not_run, NULL), 0);
	ck_assert_int_lt(rwy_xenbus_find_domain(xb, "guest", &domid), 0);
	ck_assert_int_lt(rwy_xenbus_find_domain(xb, "5", &domid), 0);
	ck_assert_uint_eq(domid, 99);
	rwy_xenbus_remove_watch(subject.watch);
}
END_TEST

START_TEST(no_store_at_all_is_an_error)
{
	struct rwy_xenbus *none;

	setenv("XENSTORED_PATH", "/nonexistent/socket", 1);
	ck_assert_int_eq(rwy_xenbus_open(&none), -ENOENT);
	snprintf(subject.last, sizeof(subject.last), "%s/socket", store.dir);
	setenv("XENSTORED_PATH", subject.last, 1);
}
END_TEST

START_TEST(refused_watch_leaves_nothing)
{
	struct seen other = {0};

	store.refuse_watches = true;
	ck_assert_int_eq(rwy_xenbus_add_watch(xb, saw, &other, &other.watch, "/a"), -E2BIG);
	store.refuse_watches = false;
	collect_all();
	dispatch_all();
	ck_assert_uint_eq(other.calls, 0);
}
END_TEST

/* The pump can't be ended then and still uses the handle; tear_down closes it for good. */
START_TEST(close_leaves_the_handle_whole_when_the_store_refuses)
{
	store.refuse_watches = true;
	rwy_xenbus_close(xb);
	store_event("/w", subject.token);
	lose_store();
}
END_TEST

/* ---- signals */

static bool thread_blocks_signals(const char *tid)
{
	char path[300], line[128];
	unsigned long long mask = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	status = fopen(path, "r");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status))
		sscanf(line, "SigBlk: %llx", &mask);
	fclose(status);
	return (mask & 1ull << (SIGTERM - 1)) && (mask & 1ull << (SIGUSR1 - 1));
}

static unsigned int count_blocking_threads(void)
{
	struct dirent **tasks;
	unsigned int blocking = 0;
	int n = scandir("/proc/self/task", &tasks, NULL, alphasort);

	ck_assert_int_gt(n, 0);
	for (int i = 0; i < n; i++) {
		if (thread_blocks_signals(tasks[i]->d_name))
			blocking++;
		free(tasks[i]);
	}
	free(tasks);
	return blocking;
}

/* A thread is born with all blocked: ask the store something, so that its own has got beyond that. */
START_TEST(threads_of_xenbus_take_no_signals)
{
	struct seen seen = {0};
	unsigned int before;

	ck_assert_int_eq(rwy_xenbus_mkdir(xb, RWY_XENBUS_NO_TX, "/a"), 0);
	before = count_blocking_threads();
	add_watch(&seen, "/w");
	/* The pump and libxenstore's reader. */
	ck_assert_uint_eq(count_blocking_threads(), before + 2);
}
END_TEST

static TCase *events_case(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up_watches, tear_down);
	tcase_set_timeout(tc, 20);
	return tc;
}

static Suite *xenbus_events_suite(void)
{
	Suite *suite = suite_create("xenbus_events");
	TCase *tc = events_case("events");

	tcase_add_test(tc, many_events_for_one_path_are_one_call);
	tcase_add_test(tc, a_few_paths_are_told_apart);
	tcase_add_test(tc, many_paths_become_the_watched_one);
	tcase_add_test(tc, one_dispatch_is_bounded_and_the_fd_tells_of_the_rest);
	tcase_add_test(tc, storming_watch_does_not_starve_another);
	tcase_add_test(tc, stale_and_malformed_events_are_dropped);
	tcase_add_test(tc, new_watch_does_not_get_a_stale_event);
	tcase_add_test(tc, events_waiting_for_a_removed_watch_are_dropped);
	tcase_add_test(tc, watch_that_removes_itself_gets_no_more_paths);
	tcase_add_test(tc, callback_may_remove_a_watch_that_waits);
	suite_add_tcase(suite, tc);
	tc = events_case("store");
	tcase_add_test(tc, loss_of_the_store_is_told_after_the_last_event);
	tcase_add_test(tc, loss_of_the_store_wakes_who_polls);
	tcase_add_test(tc, requests_to_a_lost_store_fail_and_close_still_works);
	tcase_add_test(tc, no_store_at_all_is_an_error);
	tcase_add_test(tc, refused_watch_leaves_nothing);
	tcase_add_test(tc, close_leaves_the_handle_whole_when_the_store_refuses);
	suite_add_tcase(suite, tc);
	tc = tcase_create("threads");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, threads_of_xenbus_take_no_signals);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(xenbus_events_suite)
