// SPDX-License-Identifier: MIT
/*
 * Rules about mapping what another domain granted: libxengnttab over Linux's gntdev. Called by
 * main.c, one rule at a time.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/conformance/conformance.h"

static void map_shows_what_the_guest_wrote(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	uint8_t *page = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	must(run, "fill %ld 0 165", shared.id);
	CHECK(run, page[0] == 165 && page[4095] == 165, "bytes 0 and 4095 are %u and %u", page[0],
	      page[4095]);
}

static void guest_sees_what_was_written_to_the_map(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	uint8_t *page = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	memset(page, 90, PAGE_BYTES);
	CHECK(run, must(run, "filled %ld 0 90", shared.id), "the guest sees other bytes");
}

static void read_only_grant_maps_read_only(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, false);

	must(run, "fill %ld 0 7", shared.id);
	uint8_t *page = map_page(run, shared.gref[0], PROT_READ);
	CHECK(run, page[100] == 7, "byte 100 is %u", page[100]);
}

static void writable_map_of_read_only_grant_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, false);

	check_unmappable(run, shared.gref[0], PROT_READ | PROT_WRITE, "writable map");
}

static void writable_map_beside_read_only_map_of_read_only_grant_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, false);

	map_page(run, shared.gref[0], PROT_READ);
	check_unmappable(run, shared.gref[0], PROT_READ | PROT_WRITE, "writable map");
}

static int write_through_read_only_map(struct run *run, const void *arg)
{
	const uint32_t *gref = arg;

	volatile uint8_t *page = map_page(run, *gref, PROT_READ);
	page[0] = 1;
	return 0;
}

static void write_to_read_only_map_faults(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	int status = in_child(run, write_through_read_only_map, &shared.gref[0]);
	CHECK(run, status == CHILD_FAULTED, "the writer ended with %d", status);
}

static void map_of_unknown_gref_is_EINVAL(struct run *run)
{
	check_unmappable(run, NO_SUCH_GREF, PROT_READ, "map");
}

static void map_from_unknown_domain_is_EINVAL(struct run *run)
{
	void *page = keep_mapping(
		run, xengnttab_map_grant_ref(run->xgt, NO_SUCH_DOMID, 8, PROT_READ), 1);

	check_refused(run, page, EINVAL, "map");
}

static void map_of_grant_to_another_domain_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, NO_SUCH_DOMID, true);

	check_unmappable(run, shared.gref[0], PROT_READ, "map");
}

static void guest_cannot_map_its_own_grant_to_dom0(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	long mapped = ask(run, "map %u %u", run->domid, shared.gref[0]);
	check_refused(run, mapped >= 0, EINVAL, "map");
}

static void map_of_no_pages_is_EINVAL(struct run *run)
{
	uint32_t gref = 8;

	void *addr = xengnttab_map_domain_grant_refs(run->xgt, 0, run->domid, &gref, PROT_READ);
	check_refused(run, addr, EINVAL, "map");
}

static void map_of_65537_pages_is_EINVAL(struct run *run)
{
	static uint32_t grefs[65537];

	void *addr = xengnttab_map_domain_grant_refs(run->xgt, 65537, run->domid, grefs, PROT_READ);
	check_refused(run, addr, EINVAL, "map");
}

static void map_of_scattered_grefs_is_in_the_order_asked(struct run *run)
{
	struct shared shared = guest_shares(run, 8, 0, true);
	static const unsigned order[] = {6, 1, 7, 0, 3};
	uint32_t grefs[5];

	for (unsigned i = 0; i < 5; i++) {
		grefs[i] = shared.gref[order[i]];
		must(run, "fill %ld %u %u", shared.id, order[i], 50 + order[i]);
	}
	uint8_t *pages = keep_mapping(
		run, xengnttab_map_domain_grant_refs(run->xgt, 5, run->domid, grefs, PROT_READ), 5);
	check_done(run, pages, "map");
	for (unsigned i = 0; i < 5; i++)
		CHECK(run, pages[i * PAGE_BYTES + 9] == 50 + order[i], "page %u has %u", i,
		      pages[i * PAGE_BYTES + 9]);
}

static void map_with_one_bad_gref_maps_nothing(struct run *run)
{
	struct shared shared = guest_shares(run, 3, 0, true);
	uint32_t grefs[] = {shared.gref[0], NO_SUCH_GREF, shared.gref[2]};
	uint32_t domids[] = {run->domid, run->domid, run->domid};

	void *addr = keep_mapping(
		run, xengnttab_map_grant_refs(run->xgt, 3, domids, grefs, PROT_READ), 3);
	check_refused(run, addr, EINVAL, "map");
	must(run, "unshare %ld 0 3", shared.id);
	check_unmappable(run, shared.gref[0], PROT_READ, "map of a good one once it is unshared");
}

static void gref_can_be_mapped_twice(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	uint8_t *one = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	uint8_t *two = map_page(run, shared.gref[0], PROT_READ | PROT_WRITE);
	CHECK(run, one != two, "both maps are at one address");
	one[5] = 55;
	CHECK(run, two[5] == 55, "the second map shows %u", two[5]);
	unmap_page(run, one);
	two[6] = 66;
	CHECK(run, must(run, "peek %ld 6", shared.id) == 66, "the guest does not see the write");
}

static void unmap_of_fewer_pages_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 4, 0, true);

	uint8_t *pages = keep_mapping(
		run,
		xengnttab_map_domain_grant_refs(run->xgt, 4, run->domid, shared.gref, PROT_READ),
		4);
	check_done(run, pages, "map");
	check_refused(run, !xengnttab_unmap(run->xgt, pages, 2), EINVAL, "unmap of 2 of 4");
	must(run, "fill %ld 1 33", shared.id);
	CHECK(run, pages[PAGE_BYTES] == 33, "page 1 is no longer mapped rightly");
}

static void second_unmap_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	uint8_t *page = map_page(run, shared.gref[0], PROT_READ);
	unmap_page(run, page);
	check_refused(run, !xengnttab_unmap(run->xgt, page, 1), EINVAL, "second unmap");
}

static void unmap_of_what_is_not_mapped_is_EINVAL(struct run *run)
{
	static uint8_t pages[2 * PAGE_BYTES] __attribute__((aligned(4096)));

	check_refused(run, !xengnttab_unmap(run->xgt, pages, 1), EINVAL, "unmap");
	check_refused(run, !xengnttab_unmap(run->xgt, NULL, 1), EINVAL, "unmap of NULL");
}

static int read_after_close(struct run *run, const void *arg)
{
	const uint32_t *gref = arg;

	volatile uint8_t *page = map_page(run, *gref, PROT_READ);
	xengnttab_close(run->xgt);
	return page[0] == 17 ? 0 : 1;
}

static void mapping_outlives_its_closed_handle(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	must(run, "fill %ld 0 17", shared.id);
	int status = in_child(run, read_after_close, &shared.gref[0]);
	CHECK(run, !status, "the reader ended with %d", status);
}

static void set_max_grants_is_accepted(struct run *run)
{
	check_done(run, !xengnttab_set_max_grants(run->xgt, 16), "set_max_grants");
}

static const struct rule rules[] = {
	{"map_shows_what_the_guest_wrote", map_shows_what_the_guest_wrote},
	{"guest_sees_what_was_written_to_the_map", guest_sees_what_was_written_to_the_map},
	{"read_only_grant_maps_read_only", read_only_grant_maps_read_only},
	{"writable_map_of_read_only_grant_is_EINVAL", writable_map_of_read_only_grant_is_EINVAL},
	{"writable_map_beside_read_only_map_of_read_only_grant_is_EINVAL",
	 writable_map_beside_read_only_map_of_read_only_grant_is_EINVAL},
	{"write_to_read_only_map_faults", write_to_read_only_map_faults},
	{"map_of_unknown_gref_is_EINVAL", map_of_unknown_gref_is_EINVAL},
	{"map_from_unknown_domain_is_EINVAL", map_from_unknown_domain_is_EINVAL},
	{"map_of_grant_to_another_domain_is_EINVAL", map_of_grant_to_another_domain_is_EINVAL},
	{"guest_cannot_map_its_own_grant_to_dom0", guest_cannot_map_its_own_grant_to_dom0},
	{"map_of_no_pages_is_EINVAL", map_of_no_pages_is_EINVAL},
	{"map_of_65537_pages_is_EINVAL", map_of_65537_pages_is_EINVAL},
	{"map_of_scattered_grefs_is_in_the_order_asked",
	 map_of_scattered_grefs_is_in_the_order_asked},
	{"map_with_one_bad_gref_maps_nothing", map_with_one_bad_gref_maps_nothing},
	{"gref_can_be_mapped_twice", gref_can_be_mapped_twice},
	{"unmap_of_fewer_pages_is_EINVAL", unmap_of_fewer_pages_is_EINVAL},
	{"second_unmap_is_EINVAL", second_unmap_is_EINVAL},
	{"unmap_of_what_is_not_mapped_is_EINVAL", unmap_of_what_is_not_mapped_is_EINVAL},
	{"mapping_outlives_its_closed_handle", mapping_outlives_its_closed_handle},
	{"set_max_grants_is_accepted", set_max_grants_is_accepted},
};

const struct rule_group map_rules = RULE_GROUP(rules);
