/* SPDX-License-Identifier: MIT */
/*
 * A loopback Xen for the tests of loopback Xen: an instance of its own in a temporary directory,
 * with two domUs. The test program runs itself again with libxenloop.so preloaded; a handle belongs
 * to the domain that world_as named last, so that one process can play several domains. Included by
 * the check_xenloop_*.c programs only.
 */
#pragma once
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096u

struct world {
	char bin[PATH_MAX], lib[PATH_MAX];
	char root[96];	    /* a temporary directory of the test program */
	pid_t root_maker;   /* who removes it at exit: not a forked test */
	char top[PATH_MAX]; /* one in it of the test; the instance is in top/x */
	char dir[PATH_MAX + 4];
	uint32_t a, b; /* two domUs */
};

static struct world world;

static inline void world_find(char path[PATH_MAX], const char *env, const char *beside)
{
	char exe[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (getenv(env)) {
		snprintf(path, PATH_MAX, "%s", getenv(env));
		return;
	}
	exe[len > 0 ? len : 0] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(path, PATH_MAX, "%.2000s/%s", exe, beside);
}

/* Whatever became of the tests: an instance whose directory is removed ends. */
static void world_remove_root(void)
{
	char command[sizeof(world.root) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", world.root);
	if (getpid() == world.root_maker && system(command))
		fprintf(stderr, "%s is left behind\n", world.root);
}

/* A test program that a test starts again, to play another part, shares the first one's. */
static void world_make_root(void)
{
	const char *inherited = getenv("WORLD_ROOT");

	if (inherited) {
		snprintf(world.root, sizeof(world.root), "%s", inherited);
		return;
	}
	snprintf(world.root, sizeof(world.root), "%.50s/check-xenloop-XXXXXX",
		 getenv("TMPDIR") ?: "/tmp");
	if (!mkdtemp(world.root)) {
		perror(world.root);
		exit(EXIT_FAILURE);
	}
	setenv("WORLD_ROOT", world.root, 1);
	world.root_maker = getpid();
	atexit(world_remove_root);
}

/* To the tests, the end of the process is the end of its handles; leaks elsewhere are looked for. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Before main: find the programs, and be preloaded. */
__attribute__((constructor)) static void world_preload(void)
{
	world_find(world.bin, "XENLOOP_BIN", "../bin/xenloop");
	world_find(world.lib, "XENLOOP_LIB", "../lib/libxenloop.so");
	if (!getenv("WORLD_PRELOADED")) {
		char arg[PATH_MAX] = "";
		ssize_t len = readlink("/proc/self/exe", arg, sizeof(arg) - 1);
		setenv("WORLD_PRELOADED", "1", 1);
		setenv("LD_PRELOAD", world.lib, 1);
		if (len > 0)
			execl(arg, arg, (char *)NULL);
		abort();
	}
	unsetenv("LD_PRELOAD");
	world_make_root();
}

/* Run `xenloop -d dir <args>`; its exit code, and its first line of output if wanted. */
static inline int world_run(const char *args, char *line, size_t size)
{
	char command[3 * PATH_MAX];

	snprintf(command, sizeof(command), "%s -d %s %s", world.bin, world.dir, args);
	FILE *out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	if (line && !fgets(line, size, out))
		line[0] = '\0';
	while (getc(out) != EOF)
		continue;
	int status = pclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline uint32_t world_create(const char *args)
{
	char command[128], line[32];

	snprintf(command, sizeof(command), "create %s", args);
	ck_assert_int_eq(world_run(command, line, sizeof(line)), 0);
	return strtoul(line, NULL, 10);
}

static inline void world_make_dir(void)
{
	snprintf(world.top, sizeof(world.top), "%s/XXXXXX", world.root);
	ck_assert_ptr_nonnull(mkdtemp(world.top));
	snprintf(world.dir, sizeof(world.dir), "%s/x", world.top);
	setenv("XENLOOP_DIR", world.dir, 1);
}

static inline void world_up(void)
{
	world_make_dir();
	ck_assert_int_eq(world_run("up", NULL, 0), 0);
	world.a = world_create("a");
	world.b = world_create("b");
}

/* rmdir: nothing may be left in it. */
static inline void world_down(void)
{
	ck_assert_int_eq(world_run("down", NULL, 0), 0);
	ck_assert_int_eq(rmdir(world.top), 0);
}

/* The listening socket was made by the hypervisor. */
static inline pid_t world_hypervisor(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.90s/hypervisor", world.dir);
	ck_assert_int_eq(connect(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	close(sock);
	return peer.pid;
}

/* Handles opened from now on belong to this domain. */
static inline void world_as(uint32_t domid)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", domid);
	setenv("XENLOOP_DOMID", number, 1);
}

static inline xengnttab_handle *gnttab_as(uint32_t domid)
{
	world_as(domid);
	xengnttab_handle *xgt = xengnttab_open(NULL, 0);
	ck_assert_ptr_nonnull(xgt);
	return xgt;
}

static inline xengntshr_handle *gntshr_as(uint32_t domid)
{
	world_as(domid);
	xengntshr_handle *xgs = xengntshr_open(NULL, 0);
	ck_assert_ptr_nonnull(xgs);
	return xgs;
}

static inline xenevtchn_handle *evtchn_as(uint32_t domid)
{
	world_as(domid);
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	ck_assert_ptr_nonnull(xce);
	return xce;
}

/* The port of an event that is there now, or -1. */
static inline int event_now(xenevtchn_handle *xce)
{
	struct pollfd pfd = {.fd = xenevtchn_fd(xce), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1 ? xenevtchn_pending(xce) : -1;
}

/* Start a process that runs fn, which tells a number and stays until it is killed. */
struct victim {
	pid_t pid;
	uint32_t told[2];
};

static inline struct victim victim_start(void (*fn)(uint32_t told[2], const uint32_t *arg),
					 const uint32_t *arg)
{
	struct victim victim;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	victim.pid = fork();
	if (!victim.pid) {
		uint32_t told[2] = {0};
		fn(told, arg);
		if (write(ends[1], told, sizeof(told)) != sizeof(told))
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], victim.told, sizeof(victim.told)), sizeof(victim.told));
	close(ends[0]);
	return victim;
}

static inline void victim_kill(const struct victim *victim)
{
	kill(victim->pid, SIGKILL);
	ck_assert_int_eq(waitpid(victim->pid, NULL, 0), victim->pid);
}

__attribute__((unused)) static inline Suite *world_suite(const char *name,
							 const TTest *const *tests, size_t nr_tests)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 30);
	tcase_add_unchecked_fixture(tcase, world_up, world_down);
	for (size_t i = 0; i < nr_tests; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite;
}
