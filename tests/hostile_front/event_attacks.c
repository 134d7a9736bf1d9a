// SPDX-License-Identifier: MIT
/* Event channels: storms, and ports that are not what they should be. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <xen/io/blkif.h>
#include "tests/hostile_front/attack.h"

#define NR_THREADS 2
#define NR_PORTS   64

struct storm {
	struct front *f;
	evtchn_port_t port[NR_PORTS];
	int nr_ports;
	bool silent; /* burn the same time without an event */
	atomic_bool stop;
};

static void *notify_on(void *arg)
{
	struct storm *s = arg;
	volatile uint64_t spent = 0;

	while (!atomic_load(&s->stop)) {
		for (int i = 0; i < s->nr_ports && !s->silent; i++)
			xenevtchn_notify(s->f->xce, s->port[i]);
		spent = spent + 1;
	}
	return NULL;
}

/* So many threads at full speed, until time is up. */
static int rage(struct storm *s, int nr_threads, int (*meanwhile)(struct front *f))
{
	pthread_t thread[NR_THREADS];
	int nr = 0, err = 0;

	while (nr < nr_threads && !pthread_create(&thread[nr], NULL, notify_on, s))
		nr++;
	while (front_goes_on(s->f) && !err)
		err = meanwhile(s->f);
	atomic_store(&s->stop, true);
	while (nr > 0)
		pthread_join(thread[--nr], NULL);
	return err;
}

/* Sleeps on our own port, which nobody notifies now. */
static int let_it_rage(struct front *f)
{
	return front_wait_time(f);
}

static int event_storm(struct front *f)
{
	struct storm s = {.f = f, .port = {(evtchn_port_t)f->port}, .nr_ports = 1};

	return rage(&s, NR_THREADS, let_it_rage);
}

static int event_storm_with_requests(struct front *f)
{
	struct storm s = {.f = f, .port = {(evtchn_port_t)f->port}, .nr_ports = 1};

	return rage(&s, NR_THREADS, front_expect_service);
}

static int event_storm_on_many_ports(struct front *f)
{
	struct storm s = {.f = f, .port = {(evtchn_port_t)f->port}, .nr_ports = 1};

	while (s.nr_ports < NR_PORTS) {
		int port = xenevtchn_bind_unbound_port(f->xce, f->back_domid);

		if (port < 0)
			break;
		s.port[s.nr_ports++] = (evtchn_port_t)port;
	}
	int err = rage(&s, NR_THREADS, let_it_rage);

	while (s.nr_ports > 1)
		xenevtchn_unbind(f->xce, s.port[--s.nr_ports]);
	return err;
}

/* What attacks are compared with. */
static int idle(struct front *f)
{
	return rage(&(struct storm){.f = f, .silent = true}, 0, let_it_rage);
}

static int busy_loop(struct front *f)
{
	return rage(&(struct storm){.f = f, .silent = true}, 1, let_it_rage);
}

static int busy_loops(struct front *f)
{
	return rage(&(struct storm){.f = f, .silent = true}, 2, let_it_rage);
}

static int connect_with_port(struct front *f, uint64_t port)
{
	int err = front_make_ring(f, &(struct front_how){0});

	if (!err)
		err = front_write_number(f, "ring-ref", f->ring_gref[0]);
	if (!err)
		err = front_write_number(f, "event-channel", port);
	if (!err)
		err = front_write_state(f, XenbusStateInitialised);
	return err ? err : front_expect_broken(f);
}

static int port_never_opened(struct front *f)
{
	static const uint64_t ports[] = {0, 4000, 4095, 4096, 1u << 17, UINT32_MAX, 1ull << 40};
	const size_t nr = sizeof(ports) / sizeof(ports[0]);
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		err = connect_with_port(f, ports[i]);
		if (!err && i + 1 < nr)
			err = front_reset(f);
	}
	return err;
}

static int port_of_another_domain(struct front *f)
{
	int port = xenevtchn_bind_unbound_port(f->xce, 0x7abc);

	if (port < 0)
		return complain("no port: %s", strerror(errno));
	int err = connect_with_port(f, (uint64_t)port);

	xenevtchn_unbind(f->xce, (evtchn_port_t)port);
	return err;
}

/* The store's own port, to which dom0's other end is bound already. */
static int port_in_use(struct front *f)
{
	return connect_with_port(f, 1);
}

/* The port goes in the middle of I/O, and nobody is told of the responses. */
static int port_closed(struct front *f)
{
	int err = 0;

	while (front_goes_on(f) && !err) {
		err = front_connect(f, &(struct front_how){0});
		for (uint32_t i = 0; i < f->nr_slots && !err; i++) {
			struct rwy_blk_request req = front_read_request(f, i, i);

			front_put_request(f, &req);
		}
		if (err)
			break;
		front_push(f);
		xenevtchn_unbind(f->xce, (evtchn_port_t)f->port);
		f->port = -1;
		err = front_reset(f);
	}
	return err;
}

#define ENTRY(name, text, answer, start, fn)         \
	{                                            \
		name, text, answer, start, false, fn \
	}

const struct attack event_attacks[] = {
	ENTRY("idle", "no attack: a connected disk, unused", ANSWER_STATUS, START_CONNECTED, idle),
	ENTRY("busy-loop", "no attack: the time of one CPU", ANSWER_STATUS, START_CONNECTED,
	      busy_loop),
	ENTRY("busy-loops", "no attack: the time of two CPUs", ANSWER_STATUS, START_CONNECTED,
	      busy_loops),
	ENTRY("event-storm", "events without requests, from two threads", ANSWER_STATUS,
	      START_CONNECTED, event_storm),
	ENTRY("event-storm-with-requests", "events between requests", ANSWER_STATUS,
	      START_CONNECTED, event_storm_with_requests),
	ENTRY("event-storm-on-many-ports", "events on 64 ports", ANSWER_STATUS, START_CONNECTED,
	      event_storm_on_many_ports),
	ENTRY("port-never-opened", "event-channel names no port", ANSWER_BROKEN, START_ALONE,
	      port_never_opened),
	ENTRY("port-of-another-domain", "a port that is open to another domain", ANSWER_BROKEN,
	      START_ALONE, port_of_another_domain),
	ENTRY("port-in-use", "a port that is bound already", ANSWER_BROKEN, START_ALONE,
	      port_in_use),
	ENTRY("port-closed", "the port is closed during I/O", ANSWER_ANY, START_ALONE, port_closed),
	{0},
};
