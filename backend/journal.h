/* SPDX-License-Identifier: MIT */
/*
 * The journal of one queue: what a data process has taken from a ring and not yet answered, kept
 * where it outlives the process (a file of constant size in ringwayd's run directory, in memory),
 * so that the next process can go on with the same ring. Control makes the file, says whose ring it
 * is, and hands it over with ATTACH; the data process maps it and is the only one to write to it
 * from then on. A guest has no access to it; a data process that a guest has taken over may have
 * written anything: control compares the identity and believes nothing else.
 *
 * Consistent at every instruction. A process may be killed between any two stores; they are made in
 * program order, and what is mapped stays as it was at that moment. By step:
 *
 *   take     entry.slot <- the slot's one copy; entry.req_index; entry.word <- TAKEN. Not in force
 *            yet: an entry whose req_index is req_cons or one of the nr_entries - 1 after it was
 *            never taken, and its slot is still in the ring. Then, for the batch: req_cons <- new.
 *            Only now the engine starts.
 *   answer   response into the ring's slot (a slot of a request that was taken: it is in its
 *            entry); entry.word <- ANSWERED | response index. Not in force yet: an index that is not
 *            before the ring's rsp_prod was never published.
 *   publish  rsp_intended <- new; the ring's rsp_prod <- new; rsp_committed <- new. The ring's
 *            rsp_prod is the guest's to overwrite: it is believed only if it is one of the two, and
 *            they differ only from the first of these stores to the third.
 *   free     entry.word <- FREE.
 *
 * A successor reads rsp_prod, and knows of every entry: FREE, never taken, answered and published,
 * or to be done again: I/O is repeated in the order of req_index, which is right because no guest
 * may rely on a request that it has no answer to, once no I/O of the dead process is under way any
 * more (the fence, ctl_msg.h). The entries to be done again are as many as req_cons is ahead of
 * rsp_prod, or the journal is damaged; their req_index may be any number of rounds behind, since one
 * slow request does not stop the others. Before it takes or answers anything the successor writes
 * down what it found, so that the next one finds it too, whatever has become of the indexes since:
 *
 *   recover  rsp_intended and rsp_committed <- the rsp_prod that was found (one of them is it: one
 *            store at most). Then each entry.word: never taken, or answered and published: FREE;
 *            answered and not published: TAKEN.
 *
 * Version skew: the header's layout and meaning never change, entries' may, and then `version`
 * does. A journal of another version can be gone on with only if nothing is in flight in it
 * (req_cons, rsp_intended and rsp_committed are equal), as an orderly stop leaves it.
 */
#pragma once
#include <stdint.h>

#define JOURNAL_MAGIC	     0x6c6a7967u /* "gyjl" */
#define JOURNAL_VERSION	     1u
#define JOURNAL_HEADER_BYTES 512u
#define JOURNAL_ENTRY_BYTES  128u
#define JOURNAL_SLOT_BYTES   112u
#define JOURNAL_RING_PAGES   16u

enum journal_state {
	JOURNAL_NEW,  /* made by control; no data process has got as far as taking a request */
	JOURNAL_LIVE, /* the indexes below are in force */
};

/* Whose ring it is: to be gone on with only if all of it is what it was. Unused bytes are zero. */
struct journal_identity {
	uint8_t vm_uuid[16];
	uint32_t domid;
	uint32_t devid;
	uint32_t queue; /* this one, from 0 */
	uint32_t nr_queues;
	uint32_t abi; /* enum ctl_abi */
	uint32_t evtchn;
	uint32_t nr_ring_pages;
	uint32_t ring_gref[JOURNAL_RING_PAGES];
	uint32_t read_only;
	uint64_t target_dev; /* st_dev and st_ino, or st_rdev and 0 of a block device; 0 for none */
	uint64_t target_ino;
	uint64_t capacity_sect;
};

struct journal_header {
	uint32_t magic;	  /* written last by control */
	uint32_t version; /* of the entries */
	uint32_t nr_entries;
	uint32_t entry_bytes;
	struct journal_identity identity;
	uint8_t reserved[256 - 16 - sizeof(struct journal_identity)];
	/* The data process's. */
	uint32_t state; /* enum journal_state */
	uint32_t req_cons;
	uint32_t rsp_intended;
	uint32_t rsp_committed;
	/* Not 0 while the process attaches this queue or is at its ring, but not while it hears of I/O
	 * that has ended: whom to blame if it dies. Cleared by control before each ATTACH. */
	uint32_t busy;
	int32_t lost; /* -errno of the first write that a flush was told is lost, or 0: it stays */
	uint8_t reserved2[256 - 24];
};

/* entry.word: the state in the upper half, the response index of an ANSWERED one in the lower. */
enum journal_entry_state {
	JOURNAL_FREE,
	JOURNAL_TAKEN,
	JOURNAL_ANSWERED,
};

struct journal_entry {
	uint64_t word;
	uint32_t req_index; /* of the ring */
	uint32_t reserved;
	uint8_t slot[JOURNAL_SLOT_BYTES]; /* the request as the guest wrote it, copied once */
};

_Static_assert(sizeof(struct journal_header) == JOURNAL_HEADER_BYTES,
	       "the header's layout is fixed");
_Static_assert(sizeof(struct journal_entry) == JOURNAL_ENTRY_BYTES, "two cache lines");

static inline uint64_t journal_file_bytes(uint32_t nr_entries)
{
	return JOURNAL_HEADER_BYTES + (uint64_t)nr_entries * JOURNAL_ENTRY_BYTES;
}
