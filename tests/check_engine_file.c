// SPDX-License-Identifier: MIT
/*
 * The file engine on a real io_uring and temporary files: all or an error, never old data. The
 * files are under $TMPDIR or /tmp; what a file system cannot do (O_DIRECT) is skipped there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "backend/data/uring.h"
#include "backend/engine/engine.h"
#include "common/cleanup.h"
#include "tests/check_main.h"

#define PAGE	   4096u
#define UNFINISHED 12345
#define MANY	   600u /* more than the submission queue holds */
#define NR_SLOTS   4u

static struct uring uring;
static struct engine *engine;
static int fd;
static char path[256];
static int32_t lost; /* what a journal would keep */

static void open_engine(int flags)
{
	const char *dir = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/ringway-engine.XXXXXX", dir ? dir : "/tmp");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	if (flags >= 0) {
		close(fd);
		fd = open(path, flags);
	}
	unlink(path);
	ck_assert_int_eq(uring_init(&uring, NR_SLOTS), 0);
	if (fd >= 0)
		ck_assert_int_eq(engine_file.open(&uring.host,
						  &(struct engine_params){.fd = fd, .lost = &lost},
						  &engine),
				 0);
}

static void close_engine(void)
{
	if (engine)
		engine->ops->close(engine);
	engine = NULL;
	uring_fini(&uring);
	if (fd >= 0)
		close(fd);
}

static void setup(void)
{
	open_engine(-1);
}

static void done(struct engine_io *io)
{
	ck_assert_int_eq(*(int *)io->owner, UNFINISHED);
	*(int *)io->owner = io->result;
}

/* One I/O to its end; its result. */
static int transfer(enum engine_op op, uint64_t offset, struct iovec *iov, uint32_t nr_iov)
{
	int result = UNFINISHED;
	struct engine_io io = {.op = op,
			       .offset_bytes = offset,
			       .iov = iov,
			       .nr_iov = nr_iov,
			       .done = done,
			       .owner = &result};

	engine->ops->submit(engine, &io);
	ck_assert_int_eq(result, UNFINISHED); /* never from inside submit */
	while (result == UNFINISHED)
		ck_assert_int_eq(uring_run(&uring, UINT64_MAX), 0);
	return result;
}

static int transfer_one(enum engine_op op, uint64_t offset, void *buf, size_t len)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};

	return transfer(op, offset, &iov, 1);
}

static void fill(char *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(i * 7 + i / 251 + seed);
}

START_TEST(engine_file_writes_what_it_reads_back)
{
	char out[3 * PAGE], in[3 * PAGE] = {0}, file[3 * PAGE];

	fill(out, sizeof(out), 1);
	struct iovec iov[2] = {{out, 1000}, {out + 1000, sizeof(out) - 1000}};
	ck_assert_int_eq(transfer(ENGINE_WRITE, 512, iov, 2), 0);
	ck_assert_int_eq(pread(fd, file, sizeof(file), 512), (int)sizeof(file));
	ck_assert_mem_eq(file, out, sizeof(out));

	struct iovec back[3] = {{in, 1}, {in + 1, PAGE}, {in + 1 + PAGE, 2 * PAGE - 1}};
	ck_assert_int_eq(transfer(ENGINE_READ, 512, back, 3), 0);
	ck_assert_mem_eq(in, out, sizeof(out));
}
END_TEST

START_TEST(engine_file_flushes)
{
	char out[PAGE] = {1};

	ck_assert_int_eq(transfer_one(ENGINE_WRITE, 0, out, sizeof(out)), 0);
	ck_assert_int_eq(transfer(ENGINE_FLUSH, 0, NULL, 0), 0);
}
END_TEST

START_TEST(engine_file_fails_a_read_past_the_end)
{
	char in[2 * PAGE];

	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	ck_assert_int_eq(transfer_one(ENGINE_READ, 0, in, PAGE), 0);
	ck_assert_int_eq(transfer_one(ENGINE_READ, PAGE, in, PAGE), -EIO);
	/* The first half is there, the second is not: the whole is an error. */
	ck_assert_int_eq(transfer_one(ENGINE_READ, 0, in, 2 * PAGE), -EIO);
	ck_assert_int_eq(transfer_one(ENGINE_READ, PAGE / 2, in, PAGE), -EIO);
}
END_TEST

START_TEST(engine_file_fails_reads_of_a_file_that_shrank)
{
	char in[PAGE];

	ck_assert_int_eq(ftruncate(fd, 8 * PAGE), 0);
	ck_assert_int_eq(transfer_one(ENGINE_READ, 4 * PAGE, in, PAGE), 0);
	ck_assert_int_eq(ftruncate(fd, 2 * PAGE), 0);
	ck_assert_int_eq(transfer_one(ENGINE_READ, 4 * PAGE, in, PAGE), -EIO);
	ck_assert_int_eq(transfer_one(ENGINE_READ, PAGE, in, PAGE), 0);
}
END_TEST

START_TEST(engine_file_transfers_at_any_byte)
{
	char out[1537], in[1537] = {0};

	fill(out, sizeof(out), 9);
	ck_assert_int_eq(transfer_one(ENGINE_WRITE, 12345, out, sizeof(out)), 0);
	ck_assert_int_eq(transfer_one(ENGINE_READ, 12345, in, sizeof(in)), 0);
	ck_assert_mem_eq(in, out, sizeof(out));
}
END_TEST

START_TEST(engine_file_reads_and_writes_directly)
{
	static char buf[2 * PAGE] __attribute__((aligned(PAGE)));
	char expected[2 * PAGE];

	close_engine();
	open_engine(O_RDWR | O_DIRECT);
	if (fd < 0)
		return; /* this file system has no O_DIRECT */
	fill(expected, sizeof(expected), 5);
	memcpy(buf, expected, sizeof(buf));
	ck_assert_int_eq(transfer_one(ENGINE_WRITE, PAGE, buf, sizeof(buf)), 0);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(transfer_one(ENGINE_READ, PAGE, buf, sizeof(buf)), 0);
	ck_assert_mem_eq(buf, expected, sizeof(buf));
	ck_assert_int_eq(transfer(ENGINE_FLUSH, 0, NULL, 0), 0);
	/* An unaligned one is an error where the file system has a rule (tmpfs has none), never other data. */
	int err = transfer_one(ENGINE_READ, PAGE + 1, buf, PAGE);

	ck_assert(err == -EINVAL || (err == 0 && memcmp(buf, expected + 1, PAGE) == 0));
}
END_TEST

START_TEST(engine_file_cannot_write_a_read_only_file)
{
	char out[PAGE] = {1};

	close_engine();
	open_engine(O_RDONLY);
	ck_assert_int_eq(transfer_one(ENGINE_WRITE, 0, out, sizeof(out)), -EBADF);
}
END_TEST

START_TEST(engine_file_queues_more_than_the_ring_holds)
{
	static char out[MANY][512];
	static struct iovec iov[MANY];
	static struct engine_io io[MANY];
	static int result[MANY];
	char in[512];
	uint32_t left;

	for (uint32_t i = 0; i < MANY; i++) {
		fill(out[i], sizeof(out[i]), i);
		iov[i] = (struct iovec){out[i], sizeof(out[i])};
		result[i] = UNFINISHED;
		io[i] = (struct engine_io){.op = ENGINE_WRITE,
					   .offset_bytes = i * 512u,
					   .iov = &iov[i],
					   .nr_iov = 1,
					   .done = done,
					   .owner = &result[i]};
		engine->ops->submit(engine, &io[i]);
	}
	do {
		ck_assert_int_eq(uring_run(&uring, UINT64_MAX), 0);
		left = 0;
		for (uint32_t i = 0; i < MANY; i++)
			left += result[i] == UNFINISHED;
	} while (left);
	for (uint32_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(result[i], 0);
		ck_assert_int_eq(pread(fd, in, sizeof(in), i * 512), (int)sizeof(in));
		ck_assert_mem_eq(in, out[i], sizeof(in));
	}
}
END_TEST

/*
 * Completions as the kernel may give them, from a host that stands in for the lane: what the kernel
 * on this machine would hardly ever do is continued or given up as promised.
 */
static struct {
	struct io_uring_sqe sqe;
	uint32_t issued;
	bool full;
	struct engine_event *later;
} kernel;

static struct io_uring_sqe *fake_get_sqe(struct engine_host *host)
{
	(void)host;
	if (kernel.full)
		return NULL;
	kernel.issued++;
	memset(&kernel.sqe, 0, sizeof(kernel.sqe));
	return &kernel.sqe;
}

static void fake_call_later(struct engine_host *host, struct engine_event *event)
{
	(void)host;
	kernel.later = event;
}

static int fake_add_file(struct engine_host *host, int file)
{
	(void)host;
	(void)file;
	return 3;
}

static void fake_remove_file(struct engine_host *host, int slot)
{
	(void)host;
	ck_assert_int_eq(slot, 3);
}

static struct engine_host fake_host = {fake_get_sqe, fake_call_later, fake_add_file,
				       fake_remove_file};

static void complete_with(int32_t res)
{
	struct engine_event *event = (struct engine_event *)(uintptr_t)kernel.sqe.user_data;

	event->fn(event, res, 0);
}

static struct engine *open_with(const struct engine_params *params)
{
	struct engine *e;

	memset(&kernel, 0, sizeof(kernel));
	ck_assert_int_eq(engine_file.open(&fake_host, params, &e), 0);
	return e;
}

static struct engine *open_on_fake(void)
{
	return open_with(&(struct engine_params){.fd = 0, .lost = &lost});
}

static int flush_with(struct engine *e, int32_t res)
{
	int result = UNFINISHED;
	struct engine_io io = {.op = ENGINE_FLUSH, .done = done, .owner = &result};

	e->ops->submit(e, &io);
	complete_with(res);
	return result;
}

START_TEST(engine_file_continues_short_transfers)
{
	struct engine *e = open_on_fake();
	char buf[100];
	struct iovec iov[2] = {{buf, 60}, {buf + 60, 40}};
	int result = UNFINISHED;
	struct engine_io io = {.op = ENGINE_READ,
			       .offset_bytes = 1000,
			       .iov = iov,
			       .nr_iov = 2,
			       .done = done,
			       .owner = &result};

	e->ops->submit(e, &io);
	ck_assert_uint_eq(kernel.sqe.flags & IOSQE_FIXED_FILE, IOSQE_FIXED_FILE);
	ck_assert_int_eq(kernel.sqe.fd, 3);
	ck_assert_uint_eq(kernel.sqe.off, 1000);
	complete_with(70);
	ck_assert_int_eq(result, UNFINISHED);
	ck_assert_uint_eq(kernel.sqe.off, 1070);
	ck_assert_uint_eq(kernel.sqe.len, 1);
	ck_assert_ptr_eq(((struct iovec *)(uintptr_t)kernel.sqe.addr)->iov_base, buf + 70);
	ck_assert_uint_eq(((struct iovec *)(uintptr_t)kernel.sqe.addr)->iov_len, 30);
	complete_with(-EINTR);
	complete_with(-EAGAIN);
	ck_assert_int_eq(result, UNFINISHED);
	ck_assert_uint_eq(kernel.sqe.off, 1070);
	complete_with(30);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(kernel.issued, 4);
	e->ops->close(e);
}
END_TEST

START_TEST(engine_file_gives_up_on_endless_eagain)
{
	struct engine *e = open_on_fake();
	char buf[100];
	struct iovec iov = {buf, sizeof(buf)};
	int result = UNFINISHED;
	struct engine_io io = {
		.op = ENGINE_WRITE, .iov = &iov, .nr_iov = 1, .done = done, .owner = &result};

	e->ops->submit(e, &io);
	for (int i = 0; i < 1000 && result == UNFINISHED; i++)
		complete_with(-EAGAIN);
	ck_assert_int_eq(result, -EAGAIN);
	e->ops->close(e);
}
END_TEST

START_TEST(engine_file_leaves_what_it_lost_to_its_successor)
{
	struct engine *e = open_on_fake();

	ck_assert_int_eq(flush_with(e, -ENOSPC), -ENOSPC);
	ck_assert_int_eq(lost, -ENOSPC); /* at once, not when it is closed */
	struct engine *next = open_on_fake();

	ck_assert_int_eq(flush_with(next, 0), -ENOSPC);
	ck_assert_int_eq(flush_with(next, -EIO), -ENOSPC);
	next->ops->close(next);
	e->ops->close(e);
}
END_TEST

/* What the kernel could not write is gone, though its next fsync says otherwise. */
START_TEST(engine_file_fails_all_flushes_after_one_of_the_page_cache)
{
	struct engine *e = open_on_fake();

	ck_assert_int_eq(flush_with(e, 0), 0);
	ck_assert_int_eq(flush_with(e, -ENOSPC), -ENOSPC);
	ck_assert_int_eq(flush_with(e, 0), -ENOSPC);
	ck_assert_int_eq(flush_with(e, -EIO), -ENOSPC);
	e->ops->close(e);
}
END_TEST

START_TEST(engine_file_flushes_again_after_one_failed_without_page_cache)
{
	struct engine *e =
		open_with(&(struct engine_params){.fd = 0, .direct = true, .lost = &lost});

	ck_assert_int_eq(flush_with(e, -EIO), -EIO);
	ck_assert_int_eq(flush_with(e, 0), 0);
	e->ops->close(e);
}
END_TEST

START_TEST(engine_file_fails_a_write_that_moves_nothing)
{
	struct engine *e = open_on_fake();
	char buf[100];
	struct iovec iov = {buf, sizeof(buf)};
	int result = UNFINISHED;
	struct engine_io io = {
		.op = ENGINE_WRITE, .iov = &iov, .nr_iov = 1, .done = done, .owner = &result};

	e->ops->submit(e, &io);
	complete_with(0);
	ck_assert_int_eq(result, -EIO);
	e->ops->close(e);
}
END_TEST

START_TEST(engine_file_waits_for_room_in_the_ring)
{
	struct engine *e = open_on_fake();
	char buf[100];
	struct iovec iov = {buf, sizeof(buf)};
	int result = UNFINISHED;
	struct engine_io io = {
		.op = ENGINE_WRITE, .iov = &iov, .nr_iov = 1, .done = done, .owner = &result};

	kernel.full = true;
	e->ops->submit(e, &io);
	ck_assert_ptr_nonnull(kernel.later);
	kernel.full = false;
	kernel.later->fn(kernel.later, 0, 0);
	ck_assert_uint_eq(kernel.issued, 1);
	complete_with(100);
	ck_assert_int_eq(result, 0);
	e->ops->close(e);
}
END_TEST

START_TEST(engine_file_takes_no_more_files_than_the_table_has)
{
	struct engine *e[NR_SLOTS] = {NULL};
	const struct engine_params params = {.fd = fd, .lost = &lost};

	/* The fixture has one open already. */
	for (uint32_t i = 0; i < NR_SLOTS - 1; i++)
		ck_assert_int_eq(engine_file.open(&uring.host, &params, &e[i]), 0);
	ck_assert_int_eq(engine_file.open(&uring.host, &params, &e[NR_SLOTS - 1]), -ENFILE);
	engine_file.close(e[0]);
	ck_assert_int_eq(engine_file.open(&uring.host, &params, &e[0]), 0);
	for (uint32_t i = 0; i < NR_SLOTS - 1; i++)
		engine_file.close(e[i]);
}
END_TEST

START_TEST(uring_refuses_what_a_lane_never_does)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char in[16] = {0};

	/* An fd of the process instead of a registered file; an operation that is not on the
	 * list. */
	for (int forbidden = 0; forbidden < 2; forbidden++) {
		sqe = io_uring_get_sqe(&uring.ring);
		if (forbidden == 0) {
			io_uring_prep_readv(sqe, fd, &(struct iovec){in, sizeof(in)}, 1, 0);
		} else {
			io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
			sqe->flags |= IOSQE_FIXED_FILE;
		}
		ck_assert_int_ge(io_uring_submit_and_wait(&uring.ring, 1), 0);
		ck_assert_int_eq(io_uring_peek_cqe(&uring.ring, &cqe), 0);
		ck_assert_int_eq(cqe->res, -EACCES);
		io_uring_cqe_seen(&uring.ring, cqe);
	}
	ck_assert_int_eq(io_uring_register_buffers(&uring.ring, &(struct iovec){in, sizeof(in)}, 1),
			 -EACCES);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("engine_file");
	TCase *tc = tcase_create("files");

	tcase_add_checked_fixture(tc, setup, close_engine);
	tcase_add_test(tc, engine_file_writes_what_it_reads_back);
	tcase_add_test(tc, engine_file_flushes);
	tcase_add_test(tc, engine_file_fails_a_read_past_the_end);
	tcase_add_test(tc, engine_file_fails_reads_of_a_file_that_shrank);
	tcase_add_test(tc, engine_file_transfers_at_any_byte);
	tcase_add_test(tc, engine_file_reads_and_writes_directly);
	tcase_add_test(tc, engine_file_cannot_write_a_read_only_file);
	tcase_add_test(tc, engine_file_queues_more_than_the_ring_holds);
	tcase_add_test(tc, engine_file_takes_no_more_files_than_the_table_has);
	tcase_add_test(tc, uring_refuses_what_a_lane_never_does);
	suite_add_tcase(s, tc);

	tc = tcase_create("completions");
	tcase_add_test(tc, engine_file_continues_short_transfers);
	tcase_add_test(tc, engine_file_gives_up_on_endless_eagain);
	tcase_add_test(tc, engine_file_fails_all_flushes_after_one_of_the_page_cache);
	tcase_add_test(tc, engine_file_leaves_what_it_lost_to_its_successor);
	tcase_add_test(tc, engine_file_flushes_again_after_one_failed_without_page_cache);
	tcase_add_test(tc, engine_file_fails_a_write_that_moves_nothing);
	tcase_add_test(tc, engine_file_waits_for_room_in_the_ring);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
