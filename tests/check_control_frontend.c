// SPDX-License-Identifier: MIT
/*
 * Parsing of a frontend's nodes: what real frontends write, and what a hostile one may. Also the
 * paths of watch events.
 */
#include "backend/control/frontend.h"
#include "backend/control/watcher_path.h"
#include "tests/check_main.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_NODES 24

struct node {
	const char *name;
	const char *value; /* NULL: reading it gives err */
	int err;
};

struct store {
	struct node nodes[MAX_NODES];
};

static int read_node(void *ctx, const char *name, char *buf, size_t size)
{
	const struct store *s = ctx;

	for (int i = 0; i < MAX_NODES && s->nodes[i].name; i++) {
		const struct node *n = &s->nodes[i];

		if (strcmp(n->name, name))
			continue;
		if (!n->value)
			return n->err;
		if (strlen(n->value) >= size)
			return -ENAMETOOLONG;
		strcpy(buf, n->value);
		return (int)strlen(n->value);
	}
	return -ENOENT;
}

static struct frontend f;
static struct reason why;

static int parse(const struct store *s)
{
	struct frontend_reader reader = {.read = read_node, .ctx = (void *)s};

	why.text[0] = '\0';
	return frontend_parse(&reader, &f, &why);
}

static void assert_refused(const struct store *s, const char *node)
{
	ck_assert_int_eq(parse(s), -EPROTO);
	ck_assert_msg(strstr(why.text, node) != NULL, "%s is not named in: %s", node, why.text);
}

START_TEST(linux_single_page)
{
	struct store s = {{{"ring-ref", "8", 0},
			   {"event-channel", "17", 0},
			   {"protocol", "x86_64-abi", 0},
			   {"feature-persistent", "1", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_ring_pages, 1);
	ck_assert_uint_eq(f.queues[0].ring_gref[0], 8);
	ck_assert_uint_eq(f.queues[0].evtchn, 17);
	ck_assert_int_ne(f.abi, CTL_ABI_X86_32);
}
END_TEST

START_TEST(absent_protocol_is_native)
{
	struct store s = {{{"ring-ref", "8", 0}, {"event-channel", "17", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_int_eq(f.abi, CTL_ABI_NATIVE);
}
END_TEST

START_TEST(guest_of_32_bits)
{
	struct store s = {
		{{"ring-ref", "8", 0}, {"event-channel", "17", 0}, {"protocol", "x86_32-abi", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_int_eq(f.abi, CTL_ABI_X86_32);
}
END_TEST

static struct store with_pages(char names[16][16], int nr)
{
	struct store s = {{{"event-channel", "5", 0}}};

	for (int i = 0; i < nr; i++) {
		snprintf(names[i], 16, "ring-ref%d", i);
		s.nodes[1 + i] = (struct node){names[i], "4294967295", 0};
	}
	return s;
}

START_TEST(sixteen_pages)
{
	char names[16][16];
	struct store s = with_pages(names, 16);

	s.nodes[17] = (struct node){"ring-page-order", "4", 0};
	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_ring_pages, 16);
	ck_assert_uint_eq(f.queues[0].ring_gref[15], UINT32_MAX);
}
END_TEST

START_TEST(legacy_page_count)
{
	char names[16][16];
	struct store s = with_pages(names, 4);

	s.nodes[5] = (struct node){"num-ring-pages", "4", 0};
	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_ring_pages, 4);
	s.nodes[5].value = "3";
	assert_refused(&s, "num-ring-pages");
	s.nodes[5].value = "32";
	assert_refused(&s, "num-ring-pages");
	s.nodes[5].value = "0";
	assert_refused(&s, "num-ring-pages");
}
END_TEST

START_TEST(order_goes_before_legacy_page_count)
{
	char names[16][16];
	struct store s = with_pages(names, 4);

	s.nodes[5] = (struct node){"num-ring-pages", "1", 0};
	s.nodes[6] = (struct node){"ring-page-order", "2", 0};
	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_ring_pages, 4);
}
END_TEST

START_TEST(single_page_may_be_numbered)
{
	struct store s = {
		{{"ring-ref0", "9", 0}, {"ring-page-order", "0", 0}, {"event-channel", "17", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.queues[0].ring_gref[0], 9);
}
END_TEST

START_TEST(order_over_what_was_offered_is_refused)
{
	static const char *const values[] = {"5",	   "31", "32",
					     "4294967296", "-1", "99999999999999999999"};
	char names[16][16];
	struct store s = with_pages(names, 16);

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		s.nodes[17] = (struct node){"ring-page-order", values[i], 0};
		assert_refused(&s, "ring-page-order");
	}
}
END_TEST

START_TEST(missing_nodes_are_named)
{
	char names[16][16];
	struct store s = with_pages(names, 3);

	s.nodes[4] = (struct node){"ring-page-order", "2", 0};
	assert_refused(&s, "ring-ref3");
	struct store none = {{{"event-channel", "5", 0}}};
	assert_refused(&none, "ring-ref is missing");
	struct store ring = {{{"ring-ref", "5", 0}}};
	assert_refused(&ring, "event-channel is missing");
}
END_TEST

START_TEST(garbled_numbers_are_refused)
{
	static const char *const values[] = {"",    " 8",   "8 ",	  "+8",
					     "0x8", "8\n",  "4294967296", "184467440737095516160",
					     "-8",  "eight"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct store ring = {{{"ring-ref", values[i], 0}, {"event-channel", "5", 0}}};
		struct store port = {{{"ring-ref", "8", 0}, {"event-channel", values[i], 0}}};

		assert_refused(&ring, "ring-ref");
		assert_refused(&port, "event-channel");
	}
}
END_TEST

START_TEST(port_zero_is_refused)
{
	struct store s = {{{"ring-ref", "8", 0}, {"event-channel", "0", 0}}};

	assert_refused(&s, "event-channel");
}
END_TEST

START_TEST(unreadable_nodes_are_refused)
{
	static const int errors[] = {-EACCES, -EINVAL, -ENAMETOOLONG, -EIO};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct store ring = {{{"ring-ref", NULL, errors[i]}, {"event-channel", "5", 0}}};
		struct store abi = {{{"protocol", NULL, errors[i]},
				     {"ring-ref", "8", 0},
				     {"event-channel", "5", 0}}};

		assert_refused(&ring, "ring-ref");
		assert_refused(&abi, "protocol can't be read");
	}
}
END_TEST

START_TEST(unknown_protocol_is_refused)
{
	static const char *const values[] = {"", "x86_64-abi ", "X86_64-abi", "sparc-abi",
					     "native"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct store s = {{{"protocol", values[i], 0},
				   {"ring-ref", "8", 0},
				   {"event-channel", "5", 0}}};

		assert_refused(&s, "protocol");
	}
}
END_TEST

/* As blkfront does: the ring's size is said once, for all queues. */
START_TEST(linux_queues)
{
	struct store s = {{{"multi-queue-num-queues", "2", 0},
			   {"queue-0/ring-ref", "8", 0},
			   {"queue-0/event-channel", "17", 0},
			   {"queue-1/ring-ref", "9", 0},
			   {"queue-1/event-channel", "18", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_queues, 2);
	ck_assert_uint_eq(f.nr_ring_pages, 1);
	ck_assert_uint_eq(f.queues[0].ring_gref[0], 8);
	ck_assert_uint_eq(f.queues[0].evtchn, 17);
	ck_assert_uint_eq(f.queues[1].ring_gref[0], 9);
	ck_assert_uint_eq(f.queues[1].evtchn, 18);

	s.nodes[3].name = "queue-1/ring-ref0";
	ck_assert_int_eq(parse(&s), 0);
	s.nodes[3].name = "queue-2/ring-ref";
	assert_refused(&s, "queue-1/ring-ref");
	s.nodes[3].name = "queue-1/ring-ref";
	s.nodes[4].value = "0";
	assert_refused(&s, "queue-1/event-channel");
	s.nodes[4].name = "event-channel";
	assert_refused(&s, "queue-1/event-channel");
}
END_TEST

START_TEST(queues_with_large_rings)
{
	struct store s = {{{"multi-queue-num-queues", "2", 0},
			   {"ring-page-order", "1", 0},
			   {"queue-0/ring-ref0", "8", 0},
			   {"queue-0/ring-ref1", "9", 0},
			   {"queue-0/event-channel", "17", 0},
			   {"queue-1/ring-ref0", "10", 0},
			   {"queue-1/ring-ref1", "11", 0},
			   {"queue-1/event-channel", "18", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_ring_pages, 2);
	ck_assert_uint_eq(f.queues[1].ring_gref[1], 11);
	s.nodes[6].value = "x";
	assert_refused(&s, "queue-1/ring-ref1");
}
END_TEST

START_TEST(one_queue_with_and_without_a_folder)
{
	struct store s = {{{"ring-ref", "8", 0},
			   {"event-channel", "5", 0},
			   {"multi-queue-num-queues", "1", 0}}};

	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_queues, 1);
	s.nodes[0].name = "queue-0/ring-ref";
	assert_refused(&s, "ring-ref");
	s.nodes[1].name = "queue-0/event-channel";
	ck_assert_int_eq(parse(&s), 0);
	ck_assert_uint_eq(f.nr_queues, 1);
	ck_assert_uint_eq(f.queues[0].ring_gref[0], 8);
	ck_assert_uint_eq(f.queues[0].evtchn, 5);
}
END_TEST

START_TEST(queues_are_bounded)
{
	struct store s = {{{"ring-ref", "8", 0},
			   {"event-channel", "5", 0},
			   {"multi-queue-num-queues", "0", 0}}};

	assert_refused(&s, "multi-queue-num-queues");
	s.nodes[2].value = "17";
	assert_refused(&s, "multi-queue-num-queues");
	s.nodes[2].value = "16"; /* allowed, and not there */
	assert_refused(&s, "queue-0/ring-ref");
}
END_TEST

/* A terminal may take 0x9b for an escape sequence. */
START_TEST(reason_is_printable_ascii)
{
	struct store s = {{{"protocol", "a\nb\x1b[31m\x7f\x9b\xc2\x9b", 0}}};

	ck_assert_int_eq(parse(&s), -EPROTO);
	for (const char *c = why.text; *c; c++)
		ck_assert(*c >= ' ' && *c <= '~');
}
END_TEST

static void assert_path(const char *path, enum watcher_path_kind kind, uint32_t domid,
			uint32_t devid, const char *node)
{
	struct watcher_path p = watcher_path_parse(path);

	ck_assert_msg(p.kind == kind, "%s: kind %d", path, p.kind);
	if (kind == WATCHER_PATH_COARSE)
		return;
	ck_assert_uint_eq(p.domid, domid);
	ck_assert_uint_eq(p.devid, devid);
	ck_assert_str_eq(p.node, node);
}

START_TEST(watch_paths_are_taken_apart)
{
#define ROOT "/local/domain/0/backend/vbd"
	assert_path(ROOT "/3/51712/state", WATCHER_PATH_NODE, 3, 51712, "state");
	assert_path(ROOT "/3/51712/state/x/y", WATCHER_PATH_NODE, 3, 51712, "state");
	assert_path(ROOT "/3/51712", WATCHER_PATH_DEVICE, 3, 51712, "");
	assert_path(ROOT "/0/268439552", WATCHER_PATH_DEVICE, 0, 268439552, "");
	assert_path(ROOT "/3/51712/a-name-too-long-for-any-node-we-know", WATCHER_PATH_NODE, 3,
		    51712, "");
	assert_path(ROOT, WATCHER_PATH_COARSE, 0, 0, "");
	assert_path(ROOT "/3", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path(ROOT "/32752/1", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path(ROOT "/3/4294967296", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path(ROOT "/3/x/state", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path(ROOT "//51712", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path(ROOT "3/3/51712", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path("/local/domain/3/device/vbd/51712/state", WATCHER_PATH_COARSE, 0, 0, "");
	assert_path("", WATCHER_PATH_COARSE, 0, 0, "");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("control_frontend");
	TCase *tc = tcase_create("frontend");

	tcase_add_test(tc, linux_single_page);
	tcase_add_test(tc, absent_protocol_is_native);
	tcase_add_test(tc, guest_of_32_bits);
	tcase_add_test(tc, sixteen_pages);
	tcase_add_test(tc, legacy_page_count);
	tcase_add_test(tc, order_goes_before_legacy_page_count);
	tcase_add_test(tc, single_page_may_be_numbered);
	tcase_add_test(tc, order_over_what_was_offered_is_refused);
	tcase_add_test(tc, missing_nodes_are_named);
	tcase_add_test(tc, garbled_numbers_are_refused);
	tcase_add_test(tc, port_zero_is_refused);
	tcase_add_test(tc, unreadable_nodes_are_refused);
	tcase_add_test(tc, unknown_protocol_is_refused);
	tcase_add_test(tc, linux_queues);
	tcase_add_test(tc, queues_with_large_rings);
	tcase_add_test(tc, one_queue_with_and_without_a_folder);
	tcase_add_test(tc, queues_are_bounded);
	tcase_add_test(tc, reason_is_printable_ascii);
	tcase_add_test(tc, watch_paths_are_taken_apart);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
