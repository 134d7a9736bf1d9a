// SPDX-License-Identifier: MIT
/*
 * Event channels on loopback Xen: binding, delivery, masking, every refusal, and what becomes of a
 * port when the other side closes or dies.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "tests/check_main.h"
#include "tests/xenloop_world.h"

/* Two ends of a channel: of domain a, and of dom0. */
struct channel {
	xenevtchn_handle *front, *back;
	int front_port, back_port;
};

static struct channel channel_open(void)
{
	struct channel ch = {.front = evtchn_as(world.a), .back = evtchn_as(0)};

	ch.front_port = xenevtchn_bind_unbound_port(ch.front, 0);
	ck_assert_int_gt(ch.front_port, 0);
	ch.back_port = xenevtchn_bind_interdomain(ch.back, world.a, ch.front_port);
	ck_assert_int_gt(ch.back_port, 0);
	return ch;
}

/* Take the event that binding leaves at the binder's end. */
static void settle(const struct channel *ch)
{
	ck_assert_int_eq(xenevtchn_pending(ch->back), ch->back_port);
	ck_assert_int_eq(xenevtchn_unmask(ch->back, ch->back_port), 0);
}

static struct evtchn_status status_of(uint32_t domid, int port)
{
	/* By name, so that this program need not be linked to libxenctrl. */
	__typeof__(&xc_interface_open) open_fn = dlsym(RTLD_DEFAULT, "xc_interface_open");
	__typeof__(&xc_evtchn_status) status_fn = dlsym(RTLD_DEFAULT, "xc_evtchn_status");
	__typeof__(&xc_interface_close) close_fn = dlsym(RTLD_DEFAULT, "xc_interface_close");
	struct evtchn_status status = {.dom = domid, .port = port};

	world_as(0);
	xc_interface *xch = open_fn(NULL, NULL, 0);
	ck_assert_ptr_nonnull(xch);
	ck_assert_int_eq(status_fn(xch, &status), 0);
	close_fn(xch);
	return status;
}

START_TEST(binding_leaves_an_event_at_the_binders_end)
{
	struct channel ch = channel_open();

	ck_assert_int_eq(event_now(ch.back), ch.back_port);
	ck_assert_int_eq(event_now(ch.front), -1);
	ck_assert_uint_eq(status_of(world.a, ch.front_port).status, EVTCHNSTAT_interdomain);
	ck_assert_int_eq(status_of(0, ch.back_port).u.interdomain.dom, (int)world.a);
}
END_TEST

START_TEST(notify_reaches_the_other_end)
{
	struct channel ch = channel_open();

	settle(&ch);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(xenevtchn_notify(ch.front, ch.front_port), 0);
		ck_assert_int_eq(event_now(ch.back), ch.back_port);
		ck_assert_int_eq(xenevtchn_unmask(ch.back, ch.back_port), 0);
		ck_assert_int_eq(xenevtchn_notify(ch.back, ch.back_port), 0);
		ck_assert_int_eq(event_now(ch.front), ch.front_port);
		ck_assert_int_eq(xenevtchn_unmask(ch.front, ch.front_port), 0);
	}
	ck_assert_int_eq(event_now(ch.front), -1);
	ck_assert_int_eq(event_now(ch.back), -1);
}
END_TEST

START_TEST(many_notifications_are_one_event)
{
	struct channel ch = channel_open();

	settle(&ch);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(xenevtchn_notify(ch.front, ch.front_port), 0);
	ck_assert_int_eq(event_now(ch.back), ch.back_port);
	ck_assert_int_eq(event_now(ch.back), -1);
}
END_TEST

START_TEST(a_masked_port_keeps_its_event)
{
	struct channel ch = channel_open();

	settle(&ch);
	xenevtchn_notify(ch.front, ch.front_port);
	ck_assert_int_eq(event_now(ch.back), ch.back_port); /* and is masked now */
	xenevtchn_notify(ch.front, ch.front_port);
	xenevtchn_notify(ch.front, ch.front_port);
	ck_assert_int_eq(event_now(ch.back), -1);
	xenevtchn_unmask(ch.back, ch.back_port);
	ck_assert_int_eq(event_now(ch.back), ch.back_port);
	xenevtchn_unmask(ch.back, ch.back_port);
	ck_assert_int_eq(event_now(ch.back), -1);
}
END_TEST

START_TEST(a_non_blocking_handle_does_not_block_the_other)
{
	struct channel ch = channel_open();

	settle(&ch);
	fcntl(xenevtchn_fd(ch.back), F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(xenevtchn_pending(ch.back), -1);
	ck_assert_int_eq(errno, EAGAIN);
	xenevtchn_notify(ch.back, ch.back_port); /* through a pipe of the front's */
	ck_assert(!(fcntl(xenevtchn_fd(ch.front), F_GETFL) & O_NONBLOCK));
	ck_assert_int_eq(xenevtchn_pending(ch.front), ch.front_port);
}
END_TEST

static void refuse(xenevtchn_handle *xce, uint32_t domid, uint32_t port, int err)
{
	errno = 0;
	ck_assert_int_eq(xenevtchn_bind_interdomain(xce, domid, port), -1);
	ck_assert_int_eq(errno, err);
}

START_TEST(a_bind_that_was_not_offered_is_refused)
{
	struct channel ch = channel_open();
	xenevtchn_handle *b = evtchn_as(world.b);
	int port = xenevtchn_bind_unbound_port(ch.front, world.b);

	refuse(ch.back, world.a, port, EINVAL);		 /* offered to another domain */
	refuse(b, world.a, ch.front_port, EINVAL);	 /* bound, and not to this one */
	refuse(ch.back, world.a, ch.front_port, EINVAL); /* bound already */
	refuse(b, world.a, 4095, EINVAL);
	refuse(b, world.a, 4096, EINVAL);
	refuse(b, world.a, 0, EINVAL);
	refuse(b, 1000, 1, ESRCH);
	ck_assert_int_gt(xenevtchn_bind_interdomain(b, world.a, port), 0);
}
END_TEST

START_TEST(only_ones_own_ports_can_be_used)
{
	struct channel ch = channel_open();
	xenevtchn_handle *other = evtchn_as(0);

	ck_assert_int_eq(xenevtchn_notify(other, ch.back_port), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	ck_assert_int_eq(xenevtchn_unbind(other, ch.back_port), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	ck_assert_int_eq(xenevtchn_notify(ch.back, UINT32_MAX), -1);
	ck_assert_int_eq(xenevtchn_unbind(ch.back, 4096), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xenevtchn_unbind(ch.front, 1023), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	ck_assert_int_eq(xenevtchn_unbind(ch.front, 1024), -1); /* that a guest cannot have */
	ck_assert_int_eq(errno, EINVAL);
	settle(&ch);
	xenevtchn_notify(ch.front, ch.front_port);
	ck_assert_int_eq(event_now(ch.back), ch.back_port);
	ck_assert_int_eq(xenevtchn_unmask(other, ch.back_port), 0); /* without effect */
	xenevtchn_notify(ch.front, ch.front_port);
	ck_assert_int_eq(event_now(ch.back), -1);
}
END_TEST

START_TEST(a_port_is_unbound_after_the_other_end_closes)
{
	struct channel ch = channel_open();

	ck_assert_int_eq(xenevtchn_unbind(ch.back, ch.back_port), 0);
	ck_assert_uint_eq(status_of(world.a, ch.front_port).status, EVTCHNSTAT_unbound);
	ck_assert_uint_eq(status_of(0, ch.back_port).status, EVTCHNSTAT_closed);
	ck_assert_int_eq(xenevtchn_notify(ch.front, ch.front_port), 0); /* to nobody */
	ck_assert_int_eq(event_now(ch.front), -1);

	ch.back_port = xenevtchn_bind_interdomain(ch.back, world.a, ch.front_port);
	ck_assert_int_gt(ch.back_port, 0);
	xenevtchn_close(ch.back); /* closing the handle does the same */
	ch.back = evtchn_as(0);
	ch.back_port = xenevtchn_bind_interdomain(ch.back, world.a, ch.front_port);
	ck_assert_int_gt(ch.back_port, 0);
	settle(&ch);
	xenevtchn_notify(ch.front, ch.front_port);
	ck_assert_int_eq(event_now(ch.back), ch.back_port);
}
END_TEST

static void bind_to_a(uint32_t told[2], const uint32_t *arg)
{
	xenevtchn_handle *xce = evtchn_as(0);

	told[0] = xenevtchn_bind_interdomain(xce, world.a, arg[0]);
	if (arg[1])
		xenevtchn_notify(xce, told[0]);
}

START_TEST(a_port_can_be_bound_again_after_a_kill)
{
	xenevtchn_handle *front = evtchn_as(world.a);
	uint32_t arg[2] = {xenevtchn_bind_unbound_port(front, 0), 1};

	for (int i = 0; i < 20; i++) {
		struct victim victim = victim_start(bind_to_a, arg);
		ck_assert_int_gt((int)victim.told[0], 0);
		victim_kill(&victim);
		ck_assert_int_eq(xenevtchn_pending(front), (int)arg[0]);
		ck_assert_int_eq(xenevtchn_notify(front, arg[0]), 0);
		ck_assert_int_eq(xenevtchn_unmask(front, arg[0]), 0);
		ck_assert_int_eq(event_now(front), -1);
	}
}
END_TEST

/* Notify twice: whole, and then so that the process dies at its write into the pipe. */
static pid_t start_notifier(uint32_t port)
{
	pid_t pid = fork();

	if (!pid) {
		xenevtchn_handle *xce = evtchn_as(0);
		int own = xenevtchn_bind_interdomain(xce, world.a, port);
		scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
		xenevtchn_notify(xce, own);
		raise(SIGSTOP);
		seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(write), 0);
		seccomp_load(filter);
		xenevtchn_notify(xce, own);
		_exit(0);
	}
	return pid;
}

/* Otherwise the port would stay masked with nothing queued, for whoever binds to it next. */
START_TEST(a_notifier_killed_half_way_loses_no_event)
{
	xenevtchn_handle *front = evtchn_as(world.a);
	int port = xenevtchn_bind_unbound_port(front, 0), status;

	pid_t pid = start_notifier(port);
	ck_assert_int_eq(xenevtchn_pending(front), port);
	xenevtchn_unmask(front, port);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	kill(pid, SIGCONT);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	ck_assert_int_eq(xenevtchn_pending(front), port);
}
END_TEST

struct rebind {
	struct channel ch;
	xenevtchn_handle *other;
	_Atomic pid_t tid;
	int port;
};

static void *close_and_rebind(void *arg)
{
	struct rebind *rebind = arg;

	atomic_store(&rebind->tid, gettid());
	xenevtchn_close(rebind->ch.back);
	rebind->port = xenevtchn_bind_interdomain(rebind->other, world.a, rebind->ch.front_port);
	return NULL;
}

static void await_syscall(const _Atomic pid_t *tid, long number)
{
	char path[64], text[64];

	do {
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)atomic_load(tid));
		FILE *file = fopen(path, "r");
		if (!file || !fgets(text, sizeof(text), file))
			text[0] = '\0';
		if (file)
			fclose(file);
	} while (strtol(text, NULL, 10) != number);
}

/* The hypervisor finds a close and a later request at the same time. */
START_TEST(a_close_takes_effect_before_a_later_request)
{
	struct rebind rebind = {.other = evtchn_as(0)};
	pid_t hypervisor = world_hypervisor();
	pthread_t thread;

	rebind.ch = channel_open();
	kill(hypervisor, SIGSTOP);
	pthread_create(&thread, NULL, close_and_rebind, &rebind);
	await_syscall(&rebind.tid, SYS_recvmsg);
	kill(hypervisor, SIGCONT);
	pthread_join(thread, NULL);
	ck_assert_int_gt(rebind.port, 0);
}
END_TEST

/* What a data process may still do in its sandbox. */
static void enter_sandbox(void)
{
	static const int allowed[] = {SCMP_SYS(sendmsg), SCMP_SYS(recvmsg),   SCMP_SYS(mmap),
				      SCMP_SYS(munmap),	 SCMP_SYS(read),      SCMP_SYS(write),
				      SCMP_SYS(poll),	 SCMP_SYS(futex),     SCMP_SYS(close),
				      SCMP_SYS(brk),	 SCMP_SYS(exit_group)};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (seccomp_load(filter))
		_exit(1);
}

static bool work_in_sandbox(xenevtchn_handle *xce, xengnttab_handle *xgt, uint32_t port,
			    uint32_t ref)
{
	char text[4];
	xengnttab_grant_copy_segment_t segment = {
		.source.foreign = {.ref = ref, .domid = world.a},
		.dest.virt = text,
		.len = 4,
		.flags = GNTCOPY_source_gref,
	};
	int own = xenevtchn_bind_interdomain(xce, world.a, port);
	char *page = xengnttab_map_grant_ref(xgt, world.a, ref, PROT_READ | PROT_WRITE);

	return own > 0 && page && !xengnttab_grant_copy(xgt, 1, &segment) &&
	       segment.status == GNTST_okay && !xengnttab_unmap(xgt, page, 1) &&
	       xenevtchn_pending(xce) == own && !xenevtchn_unmask(xce, own) &&
	       !xenevtchn_notify(xce, own) && !xenevtchn_unbind(xce, own);
}

START_TEST(open_handles_work_in_a_sandbox)
{
	if (SANITIZED)
		return;
	xenevtchn_handle *front = evtchn_as(world.a);
	xengntshr_handle *xgs = gntshr_as(world.a);
	uint32_t port = xenevtchn_bind_unbound_port(front, 0), ref;
	int status;

	ck_assert_ptr_nonnull(xengntshr_share_pages(xgs, 0, 1, &ref, 1));
	pid_t pid = fork();
	if (!pid) {
		xenevtchn_handle *xce = evtchn_as(0);
		xengnttab_handle *xgt = gnttab_as(0);
		enter_sandbox();
		_exit(work_in_sandbox(xce, xgt, port, ref) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(event_now(front), (int)port);
}
END_TEST

START_TEST(a_virq_is_bound_once)
{
	xenevtchn_handle *xce = evtchn_as(world.a);

	ck_assert_int_gt(xenevtchn_bind_virq(xce, VIRQ_DEBUG), 0);
	ck_assert_int_eq(xenevtchn_bind_virq(xce, VIRQ_DEBUG), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(xenevtchn_bind_virq(xce, VIRQ_TIMER), -1); /* the kernel has it */
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(xenevtchn_bind_virq(xce, NR_VIRQS), -1);
	ck_assert_int_eq(errno, EINVAL);
	xce = evtchn_as(0);
	ck_assert_int_eq(xenevtchn_bind_virq(xce, VIRQ_DOM_EXC), -1); /* xenstored has it */
	ck_assert_int_eq(errno, EEXIST);
}
END_TEST

START_TEST(a_restricted_handle_binds_to_one_domain)
{
	int offered_by_a = xenevtchn_bind_unbound_port(evtchn_as(world.a), 0);
	int offered_by_b = xenevtchn_bind_unbound_port(evtchn_as(world.b), 0);
	xenevtchn_handle *xce = evtchn_as(0);

	ck_assert_int_eq(xenevtchn_restrict(xce, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xenevtchn_restrict(xce, world.a), 0);
	ck_assert_int_eq(xenevtchn_restrict(xce, world.b), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(xenevtchn_bind_interdomain(xce, world.b, offered_by_b), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_gt(xenevtchn_bind_interdomain(xce, world.a, offered_by_a), 0);
	ck_assert_int_eq(xenevtchn_bind_unbound_port(xce, world.a), -1); /* not even that */
	ck_assert_int_eq(errno, EACCES);
}
END_TEST

START_TEST(a_handle_survives_re_execution)
{
	xenevtchn_handle *front = evtchn_as(world.a);
	int front_port = xenevtchn_bind_unbound_port(front, 0);
	int ends[2];
	char word;

	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	if (!pid) {
		char value[64];
		world_as(0);
		xenevtchn_handle *xce = xenevtchn_open(NULL, XENEVTCHN_NO_CLOEXEC);
		snprintf(value, sizeof(value), "%d %d %d", xenevtchn_fd(xce),
			 xenevtchn_bind_interdomain(xce, world.a, front_port), ends[1]);
		setenv("CHECK_REEXEC", value, 1);
		setenv("LD_PRELOAD", world.lib, 1);
		execl("/proc/self/exe", "re-executed", (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &word, 1), 1);
	ck_assert_int_eq(word, 'y');
	ck_assert_int_eq(xenevtchn_pending(front), front_port);
	waitpid(pid, NULL, 0);
	xenevtchn_handle *back = evtchn_as(0); /* ended with the process */
	ck_assert_int_gt(xenevtchn_bind_interdomain(back, world.a, front_port), 0);
}
END_TEST

/* The other half of the test above: adopt the handle, notify, say so. */
__attribute__((constructor)) static void play_re_executed(void)
{
	const char *value = getenv("CHECK_REEXEC");
	int fd, port, tell;

	if (!value || sscanf(value, "%d %d %d", &fd, &port, &tell) != 3)
		return;
	xenevtchn_handle *xce = xenevtchn_fdopen(NULL, fd, 0);
	bool good = xce && xenevtchn_pending(xce) == port && !xenevtchn_unmask(xce, port) &&
		    !xenevtchn_notify(xce, port);
	_exit(write(tell, good ? "y" : "n", 1) != 1);
}

#define ROUNDS 20000

/* Several threads raise a counter and notify, one follows it: it must see the last value. */
struct race {
	struct channel ch;
	_Atomic int counter;
};

static void *raise_and_notify(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < ROUNDS; i++) {
		atomic_fetch_add_explicit(&race->counter, 1, memory_order_relaxed);
		xenevtchn_notify(race->ch.front, race->ch.front_port);
	}
	return NULL;
}

START_TEST(threads_may_notify_on_one_handle)
{
	struct race race = {.ch = channel_open()};
	pthread_t threads[3];

	settle(&race.ch);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, raise_and_notify, &race);
	while (atomic_load(&race.counter) < 3 * ROUNDS) { /* blocks for good if one is lost */
		ck_assert_int_eq(xenevtchn_pending(race.ch.back), race.ch.back_port);
		ck_assert_int_eq(xenevtchn_unmask(race.ch.back, race.ch.back_port), 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static Suite *xenloop_evtchn_suite(void)
{
	const TTest *const all[] = {
		binding_leaves_an_event_at_the_binders_end,
		notify_reaches_the_other_end,
		many_notifications_are_one_event,
		a_masked_port_keeps_its_event,
		a_non_blocking_handle_does_not_block_the_other,
		a_bind_that_was_not_offered_is_refused,
		only_ones_own_ports_can_be_used,
		a_port_is_unbound_after_the_other_end_closes,
		a_port_can_be_bound_again_after_a_kill,
		a_notifier_killed_half_way_loses_no_event,
		a_close_takes_effect_before_a_later_request,
		open_handles_work_in_a_sandbox,
		a_virq_is_bound_once,
		a_restricted_handle_binds_to_one_domain,
		a_handle_survives_re_execution,
		threads_may_notify_on_one_handle,
	};

	return world_suite("xenloop_evtchn", all, sizeof(all) / sizeof(all[0]));
}

CHECK_MAIN(xenloop_evtchn_suite)
