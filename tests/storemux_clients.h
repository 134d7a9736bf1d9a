/* SPDX-License-Identifier: MIT */
/*
 * The store mux's clients in tests: libxenstore's, and raw sockets for what that library cannot say.
 * Included by the check_storemux*.c programs that run a whole mux.
 */
#pragma once
#include "common/xenloop/storemux_message.h"
#include "tests/storemux_world.h"

static inline struct xs_handle *open_store(void)
{
	struct xs_handle *xs = xs_open(0);

	ck_assert_ptr_nonnull(xs);
	return xs;
}

static inline void expect_value(struct xs_handle *xs, xs_transaction_t tx, const char *path,
				const char *value)
{
	unsigned int len;
	char *got = xs_read(xs, tx, path, &len);

	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got, value);
	free(got);
}

static inline void expect_event(struct xs_handle *xs, const char *path, const char *token)
{
	unsigned int num;
	char **event = xs_read_watch(xs, &num);

	ck_assert_ptr_nonnull(event);
	ck_assert_str_eq(event[XS_WATCH_PATH], path);
	ck_assert_str_eq(event[XS_WATCH_TOKEN], token);
	free(event);
}

static inline void put(struct xs_handle *xs, xs_transaction_t tx, const char *path,
		       const char *value)
{
	ck_assert(xs_write(xs, tx, path, value, strlen(value)));
}

static inline int raw_open(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = DEADLINE_SEC};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, world.path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static inline struct storemux_message message(uint32_t type, uint32_t id, uint32_t tx_id,
					      const char *body, uint32_t len)
{
	struct storemux_message msg = {
		.hdr = {.type = type, .req_id = id, .tx_id = tx_id, .len = len}};

	memcpy(msg.body, body, len);
	return msg;
}

static inline void raw_send(int fd, uint32_t type, uint32_t id, uint32_t tx_id, const char *body,
			    uint32_t len)
{
	struct storemux_message msg = message(type, id, tx_id, body, len);
	ssize_t size = sizeof(msg.hdr) + len;

	ck_assert_int_eq(send(fd, msg.bytes, size, MSG_NOSIGNAL), size);
}

static inline struct storemux_message raw_receive(int fd)
{
	struct storemux_message msg = {0};

	ck_assert_int_eq(recv(fd, &msg.hdr, sizeof(msg.hdr), MSG_WAITALL), sizeof(msg.hdr));
	ck_assert_uint_le(msg.hdr.len, XENSTORE_PAYLOAD_MAX);
	if (msg.hdr.len)
		ck_assert_int_eq(recv(fd, msg.body, msg.hdr.len, MSG_WAITALL), msg.hdr.len);
	return msg;
}

static inline void raw_expect(int fd, uint32_t type, uint32_t id, const char *body)
{
	struct storemux_message msg = raw_receive(fd);

	ck_assert_uint_eq(msg.hdr.type, type);
	ck_assert_uint_eq(msg.hdr.req_id, id);
	ck_assert_uint_gt(msg.hdr.len, 0);
	ck_assert_mem_eq(msg.body, body, msg.hdr.len);
}

#define RAW_SEND(fd, type, id, tx, text) raw_send(fd, type, id, tx, text, sizeof(text))
