// SPDX-License-Identifier: MIT
/* Garbage in our own directory of xenstore, up to the quota, and at full speed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include "tests/hostile_front/attack.h"

#define VALUE_BYTES 2000u /* near the longest that xenstored takes from a guest */

static const char *const read_nodes[] = {
	"ring-ref",	   "ring-ref0",	     "event-channel",	       "protocol",
	"ring-page-order", "num-ring-pages", "multi-queue-num-queues",
};
#define NR_READ_NODES (sizeof(read_nodes) / sizeof(read_nodes[0]))

/* What no node of these may be. */
static const char *const absurd[] = {
	"",   "-1",	"0x10",		"99999999999999999999999",  "4294967296", "1e3", " 1",
	"1 ", "%s%n%d", "\xff\xfe\x80", "1\nringwayd: all is well",
};
#define NR_ABSURD (sizeof(absurd) / sizeof(absurd[0]))

/* A good ring, but for this node. ring-ref0 is only looked at when there is no ring-ref. */
static int refuse(struct front *f, const char *node, const void *value, unsigned int len)
{
	int err = front_make_ring(f, &(struct front_how){0});

	if (!err)
		err = front_write_number(f, "ring-ref", f->ring_gref[0]);
	if (!err)
		err = front_write_number(f, "event-channel", (uint64_t)f->port);
	if (!strcmp(node, "ring-ref0"))
		front_remove(f, "ring-ref");
	if (!err)
		err = front_write(f, node, value, len);
	if (!err)
		err = front_write_state(f, XenbusStateInitialised);
	if (!err)
		err = front_expect_broken(f);
	if (err)
		return complain("%s = \"%.*s\" is not refused", node, len < 40 ? (int)len : 40,
				(const char *)value);
	err = front_reset(f);
	front_remove(f, node);
	return err;
}

/* Each node once; with which of the values, the seed says. The unit tests have all pairs. */
static int absurd_nodes(struct front *f)
{
	int err = 0;

	for (size_t n = 0; n < NR_READ_NODES && !err; n++) {
		const char *value = absurd[front_random(f) % NR_ABSURD];

		err = refuse(f, read_nodes[n], value, (unsigned int)strlen(value));
	}
	return err;
}

/* As long as it goes: of any bytes, or one enormous number. */
static int huge_values(struct front *f)
{
	char value[VALUE_BYTES];
	int err = 0;

	for (size_t n = 0; n < NR_READ_NODES && !err; n++) {
		memset(value, '7', sizeof(value));
		if (front_random(f) & 1)
			front_random_bytes(f, value, sizeof(value));
		err = refuse(f, read_nodes[n], value, sizeof(value));
	}
	return err;
}

/* What no backend has to look at may be anything. */
static int nonsense_features(struct front *f)
{
	static const char *const nodes[] = {
		"feature-persistent", "feature-persistent-grants", "virtual-device", "backend-id",
		"device-type",	      "queue-0/ring-ref",	   "state/state",    "error"};
	char value[VALUE_BYTES];

	for (size_t n = 0; n < sizeof(nodes) / sizeof(nodes[0]); n++) {
		front_random_bytes(f, value, sizeof(value));
		front_write(f, nodes[n], value, sizeof(value));
	}
	int err = front_connect(f, &(struct front_how){0});

	if (!err)
		err = front_expect_service(f);
	front_write(f, "backend-id", "0", 1);
	return err;
}

static int deep_subtree(struct front *f)
{
	char node[960] = "state"; /* with the rest, what xenstoreds take: 1024 */

	while (strlen(node) + 10 < sizeof(node))
		strcat(node, "/deeper");
	int err = front_write(f, node, "x", 1);

	if (err)
		return complain("no deep node: %s", strerror(-err));
	while (front_goes_on(f))
		front_write(f, node, "x", 1);
	front_remove(f, "state/deeper");
	return 0;
}

/* As many as we may have, below the node that the backend watches. Of oxenstored's EQUOTA
 * libxenstore makes EINVAL. */
static int nodes_to_quota(struct front *f)
{
	char node[64];
	int err = 0;

	for (uint32_t i = 0; i < 100000 && !err; i++) {
		snprintf(node, sizeof(node), "state/%u", i);
		err = front_write(f, node, "x", 1);
	}
	if (err != -ENOSPC && err != -EDQUOT && err != -EINVAL)
		err = complain("no quota was reached: %s", strerror(-err));
	else
		err = front_expect_service(f);
	front_remove(f, "state");
	return err ? err : front_write_state(f, XenbusStateConnected);
}

/* An event for the backend each time, and no news in any. */
static int watch_storm(struct front *f)
{
	while (front_goes_on(f)) {
		int err = front_write_state(f, XenbusStateConnected);

		if (err)
			return complain("state can't be written: %s", strerror(-err));
	}
	return 0;
}

/* Events of nodes below the state, each of another name. */
static int watch_storm_below_state(struct front *f)
{
	char node[64];
	uint32_t i = 0;

	while (front_goes_on(f)) {
		snprintf(node, sizeof(node), "state/%u", i++ % 64);
		front_write(f, node, "x", 1);
		front_remove(f, node);
	}
	front_remove(f, "state");
	return front_write_state(f, XenbusStateConnected);
}

/* As many watches as we may have, on everything, and writes that fire them all. */
static int watches_to_quota(struct front *f)
{
	struct xs_handle *xs = xs_open(0);
	char token[16];

	if (!xs)
		return -errno;
	for (int i = 0; i < 1000; i++) {
		snprintf(token, sizeof(token), "%d", i);
		if (!xs_watch(xs, f->own, token))
			break;
	}
	while (front_goes_on(f)) {
		char **event;

		front_write_state(f, XenbusStateConnected);
		while ((event = xs_check_watch(xs)))
			free(event);
	}
	xs_close(xs);
	return 0;
}

/* Transactions that never end well, on the nodes that the backend reads. */
static int transactions(struct front *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/state", f->own);
	while (front_goes_on(f)) {
		xs_transaction_t tx[5];
		int nr = 0;

		while (nr < 5 && (tx[nr] = xs_transaction_start(f->xs)) != XBT_NULL) {
			xs_write(f->xs, tx[nr], path, "4", 1);
			nr++;
		}
		while (nr-- > 0)
			xs_transaction_end(f->xs, tx[nr], nr & 1);
	}
	return 0;
}

/* Refused as fast as it can come back: what the backend says of it must not fill the log. */
static int refusal_storm(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		err = front_write(f, "ring-ref", "garbage", 7);
		if (!err)
			err = front_write_state(f, XenbusStateInitialised);
		if (!err)
			err = front_expect_broken(f);
		if (!err)
			err = front_reset(f);
	}
	front_remove(f, "ring-ref");
	return err;
}

/* Its parent is the toolstack's: it can't be made again from here. */
static int directory_removed(struct front *f)
{
	struct rwy_blk_request req = front_read_request(f, 1, 0);

	for (uint32_t i = 0; i < f->nr_slots; i++)
		front_put_request(f, &req);
	front_push(f);
	if (!xs_rm(f->xs, XBT_NULL, f->own))
		return complain("can't remove %s: %s", f->own, strerror(errno));
	return front_wait_state(f, 1u << XenbusStateClosed, "without a frontend");
}

#define ENTRY(name, text, answer, start, fn)         \
	{                                            \
		name, text, answer, start, false, fn \
	}

const struct attack store_attacks[] = {
	ENTRY("absurd-nodes", "no numbers where numbers should be; refused each", ANSWER_ANY,
	      START_ALONE, absurd_nodes),
	ENTRY("huge-values", "values of 2000 bytes; refused each", ANSWER_ANY, START_ALONE,
	      huge_values),
	ENTRY("nonsense-features", "random bytes in nodes that need not be read", ANSWER_STATUS,
	      START_ALONE, nonsense_features),
	ENTRY("deep-subtree", "a path of 1000 bytes below the state", ANSWER_STATUS,
	      START_CONNECTED, deep_subtree),
	ENTRY("nodes-to-quota", "nodes below the state, up to the quota", ANSWER_STATUS,
	      START_CONNECTED, nodes_to_quota),
	ENTRY("watch-storm", "the state is written at full speed", ANSWER_STATUS, START_CONNECTED,
	      watch_storm),
	ENTRY("watch-storm-below-state", "nodes below the state come and go", ANSWER_ANY,
	      START_CONNECTED, watch_storm_below_state),
	ENTRY("watches-to-quota", "watches up to the quota, all of them fired", ANSWER_STATUS,
	      START_CONNECTED, watches_to_quota),
	ENTRY("transactions", "transactions on the state that conflict and are dropped", ANSWER_ANY,
	      START_CONNECTED, transactions),
	ENTRY("refusal-storm", "nonsense, refused as fast as it can come back", ANSWER_ANY,
	      START_ALONE, refusal_storm),
	ENTRY("directory-removed", "its directory goes during I/O", ANSWER_GONE, START_CONNECTED,
	      directory_removed),
	{0},
};
