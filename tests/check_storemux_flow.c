// SPDX-License-Identifier: MIT
/*
 * Tests of the store mux as a whole, as in check_storemux.c: requests that come in pieces, too long,
 * too many or wrong, clients that do not read, and a xenstored that talks nonsense.
 */
#include "common/xenloop/storemux_client.h"
#include "tests/check_main.h"
#include "tests/storemux_clients.h"

static bool last_of_many_written(const struct store *s)
{
	return store_node((struct store *)s, "many/39") != NULL;
}

START_TEST(requests_sent_before_closing_are_served)
{
	int fd = raw_open();
	char body[32];

	store_set_hold(true);
	for (int i = 0; i < 40; i++) /* more than may be in flight */
		raw_send(fd, XS_WRITE, i, 0, body, sprintf(body, "many/%d", i) + 1);
	close(fd);
	store_set_hold(false);
	wait_for(last_of_many_written);
	pthread_mutex_lock(&world.store.lock);
	ck_assert_uint_eq(world.store.nodes_used, 40);
	pthread_mutex_unlock(&world.store.lock);
}
END_TEST

START_TEST(pipelined_unwatch_finds_its_watch)
{
	int fd = raw_open();

	store_set_hold(true);
	RAW_SEND(fd, XS_WATCH, 1, 0, "data\0t");
	RAW_SEND(fd, XS_UNWATCH, 2, 0, "data\0t");
	RAW_SEND(fd, XS_WATCH, 3, 0, "data\0t");
	RAW_SEND(fd, XS_WATCH, 4, 0, "!\0t");
	RAW_SEND(fd, XS_UNWATCH, 5, 0, "!\0t");
	store_set_hold(false);
	raw_expect(fd, XS_WATCH, 1, "OK");
	raw_expect(fd, XS_WATCH_EVENT, 0, "data\0t");
	raw_expect(fd, XS_UNWATCH, 2, "OK");
	raw_expect(fd, XS_WATCH, 3, "OK");
	raw_expect(fd, XS_WATCH_EVENT, 0, "data\0t");
	raw_expect(fd, XS_ERROR, 4, "EINVAL");
	raw_expect(fd, XS_UNWATCH, 5, "OK");
	close(fd);
	wait_for(nothing_left);
}
END_TEST

START_TEST(request_in_single_bytes_is_served)
{
	int fd = raw_open();
	struct storemux_message msg = message(XS_WRITE, 5, 0, "bytes\0v", 7);
	struct xs_handle *xs = open_store();

	for (uint32_t i = 0; i < 16 + 7; i++) {
		ck_assert_int_eq(send(fd, msg.bytes + i, 1, 0), 1);
		if (i % 8 == 0) /* others go on meanwhile */
			put(xs, XBT_NULL, "other", "1");
	}
	raw_expect(fd, XS_WRITE, 5, "OK");
	expect_value(xs, XBT_NULL, "bytes", "v");
	xs_close(xs);
	close(fd);
}
END_TEST

START_TEST(oversized_request_is_answered_and_closed)
{
	struct xsd_sockmsg hdr = {.type = XS_WRITE, .req_id = 3, .len = XENSTORE_PAYLOAD_MAX + 1};
	int fd = raw_open();
	char byte;

	ck_assert_int_eq(send(fd, &hdr, sizeof(hdr), 0), sizeof(hdr));
	raw_expect(fd, XS_ERROR, 3, "E2BIG");
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	close(fd);
}
END_TEST

START_TEST(reset_watches_is_refused_to_clients)
{
	struct xs_handle *xs = open_store();
	int fd = raw_open();

	ck_assert(xs_watch(xs, "data", "tok"));
	RAW_SEND(fd, XS_RESET_WATCHES, 11, 0, "");
	raw_expect(fd, XS_ERROR, 11, "EPERM");
	pthread_mutex_lock(&world.store.lock);
	ck_assert_uint_eq(world.store.resets, 1); /* the mux's own */
	ck_assert_uint_eq(world.store.watches_used, 1);
	pthread_mutex_unlock(&world.store.lock);
	close(fd);
	xs_close(xs);
}
END_TEST

START_TEST(request_for_one_path_is_exactly_one_string)
{
	static const uint32_t types[] = {XS_DIRECTORY, XS_READ, XS_GET_PERMS, XS_MKDIR, XS_RM};
	int fd = raw_open();

	store_set_hold(true); /* nobody but the mux answers */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		raw_send(fd, types[i], 1, 0, "", 0);
		raw_expect(fd, XS_ERROR, 1, "EINVAL");
		raw_send(fd, types[i], 2, 0, "data", 4);
		raw_expect(fd, XS_ERROR, 2, "EINVAL");
		RAW_SEND(fd, types[i], 3, 0, "data\0data");
		raw_expect(fd, XS_ERROR, 3, "EINVAL");
	}
	store_set_hold(false);
	RAW_SEND(fd, XS_WRITE, 4, 0, "data\0X");
	raw_expect(fd, XS_WRITE, 4, "OK");
	RAW_SEND(fd, XS_READ, 5, 0, "data");
	raw_expect(fd, XS_READ, 5, "X");
	close(fd);
}
END_TEST

static bool writer_is_alone(const struct store *s)
{
	return s->watches_made == 1 && s->watches_used == 0;
}

START_TEST(client_that_reads_no_events_is_dropped_once)
{
	struct xs_handle *xs = open_store();
	int slow = raw_open(), writes = 0;
	char path[1024];

	RAW_SEND(slow, XS_WATCH, 1, 0, "slow\0tok");
	raw_expect(slow, XS_WATCH, 1, "OK");
	memset(path, 'p', sizeof(path) - 1);
	memcpy(path, "slow/", 5);
	path[sizeof(path) - 1] = '\0';
	while (!store_is(writer_is_alone)) {
		put(xs, XBT_NULL, path, "v");
		ck_assert_int_lt(++writes, 4000);
	}
	ck_assert_int_ge(writes, STOREMUX_QUEUE_BYTES / 2 / 1024);
	put(xs, XBT_NULL, path, "w");
	expect_value(xs, XBT_NULL, path, "w");
	ck_assert_uint_eq(log_lines_with("does not read"), 1);
	xs_close(xs);
	close(slow);
}
END_TEST

START_TEST(client_that_reads_replies_late_loses_none)
{
	struct xs_handle *xs = open_store();
	enum {
		REQUESTS = 400,
		SIZE = 16 + 4
	};
	static char requests[REQUESTS * SIZE], value[4000];
	int late = raw_open();

	memset(value, 'v', sizeof(value) - 1);
	put(xs, XBT_NULL, "big", value);
	for (int i = 0; i < REQUESTS; i++) {
		struct storemux_message msg = message(XS_READ, i, 0, "big", 4);

		memcpy(requests + i * SIZE, msg.bytes, SIZE);
	}
	ck_assert_int_eq(send(late, requests, sizeof(requests), 0), sizeof(requests));
	for (int i = 0; i < 100; i++)
		put(xs, XBT_NULL, "other", "1");
	for (int i = 0; i < REQUESTS; i++)
		raw_expect(late, XS_READ, i, value);
	xs_close(xs);
	close(late);
}
END_TEST

START_TEST(full_ring_holds_clients_back_without_loss)
{
	enum {
		CLIENTS = 3,
		REQUESTS = 20
	};
	static char body[3000] = "k";
	int fds[CLIENTS];

	store_set_hold(true);
	for (int c = 0; c < CLIENTS; c++) {
		fds[c] = raw_open();
		for (int i = 0; i < REQUESTS; i++)
			raw_send(fds[c], XS_WRITE, i, 0, body, sizeof(body));
	}
	store_set_hold(false);
	for (int c = 0; c < CLIENTS; c++) {
		for (int i = 0; i < REQUESTS; i++)
			raw_expect(fds[c], XS_WRITE, i, "OK");
		close(fds[c]);
	}
}
END_TEST

START_TEST(clients_are_served_in_turn)
{
	enum {
		CLIENTS = 5,
		REQUESTS = 20
	};
	int fds[CLIENTS];
	static char body[900];

	store_set_hold(true);
	for (int c = 0; c < CLIENTS; c++) {
		fds[c] = raw_open();
		for (int i = 0; i < REQUESTS; i++) {
			snprintf(body, sizeof(body), "turn/%d/%d", c, i);
			raw_send(fds[c], XS_WRITE, i, 0, body, sizeof(body));
		}
	}
	store_set_hold(false);
	for (int c = 0; c < CLIENTS; c++) {
		for (int i = 0; i < REQUESTS; i++)
			raw_expect(fds[c], XS_WRITE, i, "OK");
		close(fds[c]);
	}
	/* Nodes are in the order of writing: none has come last. */
	pthread_mutex_lock(&world.store.lock);
	for (int c = 0; c < CLIENTS; c++) {
		snprintf(body, sizeof(body), "turn/%d/5", c);
		ck_assert_int_lt(store_node(&world.store, body) - world.store.nodes, 10 * CLIENTS);
	}
	pthread_mutex_unlock(&world.store.lock);
}
END_TEST

START_TEST(shares_of_a_client_are_bounded)
{
	int fd = raw_open();
	char body[32];

	for (uint32_t i = 0; i < STOREMUX_WATCHES_PER_CLIENT; i++) {
		raw_send(fd, XS_WATCH, i, 0, body, sprintf(body, "p%ct%u", 0, i) + 1);
		ck_assert_uint_eq(raw_receive(fd).hdr.type, XS_WATCH);
		ck_assert_uint_eq(raw_receive(fd).hdr.type, XS_WATCH_EVENT);
	}
	RAW_SEND(fd, XS_WATCH, 1, 0, "p\0t");
	raw_expect(fd, XS_ERROR, 1, "E2BIG");
	for (uint32_t i = 0; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++) {
		RAW_SEND(fd, XS_TRANSACTION_START, i, 0, "");
		ck_assert_uint_eq(raw_receive(fd).hdr.type, XS_TRANSACTION_START);
	}
	RAW_SEND(fd, XS_TRANSACTION_START, 2, 0, "");
	raw_expect(fd, XS_ERROR, 2, "ENOSPC");
	close(fd);
	wait_for(nothing_left);
}
END_TEST

static bool all_watch(const struct store *s)
{
	return s->watches_used == STOREMUX_CLIENTS_MAX;
}

START_TEST(one_client_too_many_is_turned_away)
{
	int fds[STOREMUX_CLIENTS_MAX], more;
	char byte;

	for (uint32_t i = 0; i < STOREMUX_CLIENTS_MAX; i++) {
		fds[i] = raw_open();
		RAW_SEND(fds[i], XS_WATCH, i, 0, "p\0t");
		raw_expect(fds[i], XS_WATCH, i, "OK");
		raw_expect(fds[i], XS_WATCH_EVENT, 0, "p\0t");
	}
	more = raw_open();
	ck_assert_int_eq(recv(more, &byte, 1, 0), 0);
	close(more);
	close(fds[3]);
	/* Its place is free when its watch is known to be removed. */
	while (store_is(all_watch)) {
		RAW_SEND(fds[0], XS_READ, 1, 0, "none");
		raw_expect(fds[0], XS_ERROR, 1, "ENOENT");
	}
	RAW_SEND(fds[0], XS_READ, 1, 0, "none");
	raw_expect(fds[0], XS_ERROR, 1, "ENOENT");
	fds[3] = raw_open();
	RAW_SEND(fds[3], XS_READ, 1, 0, "none");
	raw_expect(fds[3], XS_ERROR, 1, "ENOENT");
	for (uint32_t i = 0; i < STOREMUX_CLIENTS_MAX; i++)
		close(fds[i]);
	wait_for(nothing_left);
}
END_TEST

static const enum lie lies[] = {LIE_UNKNOWN_ID, LIE_WRONG_TYPE, LIE_BAD_INDEX, LIE_LONG_BODY,
				LIE_BAD_TX_ID,	LIE_BAD_EVENT,	LIE_ERROR_WORD};

START_TEST(nonsense_from_xenstored_ends_the_mux)
{
	int fd = raw_open();
	char byte;

	RAW_SEND(fd, XS_READ, 1, 0, "none");
	raw_expect(fd, XS_ERROR, 1, "ENOENT");
	store_set_lie(lies[_i]);
	if (lies[_i] == LIE_BAD_TX_ID)
		RAW_SEND(fd, XS_TRANSACTION_START, 2, 0, "");
	else
		RAW_SEND(fd, XS_READ, 2, 0, "none");
	wait_for_mux();
	world.expected_exit = EPROTO;
	while (recv(fd, &byte, 1, 0) > 0)
		;
	close(fd);
}
END_TEST

START_TEST(broken_listening_socket_ends_the_mux)
{
	ck_assert_int_eq(shutdown(world.listen_fd, SHUT_RDWR), 0);
	wait_for_mux();
	world.expected_exit = EPIPE;
}
END_TEST

static Suite *storemux_flow_suite(void)
{
	Suite *suite = suite_create("storemux_flow");
	TCase *tc = tcase_create("whole");

	tcase_set_timeout(tc, 2 * DEADLINE_SEC);
	tcase_add_unchecked_fixture(tc, make_dir, remove_dir);
	tcase_add_checked_fixture(tc, start_world, stop_world);
	tcase_add_test(tc, requests_sent_before_closing_are_served);
	tcase_add_test(tc, pipelined_unwatch_finds_its_watch);
	tcase_add_test(tc, request_in_single_bytes_is_served);
	tcase_add_test(tc, oversized_request_is_answered_and_closed);
	tcase_add_test(tc, reset_watches_is_refused_to_clients);
	tcase_add_test(tc, request_for_one_path_is_exactly_one_string);
	tcase_add_test(tc, client_that_reads_no_events_is_dropped_once);
	tcase_add_test(tc, client_that_reads_replies_late_loses_none);
	tcase_add_test(tc, full_ring_holds_clients_back_without_loss);
	tcase_add_test(tc, clients_are_served_in_turn);
	tcase_add_test(tc, shares_of_a_client_are_bounded);
	tcase_add_test(tc, one_client_too_many_is_turned_away);
	tcase_add_loop_test(tc, nonsense_from_xenstored_ends_the_mux, 0,
			    sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, broken_listening_socket_ends_the_mux);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(storemux_flow_suite)
