// SPDX-License-Identifier: MIT
/*
 * `xenloop up` and `xenloop down`: the life of an instance. `up` leaves two processes behind: the
 * hypervisor, which is the parent of everything else, and its keeper, which waits for the
 * hypervisor's end, whatever its cause, and then kills what is left and removes the files. Until
 * `up` has said that it is content, its own end ends the instance.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/xenloop/hypervisor.h"
#include "common/xenloop/runner.h"

struct instance {
	char dir[PATH_MAX], store[PATH_MAX], library[PATH_MAX];
	char name[17];
	bool made_dir;
	int lock_fd, log_fd;
};

static void remove_files(const struct instance *instance, bool keep_log)
{
	char lock[PATH_MAX + 8];

	instance_clean(instance->dir, keep_log);
	snprintf(lock, sizeof(lock), "%s/lock", instance->dir);
	unlink(lock);
	if (instance->made_dir)
		rmdir(instance->dir); /* not when somebody else put something there */
}

/* Keeper and hypervisor were killed together, and nobody could end the programs that exec had
 * started. The lock file still has the name that marks them. */
static void end_leftovers(int lock_fd)
{
	char prefix[sizeof(((struct instance *)0)->name) + 1];
	const size_t len = sizeof(prefix) - 2;

	if (pread(lock_fd, prefix, len, 0) != (ssize_t)len)
		return;
	memcpy(prefix + len, ".", 2);
	process_kill_marked(prefix);
}

static void close_all_but(const int *keep, size_t nr_keep)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;

	while (fds && (entry = readdir(fds))) {
		int fd = atoi(entry->d_name);
		bool kept = fd <= STDERR_FILENO || fd == dirfd(fds);
		for (size_t i = 0; i < nr_keep; i++)
			kept = kept || fd == keep[i];
		if (!kept)
			close(fd);
	}
	if (fds)
		closedir(fds);
}

/* Nothing of the caller's is kept: its terminal, its pipes, its directory. */
static void detach(const struct instance *instance, int starter)
{
	const int keep[] = {instance->lock_fd, starter};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(instance->log_fd, STDOUT_FILENO);
	dup2(instance->log_fd, STDERR_FILENO);
	close_all_but(keep, sizeof(keep) / sizeof(keep[0]));
	if (chdir("/") < 0)
		rwy_warn("/: %s", strerror(errno));
}

static int hypervise(const struct instance *instance, int starter, pid_t keeper)
{
	struct hypervisor_config config = {.dir = instance->dir,
					   .store = instance->store,
					   .library = instance->library,
					   .instance = instance->name,
					   .starter = starter};

	prctl(PR_SET_NAME, "xenloop-hv");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != keeper) {
		remove_files(instance, false);
		return EXIT_FAILURE;
	}
	int code = hypervisor_run(&config);
	if (getppid() != keeper) /* nobody else is left to do it */
		remove_files(instance, code != EXIT_SUCCESS);
	return code;
}

/* before: the caller's signal mask. The hypervisor keeps the signals blocked. */
static void keep(const struct instance *instance, int starter, const sigset_t *before)
{
	char prefix[XENLOOP_TOKEN_MAX + 1];
	pid_t self = getpid();
	int status = 0;

	detach(instance, starter);
	prctl(PR_SET_NAME, "xenloop-keeper");
	rwy_log_init("xenloop", RWY_LOG_INFO);
	pid_t pid = fork();
	if (!pid)
		_exit(hypervise(instance, starter, self));
	sigprocmask(SIG_SETMASK, before, NULL); /* from now on the hypervisor can clean up */
	close(starter);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFSIGNALED(status)) {
		rwy_error("the hypervisor was killed by signal %d", WTERMSIG(status));
		snprintf(prefix, sizeof(prefix), "%s.", instance->name);
		process_kill_marked(prefix);
	}
	remove_files(instance, status != 0);
	_exit(0);
}

static void show_log(const struct instance *instance)
{
	char text[4096];
	ssize_t n;

	lseek(instance->log_fd, 0, SEEK_SET);
	while ((n = read(instance->log_fd, text, sizeof(text))) > 0)
		fwrite(text, 1, n, stderr);
}

/* A domU's store socket has the longest path. */
static bool path_fits(const char *dir)
{
	return strlen(dir) + sizeof("/dom32751/xenstored") <=
	       sizeof(((struct sockaddr_un *)0)->sun_path);
}

/* Under the lock: clear away what a crash may have left, begin the log, choose a name. */
static int make_files(struct instance *instance)
{
	char log[PATH_MAX + 8];
	uint64_t random;

	end_leftovers(instance->lock_fd);
	instance_clean(instance->dir, false);
	snprintf(log, sizeof(log), "%s/log", instance->dir);
	instance->log_fd = open(log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (instance->log_fd < 0)
		return complain("%s: %s", log, strerror(errno));
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return complain("no random numbers: %s", strerror(errno));
	snprintf(instance->name, sizeof(instance->name), "%016llx", (unsigned long long)random);
	ssize_t len = strlen(instance->name);
	if (pwrite(instance->lock_fd, instance->name, len, 0) != len)
		return complain("%s/lock: %s", instance->dir, strerror(errno));
	return EXIT_OK;
}

static int lock(struct instance *instance)
{
	if (!path_fits(instance->dir))
		return complain("%s: too long a path for sockets; choose a shorter one with -d",
				instance->dir);
	instance->lock_fd = instance_lock(instance->dir);
	if (instance->lock_fd == -EWOULDBLOCK)
		return complain("already up in %s: end it with `xenloop down`, or choose another "
				"directory with -d",
				instance->dir);
	if (instance->lock_fd < 0)
		return complain("%s: %s", instance->dir, strerror(-instance->lock_fd));
	return EXIT_OK;
}

static int prepare(struct instance *instance, const char *dir, const char *store)
{
	if (instance_find_library(instance->library) || instance_find_store(instance->store, store))
		return EXIT_FAILED;
	instance->made_dir = !mkdir(dir, 0700);
	if (!realpath(dir, instance->dir))
		return complain("%s: %s", dir, strerror(errno));
	int code = lock(instance);
	if (code) {
		if (instance->made_dir)
			rmdir(instance->dir);
		return code;
	}
	code = make_files(instance);
	if (code)
		remove_files(instance, false);
	return code;
}

/* Wait for xenstored, then write what dom0 starts with. */
static int see_it_start(const struct instance *instance, int starter)
{
	char word;
	ssize_t n;

	while ((n = read(starter, &word, 1)) < 0 && errno == EINTR)
		continue;
	if (n != 1) {
		show_log(instance);
		return complain("the instance did not start");
	}
	struct xs_handle *xsh = client_open_store(instance->dir);
	if (!xsh)
		return EXIT_FAILED;
	int rc = nodes_write_dom0(xsh);
	xs_close(xsh);
	if (rc)
		return complain("xenstored: %s", strerror(-rc));
	if (write(starter, "k", 1) != 1)
		return complain("the instance ended as it started: see %s/log", instance->dir);
	return EXIT_OK;
}

/* The keeper takes over what prepare has made. Its pid, or -1 (complained about, cleaned up). */
static pid_t start_keeper(const struct instance *instance, const sigset_t *before, int *starter)
{
	int ends[2];
	pid_t keeper = -1;

	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
		keeper = fork();
		if (!keeper)
			keep(instance, ends[1], before);
		close(ends[1]);
		*starter = ends[0];
	}
	if (keeper < 0) {
		complain("no keeper: %s", strerror(errno));
		remove_files(instance, false);
	}
	return keeper;
}

/* --xenstored PATH, or nothing. EXIT_OK, or the exit code. */
static int parse_up(int argc, char **argv, const char **store)
{
	static const struct option options[] = {{"xenstored", required_argument, NULL, 's'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) == 's')
		*store = optarg;
	return option == -1 && optind == argc ? EXIT_OK : EXIT_USAGE;
}

int cmd_up(const char *dir, int argc, char **argv)
{
	struct instance instance = {.lock_fd = -1, .log_fd = -1};
	const char *store = NULL;
	sigset_t ends, before;
	pid_t keeper = -1;
	int starter;

	int code = parse_up(argc, argv, &store);
	if (code)
		return code;
	/* No end in between: until the keeper is there, nobody would remove the files. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigaddset(&ends, SIGQUIT);
	sigprocmask(SIG_BLOCK, &ends, &before);
	code = prepare(&instance, dir, store);
	if (!code)
		keeper = start_keeper(&instance, &before, &starter);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (keeper < 0)
		return EXIT_FAILED;
	code = see_it_start(&instance, starter);
	close(starter);
	if (code)
		waitpid(keeper, NULL, 0); /* it cleans up */
	return code;
}

int cmd_down(const char *dir, int argc, char **argv)
{
	struct xenloop_request request = {.op = XENLOOP_DOWN};
	char absolute[PATH_MAX], lock[PATH_MAX + 8];

	(void)argv;
	if (argc != 1)
		return EXIT_USAGE;
	if (!realpath(dir, absolute))
		return complain("no instance in %s", dir);
	snprintf(lock, sizeof(lock), "%s/lock", absolute);
	int lock_fd _rwy_close = open(lock, O_RDWR | O_CLOEXEC);
	if (lock_fd < 0)
		return complain("no instance in %s", absolute);
	if (!flock(lock_fd, LOCK_EX | LOCK_NB)) { /* all that is left is what was left behind */
		end_leftovers(lock_fd);
		instance_clean(absolute, false);
		unlink(lock);
		return EXIT_OK;
	}
	int sock _rwy_close = client_connect(dir, absolute);
	if (sock < 0)
		return EXIT_FAILED;
	client_call(sock, &request, NULL, 0, NULL, 0, NULL);
	instance_wait(lock_fd);
	return EXIT_OK;
}
