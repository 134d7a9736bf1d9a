// SPDX-License-Identifier: MIT
/*
 * Starts a data process. Trusts the binary at the given path. Called by worker.c.
 *
 * There is no parent-death signal on purpose: when we die, the process sees EOF on its socket,
 * answers what guests have in flight and leaves; a signal would tear that off.
 */
#include "backend/control/worker_spawn.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

/* The socket first: the fence's number is none that this overwrites (worker_fence.h). */
static int list_actions(posix_spawn_file_actions_t *actions, int socket_fd, int fence_fd)
{
	int err = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);

	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, 0, 1);
	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, socket_fd, CTL_FD);
	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, fence_fd, CTL_FENCE_FD);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(actions, CTL_FENCE_FD + 1);
	return -err;
}

/* No signal is blocked in it (the loop blocks ours), and a terminal's ctrl-C is not for it. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	int err = posix_spawnattr_setsigmask(attr, &none);

	if (!err)
		err = posix_spawnattr_setsigdefault(attr, &all);
	if (!err)
		err = posix_spawnattr_setpgroup(attr, 0);
	if (!err)
		err = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
							     POSIX_SPAWN_SETSIGDEF |
							     POSIX_SPAWN_SETPGROUP);
	return -err;
}

static int spawn(const struct worker_config *config, int socket_fd, int fence_fd, pid_t *pid)
{
	char *argv[4] = {(char *)config->binary};
	unsigned int argc = 1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;

	if (config->no_sandbox)
		argv[argc++] = "--no-sandbox";
	if (config->verbose)
		argv[argc++] = "--verbose";

	int err = -posix_spawn_file_actions_init(&actions);
	if (err)
		return err;
	err = -posix_spawnattr_init(&attr);
	if (err)
		goto err_actions;
	err = list_actions(&actions, socket_fd, fence_fd);
	if (!err)
		err = set_attributes(&attr);
	if (!err)
		err = -posix_spawn(pid, config->binary, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
err_actions:
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

int worker_spawn(const struct worker_config *config, int fence_fd, pid_t *pid, int *pidfd,
		 int *socket_fd)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	_rwy_close int ours = pair[0];
	_rwy_close int theirs = pair[1];

	int err = spawn(config, theirs, fence_fd, pid);
	if (err)
		return err;
	*pidfd = pidfd_open(*pid, 0);
	if (*pidfd < 0) {
		err = -errno;
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
		return err;
	}
	*socket_fd = rwy_steal_fd(&ours);
	return 0;
}
