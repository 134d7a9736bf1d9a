// SPDX-License-Identifier: MIT
/*
 * Implementation of uring.h over liburing. Needs Linux 5.13 (restrictions came with 5.10, polling
 * of a registered file and a wait with a time limit work since 5.11); uses what later kernels have
 * to make completions cheaper, and does without it elsewhere. Trusts the kernel and the engines.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "backend/data/internal.h"
#include "backend/data/uring.h"

/* What a lane ever asks of the kernel; see sandbox.c for the system-call half of the same fence. */
static const uint8_t allowed_ops[] = {
	IORING_OP_READV,    IORING_OP_WRITEV,	   IORING_OP_FSYNC,
	IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE,
};

static struct io_uring_sqe *get_sqe(struct engine_host *host)
{
	struct uring *u = (struct uring *)host;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	/* The queue is full: hand over what is there. An error leaves it full, and says so
	 * below. */
	io_uring_submit(&u->ring);
	return io_uring_get_sqe(&u->ring);
}

static void call_later(struct engine_host *host, struct engine_event *event)
{
	struct uring *u = (struct uring *)host;

	STAILQ_INSERT_TAIL(&u->later, event, link);
}

static int add_file(struct engine_host *host, int fd)
{
	struct uring *u = (struct uring *)host;

	if (u->nr_free_slots == 0)
		return -ENFILE;
	int slot = u->free_slots[u->nr_free_slots - 1];
	int ret = io_uring_register_files_update(&u->ring, (unsigned int)slot, &fd, 1);

	if (ret != 1)
		return ret < 0 ? ret : -EIO;
	u->nr_free_slots--;
	return slot;
}

/* Those that are not waiting at this moment are not found, and need not be. */
static void renew_polls(struct engine_event *event, int32_t res, uint32_t flags)
{
	struct uring_renewal *renewal = (struct uring_renewal *)event;
	struct uring *u = renewal->uring;

	(void)res;
	(void)flags;
	for (; renewal->next; renewal->next = STAILQ_NEXT(renewal->next, link)) {
		struct io_uring_sqe *sqe = get_sqe(&u->host);

		if (!sqe) {
			call_later(&u->host, event);
			return;
		}
		io_uring_prep_poll_remove(sqe, (uintptr_t)&renewal->next->event);
		sqe->flags |= IOSQE_FIXED_FILE; /* it has no file, and the restrictions ask */
		io_uring_sqe_set_data(sqe, &u->given_up);
	}
	renewal->pending = false;
}

static void ignore(struct engine_event *event, int32_t res, uint32_t flags)
{
	(void)event;
	(void)res;
	(void)flags;
}

static void renew_polls_soon(struct uring *u)
{
	u->renewal.next = STAILQ_FIRST(&u->polls);
	if (u->renewal.pending)
		return;
	u->renewal.pending = true;
	call_later(&u->host, &u->renewal.event);
}

static void remove_file(struct engine_host *host, int slot)
{
	struct uring *u = (struct uring *)host;
	int none = -1;

	/* Can fail for want of memory only; then the slot stays taken rather than be reused. */
	if (io_uring_register_files_update(&u->ring, (unsigned int)slot, &none, 1) != 1)
		return;
	u->free_slots[u->nr_free_slots++] = slot;
	renew_polls_soon(u);
}

/* An empty file table, by the call that all kernels have. */
static int register_table(struct uring *u, uint32_t nr_files)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < nr_files)
		nr_files = (uint32_t)limit.rlim_cur;
	int *fds = malloc(nr_files * sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr_files; i++)
		fds[i] = -1;
	int ret = io_uring_register_files(&u->ring, fds, nr_files);

	/* The array goes on as the stack, lowest slot on top. */
	for (uint32_t i = 0; i < nr_files; i++)
		fds[i] = (int)(nr_files - 1 - i);
	u->free_slots = fds;
	u->nr_free_slots = nr_files;
	return ret;
}

/*
 * What would block, the kernel does in threads of the lane. There have to be more than one queue can
 * occupy, or a guest with slow writes keeps all others out. Before Linux 5.15 there are as many as
 * the kernel thinks fit.
 */
static void raise_workers(struct uring *u)
{
	unsigned int bounded_and_unbounded[2] = {DATA_WORKERS, 0}; /* 0: as it is */

	io_uring_register_iowq_max_workers(&u->ring, bounded_and_unbounded);
}

static int restrict_ring(struct uring *u)
{
	struct io_uring_restriction rules[sizeof(allowed_ops) + 2] = {0};
	unsigned int n = 0;

	for (; n < sizeof(allowed_ops); n++) {
		rules[n].opcode = IORING_RESTRICTION_SQE_OP;
		rules[n].sqe_op = allowed_ops[n];
	}
	rules[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	rules[n++].sqe_flags = IOSQE_FIXED_FILE;
	rules[n].opcode = IORING_RESTRICTION_REGISTER_OP;
	rules[n++].register_op = IORING_REGISTER_FILES_UPDATE;
	return io_uring_register((unsigned int)u->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, rules,
				 n);
}

/* By the plain call, as above: liburing 2.3 has functions for both, and forgot to export them. */
static int enable_ring(struct uring *u)
{
	return io_uring_register((unsigned int)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
				 0);
}

static int create_ring(struct uring *u)
{
	const unsigned int base = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
	/* Linux 6.1: completions are worked off by our own wait, without interrupting us. */
	const unsigned int modern = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
				    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
				    IORING_SETUP_TASKRUN_FLAG;
	struct io_uring_params params = {.flags = base | modern, .cq_entries = DATA_CQ_ENTRIES};
	int ret = io_uring_queue_init_params(DATA_SQ_ENTRIES, &u->ring, &params);

	if (ret != -EINVAL)
		return ret;
	params = (struct io_uring_params){.flags = base, .cq_entries = DATA_CQ_ENTRIES};
	return io_uring_queue_init_params(DATA_SQ_ENTRIES, &u->ring, &params);
}

int uring_init(struct uring *u, uint32_t nr_files)
{
	*u = (struct uring){
		.host = {.get_sqe = get_sqe,
			 .call_later = call_later,
			 .add_file = add_file,
			 .remove_file = remove_file},
		.renewal = {.event.fn = renew_polls, .uring = u},
		.given_up.fn = ignore,
	};
	STAILQ_INIT(&u->later);
	STAILQ_INIT(&u->polls);
	int ret = create_ring(u);

	if (ret < 0)
		return ret;
	raise_workers(u);
	ret = register_table(u, nr_files);
	if (ret == 0)
		ret = restrict_ring(u);
	if (ret == 0)
		ret = enable_ring(u);
	if (ret < 0)
		uring_fini(u);
	return ret < 0 ? ret : 0;
}

void uring_fini(struct uring *u)
{
	io_uring_queue_exit(&u->ring);
	free(u->free_slots);
}

void uring_add_poll(struct uring *u, struct uring_poll *poll)
{
	STAILQ_INSERT_TAIL(&u->polls, poll, link);
}

int uring_poll(struct uring *u, int slot, uint32_t poll_mask, struct uring_poll *poll)
{
	struct io_uring_sqe *sqe = get_sqe(&u->host);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_poll_add(sqe, slot, poll_mask);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, &poll->event);
	return 0;
}

static int submit(struct uring *u, uint64_t timeout_ns)
{
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {
		.tv_sec = (int64_t)(timeout_ns / 1000000000u),
		.tv_nsec = (int64_t)(timeout_ns % 1000000000u),
	};

	if (timeout_ns == 0 || !STAILQ_EMPTY(&u->later))
		return io_uring_submit(&u->ring);
	if (timeout_ns == UINT64_MAX)
		return io_uring_submit_and_wait(&u->ring, 1);
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

/* At most as many as the queue holds, so that completions which cause completions end the round. */
static void reap(struct uring *u)
{
	struct io_uring_cqe *cqes[64];
	uint32_t budget = DATA_CQ_ENTRIES;

	while (budget > 0) {
		unsigned int want = budget < 64 ? budget : 64;
		unsigned int n = io_uring_peek_batch_cqe(&u->ring, cqes, want);

		for (unsigned int i = 0; i < n; i++) {
			struct engine_event *event = io_uring_cqe_get_data(cqes[i]);
			int32_t res = cqes[i]->res;
			uint32_t flags = cqes[i]->flags;

			/* Given back before the call: what the event does may need the room. */
			io_uring_cq_advance(&u->ring, 1);
			event->fn(event, res, flags);
		}
		if (n < want)
			return;
		budget -= n;
	}
}

static void run_later(struct uring *u)
{
	STAILQ_HEAD(, engine_event) now = STAILQ_HEAD_INITIALIZER(now);

	STAILQ_CONCAT(&now, &u->later);
	while (!STAILQ_EMPTY(&now)) {
		struct engine_event *event = STAILQ_FIRST(&now);

		STAILQ_REMOVE_HEAD(&now, link);
		event->fn(event, 0, 0);
	}
}

int uring_run(struct uring *u, uint64_t timeout_ns)
{
	int ret = submit(u, timeout_ns);

	/* EAGAIN and EBUSY: the kernel is short of memory or of completion room. What is reaped now
	 * makes room, the rest goes with the next round. */
	if (ret < 0 && ret != -EINTR && ret != -ETIME && ret != -EAGAIN && ret != -EBUSY)
		return ret;
	reap(u);
	run_later(u);
	return 0;
}
