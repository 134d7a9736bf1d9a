/* SPDX-License-Identifier: MIT */
/*
 * The journal of a queue (backend/journal.h: what is in it, and why each prefix of these stores can
 * be gone on from), mapped. Trust: control made the file and says that it is this ring's; what a
 * predecessor wrote in it is judged before use, since a guest may have had that process in its
 * hands. Owned by blkback, written by blkqueue, a tag to an entry. Threads: the lane's.
 */
#pragma once
#include "backend/journal.h"
#include "ring/ring.h"

/* As many as the longest ring has slots. */
#define JOURNAL_MAX_ENTRIES 512u

struct journal {
	struct journal_header *header; /* mapped, with the entries behind it */
	struct journal_entry *entry;
	uint32_t nr_entries;
};

/* What a predecessor had taken and not answered, the oldest first. */
struct journal_backlog {
	uint32_t nr;
	uint32_t entry[JOURNAL_MAX_ENTRIES];
};

/*
 * Map the file, which stays the caller's, who may close it afterwards, for a ring of nr_entries
 * slots. -EINVAL: no journal, or one for another ring; -EBADMSG: it is damaged; -ENOTSUP: of
 * another version, with requests in flight; -ENOMEM. *what says it in words (a static string).
 */
int journal_open(struct journal *journal, int fd, uint32_t nr_entries, const char **what);
/* After the engine, which keeps what it lost in it. */
void journal_close(struct journal *journal);

/*
 * Take the backend's end of the ring: as its first, if the journal is new, or where the last one
 * ended; then the entries of the backlog hold what is to be done again, and all others are free.
 * -EPROTO: the ring's indexes are not those of the journal (or, for the first, impossible).
 * -EBADMSG: the journal is damaged. *what says it in words.
 */
int journal_attach(struct journal *journal, struct rwy_ring_back *ring, void *ring_pages,
		   uint32_t nr_ring_pages, uint32_t slot_bytes, struct journal_backlog *backlog,
		   const char **what);

/*
 * A word that a successor reads is stored once, and where the program says it. A process ends
 * between two of its instructions, and what it stored by then stays: so the order that counts is
 * the compiler's, and no barrier of the CPU is needed for it.
 */
static inline void journal_store_u32(uint32_t *at, uint32_t value)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void journal_store_word(struct journal_entry *entry, enum journal_entry_state state,
				      uint32_t rsp_index)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&entry->word, (uint64_t)state << 32 | rsp_index, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void journal_set_busy(struct journal *journal, bool busy)
{
	journal_store_u32(&journal->header->busy, busy);
}

/* The entry's slot holds the request; it counts from journal_taken on. */
static inline void journal_take(struct journal_entry *entry, uint32_t req_index)
{
	entry->req_index = req_index;
	journal_store_word(entry, JOURNAL_TAKEN, 0);
}

/* All requests before req_cons are in their entries: from now on they may be started. */
static inline void journal_taken(struct journal *journal, uint32_t req_cons)
{
	journal_store_u32(&journal->header->req_cons, req_cons);
}

/* Its response is in the ring; it counts when the ring's rsp_prod passes the index. */
static inline void journal_answer(struct journal_entry *entry, uint32_t rsp_index)
{
	journal_store_word(entry, JOURNAL_ANSWERED, rsp_index);
}

/* Right before and right after the ring's rsp_prod is stored. */
static inline void journal_intend(struct journal *journal, uint32_t rsp_prod)
{
	journal_store_u32(&journal->header->rsp_intended, rsp_prod);
}

static inline void journal_commit(struct journal *journal, uint32_t rsp_prod)
{
	journal_store_u32(&journal->header->rsp_committed, rsp_prod);
}

/* Answered and published. */
static inline void journal_free(struct journal_entry *entry)
{
	journal_store_word(entry, JOURNAL_FREE, 0);
}

static inline bool journal_is_free(const struct journal_entry *entry)
{
	return entry->word == 0;
}
