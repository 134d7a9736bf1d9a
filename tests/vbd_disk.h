/* SPDX-License-Identifier: MIT */
/*
 * A disk of libringway for tests of its public functions: opened as domain a's, against the backend
 * of vbd_backend.h in dom0; both in this process. Included by one .c per program.
 */
#pragma once
#include "tests/vbd_backend.h"
#include <sched.h>
#include "frontend/user/libringway.h"
#include "tests/check_main.h"

#define BIG_BYTES (1u << 20)

static struct vbd_backend b;
static struct rwy_xenbus *dom0; /* the test's own eyes and hands */
static struct rwy_vbd *vbd;
static char why[RWY_VBD_WHY_BYTES];
static const struct rwy_vbd_options impatient = {
	.connect_timeout_ms = 1000,
	.reconnect_timeout_ms = 400,
};

static inline void become(uint32_t domid)
{
	char path[PATH_MAX + 32];

	world_as(domid);
	if (domid)
		snprintf(path, sizeof(path), "%s/dom%u/xenstored", world.dir, domid);
	else
		snprintf(path, sizeof(path), "%s/xenstored/socket", world.dir);
	setenv("XENSTORED_PATH", path, 1);
}

static inline void setup(void)
{
	become(0);
	vbd_backend_init(&b, world.a);
	ck_assert_int_eq(rwy_xenbus_open(&dom0), 0);
}

/* After the orders and what must come before the thread; from here on we are the guest. */
static inline void begin(void)
{
	vbd_backend_start(&b);
	become(world.a);
}

static inline void teardown(void)
{
	vbd_backend_stop(&b);
	rwy_xenbus_close(dom0);
}

static inline int open_disk(const char *name, const struct rwy_vbd_options *options)
{
	vbd = (void *)&b;
	strcpy(why, "not set");
	return rwy_vbd_open(name, options, &vbd, why, sizeof(why));
}

static inline void must_open(const struct rwy_vbd_options *options)
{
	int err = open_disk("xvda", options);

	ck_assert_msg(err == 0, "open: %d %s", err, why);
}

static inline void must_fail(const char *name, int err, const char *text)
{
	ck_assert_int_eq(open_disk(name, &impatient), err);
	ck_assert_msg(strstr(why, text), "why is: %s", why);
	ck_assert_ptr_null(vbd);
}

static inline enum xenbus_state front_state(void)
{
	return rwy_xenbus_read_state(dom0, "%s/state", b.front);
}

static inline enum xenbus_state back_state(void)
{
	return rwy_xenbus_read_state(dom0, "%s/state", b.back);
}

/* Wait for a condition that another thread brings about; the test's timeout bounds it. */
#define AWAIT(condition)     \
	while (!(condition)) \
	sched_yield()

static inline void fill(uint8_t *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((i >> 8) * 31 + i + seed * 17);
}

static inline void write_and_read_back(unsigned int seed)
{
	static uint8_t out[BIG_BYTES], in[BIG_BYTES];

	fill(out, sizeof(out), seed);
	ck_assert_int_eq(rwy_vbd_pwrite(vbd, out, sizeof(out), 4096), 0);
	ck_assert_int_eq(rwy_vbd_flush(vbd), 0);
	ck_assert_int_eq(memcmp(b.disk + 4096, out, sizeof(out)), 0);
	ck_assert_int_eq(rwy_vbd_pread(vbd, in, sizeof(in), 4096), 0);
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
}

/* Requests that the test has submitted and not waited for. */
struct pending {
	struct rwy_vbd_io io;
	uint8_t buf[128 * 1024];
	int result;
};

static struct pending pending[6];
static _Atomic int nr_done;

static inline void note_done(struct rwy_vbd_io *io, int result)
{
	struct pending *p = io->user;

	p->result = result;
	nr_done++;
}

static inline bool all_taken(void)
{
	bool taken;

	vbd_backend_lock(&b);
	taken = b.nr_held == 16; /* of 18 parts: the pages are used up */
	pthread_mutex_unlock(&b.lock);
	return taken;
}

/* Writes, held by the backend: some in the ring, some waiting for pages. */
static inline void submit_held(void)
{
	vbd_backend_lock(&b);
	b.hold = true;
	vbd_backend_order(&b);
	nr_done = 0;
	for (unsigned int i = 0; i < 6; i++) {
		struct pending *p = &pending[i];

		fill(p->buf, sizeof(p->buf), i);
		p->result = 1;
		p->io = (struct rwy_vbd_io){
			.op = RWY_VBD_WRITE,
			.buf = p->buf,
			.len = sizeof(p->buf),
			.offset = i * sizeof(p->buf),
			.done = note_done,
			.user = p,
		};
		ck_assert_int_eq(rwy_vbd_submit(vbd, &p->io), 0);
	}
	AWAIT(all_taken());
	ck_assert_int_eq(nr_done, 0);
}

static const struct rwy_vbd_options few_pages = {
	.connect_timeout_ms = 1000,
	.reconnect_timeout_ms = 400,
	.max_data_pages = 176,
};

static inline void all_must_end(int err, const char *text)
{
	uint8_t buf[512];

	AWAIT(nr_done == 6);
	for (int k = 0; k < 6; k++)
		ck_assert_int_eq(pending[k].result, err);
	ck_assert_int_eq(rwy_vbd_status(vbd, why, sizeof(why)), err);
	ck_assert_msg(strstr(why, text), "why is: %s", why);
	ck_assert_int_eq(rwy_vbd_pread(vbd, buf, sizeof(buf), 0), err);
}
