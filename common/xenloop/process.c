// SPDX-License-Identifier: MIT
/*
 * Which processes make up a domain, and their end. A domain's processes are those that exec started
 * and their descendants: known by what exec and their handles told us, or else by the token that
 * they inherited in their environment. A process that merely set XENLOOP_DOMID itself loses its
 * handles with the domain, but is not killed. Called by the dispatcher and by domain.c.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xenloop/hypervisor.h"

#define KILL_WAIT_MS 5000

void process_token(const struct hypervisor *hv, const struct domain *dom,
		   char token[XENLOOP_TOKEN_MAX + 1])
{
	snprintf(token, XENLOOP_TOKEN_MAX + 1, "%s.%u.%u.", hv->instance, dom->domid,
		 dom->incarnation);
}

int process_track(struct hypervisor *hv, struct domain *dom, pid_t pid)
{
	for (struct process *process = hv->processes; process; process = process->next)
		if (process->pid == pid && process->dom == dom)
			return 0;
	struct process *process = calloc(1, sizeof(*process));
	if (!process)
		return -ENOMEM;
	*process = (struct process){
		.watch = {WATCH_PROCESS, pidfd_open(pid, 0)}, .dom = dom, .pid = pid};
	int rc = process->watch.fd < 0 ? -errno : hypervisor_watch(hv, &process->watch);
	if (rc) {
		if (process->watch.fd >= 0)
			close(process->watch.fd);
		free(process);
		return rc;
	}
	process->next = hv->processes;
	hv->processes = process;
	return 0;
}

void process_forget(struct hypervisor *hv, struct process *process)
{
	struct process **link = &hv->processes;

	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	hypervisor_unwatch(hv, &process->watch);
	process->next = hv->forgotten;
	hv->forgotten = process; /* the loop may still hold an event of it */
}

uint32_t process_count(const struct hypervisor *hv, const struct domain *dom)
{
	uint32_t n = 0;

	for (const struct process *process = hv->processes; process; process = process->next)
		n += process->dom == dom;
	return n;
}

static void kill_and_wait(int pidfd, pid_t pid)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
		return; /* it has ended, or is not ours to kill */
	if (poll(&end, 1, KILL_WAIT_MS) == 0)
		rwy_warn("process %d does not end", (int)pid);
}

/* Whether the process was started with a token that begins with prefix. */
static bool is_marked(pid_t pid, const char *prefix)
{
	static char text[256 * 1024];
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size_t len = 0;
	ssize_t n;
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	for (const char *var = text; var < text + len; var += strlen(var) + 1)
		if (!strncmp(var, XENLOOP_ENV_TOKEN "=", sizeof(XENLOOP_ENV_TOKEN)) &&
		    !strncmp(var + sizeof(XENLOOP_ENV_TOKEN), prefix, strlen(prefix)))
			return true;
	return false;
}

/* One pass over all processes; how many were found. */
static int kill_marked(const char *prefix)
{
	DIR *proc = opendir("/proc");
	pid_t self = getpid();
	struct dirent *entry;
	int found = 0;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		if (!isdigit((unsigned char)entry->d_name[0]) || pid == self ||
		    !is_marked(pid, prefix))
			continue;
		int pidfd = pidfd_open(pid, 0);
		if (pidfd < 0)
			continue;
		if (is_marked(pid, prefix)) { /* still: the pid may be another's by now */
			kill_and_wait(pidfd, pid);
			found++;
		}
		close(pidfd);
	}
	if (proc)
		closedir(proc);
	return found;
}

void process_kill_marked(const char *prefix)
{
	/* What a dying process forked in the meantime is found by the next pass. */
	for (int pass = 0; pass < 100 && kill_marked(prefix); pass++)
		continue;
}

void process_kill(struct hypervisor *hv, struct domain *dom)
{
	char prefix[XENLOOP_TOKEN_MAX + 1];
	struct process *next;

	for (struct process *process = hv->processes; process; process = next) {
		next = process->next;
		if (dom && process->dom != dom)
			continue;
		kill_and_wait(process->watch.fd, process->pid);
		process_forget(hv, process);
	}
	if (dom)
		process_token(hv, dom, prefix);
	else
		snprintf(prefix, sizeof(prefix), "%s.", hv->instance);
	process_kill_marked(prefix);
}
