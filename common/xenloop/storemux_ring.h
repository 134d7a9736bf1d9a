/* SPDX-License-Identifier: MIT */
/*
 * The guest's end of a store ring: bytes of requests out, bytes of replies and events in. Used by
 * the mux alone. The other end is xenstored's: its indexes are range-checked before every use, and
 * what they say when they make no sense (or its error word is set) is -EPROTO.
 *
 * Source: struct xenstore_domain_interface in <xen/io/xs_wire.h>; Xen's
 * docs/misc/xenstore-ring.txt.
 */
#pragma once
#include "common/xenloop/storemux_message.h"

/* Put what is missing of msg on the ring, as far as there is room. 1: bytes were put, and xenstored
 * must be notified. 0: none were. -EPROTO. */
int storemux_ring_send(struct xenstore_domain_interface *ring, struct storemux_message *msg);

/* Take bytes into msg until it is whole or the ring empty. *notify is set to true when xenstored
 * may be waiting for the room made, else left alone. 0 or -EPROTO. */
int storemux_ring_receive(struct xenstore_domain_interface *ring, struct storemux_message *msg,
			  bool *notify);

/* Forget all replies that are on the ring. 0 or -EPROTO. */
int storemux_ring_discard(struct xenstore_domain_interface *ring);
