// SPDX-License-Identifier: MIT
/*
 * The guest's end of a store ring. Both directions are byte streams of XENSTORE_RING_SIZE with
 * free-running 32-bit indexes; a message may be four times longer than the ring. xenstored may die
 * or scribble: indexes are read once and checked. The mux calls this, from one thread.
 */
#include <errno.h>
#include "common/xenloop/storemux_ring.h"
#include "ring/port.h"

/* Bytes up to the limit, but no further than the end of the ring's array. */
static uint32_t span(uint32_t index, uint32_t limit_bytes)
{
	uint32_t to_end = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(index);

	return limit_bytes < to_end ? limit_bytes : to_end;
}

static bool failed(const struct xenstore_domain_interface *ring)
{
	return (rwy_load_once_u32(&ring->server_features) & XENSTORE_SERVER_FEATURE_ERROR) &&
	       rwy_load_once_u32(&ring->error) != XENSTORE_ERROR_NONE;
}

int storemux_ring_send(struct xenstore_domain_interface *ring, struct storemux_message *msg)
{
	uint32_t missing;
	int moved = 0;

	while ((missing = storemux_message_missing(msg)) > 0) {
		uint32_t prod = rwy_load_once_u32(&ring->req_prod);
		/* See that xenstored consumed bytes before overwriting them; pairs with its barrier
		 * between copying bytes out and storing req_cons. */
		uint32_t used = prod - rwy_load_acquire_u32(&ring->req_cons);

		if (used > XENSTORE_RING_SIZE || failed(ring))
			return -EPROTO;
		if (used == XENSTORE_RING_SIZE)
			break;
		if (missing > XENSTORE_RING_SIZE - used)
			missing = XENSTORE_RING_SIZE - used;
		missing = span(prod, missing);
		memcpy(ring->req + MASK_XENSTORE_IDX(prod), msg->bytes + msg->done_bytes, missing);
		/* The bytes before the index that announces them; pairs with xenstored's barrier
		 * between loading req_prod and copying. */
		rwy_store_release_u32(&ring->req_prod, prod + missing);
		msg->done_bytes += missing;
		moved = 1;
	}
	return moved;
}

int storemux_ring_receive(struct xenstore_domain_interface *ring, struct storemux_message *msg,
			  bool *notify)
{
	uint32_t missing;

	while ((missing = storemux_message_missing(msg)) > 0) {
		uint32_t cons = rwy_load_once_u32(&ring->rsp_cons);
		/* The index before the bytes that it announces; pairs with xenstored's barrier
		 * between writing bytes and storing rsp_prod. */
		uint32_t avail = rwy_load_acquire_u32(&ring->rsp_prod) - cons;

		if (avail > XENSTORE_RING_SIZE || failed(ring))
			return -EPROTO;
		if (avail == 0)
			break;
		if (missing > avail)
			missing = avail;
		missing = span(cons, missing);
		memcpy(msg->bytes + msg->done_bytes, ring->rsp + MASK_XENSTORE_IDX(cons), missing);
		/* The copy is done before the room is offered; pairs with xenstored's barrier
		 * between loading rsp_cons and overwriting. */
		rwy_store_release_u32(&ring->rsp_cons, cons + missing);
		/* Either xenstored sees the room just made, or we see here that it had filled the
		 * ring up to the old index and may be waiting; pairs with its barrier between
		 * storing rsp_prod and looking for room. */
		rwy_mb();
		if (rwy_load_once_u32(&ring->rsp_prod) - cons >= XENSTORE_RING_SIZE)
			*notify = true;
		if (!storemux_message_advance(msg, missing))
			return -EPROTO;
	}
	return 0;
}

int storemux_ring_discard(struct xenstore_domain_interface *ring)
{
	uint32_t cons = rwy_load_once_u32(&ring->rsp_cons);
	uint32_t prod = rwy_load_acquire_u32(&ring->rsp_prod);

	if (prod - cons > XENSTORE_RING_SIZE || failed(ring))
		return -EPROTO;
	rwy_store_release_u32(&ring->rsp_cons, prod);
	return 0;
}
