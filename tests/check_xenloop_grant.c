// SPDX-License-Identifier: MIT
/*
 * Grants on loopback Xen: sharing, mapping, copying, every refusal, and what becomes of them when
 * one side dies.
 */
#define XC_WANT_COMPAT_MAP_FOREIGN_API /* xc_map_foreign_range */
#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "tests/check_main.h"
#include "tests/xenloop_world.h"

static sigjmp_buf fault_return;

static void on_fault(int signo)
{
	siglongjmp(fault_return, signo);
}

/* Whether writing (or else reading) there faults. */
static bool faults(volatile char *at, bool write_it)
{
	struct sigaction action = {.sa_handler = on_fault}, old_segv, old_bus;
	bool faulted = true;

	sigaction(SIGSEGV, &action, &old_segv);
	sigaction(SIGBUS, &action, &old_bus);
	if (!sigsetjmp(fault_return, 1)) {
		if (write_it)
			*at = 1;
		else
			(void)*at;
		faulted = false;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return faulted;
}

START_TEST(a_mapped_grant_is_the_same_memory)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t refs[3];

	char *shared = xengntshr_share_pages(xgs, 0, 3, refs, 1);
	ck_assert_ptr_nonnull(shared);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_ge(refs[i], 8);
		ck_assert_int_eq(shared[i * PAGE], 0);
		shared[i * PAGE] = 'a' + i;
	}
	uint32_t backwards[3] = {refs[2], refs[1], refs[0]};
	char *mapped =
		xengnttab_map_domain_grant_refs(xgt, 3, world.a, backwards, PROT_READ | PROT_WRITE);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(mapped[0], 'c');
	ck_assert_int_eq(mapped[PAGE], 'b');
	mapped[2 * PAGE] = 'z';
	ck_assert_int_eq(shared[0], 'z');
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 3), 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 3), 0);
	xengntshr_close(xgs);
	xengnttab_close(xgt);
}
END_TEST

START_TEST(one_map_takes_grants_of_several_domains)
{
	xengntshr_handle *of_a = gntshr_as(world.a), *of_b = gntshr_as(world.b);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t domids[2] = {world.a, world.b}, refs[2];

	char *a = xengntshr_share_pages(of_a, 0, 1, &refs[0], 1);
	char *b = xengntshr_share_pages(of_b, 0, 1, &refs[1], 1);
	*a = 'a';
	*b = 'b';
	char *mapped = xengnttab_map_grant_refs(xgt, 2, domids, refs, PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(mapped[0], 'a');
	ck_assert_int_eq(mapped[PAGE], 'b');

	domids[1] = world.a; /* one bad page: nothing is mapped */
	refs[1] = refs[0] + 1;
	ck_assert_ptr_null(xengnttab_map_grant_refs(xgt, 2, domids, refs, PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static void refuse(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	errno = 0;
	ck_assert_ptr_null(xengnttab_map_grant_ref(xgt, domid, ref, prot));
	ck_assert_int_eq(errno, EINVAL);
}

START_TEST(a_map_that_was_not_granted_is_refused)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *dom0 = gnttab_as(0), *b = gnttab_as(world.b);
	uint32_t ref, readonly_ref;

	void *shared = xengntshr_share_pages(xgs, world.b, 1, &ref, 1);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1, &readonly_ref, 0));
	refuse(dom0, world.a, ref, PROT_READ);	/* granted to another domain */
	refuse(b, world.b, ref, PROT_READ);	/* of another domain */
	refuse(b, 1000, ref, PROT_READ);	/* no such domain */
	refuse(b, world.a, ref + 1, PROT_READ); /* granted, but not to this domain */
	refuse(b, world.a, 0, PROT_READ);	/* never granted */
	refuse(b, world.a, 32768, PROT_READ);	/* past the table */
	refuse(b, world.a, UINT32_MAX, PROT_READ);
	refuse(dom0, world.a, readonly_ref, PROT_READ | PROT_WRITE);
	void *mapped = xengnttab_map_grant_ref(b, world.a, ref, PROT_READ | PROT_WRITE);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(xengnttab_unmap(b, mapped, 1), 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0);
	refuse(b, world.a, ref, PROT_READ); /* over */
}
END_TEST

START_TEST(a_readonly_map_cannot_be_written)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t ref;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 0);
	*shared = 'r';
	char *mapped = xengnttab_map_grant_ref(xgt, world.a, ref, PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(*mapped, 'r');
	ck_assert(faults(mapped, true));
}
END_TEST

START_TEST(a_share_ends_with_its_last_page)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t refs[3], other_refs[3];

	char *shared = xengntshr_share_pages(xgs, 0, 3, refs, 1);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared + PAGE, 1), 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared + PAGE, 1), 0); /* it is munmap */
	ck_assert(faults(shared + PAGE, false));
	char *hole = xengntshr_share_pages(xgs, 0, 1, &other_refs[0], 1); /* perhaps in it */
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0);
	char *mapped = xengnttab_map_domain_grant_refs(xgt, 3, world.a, refs, PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 3), 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared + 2 * PAGE, 1), 0);
	refuse(xgt, world.a, refs[0], PROT_READ);
	refuse(xgt, world.a, refs[2], PROT_READ);
	mapped = xengnttab_map_grant_ref(xgt, world.a, other_refs[0], PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(xengntshr_unshare(xgs, hole, 1), 0);

	errno = 0;
	ck_assert_int_eq(xengntshr_unshare(xgs, shared + 1, 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(the_gref_that_was_freed_last_is_given_first)
{
	xengntshr_handle *xgs = gntshr_as(world_create("thrifty"));
	uint32_t refs[3], next;

	char *shared = xengntshr_share_pages(xgs, 0, 3, refs, 1);
	char *other = xengntshr_share_pages(xgs, 0, 1, &next, 1);
	ck_assert_uint_eq(refs[0], 8);
	ck_assert_uint_eq(next, 11);
	*other = 'x';
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 3), 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, other, 1), 0);
	other = xengntshr_share_pages(xgs, 0, 1, &next, 1);
	ck_assert_uint_eq(next, 11);
	ck_assert_int_eq(*other, 0);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 3, refs, 1));
	ck_assert_uint_eq(refs[0], 10);
	ck_assert_uint_eq(refs[2], 8);
}
END_TEST

START_TEST(a_place_that_the_program_unmapped_is_used_again)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t refs[2];

	char *shared = xengntshr_share_pages(xgs, 0, 2, refs, 1);
	shared[PAGE] = '2';
	char *mapped = xengnttab_map_grant_ref(xgt, world.a, refs[0], PROT_READ);
	ck_assert_int_eq(munmap(mapped, PAGE), 0);
	char *next = xengnttab_map_grant_ref(xgt, world.a, refs[1], PROT_READ);
	ck_assert_ptr_eq(next, mapped); /* as Linux places it; else there is nothing to test */
	ck_assert_int_eq(*next, '2');
	ck_assert_int_eq(xengnttab_unmap(xgt, next, 1), 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 2), 0);
	refuse(xgt, world.a, refs[1], PROT_READ); /* nobody maps it any more */
}
END_TEST

/* As with Linux, where the mapping holds the file. */
START_TEST(pages_outlive_their_closed_handles)
{
	uint32_t domid = world_create("careless"), ref;
	xengntshr_handle *xgs = gntshr_as(domid);
	xengnttab_handle *xgt = gnttab_as(0);

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	char *mapped = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(xengnttab_close(xgt), 0);
	*shared = 's';
	ck_assert_int_eq(*mapped, 's');
	ck_assert_int_eq(xengntshr_close(xgs), 0);
	*shared = 't';
	xgt = gnttab_as(0);
	mapped = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(*mapped, 't');
}
END_TEST

START_TEST(self_is_a_name_in_copies_only)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(world.a);
	xengnttab_grant_copy_segment_t segment = {
		.source.foreign = {.domid = DOMID_SELF}, .len = 1, .flags = GNTCOPY_source_gref};
	uint32_t ref, to_self;
	char byte = 0;

	char *shared = xengntshr_share_pages(xgs, world.a, 1, &ref, 1);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, DOMID_SELF, 1, &to_self, 1));
	*shared = 's';
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref(xgt, world.a, ref, PROT_READ));
	refuse(xgt, DOMID_SELF, ref, PROT_READ);
	refuse(xgt, world.a, to_self, PROT_READ);
	segment.source.foreign.ref = ref;
	segment.dest.virt = &byte;
	ck_assert_int_eq(xengnttab_grant_copy(xgt, 1, &segment), 0);
	ck_assert_int_eq(segment.status, GNTST_okay);
	ck_assert_int_eq(byte, 's');
}
END_TEST

START_TEST(unmap_takes_a_whole_mapping_once)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t refs[2];

	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 2, refs, 1));
	char *mapped = xengnttab_map_domain_grant_refs(xgt, 2, world.a, refs, PROT_READ);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped + PAGE, 1), -1);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 2), 0);
	ck_assert(faults(mapped, false));
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 2), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static int16_t copy_from(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, uint32_t offset,
			 void *to, uint32_t len)
{
	xengnttab_grant_copy_segment_t segment = {
		.source.foreign = {.ref = ref, .offset = offset, .domid = domid},
		.dest.virt = to,
		.len = len,
		.flags = GNTCOPY_source_gref,
	};

	return xengnttab_grant_copy(xgt, 1, &segment) ? INT16_MIN : segment.status;
}

static int16_t copy_to(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, uint32_t offset,
		       void *from, uint32_t len)
{
	xengnttab_grant_copy_segment_t segment = {
		.source.virt = from,
		.dest.foreign = {.ref = ref, .offset = offset, .domid = domid},
		.len = len,
		.flags = GNTCOPY_dest_gref,
	};

	return xengnttab_grant_copy(xgt, 1, &segment) ? INT16_MIN : segment.status;
}

START_TEST(copy_goes_both_ways)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	char text[8] = "";
	uint32_t ref;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	strcpy(shared + PAGE - 8, "guestly");
	ck_assert_int_eq(copy_from(xgt, world.a, ref, PAGE - 8, text, 8), GNTST_okay);
	ck_assert_str_eq(text, "guestly");
	ck_assert_int_eq(copy_to(xgt, world.a, ref, 0, "hostly", 7), GNTST_okay);
	ck_assert_str_eq(shared, "hostly");
}
END_TEST

START_TEST(copy_is_refused_segment_by_segment)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0), *b = gnttab_as(world.b);
	char text[8];
	uint32_t ref, readonly_ref;

	void *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1, &readonly_ref, 0));
	ck_assert_int_eq(copy_from(xgt, world.a, readonly_ref, 0, text, 8), GNTST_okay);
	ck_assert_int_eq(copy_to(xgt, world.a, readonly_ref, 0, text, 8), GNTST_general_error);
	ck_assert_int_eq(copy_from(b, world.a, ref, 0, text, 8), GNTST_general_error);
	ck_assert_int_eq(copy_from(xgt, world.a, 32768, 0, text, 8), GNTST_bad_gntref);
	ck_assert_int_eq(copy_from(xgt, 1000, ref, 0, text, 8), GNTST_bad_domain);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0);
	ck_assert_int_eq(copy_from(xgt, world.a, ref, 0, text, 8), GNTST_general_error);
}
END_TEST

START_TEST(a_refused_copy_call_copies_nothing)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t ref;
	char byte = 0;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	*shared = 's';
	xengnttab_grant_copy_segment_t segments[2] = {
		{.source.foreign = {.ref = ref, .domid = world.a},
		 .dest.virt = &byte,
		 .len = 1,
		 .flags = GNTCOPY_source_gref,
		 .status = 77},
		{.source.foreign = {.ref = ref, .offset = PAGE, .domid = world.a},
		 .dest.virt = &byte,
		 .len = 1,
		 .flags = GNTCOPY_source_gref,
		 .status = 77},
	};
	ck_assert_int_eq(xengnttab_grant_copy(xgt, 2, segments), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(byte, 0);
	ck_assert_int_eq(segments[0].status, 77);
	ck_assert_int_eq(segments[1].status, 77);
	segments[1].len = 0; /* of nothing: not even the gref is looked at */
	segments[1].source.foreign.ref = 1000000;
	ck_assert_int_eq(xengnttab_grant_copy(xgt, 2, segments), 0);
	ck_assert_int_eq(segments[1].status, GNTST_okay);
	ck_assert_int_eq(byte, 's');
}
END_TEST

START_TEST(copy_past_the_page_fails_the_call)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xengnttab_handle *xgt = gnttab_as(0);
	xengnttab_grant_copy_segment_t local = {.len = 1};
	char text[8];
	uint32_t ref;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	errno = 0;
	ck_assert_int_eq(copy_from(xgt, world.a, ref, PAGE - 7, text, 8), INT16_MIN);
	ck_assert_int_eq(errno, EINVAL);
	shared[PAGE - 1] = 'e';
	ck_assert_int_eq(copy_to(xgt, world.a, ref, PAGE - 1, "xx", 2), INT16_MIN);
	ck_assert_int_eq(shared[PAGE - 1], 'e');
	local.source.virt = local.dest.virt = text;
	ck_assert_int_eq(xengnttab_grant_copy(xgt, 1, &local), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(a_page_is_not_reused_while_it_is_mapped)
{
	uint32_t domid = world_create("--gntalloc-limit 32768 sharer");
	xengntshr_handle *xgs = gntshr_as(domid);
	xengnttab_handle *xgt = gnttab_as(0);
	static uint32_t refs[16384 - 9], more_refs[16384];
	uint32_t ref;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	*shared = 's';
	char *mapped = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0);
	/* All the others. */
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 16384, more_refs, 1));
	void *rest = xengntshr_share_pages(xgs, 0, 16384 - 9, refs, 1);
	ck_assert_ptr_nonnull(rest);
	ck_assert_int_eq(xengntshr_unshare(xgs, rest, 16384 - 9), 0);
	ck_assert_ptr_null(xengntshr_share_pages(xgs, 0, 16384 - 8, more_refs, 1));
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(*mapped, 's');
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 1), 0); /* and now it is the next one */
	shared = xengntshr_share_pages(xgs, 0, 1, refs, 1);
	ck_assert_uint_eq(refs[0], ref);
	ck_assert_int_eq(*shared, 0);
}
END_TEST

#define NOTIFY_BYTE 100

/* Play a backend in dom0: map the page with a notification, on ports and maps of its own. */
static void map_with_notify(uint32_t told[2], const uint32_t *arg)
{
	xengnttab_handle *xgt = gnttab_as(0);
	xenevtchn_handle *xce = evtchn_as(0);

	int port = xenevtchn_bind_interdomain(xce, world.a, arg[1]);
	void *page = xengnttab_map_grant_ref_notify(xgt, world.a, arg[0], PROT_READ | PROT_WRITE,
						    NOTIFY_BYTE, port);
	told[0] = port > 0 && page;
}

START_TEST(a_killed_mapper_clears_its_byte_and_notifies)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xenevtchn_handle *xce = evtchn_as(world.a);
	uint32_t arg[2];

	char *shared = xengntshr_share_pages(xgs, 0, 1, &arg[0], 1);
	int port = xenevtchn_bind_unbound_port(xce, 0);
	arg[1] = port;
	shared[NOTIFY_BYTE] = 'l';
	struct victim victim = victim_start(map_with_notify, arg);
	ck_assert_uint_eq(victim.told[0], 1);
	ck_assert_int_eq(event_now(xce), -1);
	victim_kill(&victim);
	ck_assert_int_eq(xenevtchn_pending(xce), port);
	ck_assert_int_eq(shared[NOTIFY_BYTE], 0);
}
END_TEST

START_TEST(a_notification_outlives_its_port)
{
	xengntshr_handle *xgs = gntshr_as(world.a);
	xenevtchn_handle *front = evtchn_as(world.a), *back = evtchn_as(0);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t ref;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	int front_port = xenevtchn_bind_unbound_port(front, 0);
	int back_port = xenevtchn_bind_interdomain(back, world.a, front_port);
	ck_assert_ptr_null(xengnttab_map_grant_ref_notify(xgt, world.a, ref, PROT_READ, NOTIFY_BYTE,
							  back_port)); /* cannot clear it */
	ck_assert_ptr_null(xengnttab_map_grant_ref_notify(xgt, world.a, ref, PROT_READ, -1, 4000));
	ck_assert_int_eq(errno, EINVAL);
	char *mapped = xengnttab_map_grant_ref_notify(xgt, world.a, ref, PROT_READ | PROT_WRITE,
						      NOTIFY_BYTE, back_port);
	ck_assert_ptr_nonnull(mapped);
	shared[NOTIFY_BYTE] = 'l';
	xenevtchn_close(back);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 1), 0);
	ck_assert_int_eq(event_now(front), front_port);
	ck_assert_int_eq(shared[NOTIFY_BYTE], 0);
	back = evtchn_as(0); /* and now the port is closed: its other end can be bound again */
	ck_assert_int_gt(xenevtchn_bind_interdomain(back, world.a, front_port), 0);
}
END_TEST

START_TEST(a_dead_domain_stays_readable_until_unmapped)
{
	uint32_t domid = world_create("short-lived"), ref;
	xengntshr_handle *xgs = gntshr_as(domid);
	xengnttab_handle *xgt = gnttab_as(0);
	char command[64], text[8];

	char *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	strcpy(shared, "legacy");
	char *mapped = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	ck_assert_int_eq(copy_from(xgt, domid, ref, 0, text, 8), GNTST_okay);
	ck_assert_int_eq(world_run("destroy short-lived", NULL, 0), 0);
	ck_assert_str_eq(mapped, "legacy");
	refuse(xgt, domid, ref, PROT_READ);
	ck_assert_int_eq(copy_from(xgt, domid, ref, 0, text, 8), GNTST_bad_domain);

	snprintf(command, sizeof(command), "create -i %u again 2>/dev/null", domid);
	ck_assert_int_eq(world_run(command, NULL, 0), 1); /* its memory is still in use */
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 1), 0);
	ck_assert_int_eq(world_run(command, NULL, 0), 0);

	/* The handle of the old domain has no hold of the new one, nor an old gref a page in it. */
	ck_assert_ptr_null(xengntshr_share_pages(xgs, 0, 1, &ref, 1));
	ck_assert_int_eq(errno, ENODEV);
	refuse(xgt, domid, ref, PROT_READ);
	xengntshr_handle *of_new = gntshr_as(domid);
	shared = xengntshr_share_pages(of_new, 0, 1, &ref, 1);
	strcpy(shared, "new");
	ck_assert_int_eq(copy_from(xgt, domid, ref, 0, text, 8), GNTST_okay);
	ck_assert_str_eq(text, "new");
	ck_assert_int_eq(world_run("destroy again", NULL, 0), 0);
}
END_TEST

static void *store_page(uint32_t own_domid, uint32_t domid)
{
	/* By name, so that this program need not be linked to libxenctrl. */
	__typeof__(&xc_interface_open) open_fn = dlsym(RTLD_DEFAULT, "xc_interface_open");
	__typeof__(&xc_map_foreign_range) map_fn = dlsym(RTLD_DEFAULT, "xc_map_foreign_range");
	__typeof__(&xc_interface_close) close_fn = dlsym(RTLD_DEFAULT, "xc_interface_close");

	world_as(own_domid);
	xc_interface *xch = open_fn(NULL, NULL, 0);
	ck_assert_ptr_nonnull(xch);
	errno = 0;
	void *page = map_fn(xch, domid, PAGE, PROT_READ | PROT_WRITE, GNTTAB_RESERVED_XENSTORE);
	int err = errno;
	close_fn(xch);
	errno = err;
	return page;
}

START_TEST(memory_that_was_not_granted_is_dom0s_to_see)
{
	ck_assert_ptr_nonnull(store_page(0, world.a));
	ck_assert_ptr_null(store_page(world.b, world.a));
	ck_assert_int_eq(errno, EPERM);
	world_as(0);
	int fd = open("/proc/xen/xsd_kva", O_RDWR);
	ck_assert_int_ge(fd, 0);
	close(fd);
	world_as(world.b);
	ck_assert_int_eq(open("/proc/xen/xsd_kva", O_RDWR), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

static Suite *xenloop_grant_suite(void)
{
	const TTest *const all[] = {
		a_mapped_grant_is_the_same_memory,
		one_map_takes_grants_of_several_domains,
		a_map_that_was_not_granted_is_refused,
		a_readonly_map_cannot_be_written,
		a_share_ends_with_its_last_page,
		the_gref_that_was_freed_last_is_given_first,
		a_place_that_the_program_unmapped_is_used_again,
		pages_outlive_their_closed_handles,
		self_is_a_name_in_copies_only,
		unmap_takes_a_whole_mapping_once,
		copy_goes_both_ways,
		copy_is_refused_segment_by_segment,
		a_refused_copy_call_copies_nothing,
		copy_past_the_page_fails_the_call,
		a_page_is_not_reused_while_it_is_mapped,
		a_killed_mapper_clears_its_byte_and_notifies,
		a_notification_outlives_its_port,
		a_dead_domain_stays_readable_until_unmapped,
		memory_that_was_not_granted_is_dom0s_to_see,
	};

	return world_suite("xenloop_grant", all, sizeof(all) / sizeof(all[0]));
}

CHECK_MAIN(xenloop_grant_suite)
