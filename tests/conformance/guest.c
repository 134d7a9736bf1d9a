// SPDX-License-Identifier: MIT
/*
 * The guest side: waits for requests in xenstore and has a worker process carry them out, so that
 * the worker can be killed without warning, with all that it holds. Request: "TAG COMMAND...";
 * answer: "TAG VALUE ERRNO TEXT". Trusts dom0. It serves any number of runs until it is killed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

struct guest {
	struct xs_handle *xs;
	char request_path[128];
	char reply_path[128];
	char last_tag[64];
	pid_t worker;
	int sock; /* to the worker */
};

static _Noreturn void serve_as_worker(int sock)
{
	struct worker *worker = worker_new();
	char line[LINE_BYTES], answer[LINE_BYTES];
	ssize_t n;

	while ((n = recv(sock, line, sizeof(line) - 1, 0)) > 0) {
		line[n] = '\0';
		worker_command(worker, line, answer);
		if (send(sock, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static bool start_worker(struct guest *guest)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	guest->worker = fork();
	if (!guest->worker) {
		close(ends[0]);
		serve_as_worker(ends[1]);
	}
	close(ends[1]);
	guest->sock = ends[0];
	return guest->worker > 0;
}

static void kill_worker(struct guest *guest)
{
	kill(guest->worker, SIGKILL);
	waitpid(guest->worker, NULL, 0);
	close(guest->sock);
}

/* What the worker says, or that it said nothing. */
static void have_done(struct guest *guest, const char *command, char answer[LINE_BYTES])
{
	if (!strcmp(command, "kill")) {
		kill_worker(guest);
		snprintf(answer, LINE_BYTES, start_worker(guest) ? "0 0 " : "-1 %d ", errno);
		return;
	}
	ssize_t n = send(guest->sock, command, strlen(command), MSG_NOSIGNAL);
	if (n > 0)
		n = readable_within(guest->sock, ANSWER_WAIT_MS - 5000)
			    ? recv(guest->sock, answer, LINE_BYTES - 1, 0)
			    : 0;
	if (n > 0) {
		answer[n] = '\0';
		return;
	}
	kill_worker(guest);
	start_worker(guest);
	snprintf(answer, LINE_BYTES, "-1 %d the guest's worker hung or died", ETIMEDOUT);
}

static void serve_request(struct guest *guest)
{
	char answer[LINE_BYTES], reply[LINE_BYTES + 64];
	unsigned len;

	char *request = xs_read(guest->xs, XBT_NULL, guest->request_path, &len);
	char *command = request ? strchr(request, ' ') : NULL;
	if (command) {
		*command++ = '\0';
		if (strcmp(request, guest->last_tag)) {
			snprintf(guest->last_tag, sizeof(guest->last_tag), "%s", request);
			have_done(guest, command, answer);
			int n = snprintf(reply, sizeof(reply), "%s %s", request, answer);
			xs_write(guest->xs, XBT_NULL, guest->reply_path, reply, n);
		}
	}
	free(request);
}

static bool find_paths(struct guest *guest)
{
	unsigned len;

	char *domid = xs_read(guest->xs, XBT_NULL, "domid", &len);
	if (!domid)
		return false;
	snprintf(guest->request_path, sizeof(guest->request_path),
		 "/local/domain/%s/" LINK_DIR "/request", domid);
	snprintf(guest->reply_path, sizeof(guest->reply_path),
		 "/local/domain/%s/" LINK_DIR "/reply", domid);
	free(domid);
	return true;
}

int guest_main(void)
{
	struct guest guest = {.xs = xs_open(0)};

	if (!guest.xs || !find_paths(&guest) || !start_worker(&guest) ||
	    !xs_watch(guest.xs, guest.request_path, "request")) {
		fprintf(stderr, "conformance guest: cannot start: %s\n", strerror(errno));
		return 2;
	}
	for (;;) {
		unsigned nr;
		char **event = xs_read_watch(guest.xs, &nr);
		if (!event) {
			fprintf(stderr, "conformance guest: lost xenstore: %s\n", strerror(errno));
			kill_worker(&guest);
			return 2;
		}
		free(event);
		serve_request(&guest);
	}
}
