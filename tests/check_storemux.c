// SPDX-License-Identifier: MIT
/*
 * Tests of the store mux as a whole, in a process of its own, between real libxenstore clients (and
 * raw sockets, for what the library cannot say) and a small xenstored at the other end of the ring:
 * whose is whose, among several clients, and what a client that has died leaves.
 */
#include "tests/check_main.h"
#include "tests/storemux_clients.h"

START_TEST(two_clients_read_what_the_other_wrote)
{
	struct xs_handle *a = open_store(), *b = open_store();
	char big[2500];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put(a, XBT_NULL, "data/a", "one");
	put(b, XBT_NULL, "data/b", big);
	for (int i = 0; i < 50; i++) {
		expect_value(b, XBT_NULL, "data/a", "one");
		expect_value(a, XBT_NULL, "data/b", big);
	}
	ck_assert_ptr_null(xs_read(a, XBT_NULL, "data/c", NULL));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_null(xs_get_domain_path(a, 1));
	ck_assert_int_eq(errno, ENOSYS);
	xs_close(a);
	xs_close(b);
}
END_TEST

START_TEST(equal_request_ids_go_back_to_their_clients)
{
	int a = raw_open(), b = raw_open();

	store_set_hold(true);
	RAW_SEND(a, XS_WRITE, 7, 0, "k\0A");
	RAW_SEND(a, XS_READ, 7, 0, "k");
	RAW_SEND(b, XS_READ, 7, 0, "none");
	RAW_SEND(b, XS_READ, 0, 0, "nor this");
	store_set_hold(false);
	raw_expect(a, XS_WRITE, 7, "OK");
	raw_expect(a, XS_READ, 7, "A");
	raw_expect(b, XS_ERROR, 7, "ENOENT");
	raw_expect(b, XS_ERROR, 0, "ENOENT");
	close(a);
	close(b);
}
END_TEST

START_TEST(two_clients_watch_with_the_same_token)
{
	struct xs_handle *a = open_store(), *b = open_store();

	ck_assert(xs_watch(a, "data", "tok"));
	ck_assert(xs_watch(b, "data", "tok"));
	expect_event(a, "data", "tok");
	expect_event(b, "data", "tok");
	put(a, XBT_NULL, "data/x", "1");
	expect_event(a, "data/x", "tok");
	expect_event(b, "data/x", "tok");
	ck_assert(xs_unwatch(a, "data", "tok"));
	put(a, XBT_NULL, "data/y", "1");
	expect_event(b, "data/y", "tok");
	ck_assert_ptr_null(xs_check_watch(a));
	ck_assert_int_eq(errno, EAGAIN);
	xs_close(a);
	xs_close(b);
	wait_for(nothing_left);
}
END_TEST

/* As under a Linux kernel: each is one, and who ends one too many is told that all is well. */
START_TEST(one_client_watches_twice_with_the_same_token)
{
	struct xs_handle *a = open_store();

	ck_assert(xs_watch(a, "data", "tok"));
	ck_assert(xs_watch(a, "data", "tok"));
	expect_event(a, "data", "tok");
	expect_event(a, "data", "tok");
	ck_assert(xs_unwatch(a, "data", "tok"));
	put(a, XBT_NULL, "data/x", "1");
	expect_event(a, "data/x", "tok");
	ck_assert(xs_unwatch(a, "data", "tok"));
	put(a, XBT_NULL, "data/y", "1");
	ck_assert_ptr_null(xs_check_watch(a));
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert(xs_unwatch(a, "data", "tok"));
	xs_close(a);
	wait_for(nothing_left);
}
END_TEST

START_TEST(refused_watch_leaves_no_trace)
{
	int fd = raw_open();

	/* E2BIG from the mux, if it kept them. */
	for (uint32_t i = 0; i <= STOREMUX_WATCHES_PER_CLIENT; i++) {
		RAW_SEND(fd, XS_WATCH, 1, 0, "!bad\0tok");
		raw_expect(fd, XS_ERROR, 1, "EINVAL");
	}
	RAW_SEND(fd, XS_WATCH, 2, 0, "one string");
	raw_expect(fd, XS_ERROR, 2, "EINVAL");
	RAW_SEND(fd, XS_UNWATCH, 3, 0, "a\0b\0c");
	raw_expect(fd, XS_ERROR, 3, "EINVAL");
	close(fd);
}
END_TEST

START_TEST(longest_strings_come_back_and_longer_are_refused)
{
	int fd = raw_open();
	char body[XENSTORE_PAYLOAD_MAX] = "p";

	memset(body + 2, 't', STOREMUX_TOKEN_MAX + 1);
	raw_send(fd, XS_WATCH, 1, 0, body, 2 + STOREMUX_TOKEN_MAX + 2);
	raw_expect(fd, XS_ERROR, 1, "EINVAL");
	body[2 + STOREMUX_TOKEN_MAX] = '\0';
	raw_send(fd, XS_WATCH, 1, 0, body, 2 + STOREMUX_TOKEN_MAX + 1);
	raw_expect(fd, XS_WATCH, 1, "OK");
	raw_expect(fd, XS_WATCH_EVENT, 0, body);
	memset(body, 'p', XENSTORE_ABS_PATH_MAX + 1);
	memcpy(body + XENSTORE_ABS_PATH_MAX + 1, "\0t", 3);
	raw_send(fd, XS_WATCH, 2, 0, body, XENSTORE_ABS_PATH_MAX + 4);
	raw_expect(fd, XS_ERROR, 2, "EINVAL");
	memcpy(body + XENSTORE_ABS_PATH_MAX, "\0t", 3);
	raw_send(fd, XS_WATCH, 2, 0, body, XENSTORE_ABS_PATH_MAX + 3);
	raw_expect(fd, XS_WATCH, 2, "OK");
	raw_expect(fd, XS_WATCH_EVENT, 0, body);
	pthread_mutex_lock(&world.store.lock);
	ck_assert_uint_le(world.store.longest_token, 16);
	pthread_mutex_unlock(&world.store.lock);
	close(fd);
}
END_TEST

START_TEST(transactions_belong_to_their_client)
{
	struct xs_handle *a = open_store(), *b = open_store();
	xs_transaction_t ta = xs_transaction_start(a), tb = xs_transaction_start(b);

	ck_assert_uint_ne(ta, 0);
	ck_assert_uint_ne(tb, 0);
	put(a, ta, "data/t", "v");
	expect_value(a, ta, "data/t", "v");
	ck_assert_ptr_null(xs_read(b, ta, "data/t", NULL));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(!xs_transaction_end(b, ta, false));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(xs_transaction_end(a, ta, false));
	ck_assert(!xs_transaction_end(a, ta, false));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(xs_transaction_end(b, tb, true));
	wait_for(nothing_left);
	xs_close(a);
	xs_close(b);
}
END_TEST

START_TEST(malformed_transaction_end_keeps_it)
{
	int fd = raw_open();
	uint32_t tx_id;

	RAW_SEND(fd, XS_TRANSACTION_START, 1, 0, "");
	tx_id = atoi(raw_receive(fd).body);
	RAW_SEND(fd, XS_TRANSACTION_END, 2, tx_id, "X");
	raw_expect(fd, XS_ERROR, 2, "EINVAL");
	RAW_SEND(fd, XS_TRANSACTION_END, 3, tx_id, "F");
	raw_expect(fd, XS_TRANSACTION_END, 3, "OK");
	RAW_SEND(fd, XS_TRANSACTION_END, 4, 0, "F");
	raw_expect(fd, XS_ERROR, 4, "ENOENT");
	close(fd);
}
END_TEST

START_TEST(ended_and_refused_transactions_free_their_share)
{
	struct xs_handle *xs = open_store();
	int fd = raw_open();
	uint32_t tx_id;

	for (uint32_t i = 0; i < 2 * STOREMUX_TRANSACTIONS_PER_CLIENT; i++) {
		xs_transaction_t tx = xs_transaction_start(xs);

		ck_assert_uint_ne(tx, 0);
		ck_assert(xs_transaction_end(xs, tx, i % 2));
	}
	RAW_SEND(fd, XS_TRANSACTION_START, 1, 0, "");
	tx_id = atoi(raw_receive(fd).body);
	for (uint32_t i = 0; i < STOREMUX_TRANSACTIONS_PER_CLIENT; i++) {
		RAW_SEND(fd, XS_TRANSACTION_START, 2, tx_id, "");
		raw_expect(fd, XS_ERROR, 2, "EBUSY");
	}
	close(fd);
	xs_close(xs);
	wait_for(nothing_left);
}
END_TEST

static bool three_watches_two_tx(const struct store *s)
{
	return s->watches_used == 3 && s->tx_used == 2;
}

START_TEST(killed_client_is_cleaned_up_after)
{
	struct xs_handle *xs = open_store();

	/* The store's thread has started and allocates nothing now: in the child of a fork, a sanitizer's
	 * allocator would stay locked. */
	put(xs, XBT_NULL, "data/y", "1");
	xs_close(xs);
	pthread_mutex_lock(&world.store.lock);
	pid_t pid = fork();

	if (pid)
		pthread_mutex_unlock(&world.store.lock);
	if (pid == 0) {
		struct xs_handle *mine = open_store();

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (const char *token = "abc"; *token; token++)
			ck_assert(xs_watch(mine, "data", token));
		ck_assert(xs_transaction_start(mine) && xs_transaction_start(mine));
		pause();
	}
	wait_for(three_watches_two_tx);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	wait_for(nothing_left);
	xs = open_store();
	put(xs, XBT_NULL, "data/z", "1");
	expect_value(xs, XBT_NULL, "data/z", "1");
	xs_close(xs);
}
END_TEST

static bool one_watch_made_two_tx_started_all_ended(const struct store *s)
{
	return s->watches_made == 1 && s->next_tx_id == 2 && nothing_left(s);
}

START_TEST(what_a_dead_client_had_in_flight_is_ended)
{
	int fd = raw_open();

	store_set_hold(true);
	RAW_SEND(fd, XS_WATCH, 1, 0, "data\0tok");
	RAW_SEND(fd, XS_TRANSACTION_START, 2, 0, "");
	RAW_SEND(fd, XS_TRANSACTION_START, 3, 0, "");
	close(fd);
	store_set_hold(false);
	wait_for(one_watch_made_two_tx_started_all_ended);
}
END_TEST

static Suite *storemux_suite(void)
{
	Suite *suite = suite_create("storemux");
	TCase *tc = tcase_create("whole");

	tcase_set_timeout(tc, 2 * DEADLINE_SEC);
	tcase_add_unchecked_fixture(tc, make_dir, remove_dir);
	tcase_add_checked_fixture(tc, start_world, stop_world);
	tcase_add_test(tc, two_clients_read_what_the_other_wrote);
	tcase_add_test(tc, equal_request_ids_go_back_to_their_clients);
	tcase_add_test(tc, two_clients_watch_with_the_same_token);
	tcase_add_test(tc, one_client_watches_twice_with_the_same_token);
	tcase_add_test(tc, refused_watch_leaves_no_trace);
	tcase_add_test(tc, longest_strings_come_back_and_longer_are_refused);
	tcase_add_test(tc, transactions_belong_to_their_client);
	tcase_add_test(tc, malformed_transaction_end_keeps_it);
	tcase_add_test(tc, ended_and_refused_transactions_free_their_share);
	tcase_add_test(tc, killed_client_is_cleaned_up_after);
	tcase_add_test(tc, what_a_dead_client_had_in_flight_is_ended);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(storemux_suite)
