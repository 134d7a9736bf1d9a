/* SPDX-License-Identifier: MIT */
/*
 * One store message on its way: header, body, and how many bytes of the two have been moved. The
 * same struct takes a message from a socket or a ring and puts one on a ring; both ends of the mux
 * use it. It trusts nothing: who fills it checks hdr.len as soon as the header is whole.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/xs_wire.h>

struct storemux_message {
	uint32_t done_bytes;
	union {
		struct {
			struct xsd_sockmsg hdr;
			char body[XENSTORE_PAYLOAD_MAX];
		};
		char bytes[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	};
};

/* Bytes still to be moved of the header or, when that is whole, of the body. 0: it is all there.
 * hdr.len must be checked before this is called with a whole header. */
static inline uint32_t storemux_message_missing(const struct storemux_message *msg)
{
	if (msg->done_bytes < sizeof(msg->hdr))
		return sizeof(msg->hdr) - msg->done_bytes;
	return sizeof(msg->hdr) + msg->hdr.len - msg->done_bytes;
}

/* Account for moved bytes. False: the header is whole now and announces a body that no message may
 * have. */
static inline bool storemux_message_advance(struct storemux_message *msg, uint32_t moved_bytes)
{
	msg->done_bytes += moved_bytes;
	return msg->done_bytes != sizeof(msg->hdr) || msg->hdr.len <= XENSTORE_PAYLOAD_MAX;
}

/* The second of exactly two NUL-terminated strings that fill the body, the first being the body
 * itself. NULL if the body is anything else. */
static inline const char *storemux_message_second(const struct storemux_message *msg)
{
	const char *end = msg->body + msg->hdr.len;
	const char *nul = memchr(msg->body, '\0', msg->hdr.len);
	const char *second = nul ? nul + 1 : end;

	if (second == end || memchr(second, '\0', end - second) != end - 1)
		return NULL;
	return second;
}
