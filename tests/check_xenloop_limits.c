// SPDX-License-Identifier: MIT
/*
 * The limits of a domain on loopback Xen: event channels and grant frames as xl sets them, shared
 * pages as Linux's gntalloc does; their defaults, the options of `xenloop create`, and the errno at
 * each end.
 */
#include <sys/mman.h>

#include "tests/check_main.h"
#include "tests/xenloop_world.h"

#define RESERVED_GREFS 8 /* as in Xen: never handed out */

static void expect_full(xenevtchn_handle *xce)
{
	errno = 0;
	ck_assert_int_eq(xenevtchn_bind_unbound_port(xce, 0), -1);
	ck_assert_int_eq(errno, ENOSPC);
}

/* Bind ports until none is left; how many. *last: the one bound last. */
static int fill_ports(xenevtchn_handle *xce, int *last)
{
	int n = 0, port;

	while ((port = xenevtchn_bind_unbound_port(xce, 0)) > 0) {
		*last = port;
		n++;
	}
	ck_assert_int_eq(errno, ENOSPC);
	return n;
}

START_TEST(a_domain_has_1023_ports_by_default)
{
	xenevtchn_handle *xce = evtchn_as(world.a);
	int last;

	ck_assert_int_eq(fill_ports(xce, &last), 1022); /* its store has one */
	ck_assert_int_eq(last, 1023);
	ck_assert_int_eq(xenevtchn_unbind(xce, 500), 0);
	ck_assert_int_eq(xenevtchn_bind_unbound_port(xce, 0), 500);
	xenevtchn_close(xce);
	xce = evtchn_as(world.a);
	ck_assert_int_eq(fill_ports(xce, &last), 1022);
	xenevtchn_close(xce);
}
END_TEST

START_TEST(dom0_has_all_ports_of_the_table)
{
	xenevtchn_handle *xce = evtchn_as(0);
	int last;

	fill_ports(xce, &last);
	ck_assert_int_eq(last, 4095);
	xenevtchn_close(xce);
}
END_TEST

START_TEST(ports_end_at_max_event_channels)
{
	uint32_t domid = world_create("--max-event-channels 5 few-ports");
	xenevtchn_handle *xce = evtchn_as(domid), *dom0 = evtchn_as(0);
	int last, offered = xenevtchn_bind_unbound_port(dom0, domid);

	ck_assert_int_eq(fill_ports(xce, &last), 4);
	ck_assert_int_eq(last, 5);
	ck_assert_int_eq(xenevtchn_bind_interdomain(xce, 0, offered), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(xenevtchn_bind_interdomain(xce, 0, offered + 1), -1);
	ck_assert_int_eq(errno, ENOSPC); /* Xen looks for a port first */
	ck_assert_int_eq(xenevtchn_bind_interdomain(xce, 1000, offered), -1);
	ck_assert_int_eq(errno, ESRCH); /* and for the domain before that */
	ck_assert_int_eq(xenevtchn_bind_virq(xce, VIRQ_DEBUG), -1);
	ck_assert_int_eq(errno, ENOSPC);
	expect_full(evtchn_as(domid)); /* the domain's limit, not the handle's */
	ck_assert_int_eq(xenevtchn_unbind(xce, 3), 0);
	ck_assert_int_eq(xenevtchn_bind_interdomain(xce, 0, offered), 3);
}
END_TEST

static void expect_no_more(xengntshr_handle *xgs, int count)
{
	static uint32_t refs[16384];

	errno = 0;
	ck_assert_ptr_null(xengntshr_share_pages(xgs, 0, count, refs, 1));
	ck_assert_int_eq(errno, ENOSPC);
}

START_TEST(a_domain_shares_1024_pages_by_default)
{
	xengntshr_handle *xgs = gntshr_as(world.a), *other = gntshr_as(world.a);
	static uint32_t refs[1024];

	ck_assert_ptr_null(xengntshr_share_pages(xgs, 0, 200000, refs, 1));
	ck_assert_int_eq(errno, ENOSPC);
	expect_no_more(xgs, 1025);
	void *most = xengntshr_share_pages(xgs, 0, 1000, refs, 1);
	ck_assert_ptr_nonnull(most);
	expect_no_more(other, 25); /* the domain's limit, not the handle's */
	void *rest = xengntshr_share_pages(other, 0, 24, refs, 1);
	ck_assert_ptr_nonnull(rest);
	expect_no_more(xgs, 1);
	ck_assert_int_eq(xengntshr_unshare(xgs, most, 1000), 0);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1000, refs, 1));
	ck_assert_int_eq(xengntshr_unshare(other, rest, 24), 0);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 24, refs, 1));
	xengntshr_close(xgs);
}
END_TEST

START_TEST(a_page_given_up_is_not_counted)
{
	uint32_t domid = world_create("--gntalloc-limit 1 one-page"), ref, next;
	xengntshr_handle *xgs = gntshr_as(domid);
	xengnttab_handle *xgt = gnttab_as(0);

	void *shared = xengntshr_share_pages(xgs, 0, 1, &ref, 1);
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ));
	expect_no_more(xgs, 1);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0); /* still mapped, as in Linux */
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1, &next, 1));
	ck_assert_uint_ne(ref, next);
}
END_TEST

START_TEST(nothing_is_shared_at_a_limit_of_zero)
{
	expect_no_more(gntshr_as(world_create("--gntalloc-limit 0 no-pages")), 1);
}
END_TEST

START_TEST(grants_end_at_max_grant_frames)
{
	uint32_t domid = world_create("--max-grant-frames 2 few-grants");
	xengntshr_handle *xgs = gntshr_as(domid);
	static uint32_t refs[1024];

	expect_no_more(xgs, 1024 - RESERVED_GREFS + 1);
	for (int round = 0; round < 2; round++) { /* nothing is lost by a refusal */
		void *all = xengntshr_share_pages(xgs, 0, 1024 - RESERVED_GREFS, refs, 1);
		ck_assert_ptr_nonnull(all);
		for (int i = 0; i < 1024 - RESERVED_GREFS; i++)
			ck_assert_uint_lt(refs[i], 1024);
		expect_no_more(xgs, 1);
		ck_assert_int_eq(xengntshr_unshare(xgs, all, 1024 - RESERVED_GREFS), 0);
	}
}
END_TEST

START_TEST(a_table_of_64_frames_has_32760_grants)
{
	xengntshr_handle *xgs = gntshr_as(world_create("--gntalloc-limit 32768 many-grants"));
	static uint32_t refs[16384];

	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 16384, refs, 1));
	expect_no_more(xgs, 16384);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 16384 - RESERVED_GREFS, refs, 1));
	expect_no_more(xgs, 1);
}
END_TEST

START_TEST(a_refused_share_notifies_nobody)
{
	uint32_t domid = world_create("--max-grant-frames 1 silent"), refs[504], ref;
	xengntshr_handle *xgs = gntshr_as(domid);
	xenevtchn_handle *front = evtchn_as(domid), *back = evtchn_as(0);
	int front_port = xenevtchn_bind_unbound_port(front, 0);
	int back_port = xenevtchn_bind_interdomain(back, domid, front_port);

	ck_assert_int_eq(event_now(back), back_port);
	ck_assert_int_eq(xenevtchn_unmask(back, back_port), 0);
	void *all = xengntshr_share_pages(xgs, 0, 504, refs, 1);
	ck_assert_ptr_nonnull(all);
	ck_assert_ptr_null(xengntshr_share_page_notify(xgs, 0, &ref, 1, 0, front_port));
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(event_now(back), -1);
	ck_assert_int_eq(xengntshr_unshare(xgs, all, 504), 0);
	void *page = xengntshr_share_page_notify(xgs, 0, &ref, 1, 0, front_port);
	ck_assert_ptr_nonnull(page);
	ck_assert_int_eq(xengntshr_unshare(xgs, page, 1), 0);
	ck_assert_int_eq(xenevtchn_pending(back), back_port);
}
END_TEST

START_TEST(a_page_can_be_mapped_64_times_at_once)
{
	uint32_t domid = world_create("popular"), refs[65];
	xengntshr_handle *xgs = gntshr_as(domid);
	xengnttab_handle *xgt = gnttab_as(0);

	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1, refs, 1));
	for (int i = 1; i < 65; i++)
		refs[i] = refs[0];
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(xgt, 65, domid, refs, PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
	void *most = xengnttab_map_domain_grant_refs(xgt, 63, domid, refs, PROT_READ);
	ck_assert_ptr_nonnull(most); /* nothing of the refused call was left */
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref(gnttab_as(0), domid, refs[0], PROT_READ));
	ck_assert_ptr_null(xengnttab_map_grant_ref(xgt, domid, refs[0], PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xengnttab_unmap(xgt, most, 63), 0);
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref(xgt, domid, refs[0], PROT_READ));
}
END_TEST

START_TEST(a_map_call_has_its_range)
{
	xengnttab_handle *xgt = gnttab_as(0);
	static uint32_t refs[16385];

	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(xgt, 0, world.a, refs, PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(xgt, 16385, world.a, refs, PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(limits_out_of_range_are_usage_errors)
{
	static const struct {
		const char *args, *says;
	} wrong[] = {
		{"--max-event-channels 0", "from 1 to 4095, not \"0\""},
		{"--max-event-channels 4096", "from 1 to 4095, not \"4096\""},
		{"--max-event-channels -1", "from 1 to 4095, not \"-1\""},
		{"--max-event-channels ''", "from 1 to 4095, not \"\""},
		{"--max-grant-frames 0", "from 1 to 64, not \"0\""},
		{"--max-grant-frames 65", "from 1 to 64, not \"65\""},
		{"--max-grant-frames 4294967297", "from 1 to 64"},
		{"--gntalloc-limit 32769", "from 0 to 32768"},
		{"--gntalloc-limit 1k", "not \"1k\""},
		{"-i 4294967297", "from 1 to 32751"},
		{"-i 32752", "from 1 to 32751"},
		{"--gntalloc-limit", "--gntalloc-limit wants a value"},
		{"--max-frames 1", "no option \"--max-frames\""},
	};
	char args[128], line[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bool bare = strstr(wrong[i].says, "wants a value");
		snprintf(args, sizeof(args), "create %s %s 2>&1", wrong[i].args, bare ? "" : "x");
		ck_assert_int_eq(world_run(args, line, sizeof(line)), 2);
		ck_assert_msg(strstr(line, wrong[i].says), "%s: %s", wrong[i].args, line);
	}
}
END_TEST

static Suite *xenloop_limits_suite(void)
{
	const TTest *const all[] = {
		a_domain_has_1023_ports_by_default,    dom0_has_all_ports_of_the_table,
		ports_end_at_max_event_channels,       a_domain_shares_1024_pages_by_default,
		a_page_given_up_is_not_counted,	       nothing_is_shared_at_a_limit_of_zero,
		grants_end_at_max_grant_frames,	       a_table_of_64_frames_has_32760_grants,
		a_refused_share_notifies_nobody,       a_map_call_has_its_range,
		a_page_can_be_mapped_64_times_at_once, limits_out_of_range_are_usage_errors,
	};

	return world_suite("xenloop_limits", all, sizeof(all) / sizeof(all[0]));
}

CHECK_MAIN(xenloop_limits_suite)
