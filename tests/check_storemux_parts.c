// SPDX-License-Identifier: MIT
/*
 * Tests of the store mux's parts, each alone: the byte ring, the table of who owns what, the
 * client's buffers. check_storemux.c tests the whole.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/xenloop/storemux.h"
#include "common/xenloop/storemux_client.h"
#include "common/xenloop/storemux_ring.h"
#include "common/xenloop/storemux_table.h"
#include "tests/check_main.h"

static struct storemux_message message(uint32_t type, uint32_t id, uint32_t tx_id, const char *body,
				       uint32_t len)
{
	struct storemux_message msg = {
		.hdr = {.type = type, .req_id = id, .tx_id = tx_id, .len = len}};

	memcpy(msg.body, body, len);
	return msg;
}

START_TEST(message_second_wants_exactly_two_strings)
{
	struct storemux_message msg = message(XS_WATCH, 0, 0, "a\0b", 4);

	ck_assert_ptr_eq(storemux_message_second(&msg), msg.body + 2);
	msg = message(XS_WATCH, 0, 0, "a\0", 3);
	ck_assert_str_eq(storemux_message_second(&msg), "");
	for (uint32_t len = 0; len <= 3; len++) {
		msg = message(XS_WATCH, 0, 0, "a\0bc", len);
		ck_assert_ptr_null(storemux_message_second(&msg));
	}
	msg = message(XS_WATCH, 0, 0, "a\0b\0c", 6);
	ck_assert_ptr_null(storemux_message_second(&msg));
}
END_TEST

static void fill(struct storemux_message *msg)
{
	*msg = message(XS_WRITE, 1, 0, "", 0);
	msg->hdr.len = XENSTORE_PAYLOAD_MAX;
	for (uint32_t i = 0; i < XENSTORE_PAYLOAD_MAX; i++)
		msg->body[i] = i * 7 + i / 256;
}

/* Move all bytes of one direction to the other, as xenstored would if it echoed. */
static void echo(struct xenstore_domain_interface *ring)
{
	while (ring->req_cons != ring->req_prod)
		ring->rsp[ring->rsp_prod++ % XENSTORE_RING_SIZE] =
			ring->req[ring->req_cons++ % XENSTORE_RING_SIZE];
}

START_TEST(ring_carries_message_longer_than_itself_across_2_32)
{
	struct xenstore_domain_interface ring = {0};
	struct storemux_message sent, got = {0};
	bool notify = false;
	int rounds = 0;

	ring.req_cons = ring.req_prod = ring.rsp_cons = ring.rsp_prod = UINT32_MAX - 100;
	fill(&sent);
	while (storemux_message_missing(&got) > 0) {
		ck_assert_int_eq(storemux_ring_send(&ring, &sent), rounds < 5);
		echo(&ring);
		ck_assert_int_eq(storemux_ring_receive(&ring, &got, &notify), 0);
		ck_assert_int_lt(rounds++, 5);
	}
	ck_assert_uint_eq(storemux_message_missing(&sent), 0);
	ck_assert_mem_eq(sent.bytes, got.bytes, sizeof(sent.bytes));
	ck_assert(notify);
}
END_TEST

START_TEST(ring_sends_nothing_when_full)
{
	struct xenstore_domain_interface ring = {.req_prod = XENSTORE_RING_SIZE};
	struct storemux_message msg = message(XS_READ, 1, 0, "a", 2);

	ck_assert_int_eq(storemux_ring_send(&ring, &msg), 0);
	ck_assert_uint_eq(msg.done_bytes, 0);
	ring.req_cons = 5;
	ck_assert_int_eq(storemux_ring_send(&ring, &msg), 1);
	ck_assert_uint_eq(msg.done_bytes, 5);
}
END_TEST

START_TEST(ring_notifies_for_room_only_when_it_was_full)
{
	struct xenstore_domain_interface ring = {.rsp_prod = XENSTORE_RING_SIZE - 1};
	struct storemux_message msg = {0};
	bool notify = false;

	ck_assert_int_eq(storemux_ring_receive(&ring, &msg, &notify), 0);
	ck_assert(!notify);
	ring.rsp_prod = ring.rsp_cons + XENSTORE_RING_SIZE;
	msg.done_bytes = 0;
	ck_assert_int_eq(storemux_ring_receive(&ring, &msg, &notify), 0);
	ck_assert(notify);
}
END_TEST

START_TEST(ring_rejects_indexes_out_of_range)
{
	struct xenstore_domain_interface ring = {.req_cons = 1, .rsp_cons = 1};
	struct storemux_message out = message(XS_READ, 1, 0, "a", 2), in = {0};
	bool notify = false;

	ck_assert_int_eq(storemux_ring_send(&ring, &out), -EPROTO);
	ck_assert_int_eq(storemux_ring_receive(&ring, &in, &notify), -EPROTO);
	ck_assert_int_eq(storemux_ring_discard(&ring), -EPROTO);
	ring.req_prod = ring.rsp_prod = XENSTORE_RING_SIZE + 2;
	ck_assert_int_eq(storemux_ring_send(&ring, &out), -EPROTO);
	ck_assert_int_eq(storemux_ring_receive(&ring, &in, &notify), -EPROTO);
	ck_assert_int_eq(storemux_ring_discard(&ring), -EPROTO);
	ck_assert_uint_eq(ring.rsp_cons, 1);
}
END_TEST

START_TEST(ring_rejects_long_body_and_error_word)
{
	struct xenstore_domain_interface ring = {.rsp_prod = 16};
	struct xsd_sockmsg hdr = {.type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1};
	struct storemux_message out = message(XS_READ, 1, 0, "a", 2), in = {0};
	bool notify = false;

	memcpy(ring.rsp, &hdr, sizeof(hdr));
	ck_assert_int_eq(storemux_ring_receive(&ring, &in, &notify), -EPROTO);
	in.done_bytes = 0;
	ring.rsp_cons = 0;
	ring.rsp_prod = 1;
	ring.error = XENSTORE_ERROR_COMM; /* without the feature bit the word means nothing */
	ck_assert_int_eq(storemux_ring_receive(&ring, &in, &notify), 0);
	ring.server_features = XENSTORE_SERVER_FEATURE_ERROR;
	ring.rsp_prod = 2;
	ck_assert_int_eq(storemux_ring_receive(&ring, &in, &notify), -EPROTO);
	ck_assert_int_eq(storemux_ring_send(&ring, &out), -EPROTO);
}
END_TEST

static struct storemux_table *new_table(void)
{
	struct storemux_table *table;

	ck_assert_int_eq(storemux_table_create(&table), 0);
	return table;
}

START_TEST(table_request_ids_are_unique_and_die_once)
{
	struct storemux_table *table = new_table();
	struct storemux_request *first = storemux_table_add_request(table, 3), taken;
	uint32_t id = first->ring_id;

	first->client_id = 42;
	ck_assert_uint_ne(id, 0);
	ck_assert(!storemux_table_take_request(table, 0, &taken));
	ck_assert(!storemux_table_take_request(table, id + 1, &taken));
	ck_assert(storemux_table_take_request(table, id, &taken));
	ck_assert_uint_eq(taken.client_id, 42);
	ck_assert_uint_eq(taken.owner, 3);
	ck_assert(!storemux_table_take_request(table, id, &taken));
	ck_assert_uint_ne(storemux_table_add_request(table, 3)->ring_id, id);
	storemux_table_destroy(table);
}
END_TEST

START_TEST(table_gives_each_owner_its_share_of_requests)
{
	struct storemux_table *table = new_table();
	uint32_t last = STOREMUX_CLIENTS_MAX - 1;

	for (uint32_t i = 0; i < STOREMUX_REQUESTS_PER_CLIENT; i++) {
		ck_assert(storemux_table_has_room(table, 0));
		ck_assert_ptr_nonnull(storemux_table_add_request(table, 0));
	}
	ck_assert(!storemux_table_has_room(table, 0));
	ck_assert_ptr_null(storemux_table_add_request(table, 0));
	ck_assert(storemux_table_has_room(table, last));
	ck_assert(storemux_table_is_idle(table, last));
	ck_assert_ptr_nonnull(storemux_table_add_request(table, last));
	ck_assert(!storemux_table_is_idle(table, last));
	storemux_table_destroy(table);
}
END_TEST

START_TEST(table_keeps_equal_watches_of_two_owners_apart)
{
	struct storemux_table *table = new_table();
	struct storemux_watch *a, *b;
	uint32_t id;

	ck_assert_int_eq(storemux_table_add_watch(table, 0, "p", "t", &a), 0);
	ck_assert_int_eq(storemux_table_add_watch(table, 1, "p", "t", &b), 0);
	ck_assert_ptr_eq(storemux_table_find_watch(table, 0, "p", "t"), a);
	ck_assert_ptr_eq(storemux_table_find_watch(table, 1, "p", "t"), b);
	ck_assert_ptr_null(storemux_table_find_watch(table, 1, "p", "u"));
	ck_assert_ptr_eq(storemux_table_find_watch_by_id(table, b->ring_id), b);
	ck_assert_ptr_null(storemux_table_any_watch(table, 0));
	a->state = STOREMUX_WATCH_LIVE;
	ck_assert_ptr_eq(storemux_table_any_watch(table, 0), a);
	a->state = STOREMUX_WATCH_REMOVING;
	ck_assert_ptr_null(storemux_table_find_watch(table, 0, "p", "t"));
	id = a->ring_id;
	storemux_table_remove_watch(table, a);
	ck_assert(storemux_table_is_idle(table, 0));
	ck_assert_int_eq(storemux_table_add_watch(table, 0, "p", "t", &a), 0);
	ck_assert_ptr_null(storemux_table_find_watch_by_id(table, id));
	storemux_table_destroy(table);
}
END_TEST

START_TEST(table_bounds_watches)
{
	struct storemux_table *table = new_table();
	struct storemux_watch *watch;
	char token[16];

	for (uint32_t i = 0; i < STOREMUX_WATCHES_PER_CLIENT; i++) {
		snprintf(token, sizeof(token), "%u", i);
		ck_assert_int_eq(storemux_table_add_watch(table, 5, "p", token, &watch), 0);
	}
	ck_assert_int_eq(storemux_table_add_watch(table, 5, "p", "more", &watch), -E2BIG);
	ck_assert_int_eq(storemux_table_add_watch(table, 6, "p", "more", &watch), 0);
	storemux_table_destroy(table);
}
END_TEST

START_TEST(table_bounds_transactions_with_reservations)
{
	struct storemux_table *table = new_table();

	for (uint32_t i = 0; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++)
		ck_assert_int_eq(storemux_table_reserve_tx(table, 2), 0);
	ck_assert_int_eq(storemux_table_reserve_tx(table, 2), -ENOSPC);
	for (uint32_t i = 1; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++)
		storemux_table_commit_tx(table, 2, 100 + i);
	ck_assert_int_eq(storemux_table_reserve_tx(table, 2), -ENOSPC);
	storemux_table_cancel_tx(table, 2);
	ck_assert_int_eq(storemux_table_reserve_tx(table, 2), 0);
	storemux_table_cancel_tx(table, 2);
	ck_assert(storemux_table_has_tx(table, 2, 101));
	ck_assert(!storemux_table_has_tx(table, 3, 101));
	ck_assert(!storemux_table_has_tx(table, 2, 0));
	for (uint32_t tx_id; (tx_id = storemux_table_any_tx(table, 2));) {
		ck_assert(!storemux_table_is_idle(table, 2));
		storemux_table_remove_tx(table, 2, tx_id);
	}
	ck_assert(storemux_table_is_idle(table, 2));
	storemux_table_destroy(table);
}
END_TEST

static int client_pair(struct storemux_client *client)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(storemux_client_open(client, fds[0]), 0);
	return fds[1];
}

START_TEST(client_receives_one_request_in_any_pieces)
{
	struct storemux_client client;
	struct storemux_message msg = message(XS_READ, 9, 0, "abc", 4);
	int fd = client_pair(&client);

	for (uint32_t i = 0; i < 20; i++) {
		ck_assert_uint_gt(storemux_message_missing(&client.in), 0);
		ck_assert_int_eq(send(fd, msg.bytes + i, 1, 0), 1);
		ck_assert_int_eq(storemux_client_receive(&client), 0);
	}
	ck_assert_uint_eq(storemux_message_missing(&client.in), 0);
	ck_assert_mem_eq(client.in.bytes, msg.bytes, 20);
	ck_assert_uint_eq(storemux_client_wants(&client), 0);
	client.in.done_bytes = 0;
	msg.hdr.len = XENSTORE_PAYLOAD_MAX + 1;
	ck_assert_int_eq(send(fd, msg.bytes, 16, 0), 16);
	ck_assert_int_eq(storemux_client_receive(&client), -E2BIG);
	close(fd);
	storemux_client_close(&client);
}
END_TEST

static void take_message(int fd, uint32_t *received)
{
	struct storemux_message msg;

	ck_assert_int_eq(recv(fd, msg.bytes, 1016, MSG_WAITALL), 1016);
	ck_assert_uint_eq((unsigned char)msg.body[0], (*received)++ % 256);
}

START_TEST(client_queue_is_bounded_and_keeps_order)
{
	struct storemux_client client;
	struct xsd_sockmsg hdr = {.type = XS_WATCH_EVENT, .len = 1000};
	static char body[1000];
	int fd = client_pair(&client);
	uint32_t queued = 0, received = 0;

	while (storemux_client_queue(&client, &hdr, body) == 0) {
		body[0] = ++queued;
		if (received == 0)
			storemux_client_flush(&client);
		/* With the socket full and the queue half so, move the queue's start on. */
		if (received == 0 && !storemux_client_keeps_up(&client)) {
			while (client.queue_start == 0) {
				take_message(fd, &received);
				storemux_client_flush(&client);
			}
		}
		ck_assert_uint_le(client.queue_start + client.queue_bytes, STOREMUX_QUEUE_BYTES);
	}
	ck_assert_uint_gt(received, 0);
	ck_assert_uint_gt(client.queue_bytes, STOREMUX_QUEUE_BYTES - 1016);
	ck_assert(!storemux_client_keeps_up(&client));
	while (received < queued) {
		storemux_client_flush(&client);
		take_message(fd, &received);
	}
	ck_assert(storemux_client_keeps_up(&client));
	close(fd);
	ck_assert_int_eq(storemux_client_queue(&client, &hdr, body), 0);
	storemux_client_flush(&client);
	ck_assert_uint_eq(client.queue_bytes, 0);
	storemux_client_close(&client);
}
END_TEST

static Suite *storemux_parts_suite(void)
{
	Suite *suite = suite_create("storemux_parts");
	TCase *tc = tcase_create("parts");

	tcase_add_test(tc, message_second_wants_exactly_two_strings);
	tcase_add_test(tc, ring_carries_message_longer_than_itself_across_2_32);
	tcase_add_test(tc, ring_sends_nothing_when_full);
	tcase_add_test(tc, ring_notifies_for_room_only_when_it_was_full);
	tcase_add_test(tc, ring_rejects_indexes_out_of_range);
	tcase_add_test(tc, ring_rejects_long_body_and_error_word);
	tcase_add_test(tc, table_request_ids_are_unique_and_die_once);
	tcase_add_test(tc, table_gives_each_owner_its_share_of_requests);
	tcase_add_test(tc, table_keeps_equal_watches_of_two_owners_apart);
	tcase_add_test(tc, table_bounds_watches);
	tcase_add_test(tc, table_bounds_transactions_with_reservations);
	tcase_add_test(tc, client_receives_one_request_in_any_pieces);
	tcase_add_test(tc, client_queue_is_bounded_and_keeps_order);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(storemux_parts_suite)
