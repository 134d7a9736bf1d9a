// SPDX-License-Identifier: MIT
/*
 * The data process's sandbox, entered for real in a child: what is gone, and that trying for more
 * is the end of it. As root all of it is tested; otherwise what an ordinary user can give up.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/gntdev.h>
#include "backend/data/journal.h"
#include "backend/data/sandbox.h"
#include "common/log.h"
#include "tests/check_main.h"

#define GRANT_FD   100
#define EVTCHN_FD  101
#define JOURNAL_FD 102 /* a file */
#define NR_ENTRIES 512u

/* Before the sandbox, which opens nothing: of a ring that was full, each request taken before those
 * in the entries before it. */
static int make_journal(void)
{
	int fd = memfd_create("journal", MFD_CLOEXEC);
	struct journal_header h = {.magic = JOURNAL_MAGIC,
				   .version = JOURNAL_VERSION,
				   .nr_entries = NR_ENTRIES,
				   .entry_bytes = JOURNAL_ENTRY_BYTES,
				   .state = JOURNAL_LIVE,
				   .req_cons = NR_ENTRIES};
	struct journal_entry entry = {.word = (uint64_t)JOURNAL_TAKEN << 32};

	if (fd < 0 || write(fd, &h, sizeof(h)) != sizeof(h))
		return -1;
	for (uint32_t i = 0; i < NR_ENTRIES; i++) {
		entry.req_index = NR_ENTRIES - 1 - i;
		if (write(fd, &entry, sizeof(entry)) != sizeof(entry))
			return -1;
	}
	return dup2(fd, JOURNAL_FD) < 0;
}

/* Whatever the library does for it: it may not ask the kernel for more than the filter lets it. */
static int go_on_with_full_ring(void)
{
	static char ring_pages[16 * 4096] __attribute__((aligned(4096)));
	struct journal_backlog backlog;
	struct rwy_ring_back ring;
	struct journal journal;
	const char *what;

	if (journal_open(&journal, JOURNAL_FD, NR_ENTRIES, &what) ||
	    journal_attach(&journal, &ring, ring_pages, 16, 112, &backlog, &what) ||
	    backlog.nr != NR_ENTRIES)
		return 1;
	for (uint32_t n = 0; n < NR_ENTRIES; n++)
		if (backlog.entry[n] != NR_ENTRIES - 1 - n)
			return 1;
	journal_close(&journal);
	return 0;
}

/* Run act in a sandboxed child; its wait status. */
static int sandboxed(int (*act)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		rwy_log_init("check", RWY_LOG_ERROR);
		if (make_journal() || sandbox_enter(GRANT_FD, EVTCHN_FD))
			_exit(99);
		_exit(act());
	}
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_exit(int (*act)(void), int code)
{
	int status = sandboxed(act);

	ck_assert_msg(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	ck_assert_int_eq(WEXITSTATUS(status), code);
}

static void expect_death(int (*act)(void))
{
	int status = sandboxed(act);

	ck_assert_msg(WIFSIGNALED(status), "it lived, and exited with %d", WEXITSTATUS(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}

static int do_what_is_needed(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *heap[64];

	if (page == MAP_FAILED)
		return 1;
	page[0] = 1;
	munmap(page, 4096);
	/* Small enough to come from the heap, and enough to grow and shrink it. */
	for (int i = 0; i < 64; i++)
		if (!(heap[i] = malloc(65536)))
			return 1;
	for (int i = 0; i < 64; i++)
		free(heap[i]);
	if (go_on_with_full_ring())
		return 4;
	/* Let through to the kernel, which knows no such fd. */
	if (ioctl(GRANT_FD, IOCTL_GNTDEV_GRANT_COPY, NULL) == 0 || errno != EBADF)
		return 2;
	if (read(EVTCHN_FD, &errno, 0) == 0 || errno != EBADF)
		return 3;
	return 42;
}

static int open_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0;
}

static int make_a_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int make_an_io_uring(void)
{
	struct io_uring ring;

	return io_uring_queue_init(4, &ring, 0) < 0;
}

static int execute(void)
{
	return execl("/bin/true", "true", NULL);
}

static int make_a_process(void)
{
	return (int)syscall(SYS_fork);
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int signal_another(void)
{
	return kill(getppid(), 0);
}

static int send_another_ioctl(void)
{
	return ioctl(GRANT_FD, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, NULL);
}

static int send_ioctl_to_another(void)
{
	return ioctl(0, IOCTL_GNTDEV_GRANT_COPY, NULL);
}

static int lift_restrictions(void)
{
	return io_uring_register(0, IORING_REGISTER_BUFFERS, NULL, 0);
}

START_TEST(sandbox_lets_the_daemon_work)
{
	expect_exit(do_what_is_needed, 42);
}
END_TEST

START_TEST(sandbox_kills_for_anything_else)
{
	static int (*const act[])(void) = {
		open_a_file,	    make_a_socket,
		make_an_io_uring,   execute,
		make_a_process,	    map_code,
		make_code,	    signal_another,
		send_another_ioctl, send_ioctl_to_another,
		lift_restrictions,
	};

	for (size_t i = 0; i < sizeof(act) / sizeof(act[0]); i++)
		expect_death(act[i]);
}
END_TEST

/* A field of a process as the kernel has it, e.g. "CapBnd:". */
static void read_status(pid_t pid, const char *field, char *value, size_t size)
{
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");

	ck_assert_ptr_nonnull(f);
	value[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, field, strlen(field)) == 0)
			snprintf(value, size, "%s", line + strlen(field) + 1);
	}
	fclose(f);
}

/* A child waits in the sandbox until its stdin ends. */
static pid_t start_waiting(int *end)
{
	int go[2], ready[2];
	char byte;

	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();

	if (pid == 0) {
		const gid_t adm = 4;

		close(go[1]);
		rwy_log_init("check", RWY_LOG_ERROR);
		if (geteuid() == 0 && setgroups(1, &adm) < 0)
			_exit(98);
		if (sandbox_enter(GRANT_FD, EVTCHN_FD) || write(ready[1], "r", 1) != 1)
			_exit(99);
		_exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(go[0]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*end = go[1];
	return pid;
}

static void stop_waiting(pid_t pid, int end)
{
	int status;

	close(end);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void expect_status(pid_t pid, const char *field, const char *expected)
{
	char value[128];

	read_status(pid, field, value, sizeof(value));
	ck_assert_msg(strcmp(value, expected) == 0, "%s is %s", field, value);
}

START_TEST(sandbox_holds_for_any_user)
{
	int end;
	pid_t pid = start_waiting(&end);

	expect_status(pid, "NoNewPrivs:", "1\n");
	expect_status(pid, "Seccomp:", "2\n");
	expect_status(pid, "CapPrm:", "0000000000000000\n");
	expect_status(pid, "CapEff:", "0000000000000000\n");
	expect_status(pid, "CapAmb:", "0000000000000000\n");
	stop_waiting(pid, end);
}
END_TEST

START_TEST(sandbox_leaves_root_nothing)
{
	char path[64], value[128], ours[64], theirs[64];
	int end;

	if (geteuid() != 0)
		return;
	pid_t pid = start_waiting(&end);

	read_status(pid, "Uid:", value, sizeof(value));
	ck_assert_msg(strncmp(value, "0\t", 2) != 0, "still root");
	read_status(pid, "Groups:", value, sizeof(value));
	ck_assert_msg(strspn(value, " \n") == strlen(value), "still in groups %s", value);
	expect_status(pid, "CapBnd:", "0000000000000000\n");
	expect_status(pid, "CapInh:", "0000000000000000\n");
	snprintf(path, sizeof(path), "/proc/%d/root/", pid);
	ck_assert_int_eq(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "/proc/%d/root/etc", pid);
	ck_assert_int_eq(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	ck_assert_int_gt(readlink("/proc/self/ns/net", ours, sizeof(ours)), 0);
	ck_assert_int_gt(readlink(path, theirs, sizeof(theirs)), 0);
	ck_assert_msg(memcmp(ours, theirs, 16) != 0, "still in our network");
	stop_waiting(pid, end);
}
END_TEST

/* Run act, which ends by _exit, in a child; its exit status. */
static int status_of(int (*act)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		rwy_log_init("check", RWY_LOG_ERROR);
		_exit(act());
	}
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static void expect_refusal(int (*act)(void))
{
	ck_assert_int_eq(status_of(act), EPERM);
}

#define ORDINARY 65534

static int enter_as_an_ordinary_user(void)
{
	if (setresgid(ORDINARY, ORDINARY, ORDINARY) || setresuid(ORDINARY, ORDINARY, ORDINARY))
		return 1;
	if (make_journal() || sandbox_enter(GRANT_FD, EVTCHN_FD))
		return 2;
	return do_what_is_needed();
}

static int enter_with_a_way_back_to_root(void)
{
	if (setresuid(ORDINARY, ORDINARY, 0))
		return 1;
	int err = sandbox_enter(GRANT_FD, EVTCHN_FD);

	return seteuid(0) ? 2 : -err; /* it was one */
}

static int enter_as_root_without(unsigned int capability)
{
	capng_get_caps_process();
	capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability);
	return capng_apply(CAPNG_SELECT_CAPS) ? 1 : -sandbox_enter(GRANT_FD, EVTCHN_FD);
}

static int enter_without_the_right_to_unshare(void)
{
	return enter_as_root_without(CAP_SYS_ADMIN);
}

static int enter_without_the_right_to_change_root(void)
{
	return enter_as_root_without(CAP_SYS_CHROOT);
}

static int enter_without_the_right_to_change_users(void)
{
	return enter_as_root_without(CAP_SETUID);
}

START_TEST(sandbox_needs_no_root)
{
	if (geteuid() == 0)
		ck_assert_int_eq(status_of(enter_as_an_ordinary_user), 42);
}
END_TEST

static int open_a_file_behind_the_filter(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sandbox_filter_calls(GRANT_FD, EVTCHN_FD))
		return 1;
	return open("/etc/passwd", O_RDONLY) < 0;
}

/* Where nothing else stands in the way. */
START_TEST(filter_holds_by_itself)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(open_a_file_behind_the_filter());
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
END_TEST

/* A sandbox that is not whole is none: the daemon is told, and serves nobody. */
START_TEST(sandbox_is_whole_or_refused)
{
	if (geteuid() != 0)
		return;
	expect_refusal(enter_with_a_way_back_to_root);
	expect_refusal(enter_without_the_right_to_unshare);
	expect_refusal(enter_without_the_right_to_change_root);
	expect_refusal(enter_without_the_right_to_change_users);
}
END_TEST

static int raise_limits(struct rlimit *files, struct rlimit *locked)
{
	sandbox_raise_limits();
	return getrlimit(RLIMIT_NOFILE, files) || getrlimit(RLIMIT_MEMLOCK, locked);
}

static bool may_raise_limits(void)
{
	return capng_get_caps_process() == 0 &&
	       capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_RESOURCE);
}

static int raise_low_limits(void)
{
	struct rlimit files = {100, 200}, locked = {65536, 65536};

	if (setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_MEMLOCK, &locked) ||
	    raise_limits(&files, &locked))
		return 1;
	if (may_raise_limits())
		return files.rlim_cur != 65536 || locked.rlim_cur != RLIM_INFINITY;
	return files.rlim_cur != 200 || files.rlim_max != 200 || locked.rlim_cur != 65536;
}

static int raise_limits_within_what_is_allowed(void)
{
	struct rlimit files, locked;

	getrlimit(RLIMIT_NOFILE, &files);
	rlim_t most = files.rlim_max;

	files.rlim_cur = 100;
	if (setrlimit(RLIMIT_NOFILE, &files) || raise_limits(&files, &locked))
		return 1;
	if (most < 65536 && may_raise_limits())
		most = 65536;
	return files.rlim_cur != most || files.rlim_max != most;
}

static int raise_low_limits_as_an_ordinary_user(void)
{
	return setresuid(ORDINARY, ORDINARY, ORDINARY) ? 1 : raise_low_limits();
}

START_TEST(limits_are_raised_as_far_as_they_go)
{
	ck_assert_int_eq(status_of(raise_low_limits), 0);
	ck_assert_int_eq(status_of(raise_limits_within_what_is_allowed), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(status_of(raise_low_limits_as_an_ordinary_user), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_sandbox");
	TCase *tc = tcase_create("sandbox");

	tcase_add_test(tc, sandbox_kills_for_anything_else);
	tcase_add_test(tc, filter_holds_by_itself);
	tcase_add_test(tc, sandbox_is_whole_or_refused);
	tcase_add_test(tc, limits_are_raised_as_far_as_they_go);
	if (!SANITIZED) {
		tcase_add_test(tc, sandbox_lets_the_daemon_work);
		tcase_add_test(tc, sandbox_needs_no_root);
		tcase_add_test(tc, sandbox_holds_for_any_user);
		tcase_add_test(tc, sandbox_leaves_root_nothing);
	}
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
