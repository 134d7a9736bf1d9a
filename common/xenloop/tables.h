/* SPDX-License-Identifier: MIT */
/*
 * The tables that loopback Xen's hypervisor process shares, in one memfd, with every library
 * handle: event ports and grants of every domain. They exist so that the two hot calls, notify and
 * grant copy, need no round trip. Only the hypervisor allocates, binds, frees and grants; a handle
 * sets and clears nothing but the event bits of a port's word.
 *
 * Nobody here is hostile (loopback Xen is no security boundary), but everybody may be killed
 * between any two instructions, and slots, ports and grants are reused: hence the sequence numbers.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define XENLOOP_SLOTS	     256u /* domains at a time, dom0 included */
#define XENLOOP_PORTS	     4096u /* ports of a domain, as Xen's 2-level ABI; port 0 is never used */
#define XENLOOP_GRANTS	     32768u /* grants of a domain at most; page N backs gref N */
#define XENLOOP_PAGE_BYTES   4096u
#define XENLOOP_RAM_BYTES    ((uint64_t)XENLOOP_GRANTS * XENLOOP_PAGE_BYTES)
#define XENLOOP_PER_FRAME    512u /* grants in a frame of Xen's grant table, version 1 */
#define XENLOOP_GRANT_FRAMES (XENLOOP_GRANTS / XENLOOP_PER_FRAME)

/* What a domain gets unless it is asked for otherwise: the defaults of xl, Xen and gntalloc. */
#define XENLOOP_DEFAULT_MAX_PORT     1023u
#define XENLOOP_DEFAULT_GRANT_FRAMES 64u
#define XENLOOP_DEFAULT_MAX_SHARED   1024u

/*
 * A port's word: bits 63..32 sequence number of this use of the port, 17..2 pushes under way, 1
 * masked, 0 pending. An event makes an unmasked port masked and pushes its number into the pipe of
 * the handle that owns it; while it is masked, further events only set pending, so that a number is
 * in the pipe at most once for each unmask.
 */
#define XENLOOP_PENDING	  1ull
#define XENLOOP_MASKED	  2ull
#define XENLOOP_PUSH_ONE  4ull
#define XENLOOP_PUSH_MASK 0x3fffcull
#define XENLOOP_SEQ_SHIFT 32

struct xenloop_port {
	_Atomic uint64_t word;
	_Atomic uint64_t peer;	/* where notify goes: see xenloop_peer_pack; 0: nowhere */
	_Atomic uint32_t owner; /* the handle whose pipe takes the events; 0: none */
	uint32_t unused;
};

/* A grant's word: who may use the page. 0: nobody. */
#define XENLOOP_GRANT_VALID    (1u << 31)
#define XENLOOP_GRANT_READONLY (1u << 30)
#define XENLOOP_GRANT_DOMID    0xffffu

struct xenloop_slot {
	_Atomic uint32_t
		incarnation; /* of the domain that lives here, unique in an instance; 0: none */
	_Atomic uint32_t domid;
	struct xenloop_port port[XENLOOP_PORTS];
	_Atomic uint32_t grant[XENLOOP_GRANTS];
};

struct xenloop_tables {
	struct xenloop_slot slot[XENLOOP_SLOTS];
};

static inline uint64_t xenloop_peer_pack(uint32_t seq, uint32_t slot, uint32_t port)
{
	return (uint64_t)seq << XENLOOP_SEQ_SHIFT | slot << 16 | port;
}

static inline uint32_t xenloop_seq(uint64_t word_or_peer)
{
	return (uint32_t)(word_or_peer >> XENLOOP_SEQ_SHIFT);
}

static inline struct xenloop_port *xenloop_peer_port(struct xenloop_tables *tables, uint64_t peer)
{
	return &tables->slot[(peer >> 16) % XENLOOP_SLOTS].port[peer % XENLOOP_PORTS];
}

/*
 * Raise an event on a port in its use `seq`. True: the caller must now write the port's number into
 * its owner's pipe and then call xenloop_port_pushed. The exchange is a full barrier: what the
 * caller wrote before is seen by whoever reads the number, or unmasks.
 */
static inline bool xenloop_port_raise(struct xenloop_port *port, uint32_t seq)
{
	uint64_t word = atomic_load(&port->word);
	uint64_t next;

	do {
		if (xenloop_seq(word) != seq || (word & XENLOOP_PENDING))
			return false;
		if (word & XENLOOP_MASKED)
			next = word | XENLOOP_PENDING;
		else
			next = (word | XENLOOP_MASKED) + XENLOOP_PUSH_ONE;
	} while (!atomic_compare_exchange_weak(&port->word, &word, next));
	return !(word & XENLOOP_MASKED);
}

/* The number is in the pipe. What is still counted when a notifier dies, the hypervisor pushes. */
static inline void xenloop_port_pushed(struct xenloop_port *port, uint32_t seq)
{
	uint64_t word = atomic_load(&port->word);

	do {
		if (xenloop_seq(word) != seq || !(word & XENLOOP_PUSH_MASK))
			return;
	} while (!atomic_compare_exchange_weak(&port->word, &word, word - XENLOOP_PUSH_ONE));
}

/* Owner only. True: an event came in while the port was masked, the caller must push its number. */
static inline bool xenloop_port_unmask(struct xenloop_port *port)
{
	uint64_t word = atomic_load(&port->word);
	uint64_t next;

	do {
		if (!(word & XENLOOP_MASKED))
			return false;
		next = word & ~((word & XENLOOP_PENDING) ? XENLOOP_PENDING : XENLOOP_MASKED);
	} while (!atomic_compare_exchange_weak(&port->word, &word, next));
	return word & XENLOOP_PENDING;
}
