// SPDX-License-Identifier: MIT
/*
 * Rules about grant copy: gntdev checks the whole call and the local pages (errno), Xen checks each
 * segment (status). Called by main.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/conformance/conformance.h"

#define UNTOUCHED 99 /* a status that Xen does not know */

typedef xengnttab_grant_copy_segment_t segment;

static segment from_guest(struct run *run, uint32_t gref, uint16_t offset, void *to, uint16_t len)
{
	return (segment){.flags = GNTCOPY_source_gref,
			 .source.foreign = {.ref = gref, .offset = offset, .domid = run->domid},
			 .dest.virt = to,
			 .len = len,
			 .status = UNTOUCHED};
}

static segment to_guest(struct run *run, const void *from, uint32_t gref, uint16_t offset,
			uint16_t len)
{
	return (segment){.flags = GNTCOPY_dest_gref,
			 .source.virt = (void *)from,
			 .dest.foreign = {.ref = gref, .offset = offset, .domid = run->domid},
			 .len = len,
			 .status = UNTOUCHED};
}

/* The call succeeds; the segment says so or not. */
static void check_status(struct run *run, segment *seg, int wanted)
{
	check_done(run, !xengnttab_grant_copy(run->xgt, 1, seg), "grant_copy");
	CHECK(run, seg->status == wanted, "status %d instead of %d", seg->status, wanted);
}

static void copy_reads_the_guests_page(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	uint8_t own[16] = {0};

	must(run, "fill %ld 0 61", shared.id);
	segment seg = from_guest(run, shared.gref[0], 4090, own + 3, 6);
	check_status(run, &seg, GNTST_okay);
	CHECK(run, !own[2] && own[3] == 61 && own[8] == 61 && !own[9],
	      "bytes 2, 3, 8 and 9 are %u, %u, %u and %u", own[2], own[3], own[8], own[9]);
}

static void copy_writes_the_guests_page(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	static const uint8_t own[4] = {1, 2, 3, 4};

	segment seg = to_guest(run, own, shared.gref[0], 100, 4);
	check_status(run, &seg, GNTST_okay);
	for (unsigned i = 0; i < 4; i++) {
		long seen = must(run, "peek %ld %u", shared.id, 100 + i);
		CHECK(run, seen == (long)i + 1, "the guest's byte %u is %ld", 100 + i, seen);
	}
	CHECK(run, !must(run, "peek %ld 104", shared.id), "byte 104 was written, too");
}

static void copy_to_and_from_local_memory_crosses_local_pages(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	static uint8_t own[3 * PAGE_BYTES] __attribute__((aligned(4096)));

	must(run, "fill %ld 0 23", shared.id);
	memset(own, 0, sizeof(own));
	segment seg = from_guest(run, shared.gref[0], 0, own + 2000, PAGE_BYTES);
	check_status(run, &seg, GNTST_okay);
	CHECK(run, !own[1999] && own[2000] == 23 && own[6095] == 23 && !own[6096],
	      "the ends are %u %u and %u %u", own[1999], own[2000], own[6095], own[6096]);
}

static void copy_between_two_grants(struct run *run)
{
	struct shared shared = guest_shares(run, 2, 0, true);

	must(run, "fill %ld 0 12", shared.id);
	segment seg = from_guest(run, shared.gref[0], 0, NULL, 50);
	seg.flags |= GNTCOPY_dest_gref;
	memset(&seg.dest, 0, sizeof(seg.dest));
	seg.dest.foreign.ref = shared.gref[1];
	seg.dest.foreign.offset = 200;
	seg.dest.foreign.domid = run->domid;
	check_status(run, &seg, GNTST_okay);
	CHECK(run, must(run, "peek %ld %u", shared.id, PAGE_BYTES + 249) == 12, "it is not there");
	CHECK(run, !must(run, "peek %ld %u", shared.id, PAGE_BYTES + 250), "it is too long");
}

static void copy_from_read_only_grant_is_okay(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, false);
	uint8_t own[8];

	segment seg = from_guest(run, shared.gref[0], 0, own, sizeof(own));
	check_status(run, &seg, GNTST_okay);
}

static void copy_to_read_only_grant_is_general_error(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, false);
	uint8_t own[8] = {1};

	segment seg = to_guest(run, own, shared.gref[0], 0, sizeof(own));
	check_status(run, &seg, GNTST_general_error);
	CHECK(run, must(run, "filled %ld 0 0", shared.id), "the page was written all the same");
}

static void copy_of_gref_beyond_the_table_is_bad_gntref(struct run *run)
{
	uint8_t own[8];

	segment seg = from_guest(run, NO_SUCH_GREF, 0, own, sizeof(own));
	check_status(run, &seg, GNTST_bad_gntref);
}

static void copy_of_unshared_gref_is_general_error(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	uint8_t own[8];

	must(run, "unshare %ld 0 1", shared.id);
	segment seg = from_guest(run, shared.gref[0], 0, own, sizeof(own));
	check_status(run, &seg, GNTST_general_error);
}

static void copy_of_grant_to_another_domain_is_general_error(struct run *run)
{
	struct shared shared = guest_shares(run, 1, NO_SUCH_DOMID, true);
	uint8_t own[8];

	segment seg = from_guest(run, shared.gref[0], 0, own, sizeof(own));
	check_status(run, &seg, GNTST_general_error);
}

static void copy_from_unknown_domain_is_bad_domain(struct run *run)
{
	uint8_t own[8];

	segment seg = from_guest(run, 8, 0, own, sizeof(own));
	seg.source.foreign.domid = NO_SUCH_DOMID;
	check_status(run, &seg, GNTST_bad_domain);
}

static void copy_past_the_page_end_is_EINVAL(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	uint8_t own[16] = {0};

	segment seg = from_guest(run, shared.gref[0], 4090, own, 7);
	check_refused(run, !xengnttab_grant_copy(run->xgt, 1, &seg), EINVAL, "copy from");
	seg = to_guest(run, own, shared.gref[0], 4090, 7);
	check_refused(run, !xengnttab_grant_copy(run->xgt, 1, &seg), EINVAL, "copy to");
}

static void copy_without_a_grant_is_EINVAL(struct run *run)
{
	uint8_t a[8] = {0}, b[8];
	segment seg = {.source.virt = a, .dest.virt = b, .len = 8, .status = UNTOUCHED};

	check_refused(run, !xengnttab_grant_copy(run->xgt, 1, &seg), EINVAL, "copy");
}

static void copy_of_no_bytes_is_okay_whatever_the_gref(struct run *run)
{
	uint8_t own[8];

	segment seg = from_guest(run, NO_SUCH_GREF, 0, own, 0);
	check_status(run, &seg, GNTST_okay);
}

static void copy_of_no_segments_is_okay(struct run *run)
{
	segment seg = {0};

	check_done(run, !xengnttab_grant_copy(run->xgt, 0, &seg), "grant_copy");
}

static void each_segment_has_its_own_status(struct run *run)
{
	struct shared shared = guest_shares(run, 2, 0, false);
	static uint8_t own[4][64];
	segment segs[] = {
		from_guest(run, shared.gref[0], 0, own[0], 64),
		from_guest(run, NO_SUCH_GREF, 0, own[1], 64),
		from_guest(run, shared.gref[1], 0, own[2], 64),
		to_guest(run, own[3], shared.gref[1], 0, 64),
	};
	static const int wanted[] = {GNTST_okay, GNTST_bad_gntref, GNTST_okay, GNTST_general_error};

	must(run, "fill %ld 0 5", shared.id);
	must(run, "fill %ld 1 6", shared.id);
	memset(own, 0, sizeof(own));
	check_done(run, !xengnttab_grant_copy(run->xgt, 4, segs), "grant_copy");
	for (unsigned i = 0; i < 4; i++)
		CHECK(run, segs[i].status == wanted[i], "segment %u: status %d instead of %d", i,
		      segs[i].status, wanted[i]);
	CHECK(run, own[0][63] == 5 && !own[1][0] && own[2][63] == 6,
	      "what came is %u, %u and %u instead of 5, 0 and 6", own[0][63], own[1][0],
	      own[2][63]);
}

/* More than the driver hands to Xen at a time. */
static void copy_of_100_segments_is_okay(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	static uint8_t own[100];
	segment segs[100];

	must(run, "fill %ld 0 9", shared.id);
	for (unsigned i = 0; i < 100; i++)
		segs[i] = from_guest(run, shared.gref[0], i, own + i, 1);
	check_done(run, !xengnttab_grant_copy(run->xgt, 100, segs), "grant_copy");
	for (unsigned i = 0; i < 100; i++)
		CHECK(run, segs[i].status == GNTST_okay && own[i] == 9, "segment %u: status %d, %u",
		      i, segs[i].status, own[i]);
}

static void segments_before_an_unsound_one_are_not_copied(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	uint8_t own[16] = {0};
	segment segs[] = {from_guest(run, shared.gref[0], 0, own, 8),
			  from_guest(run, shared.gref[0], 4095, own + 8, 2)};

	must(run, "fill %ld 0 9", shared.id);
	check_refused(run, !xengnttab_grant_copy(run->xgt, 2, segs), EINVAL, "copy");
	CHECK(run, !own[0], "the first segment was copied");
	CHECK(run, segs[1].status == UNTOUCHED, "the unsound segment's status is %d",
	      segs[1].status);
}

static int copy_to_nowhere(struct run *run, const void *arg)
{
	const uint32_t *gref = arg;
	void *nowhere = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	segment seg = from_guest(run, *gref, 0, nowhere, 8);

	check_refused(run, !xengnttab_grant_copy(run->xgt, 1, &seg), EFAULT, "copy");
	return 0;
}

static void copy_to_bad_local_address_is_EFAULT(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);

	int status = in_child(run, copy_to_nowhere, &shared.gref[0]);
	CHECK(run, !status, "the copier ended with %d", status);
}

static void killed_sharers_grants_are_general_error_to_copy(struct run *run)
{
	struct shared shared = guest_shares(run, 1, 0, true);
	uint8_t own[8];

	must(run, "kill");
	segment seg = from_guest(run, shared.gref[0], 0, own, sizeof(own));
	check_status(run, &seg, GNTST_general_error);
}

static const struct rule rules[] = {
	{"copy_reads_the_guests_page", copy_reads_the_guests_page},
	{"copy_writes_the_guests_page", copy_writes_the_guests_page},
	{"copy_to_and_from_local_memory_crosses_local_pages",
	 copy_to_and_from_local_memory_crosses_local_pages},
	{"copy_between_two_grants", copy_between_two_grants},
	{"copy_from_read_only_grant_is_okay", copy_from_read_only_grant_is_okay},
	{"copy_to_read_only_grant_is_general_error", copy_to_read_only_grant_is_general_error},
	{"copy_of_gref_beyond_the_table_is_bad_gntref",
	 copy_of_gref_beyond_the_table_is_bad_gntref},
	{"copy_of_unshared_gref_is_general_error", copy_of_unshared_gref_is_general_error},
	{"copy_of_grant_to_another_domain_is_general_error",
	 copy_of_grant_to_another_domain_is_general_error},
	{"copy_from_unknown_domain_is_bad_domain", copy_from_unknown_domain_is_bad_domain},
	{"copy_past_the_page_end_is_EINVAL", copy_past_the_page_end_is_EINVAL},
	{"copy_without_a_grant_is_EINVAL", copy_without_a_grant_is_EINVAL},
	{"copy_of_no_bytes_is_okay_whatever_the_gref", copy_of_no_bytes_is_okay_whatever_the_gref},
	{"copy_of_no_segments_is_okay", copy_of_no_segments_is_okay},
	{"each_segment_has_its_own_status", each_segment_has_its_own_status},
	{"copy_of_100_segments_is_okay", copy_of_100_segments_is_okay},
	{"segments_before_an_unsound_one_are_not_copied",
	 segments_before_an_unsound_one_are_not_copied},
	{"copy_to_bad_local_address_is_EFAULT", copy_to_bad_local_address_is_EFAULT},
	{"killed_sharers_grants_are_general_error_to_copy",
	 killed_sharers_grants_are_general_error_to_copy},
};

const struct rule_group copy_rules = RULE_GROUP(rules);
