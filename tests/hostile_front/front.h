/* SPDX-License-Identifier: MIT */
/*
 * A blkif frontend that means harm: what all attacks need. It keeps the protocol until an attack
 * breaks it, writes shared memory itself (ring/ would not let it), and judges the backend by what a
 * guest can see: responses, states, the `error` node. Trusts nobody; waits for conditions, each
 * with a limit. Runs in a domU. Functions return 0 or -errno; `complain` says what the backend did
 * wrong and returns -EPROTO. Threads: one, and those that an attack starts on its own.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <xen/io/xenbus.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
#include "ring/blk_wire.h"
#include "ring/ring.h"

#define FRONT_DATA_PAGES 64u
#define FRONT_LIMIT_MS	 60000 /* for anything that a backend has to do; machines may be slow */

struct front {
	struct xs_handle *xs;
	struct xs_handle *xs_watch; /* watches the backend's state and nothing else */
	xengntshr_handle *xgs;
	xenevtchn_handle *xce;

	uint32_t devid;
	char own[64];	/* our directory */
	char back[256]; /* the backend's */
	uint32_t back_domid;
	uint64_t capacity_sect;
	bool read_only;
	uint16_t indirect_segs; /* that the backend offers */
	bool discard, barrier;	/* offered */

	enum rwy_blk_abi abi;
	uint8_t *ring;
	uint32_t nr_ring_pages;
	uint32_t ring_gref[RWY_RING_MAX_PAGES];
	uint32_t nr_slots;
	uint32_t slot_bytes;
	uint32_t req_prod; /* ours; what is in the ring may be anything */
	uint32_t rsp_cons;
	int port; /* -1: none */
	uint8_t *data;
	uint32_t data_gref[FRONT_DATA_PAGES];

	uint64_t random; /* state of the generator */
	uint64_t end_ns; /* of a timed attack */
	uint32_t max_rounds;
	uint32_t rounds;
};

/* What to connect with; zero is: one page, native. */
struct front_how {
	uint32_t nr_ring_pages;
	enum rwy_blk_abi abi;
	uint32_t
		req_prod_ahead; /* publish this many requests that nobody wrote, before connecting */
	bool same_page;		/* the first page's gref for all of the ring's */
	bool protocol_node;	/* say which ABI; otherwise only when it is not native */
};

/* connect.c */
int front_open(struct front *f, const char *vdev);
void front_close(struct front *f);
/* Make and publish a ring, and wait for the backend to be Connected. */
int front_connect(struct front *f, const struct front_how *how);
/* Its first half: ring, port, nodes and state Initialised. */
int front_publish(struct front *f, const struct front_how *how);
int front_make_ring(struct front *f, const struct front_how *how);
/* Give all grants and the port back. */
void front_drop_ring(struct front *f);
/* Whatever the state: end it, and begin again as a new frontend. The backend is then in InitWait. */
int front_reset(struct front *f);
int front_wait_state(struct front *f, uint32_t states, const char *what); /* bits: 1 << state */
int front_back_state(struct front *f);
int front_write(struct front *f, const char *node, const void *value, unsigned int len);
int front_write_number(struct front *f, const char *node, uint64_t value);
int front_write_state(struct front *f, enum xenbus_state state);
void front_remove(struct front *f, const char *node);

/* slots.c */
volatile struct rwy_sring *front_sring(struct front *f);
/* The slot that the index stands for. */
uint8_t *front_slot(struct front *f, uint32_t index);
/* Write a slot at req_prod and step past it; publish and notify. */
void front_put(struct front *f, const void *slot);
void front_push(struct front *f);
void front_notify(struct front *f);
/* Encode and put; what the codec refuses to say has to be patched into the slot afterwards. */
void front_put_request(struct front *f, const struct rwy_blk_request *req);
/* The next response. -ETIMEDOUT, -EPIPE: the backend is no longer connected. */
int front_take(struct front *f, struct rwy_blk_response *rsp);
/* Responses there are, none waited for; how many were taken. */
uint32_t front_take_all(struct front *f);
/* All responses to what was pushed, each with this status, or any that the protocol knows. */
int front_drain(struct front *f, int16_t status);
int front_drain_any(struct front *f);
/* A read of one page, without its id. */
struct rwy_blk_request front_read_request(struct front *f, uint64_t id, uint32_t page);
/* One good read, which has to be answered with OKAY. */
int front_expect_service(struct front *f);
/* The backend gives the device up, and says why in `error`. */
int front_expect_broken(struct front *f);

/* judge.c */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t front_random(struct front *f);
void front_random_bytes(struct front *f, void *buf, size_t len);
uint64_t front_now_ns(void);
/* For the loop of a timed attack: counts its rounds and its time. */
bool front_goes_on(struct front *f);
/* Sleep until the attack's time is up, or for a millisecond when it is counted in rounds. 0. */
int front_wait_time(struct front *f);
