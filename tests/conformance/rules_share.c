// SPDX-License-Identifier: MIT
/*
 * Rules about granting, and about the life of a grant: libxengntshr over Linux's gntalloc, which
 * keeps a revoked grant valid as long as somebody has it mapped. Called by main.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/conformance/conformance.h"

static void shared_page_is_zero_at_first(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	CHECK(run, must(run, "filled %ld 0 0", shared.id), "the guest sees other bytes");
	uint8_t *page = map_page(run, shared.gref[0], PROT_READ);
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		CHECK(run, !page[i], "byte %u is %u", i, page[i]);
}

static void page_is_zero_when_shared_again(struct run *run)
{
	CHECK(run, must(run, "share-again 512 100"), "what it held before is still there");
}

static void share_of_no_pages_is_EINVAL(struct run *run)
{
	check_refused(run, ask(run, "share 0 0 1") >= 0, EINVAL, "share");
}

static void share_beyond_the_limit_is_ENOSPC(struct run *run)
{
	check_refused(run, ask(run, "share 200000 0 1") >= 0, ENOSPC, "share of 200,000 pages");
}

static void unshared_page_is_EINVAL_to_map(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	uint8_t *page = map_page(run, shared.gref[0], PROT_READ);
	unmap_page(run, page);
	must(run, "unshare %ld 0 1", shared.id);
	check_unmappable(run, shared.gref[0], PROT_READ, "map");
}

static void mapped_page_stays_readable_after_unshare(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 99", shared.id);
	uint8_t *page = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	must(run, "unshare %ld 0 1", shared.id);
	CHECK(run, page[0] == 99 && page[4095] == 99, "byte 0 is %u", page[0]);
	page[0] = 98;
	CHECK(run, page[0] == 98, "a write to it is lost");
}

static void mapped_page_is_not_given_to_the_next_share(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 99", shared.id);
	uint8_t *page = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	must(run, "unshare %ld 0 1", shared.id);
	struct shared other = guest_shares(run, 8, 0, true);
	for (unsigned i = 0; i < 8; i++) {
		CHECK(run, other.gref[i] != shared.gref[0], "its gref is given again");
		must(run, "fill %ld %u 11", other.id, i);
	}
	CHECK(run, page[0] == 99, "the page that is still mapped changed to %u", page[0]);
}

static void revoked_grant_can_be_mapped_while_it_is_mapped(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 99", shared.id);
	map_page(run, shared.gref[0], PROT_READ);
	must(run, "unshare %ld 0 1", shared.id);
	uint8_t *again = map_page(run, shared.gref[0], PROT_READ);
	CHECK(run, again[1] == 99, "the second map shows %u", again[1]);
}

/*
 * gntalloc looks for grants that it can end whenever it is asked for new ones, and gntdev may take
 * a moment to unmap. What is shared meanwhile is not for us, should it get the same gref.
 */
static void revoked_grant_ends_when_unmapped_and_the_guest_shares_again(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	int64_t deadline = now_ms() + EVENT_WAIT_MS;

	uint8_t *page = map_page(run, shared.gref[0], PROT_READ);
	must(run, "unshare %ld 0 1", shared.id);
	unmap_page(run, page);
	do {
		guest_shares(run, 1, NO_SUCH_DOMID, true);
		page = xengnttab_map_grant_ref(run->xgt, run->domid, shared.gref[0], PROT_READ);
		if (page)
			xengnttab_unmap(run->xgt, page, 1);
	} while (page && now_ms() < deadline);
	CHECK(run, !page, "it could still be mapped %d s after", EVENT_WAIT_MS / 1000);
}

static void mapped_page_stays_readable_after_the_sharer_was_killed(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 71", shared.id);
	uint8_t *page = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	must(run, "kill");
	CHECK(run, page[0] == 71 && page[4095] == 71, "byte 0 is %u", page[0]);
}

static void killed_sharers_grants_are_EINVAL_to_map(struct run *run)
{
	struct shared shared = guest_shares(run, 2, 0, true);

	must(run, "kill");
	check_unmappable(run, shared.gref[0], PROT_READ, "map of the first");
	check_unmappable(run, shared.gref[1], PROT_READ, "map of the second");
}

/* The mapping holds the grant, not the handle. */
static void grant_outlives_the_closed_gntshr_handle(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 44", shared.id);
	must(run, "close-gntshr");
	uint8_t *page = map_page(run, shared.gref[0], PROT_READ);
	CHECK(run, page[0] == 44, "byte 0 is %u", page[0]);
}

static void unshare_of_some_pages_is_accepted(struct run *run)
{
	struct shared shared = guest_shares(run, 4, 0, true);

	must(run, "unshare %ld 0 2", shared.id);
	must(run, "fill %ld 3 66", shared.id);
	uint8_t *page = map_page(run, shared.gref[3], PROT_READ);
	CHECK(run, page[0] == 66, "byte 0 of a page that is still shared is %u", page[0]);
	unmap_page(run, page);
	must(run, "unshare %ld 2 2", shared.id);
	check_unmappable(run, shared.gref[3], PROT_READ, "map once all is unshared");
}

static void grefs_of_one_share_are_all_different(struct run *run)
{
	struct shared shared = guest_shares(run, NR_SHARED_MAX, 0, true);

	for (unsigned i = 0; i < NR_SHARED_MAX; i++)
		for (unsigned k = 0; k < i; k++)
			CHECK(run, shared.gref[i] != shared.gref[k], "gref %u is there twice",
			      shared.gref[i]);
}

static const struct rule rules[] = {
	{"shared_page_is_zero_at_first", shared_page_is_zero_at_first},
	{"page_is_zero_when_shared_again", page_is_zero_when_shared_again},
	{"grefs_of_one_share_are_all_different", grefs_of_one_share_are_all_different},
	{"share_of_no_pages_is_EINVAL", share_of_no_pages_is_EINVAL},
	{"share_beyond_the_limit_is_ENOSPC", share_beyond_the_limit_is_ENOSPC},
	{"unshared_page_is_EINVAL_to_map", unshared_page_is_EINVAL_to_map},
	{"unshare_of_some_pages_is_accepted", unshare_of_some_pages_is_accepted},
	{"mapped_page_stays_readable_after_unshare", mapped_page_stays_readable_after_unshare},
	{"mapped_page_is_not_given_to_the_next_share", mapped_page_is_not_given_to_the_next_share},
	{"revoked_grant_can_be_mapped_while_it_is_mapped",
	 revoked_grant_can_be_mapped_while_it_is_mapped},
	{"revoked_grant_ends_when_unmapped_and_the_guest_shares_again",
	 revoked_grant_ends_when_unmapped_and_the_guest_shares_again},
	{"mapped_page_stays_readable_after_the_sharer_was_killed",
	 mapped_page_stays_readable_after_the_sharer_was_killed},
	{"killed_sharers_grants_are_EINVAL_to_map", killed_sharers_grants_are_EINVAL_to_map},
	{"grant_outlives_the_closed_gntshr_handle", grant_outlives_the_closed_gntshr_handle},
};

const struct rule_group share_rules = RULE_GROUP(rules);
