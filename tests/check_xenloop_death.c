// SPDX-License-Identifier: MIT
/*
 * Death on loopback Xen: what is left of a killed process or a destroyed domain, to its peers and
 * to whoever comes after it. The deaths of an instance's own processes are in
 * check_xenloop_instance.c.
 */
#include <dlfcn.h>
#include <sys/mman.h>

#include "tests/check_main.h"
#include "tests/xenloop_world.h"

#define NOTIFY_BYTE 100

/* What `xenloop list` says of a domain. */
struct seen {
	char state[16];
	uint32_t grants, maps, ports, handles, processes;
};

static bool is_listed(uint32_t domid, struct seen *seen)
{
	static char line[32768];
	char key[32];

	*seen = (struct seen){0};
	ck_assert_int_eq(world_run("list --json", line, sizeof(line)), 0);
	snprintf(key, sizeof(key), "{\"domid\": %u,", domid);
	const char *entry = strstr(line, key);
	if (!entry)
		return false;
	ck_assert_int_eq(sscanf(strstr(entry, "\"state\""),
				"\"state\": \"%15[a-z]\", \"grants\": %u, \"maps\": %u, "
				"\"ports\": %u, \"handles\": %u, \"processes\": %u",
				seen->state, &seen->grants, &seen->maps, &seen->ports,
				&seen->handles, &seen->processes),
			 6);
	return true;
}

static struct seen see(uint32_t domid)
{
	struct seen seen;

	ck_assert(is_listed(domid, &seen));
	return seen;
}

static void expect_same(uint32_t domid, const struct seen *before)
{
	struct seen now = see(domid);

	ck_assert_str_eq(now.state, before->state);
	ck_assert_uint_eq(now.grants, before->grants);
	ck_assert_uint_eq(now.maps, before->maps);
	ck_assert_uint_eq(now.ports, before->ports);
	ck_assert_uint_eq(now.handles, before->handles);
	ck_assert_uint_eq(now.processes, before->processes);
}

static void destroy(const char *name)
{
	char args[64];

	snprintf(args, sizeof(args), "destroy %s", name);
	ck_assert_int_eq(world_run(args, NULL, 0), 0);
}

static uint32_t port_status(uint32_t domid, uint32_t port)
{
	/* By name, so that this program need not be linked to libxenctrl. */
	__typeof__(&xc_interface_open) open_fn = dlsym(RTLD_DEFAULT, "xc_interface_open");
	__typeof__(&xc_evtchn_status) status_fn = dlsym(RTLD_DEFAULT, "xc_evtchn_status");
	__typeof__(&xc_interface_close) close_fn = dlsym(RTLD_DEFAULT, "xc_interface_close");
	xc_evtchn_status_t status = {.dom = domid, .port = port};

	world_as(0);
	xc_interface *xch = open_fn(NULL, NULL, 0);
	ck_assert_ptr_nonnull(xch);
	ck_assert_int_eq(status_fn(xch, &status), 0);
	close_fn(xch);
	return status.status;
}

static int16_t copy_from(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, char *byte)
{
	xengnttab_grant_copy_segment_t segment = {
		.source.foreign = {.ref = ref, .domid = domid},
		.dest.virt = byte,
		.len = 1,
		.flags = GNTCOPY_source_gref,
	};

	return xengnttab_grant_copy(xgt, 1, &segment) ? INT16_MIN : segment.status;
}

static void refuse_map(xengnttab_handle *xgt, uint32_t domid, uint32_t ref)
{
	errno = 0;
	ck_assert_ptr_null(xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
}

static bool all_zero(const char *page, size_t pages)
{
	for (size_t i = 0; i < pages * PAGE; i++)
		if (page[i])
			return false;
	return true;
}

/* arg[0]: the domain to play. Tells the first of arg[1] grefs and a port, both for dom0. */
static void play_frontend(uint32_t told[2], const uint32_t *arg)
{
	static uint32_t refs[1024];
	char *pages = xengntshr_share_pages(gntshr_as(arg[0]), 0, arg[1], refs, 1);

	if (!pages)
		return;
	memset(pages, 'v', (size_t)arg[1] * PAGE);
	told[0] = refs[0];
	told[1] = xenevtchn_bind_unbound_port(evtchn_as(arg[0]), 0);
}

START_TEST(a_killed_frontend_leaves_nothing)
{
	uint32_t arg[2] = {world_create("--max-grant-frames 1 small"), 504}, refs[504];
	struct seen before = see(arg[0]);
	xenevtchn_handle *dom0 = evtchn_as(0);
	xengnttab_handle *xgt = gnttab_as(0);
	struct victim victim = victim_start(play_frontend, arg);

	ck_assert_uint_eq(see(arg[0]).grants, before.grants + 504);
	ck_assert_uint_eq(see(arg[0]).ports, before.ports + 1);
	ck_assert_uint_eq(see(arg[0]).handles, before.handles + 2);
	victim_kill(&victim);
	expect_same(arg[0], &before);
	refuse_map(xgt, arg[0], victim.told[0]);
	ck_assert_int_eq(xenevtchn_bind_interdomain(dom0, arg[0], victim.told[1]), -1);
	ck_assert_int_eq(errno, EINVAL);

	char *pages = xengntshr_share_pages(gntshr_as(arg[0]), 0, 504, refs, 1);
	ck_assert_ptr_nonnull(pages); /* the same 504 as before: there are no others */
	ck_assert(all_zero(pages, 504));
	ck_assert_int_eq(xenevtchn_bind_unbound_port(evtchn_as(arg[0]), 0), (int)victim.told[1]);
}
END_TEST

/* As in Linux: the page and the gref stay until the last one has unmapped them. */
START_TEST(a_mapped_grant_of_a_killed_process_lives_until_unmapped)
{
	uint32_t arg[2] = {world.a, 1};
	struct seen before = see(world.a);
	xengnttab_handle *xgt = gnttab_as(0), *other = gnttab_as(0);
	struct victim victim = victim_start(play_frontend, arg);
	char byte = 0;

	char *mapped = xengnttab_map_grant_ref(xgt, world.a, victim.told[0], PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	victim_kill(&victim);
	ck_assert_int_eq(*mapped, 'v');
	ck_assert_int_eq(copy_from(xgt, world.a, victim.told[0], &byte), GNTST_okay);
	ck_assert_int_eq(byte, 'v');
	char *again = xengnttab_map_grant_ref(other, world.a, victim.told[0], PROT_READ);
	ck_assert_ptr_nonnull(again);
	refuse_map(gnttab_as(world.b), world.a, victim.told[0]);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 1), 0);
	ck_assert_uint_eq(see(world.a).grants, before.grants + 1);
	ck_assert_int_eq(xengnttab_unmap(other, again, 1), 0);
	expect_same(world.a, &before);
	refuse_map(xgt, world.a, victim.told[0]);
	ck_assert_int_eq(copy_from(xgt, world.a, victim.told[0], &byte), GNTST_general_error);
}
END_TEST

/* arg[0]: the gref of domain a to map, many times; arg[1]: its port. */
static void play_backend(uint32_t told[2], const uint32_t *arg)
{
	uint32_t grefs[8];
	xengnttab_handle *xgt[2] = {gnttab_as(0), gnttab_as(0)};

	for (int i = 0; i < 8; i++)
		grefs[i] = arg[0];
	for (int i = 0; i < 2; i++) {
		xengnttab_map_domain_grant_refs(xgt[i], 8, world.a, grefs, PROT_READ);
		told[0] += !!xengnttab_map_grant_ref(xgt[i], world.a, arg[0], PROT_READ);
	}
	told[1] = xenevtchn_bind_interdomain(evtchn_as(0), world.a, arg[1]);
}

START_TEST(a_killed_backend_leaves_no_map)
{
	struct seen dom0 = see(0), a;
	xengntshr_handle *xgs = gntshr_as(world.a);
	xenevtchn_handle *xce = evtchn_as(world.a);
	uint32_t arg[2];

	char *shared = xengntshr_share_pages(xgs, 0, 1, &arg[0], 1);
	arg[1] = xenevtchn_bind_unbound_port(xce, 0);
	a = see(world.a);
	struct victim victim = victim_start(play_backend, arg);
	ck_assert_uint_eq(victim.told[0], 2);
	ck_assert_uint_eq(see(0).maps, dom0.maps + 18);
	ck_assert_uint_eq(see(0).ports, dom0.ports + 1);
	ck_assert_uint_eq(port_status(world.a, arg[1]), EVTCHNSTAT_interdomain);
	victim_kill(&victim);
	expect_same(0, &dom0);
	expect_same(world.a, &a);
	ck_assert_uint_eq(port_status(world.a, arg[1]), EVTCHNSTAT_unbound);
	victim = victim_start(play_backend, arg); /* and another one can take its place */
	ck_assert_uint_eq(victim.told[0], 2);
	ck_assert_int_gt((int)victim.told[1], 0);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0);
	ck_assert_uint_eq(see(world.a).grants, a.grants); /* still mapped */
	victim_kill(&victim);
	ck_assert_uint_eq(see(world.a).grants, a.grants - 1);
}
END_TEST

START_TEST(a_port_falls_to_unbound_for_the_dead_ones_domain)
{
	uint32_t arg[2] = {world.a, 1};
	xenevtchn_handle *dom0 = evtchn_as(0), *a = evtchn_as(world.a), *b = evtchn_as(world.b);
	struct victim victim = victim_start(play_frontend, arg);
	int port = xenevtchn_bind_interdomain(dom0, world.a, victim.told[1]);

	ck_assert_int_eq(xenevtchn_pending(dom0), port);
	ck_assert_int_eq(xenevtchn_unmask(dom0, port), 0);
	ck_assert_int_eq(xenevtchn_notify(dom0, port), 0); /* an event that nobody takes */
	victim_kill(&victim);
	ck_assert_uint_eq(port_status(0, port), EVTCHNSTAT_unbound);
	ck_assert_int_eq(xenevtchn_notify(dom0, port), 0);
	ck_assert_int_eq(xenevtchn_bind_interdomain(b, 0, port), -1);
	ck_assert_int_eq(errno, EINVAL);
	int again = xenevtchn_bind_interdomain(a, 0, port);
	ck_assert_int_gt(again, 0);
	ck_assert_int_eq(event_now(a), again); /* Xen's, for having bound; not the dead one's */
	ck_assert_int_eq(event_now(a), -1);
	ck_assert_int_eq(xenevtchn_notify(a, again), 0);
	ck_assert_int_eq(event_now(dom0), port);
}
END_TEST

START_TEST(a_reused_port_has_no_old_event)
{
	xenevtchn_handle *dom0 = evtchn_as(0), *a = evtchn_as(world.a);
	uint32_t arg[2] = {world.a, 1};
	struct victim victim = victim_start(play_frontend, arg);
	int port = xenevtchn_bind_interdomain(dom0, world.a, victim.told[1]);

	ck_assert_int_eq(xenevtchn_notify(dom0, port), 0);
	victim_kill(&victim);
	ck_assert_int_eq(xenevtchn_bind_unbound_port(a, world.b), (int)victim.told[1]);
	ck_assert_int_eq(event_now(a), -1);
	ck_assert_int_eq(xenevtchn_notify(dom0, port), 0); /* its own old end has no peer now */
	ck_assert_int_eq(event_now(a), -1);
}
END_TEST

/* arg[0]: a domain; share a page with dom0 that notifies through arg[1], which dom0 offers. */
static void share_with_notify(uint32_t told[2], const uint32_t *arg)
{
	int port = xenevtchn_bind_interdomain(evtchn_as(arg[0]), 0, arg[1]);
	char *page =
		xengntshr_share_page_notify(gntshr_as(arg[0]), 0, &told[0], 1, NOTIFY_BYTE, port);

	if (page)
		page[NOTIFY_BYTE] = 'l';
	told[1] = port > 0 && page;
}

START_TEST(a_killed_sharer_clears_its_byte_and_notifies)
{
	xenevtchn_handle *xce = evtchn_as(0);
	xengnttab_handle *xgt = gnttab_as(0);
	uint32_t arg[2] = {world.a, xenevtchn_bind_unbound_port(xce, world.a)};
	struct victim victim = victim_start(share_with_notify, arg);

	ck_assert_uint_eq(victim.told[1], 1);
	char *mapped = xengnttab_map_grant_ref(xgt, world.a, victim.told[0], PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	ck_assert_int_eq(mapped[NOTIFY_BYTE], 'l');
	ck_assert_int_eq(event_now(xce), -1);
	victim_kill(&victim);
	ck_assert_int_eq(xenevtchn_pending(xce), (int)arg[1]);
	ck_assert_int_eq(mapped[NOTIFY_BYTE], 0);
}
END_TEST

START_TEST(a_destroyed_domain_unmaps_and_notifies)
{
	uint32_t domid = world_create("mapper"), ref;
	xengntshr_handle *xgs = gntshr_as(world.a);
	xenevtchn_handle *a = evtchn_as(world.a), *mapper = evtchn_as(domid);
	struct seen before;

	char *shared = xengntshr_share_pages(xgs, domid, 1, &ref, 1);
	before = see(world.a);
	int port = xenevtchn_bind_unbound_port(a, domid);
	int other = xenevtchn_bind_interdomain(mapper, world.a, port);
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref_notify(
		gnttab_as(domid), world.a, ref, PROT_READ | PROT_WRITE, NOTIFY_BYTE, other));
	shared[NOTIFY_BYTE] = 'l';
	destroy("mapper");
	ck_assert_int_eq(event_now(a), port);
	ck_assert_int_eq(shared[NOTIFY_BYTE], 0);
	ck_assert_uint_eq(port_status(world.a, port), EVTCHNSTAT_unbound);
	ck_assert_int_eq(xengntshr_unshare(xgs, shared, 1), 0);
	ck_assert_uint_eq(see(world.a).grants, before.grants - 1);
}
END_TEST

/* The byte is cleared in a page that has no domain any more; the event has nobody to go to. */
START_TEST(a_notification_of_a_dead_domain_is_harmless)
{
	uint32_t domid = world_create("gone"), ref;
	xengntshr_handle *xgs = gntshr_as(domid);
	xengnttab_handle *xgt = gnttab_as(0);
	struct seen before = see(0), seen;

	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1, &ref, 1));
	int port = xenevtchn_bind_unbound_port(evtchn_as(domid), 0);
	xenevtchn_handle *xce = evtchn_as(0);
	int own = xenevtchn_bind_interdomain(xce, domid, port);
	char *mapped = xengnttab_map_grant_ref_notify(xgt, domid, ref, PROT_READ | PROT_WRITE,
						      NOTIFY_BYTE, own);
	ck_assert_ptr_nonnull(mapped);
	xenevtchn_close(xce); /* the notification alone holds the port */
	destroy("gone");
	mapped[NOTIFY_BYTE] = 'l';
	ck_assert_uint_eq(port_status(0, own), EVTCHNSTAT_unbound);
	ck_assert_int_eq(xengnttab_unmap(xgt, mapped, 1), 0);
	ck_assert_uint_eq(port_status(0, own), EVTCHNSTAT_closed);
	ck_assert(!is_listed(domid, &seen));
	ck_assert_uint_eq(see(0).maps, before.maps - 1); /* that of xenstored */
}
END_TEST

START_TEST(a_dying_domain_ends_with_its_last_mapping)
{
	uint32_t domid = world_create("dying"), refs[2], next_ref;
	xengnttab_handle *dom0 = gnttab_as(0), *b = gnttab_as(world.b);
	xengntshr_handle *xgs = gntshr_as(domid);
	struct seen seen;

	char *shared = xengntshr_share_pages(xgs, 0, 1, &refs[0], 1);
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, world.b, 1, &refs[1], 1));
	strcpy(shared, "legacy");
	char *mapped = xengnttab_map_grant_ref(dom0, domid, refs[0], PROT_READ);
	ck_assert_ptr_nonnull(mapped);
	char *mapped_by_b = xengnttab_map_grant_ref(b, domid, refs[1], PROT_READ);
	ck_assert_ptr_nonnull(mapped_by_b);
	destroy("dying");
	ck_assert_str_eq(see(domid).state, "dying");
	ck_assert_uint_eq(see(domid).grants, 2); /* without that of the store: unmapped */
	ck_assert_uint_eq(see(domid).ports, 0);
	ck_assert_uint_eq(see(domid).handles, 0);

	/* The next domain gets its place in the tables, and is not hurt by the last unmap. */
	uint32_t next = world_create("next");
	ck_assert_ptr_nonnull(xengntshr_share_pages(gntshr_as(next), 0, 1, &next_ref, 1));
	ck_assert_uint_eq(next_ref, refs[0]);
	ck_assert_int_eq(xengnttab_unmap(b, mapped_by_b, 1), 0);
	ck_assert_uint_eq(see(domid).grants, 1);
	ck_assert_str_eq(mapped, "legacy");
	ck_assert_int_eq(xengnttab_unmap(dom0, mapped, 1), 0);
	ck_assert(!is_listed(domid, &seen));
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref(dom0, next, next_ref, PROT_READ));
}
END_TEST

static void get_token(const char *domain, char *token, size_t size)
{
	char args[96];

	snprintf(args, sizeof(args), "exec %s -- sh -c 'echo $XENLOOP_TOKEN'", domain);
	ck_assert_int_eq(world_run(args, token, size), 0);
	token[strcspn(token, "\n")] = '\0';
}

START_TEST(a_new_domain_inherits_nothing_of_its_domid)
{
	uint32_t domid = world_create("former"), ref, own_ref;
	struct seen fresh = see(domid);
	xenevtchn_handle *xce = evtchn_as(domid), *dom0 = evtchn_as(0);
	xengnttab_handle *xgt = gnttab_as(domid);
	xengntshr_handle *xgs = gntshr_as(domid), *of_dom0 = gntshr_as(0);
	char args[64], token[128];

	char *page = xengntshr_share_pages(of_dom0, domid, 1, &ref, 1);
	ck_assert_ptr_nonnull(page);
	ck_assert_ptr_nonnull(xengnttab_map_grant_ref(xgt, 0, ref, PROT_READ));
	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 3, (uint32_t[3]){0}, 1));
	int port = xenevtchn_bind_unbound_port(xce, 0);
	int dom0_port = xenevtchn_bind_interdomain(dom0, domid, port);
	get_token("former", token, sizeof(token));
	destroy("former");
	snprintf(args, sizeof(args), "-i %u latter", domid);
	ck_assert_uint_eq(world_create(args), domid);
	expect_same(domid, &fresh);

	/* Old handles have no hold of the new domain, nor does the old token. */
	ck_assert_int_eq(xenevtchn_bind_unbound_port(xce, 0), -1);
	ck_assert_int_eq(errno, ENODEV);
	ck_assert_int_eq(xenevtchn_notify(xce, port), -1);
	ck_assert_ptr_null(xengnttab_map_grant_ref(xgt, 0, ref, PROT_READ));
	ck_assert_int_eq(errno, ENODEV);
	ck_assert_ptr_null(xengntshr_share_pages(xgs, 0, 1, &own_ref, 1));
	ck_assert_int_eq(errno, ENODEV);
	world_as(domid);
	setenv("XENLOOP_TOKEN", token, 1);
	ck_assert_ptr_null(xenevtchn_open(NULL, 0));
	ck_assert_int_eq(errno, ESRCH);
	unsetenv("XENLOOP_TOKEN");

	/* The peer's port is nobody's but may be bound by the new domain, as in Xen. */
	ck_assert_int_eq(xenevtchn_notify(dom0, dom0_port), 0);
	xenevtchn_handle *latter = evtchn_as(domid);
	ck_assert_int_eq(xenevtchn_bind_interdomain(latter, 0, dom0_port), port);
	ck_assert_int_eq(event_now(latter), port);
	ck_assert_int_eq(event_now(xce), -1);
}
END_TEST

static Suite *xenloop_death_suite(void)
{
	const TTest *const all[] = {
		a_killed_frontend_leaves_nothing,
		a_mapped_grant_of_a_killed_process_lives_until_unmapped,
		a_killed_backend_leaves_no_map,
		a_port_falls_to_unbound_for_the_dead_ones_domain,
		a_reused_port_has_no_old_event,
		a_killed_sharer_clears_its_byte_and_notifies,
		a_destroyed_domain_unmaps_and_notifies,
		a_notification_of_a_dead_domain_is_harmless,
		a_dying_domain_ends_with_its_last_mapping,
		a_new_domain_inherits_nothing_of_its_domid,
	};

	return world_suite("xenloop_death", all, sizeof(all) / sizeof(all[0]));
}

CHECK_MAIN(xenloop_death_suite)
