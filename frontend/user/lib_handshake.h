/* SPDX-License-Identifier: MIT */
/*
 * The life of a connection: the frontend's side of the xenbus handshake (the table is
 * common/xenbus_fsm), what each phase does, reconnecting after the backend went away, and closing.
 * Called by the event thread alone. The peer's state is untrusted: it can end the connection and
 * nothing else.
 */
#pragma once
#include "frontend/user/lib_vbd.h"

/* Begin: close what a predecessor has left open, write Initialising and wait for the backend's offer.
 * Whatever fails ends the device. */
void lib_handshake_start(struct rwy_vbd *vbd);
/* The backend's state has changed, or may have. */
void lib_handshake_peer(struct rwy_vbd *vbd);
/* Something passed its deadline, or is about to be looked at again. */
void lib_handshake_tick(struct rwy_vbd *vbd, uint64_t now_ns);
/* The device has ended (lib_vbd_end): tell the backend and leave. In the end vbd->left. */
void lib_handshake_leave(struct rwy_vbd *vbd);
/* When lib_handshake_tick wants to be called; 0: never. */
uint64_t lib_handshake_next_ns(const struct rwy_vbd *vbd);
