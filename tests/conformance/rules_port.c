// SPDX-License-Identifier: MIT
/*
 * Rules about binding and closing event ports: libxenevtchn over Linux's evtchn device and Xen.
 * Called by main.c.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tests/conformance/conformance.h"

#include <xen/xen.h> /* wants the types that the former includes */

#define GUEST_PORTS 1023 /* what xl lets a domU have, if not told otherwise */

static int interdomain(struct run *run, uint32_t domid, long port)
{
	return xenevtchn_bind_interdomain(run->xce, domid, port);
}

static void binding_raises_an_event_at_the_binder(struct run *run)
{
	long guest_port = must(run, "unbound 0");
	int port = interdomain(run, run->domid, guest_port);

	check_done(run, port > 0, "bind_interdomain");
	check_event(run, port, "the event that binding raises");
	CHECK(run, !must(run, "event %d", QUIET_MS), "the guest has an event, too");
}

static void port_can_be_bound_once(struct run *run)
{
	long guest_port = must(run, "unbound 0");

	check_done(run, interdomain(run, run->domid, guest_port) > 0, "bind_interdomain");
	check_refused(run, interdomain(run, run->domid, guest_port) > 0, EINVAL, "second bind");
}

static void port_for_another_domain_is_EINVAL_to_bind(struct run *run)
{
	long guest_port = must(run, "unbound %u", NO_SUCH_DOMID);

	check_refused(run, interdomain(run, run->domid, guest_port) > 0, EINVAL, "bind");
}

static void free_port_is_EINVAL_to_bind(struct run *run)
{
	long guest_port = must(run, "unbound 0");

	must(run, "unbind %ld", guest_port);
	check_refused(run, interdomain(run, run->domid, guest_port) > 0, EINVAL, "bind");
}

static void port_0_is_EINVAL_to_bind(struct run *run)
{
	check_refused(run, interdomain(run, run->domid, 0) > 0, EINVAL, "bind");
}

static void port_out_of_range_is_EINVAL_to_bind(struct run *run)
{
	check_refused(run, interdomain(run, run->domid, 1 << 20) > 0, EINVAL, "bind");
}

static void unknown_domain_is_ESRCH_to_bind(struct run *run)
{
	check_refused(run, interdomain(run, NO_SUCH_DOMID, 1) > 0, ESRCH, "bind");
}

static void unbound_port_for_unknown_domain_is_given(struct run *run)
{
	check_done(run, xenevtchn_bind_unbound_port(run->xce, NO_SUCH_DOMID) > 0,
		   "bind_unbound_port");
}

static void channel_within_a_domain_works(struct run *run)
{
	int one = xenevtchn_bind_unbound_port(run->xce, 0);
	check_done(run, one > 0, "bind_unbound_port");
	int two = interdomain(run, 0, one);
	check_done(run, two > 0, "bind_interdomain");
	check_event(run, two, "the event that binding raises");
	check_done(run, !xenevtchn_notify(run->xce, two), "notify");
	check_event(run, one, "the notification");
}

static void domid_self_can_be_bound_to(struct run *run)
{
	int one = xenevtchn_bind_unbound_port(run->xce, DOMID_SELF);

	check_done(run, one > 0, "bind_unbound_port");
	check_done(run, interdomain(run, DOMID_SELF, one) > 0, "bind_interdomain");
}

static void notify_of_unbound_port_is_dropped(struct run *run)
{
	int port = xenevtchn_bind_unbound_port(run->xce, run->domid);

	check_done(run, port > 0, "bind_unbound_port");
	check_done(run, !xenevtchn_notify(run->xce, port), "notify");
}

static void notify_of_foreign_port_is_ENOTCONN(struct run *run)
{
	xenevtchn_handle *other = xenevtchn_open(NULL, 0);
	int port = other ? xenevtchn_bind_unbound_port(other, run->domid) : 0;

	int rc = xenevtchn_notify(run->xce, port);
	int err = errno;
	xenevtchn_close(other);
	errno = err;
	check_refused(run, !rc, ENOTCONN, "notify");
}

static void unbind_of_foreign_port_is_ENOTCONN(struct run *run)
{
	xenevtchn_handle *other = xenevtchn_open(NULL, 0);
	int port = other ? xenevtchn_bind_unbound_port(other, run->domid) : 0;

	int rc = xenevtchn_unbind(run->xce, port);
	int err = errno;
	xenevtchn_close(other);
	errno = err;
	check_refused(run, !rc, ENOTCONN, "unbind");
}

static void notify_of_port_out_of_range_is_ENOTCONN(struct run *run)
{
	check_refused(run, !xenevtchn_notify(run->xce, 1 << 20), ENOTCONN, "notify");
}

static void unbind_of_port_out_of_range_is_EINVAL(struct run *run)
{
	check_refused(run, !xenevtchn_unbind(run->xce, 1 << 20), EINVAL, "unbind");
}

static void second_unbind_is_ENOTCONN(struct run *run)
{
	int port = xenevtchn_bind_unbound_port(run->xce, run->domid);

	check_done(run, port > 0 && !xenevtchn_unbind(run->xce, port), "unbind");
	check_refused(run, !xenevtchn_unbind(run->xce, port), ENOTCONN, "second unbind");
}

static void unmask_of_foreign_port_is_no_error(struct run *run)
{
	check_done(run, !xenevtchn_unmask(run->xce, 1000), "unmask of a port that is not ours");
	check_done(run, !xenevtchn_unmask(run->xce, 1 << 20), "unmask of a port out of range");
}

/* The backend dies and comes again. */
static void port_can_be_bound_again_once_the_binder_closed(struct run *run)
{
	struct channel channel = open_channel(run);

	check_done(run, !xenevtchn_unbind(run->xce, channel.own_port), "unbind");
	must(run, "notify %u", channel.guest_port);
	int port = interdomain(run, run->domid, channel.guest_port);
	check_done(run, port > 0, "second bind");
	check_event(run, port, "the event that binding raises");
	xenevtchn_unmask(run->xce, port);
	must(run, "notify %u", channel.guest_port);
	check_event(run, port, "the guest's notification");
	check_done(run, !xenevtchn_notify(run->xce, port), "notify");
	check_guest_event(run, channel.guest_port, "our notification");
}

static int bind_only(struct run *run, const void *arg)
{
	const uint32_t *guest_port = arg;

	return interdomain(run, run->domid, *guest_port) > 0 ? 0 : 1;
}

static void port_can_be_bound_again_once_the_binder_was_killed(struct run *run)
{
	uint32_t guest_port = must(run, "unbound 0");

	start_child(run, bind_only, &guest_port);
	check_refused(run, interdomain(run, run->domid, guest_port) > 0, EINVAL, "bind before");
	end_child(run, SIGKILL);
	int port = interdomain(run, run->domid, guest_port);
	check_done(run, port > 0, "bind after");
	check_event(run, port, "the event that binding raises");
}

/* The end that was bound to becomes unbound for the domain that closed. */
static void binders_port_is_unbound_once_the_other_end_closed(struct run *run)
{
	struct channel channel = open_channel(run);

	must(run, "close-evtchn");
	check_done(run, !xenevtchn_notify(run->xce, channel.own_port), "notify");
	long port = must(run, "interdomain 0 %u", channel.own_port);
	check_guest_event(run, port, "the event that binding raises");
	must(run, "notify %ld", port);
	check_event(run, channel.own_port, "the guest's notification");
}

static void binders_port_is_unbound_once_the_other_end_was_killed(struct run *run)
{
	struct channel channel = open_channel(run);

	must(run, "kill");
	check_done(run, !xenevtchn_notify(run->xce, channel.own_port), "notify");
	long port = must(run, "interdomain 0 %u", channel.own_port);
	check_guest_event(run, port, "the event that binding raises");
}

static void close_of_the_other_end_raises_no_event(struct run *run)
{
	open_channel(run);
	must(run, "close-evtchn");
	check_no_event(run, "after the close");
}

static void virq_can_be_bound_once(struct run *run)
{
	xenevtchn_handle *other = xenevtchn_open(NULL, 0);

	check_done(run, other, "xenevtchn_open");
	int port = xenevtchn_bind_virq(run->xce, VIRQ_TBUF);
	if (port < 0 && errno == EEXIST) {
		xenevtchn_close(other);
		skip_rule(run, "another program traces Xen");
	}
	int again = xenevtchn_bind_virq(other, VIRQ_TBUF);
	int err = errno;
	bool freed = port > 0 && !xenevtchn_unbind(run->xce, port) &&
		     xenevtchn_bind_virq(other, VIRQ_TBUF) > 0;
	xenevtchn_close(other);
	check_done(run, port > 0, "bind_virq");
	errno = err;
	check_refused(run, again > 0, EEXIST, "second bind");
	CHECK(run, freed, "it cannot be bound again after unbind");
}

static void xenstoreds_virq_is_EEXIST(struct run *run)
{
	check_refused(run, xenevtchn_bind_virq(run->xce, VIRQ_DOM_EXC) > 0, EEXIST,
		      "bind of VIRQ_DOM_EXC");
}

static void virq_out_of_range_is_EINVAL(struct run *run)
{
	check_refused(run, xenevtchn_bind_virq(run->xce, NR_VIRQS) > 0, EINVAL, "bind_virq");
}

static void restricted_handle_binds_only_to_its_domain(struct run *run)
{
	long guest_port = must(run, "unbound 0");

	check_done(run, !xenevtchn_restrict(run->xce, run->domid), "restrict");
	check_refused(run, xenevtchn_bind_virq(run->xce, VIRQ_TBUF) > 0, EACCES, "bind_virq");
	check_refused(run, interdomain(run, 0, 1) > 0, EACCES, "bind to another domain");
	check_done(run, interdomain(run, run->domid, guest_port) > 0, "bind to its domain");
}

static void restricted_handle_gets_no_unbound_port(struct run *run)
{
	check_done(run, !xenevtchn_restrict(run->xce, run->domid), "restrict");
	check_refused(run, xenevtchn_bind_unbound_port(run->xce, run->domid) > 0, EACCES,
		      "unbound port for its domain");
}

static void second_restrict_is_EACCES(struct run *run)
{
	check_done(run, !xenevtchn_restrict(run->xce, run->domid), "restrict");
	check_refused(run, !xenevtchn_restrict(run->xce, run->domid), EACCES, "second restrict");
}

static void restrict_to_no_domu_is_EINVAL(struct run *run)
{
	check_refused(run, !xenevtchn_restrict(run->xce, 0), EINVAL, "restrict to dom0");
	check_refused(run, !xenevtchn_restrict(run->xce, DOMID_SELF), EINVAL,
		      "restrict to DOMID_SELF");
}

static void ports_of_a_guest_end_with_ENOSPC(struct run *run)
{
	long n = must(run, "unbound-many 0 10000");

	CHECK(run, !strcmp(run->text, "28"), "it had %ld ports and then errno %s", n, run->text);
	CHECK(run, n <= GUEST_PORTS, "it had %ld ports instead of at most %d", n, GUEST_PORTS);
}

static const struct rule rules[] = {
	{"binding_raises_an_event_at_the_binder", binding_raises_an_event_at_the_binder},
	{"port_can_be_bound_once", port_can_be_bound_once},
	{"port_for_another_domain_is_EINVAL_to_bind", port_for_another_domain_is_EINVAL_to_bind},
	{"free_port_is_EINVAL_to_bind", free_port_is_EINVAL_to_bind},
	{"port_0_is_EINVAL_to_bind", port_0_is_EINVAL_to_bind},
	{"port_out_of_range_is_EINVAL_to_bind", port_out_of_range_is_EINVAL_to_bind},
	{"unknown_domain_is_ESRCH_to_bind", unknown_domain_is_ESRCH_to_bind},
	{"unbound_port_for_unknown_domain_is_given", unbound_port_for_unknown_domain_is_given},
	{"channel_within_a_domain_works", channel_within_a_domain_works},
	{"domid_self_can_be_bound_to", domid_self_can_be_bound_to},
	{"notify_of_unbound_port_is_dropped", notify_of_unbound_port_is_dropped},
	{"notify_of_foreign_port_is_ENOTCONN", notify_of_foreign_port_is_ENOTCONN},
	{"notify_of_port_out_of_range_is_ENOTCONN", notify_of_port_out_of_range_is_ENOTCONN},
	{"unbind_of_foreign_port_is_ENOTCONN", unbind_of_foreign_port_is_ENOTCONN},
	{"unbind_of_port_out_of_range_is_EINVAL", unbind_of_port_out_of_range_is_EINVAL},
	{"second_unbind_is_ENOTCONN", second_unbind_is_ENOTCONN},
	{"unmask_of_foreign_port_is_no_error", unmask_of_foreign_port_is_no_error},
	{"port_can_be_bound_again_once_the_binder_closed",
	 port_can_be_bound_again_once_the_binder_closed},
	{"port_can_be_bound_again_once_the_binder_was_killed",
	 port_can_be_bound_again_once_the_binder_was_killed},
	{"binders_port_is_unbound_once_the_other_end_closed",
	 binders_port_is_unbound_once_the_other_end_closed},
	{"binders_port_is_unbound_once_the_other_end_was_killed",
	 binders_port_is_unbound_once_the_other_end_was_killed},
	{"close_of_the_other_end_raises_no_event", close_of_the_other_end_raises_no_event},
	{"virq_can_be_bound_once", virq_can_be_bound_once},
	{"xenstoreds_virq_is_EEXIST", xenstoreds_virq_is_EEXIST},
	{"virq_out_of_range_is_EINVAL", virq_out_of_range_is_EINVAL},
	{"restricted_handle_binds_only_to_its_domain", restricted_handle_binds_only_to_its_domain},
	{"restricted_handle_gets_no_unbound_port", restricted_handle_gets_no_unbound_port},
	{"second_restrict_is_EACCES", second_restrict_is_EACCES},
	{"restrict_to_no_domu_is_EINVAL", restrict_to_no_domu_is_EINVAL},
	{"ports_of_a_guest_end_with_ENOSPC", ports_of_a_guest_end_with_ENOSPC},
};

const struct rule_group port_rules = RULE_GROUP(rules);
