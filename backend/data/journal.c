// SPDX-License-Identifier: MIT
/*
 * Implementation of data/journal.h: mapping, and what is found at attach. Everything is judged
 * before the first store, and a copy of each word is what is judged. Called by blkback and blkqueue.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "backend/data/journal.h"

#define MAX_ERRNO 4095

_Static_assert(JOURNAL_FREE == 0, "an empty file is a journal of free entries");

/* What an entry is, at the indexes of a ring that is resumed. */
enum verdict {
	NOTHING,  /* free, or to be freed: never taken, or answered and published */
	AGAIN,	  /* taken and not answered */
	NONSENSE, /* no backend writes this */
};

static bool is_idle(const struct journal_header *h)
{
	return h->req_cons == h->rsp_intended && h->req_cons == h->rsp_committed;
}

static enum verdict judge_entry(const struct journal_entry *entry, const struct rwy_ring_back *ring)
{
	uint64_t word = entry->word;
	uint32_t ahead = entry->req_index - ring->req_cons; /* of what was taken */
	uint32_t rsp_index = (uint32_t)word;
	bool taken = ahead >= ring->nr_slots;

	switch (word >> 32) {
	case JOURNAL_FREE:
		return rsp_index == 0 ? NOTHING : NONSENSE;
	case JOURNAL_TAKEN:
		if (rsp_index != 0)
			return NONSENSE;
		return taken ? AGAIN : NOTHING;
	case JOURNAL_ANSWERED:
		if (!taken)
			return NONSENSE;
		if (rsp_index - ring->rsp_pushed < ring->req_cons - ring->rsp_pushed)
			return AGAIN;
		return ring->rsp_pushed - 1 - rsp_index < ring->nr_slots ? NOTHING : NONSENSE;
	default:
		return NONSENSE;
	}
}

/* The largest first. Not qsort, which asks the system for its memory: the sandbox would not let it. */
static void insert_key(uint64_t *key, uint32_t nr, uint64_t new_key)
{
	uint32_t at = nr;

	for (; at > 0 && key[at - 1] < new_key; at--)
		key[at] = key[at - 1];
	key[at] = new_key;
}

/* Find what is to be done again, the oldest first. 0 or -EBADMSG. */
static int judge_entries(const struct journal *j, const struct rwy_ring_back *ring,
			 struct journal_backlog *backlog)
{
	uint64_t key[JOURNAL_MAX_ENTRIES]; /* how long ago it was taken, and the entry */

	backlog->nr = 0;
	for (uint32_t i = 0; i < j->nr_entries; i++) {
		enum verdict verdict = judge_entry(&j->entry[i], ring);

		if (verdict == NONSENSE)
			return -EBADMSG;
		if (verdict == AGAIN)
			insert_key(key, backlog->nr++,
				   (uint64_t)(ring->req_cons - j->entry[i].req_index) << 32 | i);
	}
	if (backlog->nr != ring->req_cons - ring->rsp_pushed)
		return -EBADMSG;
	for (uint32_t n = 0; n < backlog->nr; n++) {
		backlog->entry[n] = (uint32_t)key[n];
		if (n > 0 && key[n] >> 32 == key[n - 1] >> 32)
			return -EBADMSG; /* one request in two entries */
	}
	return 0;
}

/* The step "recover" of backend/journal.h: it says nothing new, whatever of it is done. */
static void recover(struct journal *j, const struct rwy_ring_back *ring,
		    const struct journal_backlog *backlog)
{
	bool again[JOURNAL_MAX_ENTRIES] = {false};

	journal_intend(j, ring->rsp_pushed);
	journal_commit(j, ring->rsp_pushed);
	for (uint32_t n = 0; n < backlog->nr; n++)
		again[backlog->entry[n]] = true;
	for (uint32_t i = 0; i < j->nr_entries; i++)
		journal_store_word(&j->entry[i], again[i] ? JOURNAL_TAKEN : JOURNAL_FREE, 0);
}

/* The header and nothing else is known of a journal of another version, and it is idle. Until the end
 * it is of none. */
static void adopt(struct journal *j)
{
	journal_store_u32(&j->header->version, 0);
	memset(j->entry, 0, (size_t)j->nr_entries * sizeof(*j->entry));
	journal_store_u32(&j->header->nr_entries, j->nr_entries);
	journal_store_u32(&j->header->entry_bytes, JOURNAL_ENTRY_BYTES);
	journal_store_u32(&j->header->version, JOURNAL_VERSION);
}

static int resume(struct journal *j, struct rwy_ring_back *ring, void *ring_pages,
		  uint32_t nr_ring_pages, uint32_t slot_bytes, struct journal_backlog *backlog,
		  const char **what)
{
	const struct rwy_ring_saved saved = {
		.req_cons = j->header->req_cons,
		.rsp_intended = j->header->rsp_intended,
		.rsp_committed = j->header->rsp_committed,
	};
	int err = rwy_ring_back_resume(ring, ring_pages, nr_ring_pages, slot_bytes, &saved);

	*what = "the ring's rsp_prod is not what its journal says";
	if (err == -EPROTO)
		return err;
	*what = "the ring's journal is damaged";
	if (err)
		return -EBADMSG;
	err = judge_entries(j, ring, backlog);
	if (!err)
		recover(j, ring, backlog);
	return err;
}

static int begin(struct journal *j, struct rwy_ring_back *ring, void *ring_pages,
		 uint32_t nr_ring_pages, uint32_t slot_bytes, const char **what)
{
	int err = rwy_ring_back_attach(ring, ring_pages, nr_ring_pages, slot_bytes);

	*what = "the ring's indexes are out of range";
	if (err)
		return err;
	journal_taken(j, ring->req_cons);
	journal_intend(j, ring->rsp_pushed);
	journal_commit(j, ring->rsp_pushed);
	journal_store_u32(&j->header->state, JOURNAL_LIVE);
	return 0;
}

int journal_attach(struct journal *j, struct rwy_ring_back *ring, void *ring_pages,
		   uint32_t nr_ring_pages, uint32_t slot_bytes, struct journal_backlog *backlog,
		   const char **what)
{
	backlog->nr = 0;
	if (j->header->version != JOURNAL_VERSION)
		adopt(j);
	if (j->header->state == JOURNAL_LIVE)
		return resume(j, ring, ring_pages, nr_ring_pages, slot_bytes, backlog, what);
	return begin(j, ring, ring_pages, nr_ring_pages, slot_bytes, what);
}

/* Is the file there, and long enough? Its header is control's, or an earlier version's. */
static int map(struct journal *j, int fd, uint32_t nr_entries)
{
	uint64_t bytes = journal_file_bytes(nr_entries);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (nr_entries > JOURNAL_MAX_ENTRIES || end < 0 || (uint64_t)end < bytes)
		return -EINVAL;
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	j->header = at;
	j->entry = (struct journal_entry *)(j->header + 1);
	j->nr_entries = nr_entries;
	return 0;
}

static int judge_header(const struct journal *j, const char **what)
{
	const struct journal_header *h = j->header;

	*what = "the journal is another ring's";
	if (h->magic != JOURNAL_MAGIC ||
	    (h->version == JOURNAL_VERSION &&
	     (h->nr_entries != j->nr_entries || h->entry_bytes != JOURNAL_ENTRY_BYTES)))
		return -EINVAL;
	*what = "the ring's journal is damaged";
	if (h->state > JOURNAL_LIVE || h->lost > 0 || h->lost < -MAX_ERRNO)
		return -EBADMSG;
	*what = "the journal is of another version, and has requests in flight";
	return h->version == JOURNAL_VERSION || is_idle(h) ? 0 : -ENOTSUP;
}

int journal_open(struct journal *j, int fd, uint32_t nr_entries, const char **what)
{
	*what = "the ring's journal is missing, or too short";
	int err = map(j, fd, nr_entries);

	if (err)
		return err;
	err = judge_header(j, what);
	if (err)
		journal_close(j);
	return err;
}

void journal_close(struct journal *j)
{
	munmap(j->header, journal_file_bytes(j->nr_entries));
}
