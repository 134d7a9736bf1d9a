// SPDX-License-Identifier: MIT
/*
 * What a rule on the dom0 side works with: the link to the guest, pages mapped and channels open
 * for the time of the rule, child processes, and the ways to fail. Called by the rules. Nothing
 * here waits without a limit.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/conformance.h"

void fail_rule(struct run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->seen, sizeof(run->seen), format, args);
	va_end(args);
	run->outcome = FAILED;
	longjmp(run->out, 1);
}

void skip_rule(struct run *run, const char *reason)
{
	snprintf(run->seen, sizeof(run->seen), "%s", reason);
	run->outcome = SKIPPED;
	longjmp(run->out, 1);
}

static const char *errno_name(int err)
{
	const char *name = err ? strerrorname_np(err) : "no error";

	return name ? name : "unknown error";
}

void check_refused(struct run *run, bool succeeded, int wanted_errno, const char *what)
{
	int err = errno;

	if (succeeded)
		fail_rule(run, "%s succeeded, instead of %s", what, errno_name(wanted_errno));
	if (err != wanted_errno)
		fail_rule(run, "%s: %s instead of %s", what, errno_name(err),
			  errno_name(wanted_errno));
}

void check_done(struct run *run, bool succeeded, const char *what)
{
	if (!succeeded)
		fail_rule(run, "%s: %s", what, errno_name(errno));
}

/* ---- the guest ---- */

/* The answer that has our tag, in run->text from *value on; false: not there yet. */
static bool read_answer(struct run *run, const char *tag, char *answer)
{
	char path[128];
	unsigned len;

	snprintf(path, sizeof(path), "/local/domain/%u/" LINK_DIR "/reply", run->domid);
	char *reply = xs_read(run->xs, XBT_NULL, path, &len);
	size_t tag_len = strlen(tag);
	bool ours = reply && !strncmp(reply, tag, tag_len) && reply[tag_len] == ' ';
	if (ours)
		snprintf(answer, LINE_BYTES, "%s", reply + tag_len + 1);
	free(reply);
	return ours;
}

/* Wait for the store to say something about the reply. */
static bool wait_for_answer(struct run *run, const char *tag, char *answer, int ms)
{
	int64_t deadline = now_ms() + ms;

	while (!read_answer(run, tag, answer)) {
		char **event;
		int64_t left = deadline - now_ms();
		if (left <= 0 || !readable_within(xs_fileno(run->xs), (int)left))
			return read_answer(run, tag, answer);
		while ((event = xs_check_watch(run->xs)))
			free(event);
	}
	return true;
}

static long ask_within(struct run *run, int ms, const char *command)
{
	char path[128], tag[64], request[LINE_BYTES + 64], answer[LINE_BYTES];
	int err, at = 0;
	long value;

	snprintf(tag, sizeof(tag), "%s.%u", run->nonce, ++run->seq);
	snprintf(path, sizeof(path), "/local/domain/%u/" LINK_DIR "/request", run->domid);
	int n = snprintf(request, sizeof(request), "%s %s", tag, command);
	if (!xs_write(run->xs, XBT_NULL, path, request, n))
		fail_rule(run, "cannot write %s: %s", path, errno_name(errno));
	if (!wait_for_answer(run, tag, answer, ms))
		fail_rule(run, "the guest did not answer \"%s\" within %d s", command, ms / 1000);
	if (sscanf(answer, "%ld %d %n", &value, &err, &at) < 2)
		fail_rule(run, "the guest answered \"%s\" to \"%s\"", answer, command);
	snprintf(run->text, sizeof(run->text), "%s", at ? answer + at : "");
	errno = err;
	return value;
}

long ask(struct run *run, const char *format, ...)
{
	char command[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return ask_within(run, strcmp(command, "hello") ? ANSWER_WAIT_MS : GUEST_WAIT_MS, command);
}

long must(struct run *run, const char *format, ...)
{
	char command[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	long value = ask_within(run, ANSWER_WAIT_MS, command);
	if (value < 0)
		fail_rule(run, "guest: \"%s\": %s %s", command, errno_name(errno), run->text);
	return value;
}

struct shared guest_shares(struct run *run, unsigned count, uint32_t domid, bool writable)
{
	struct shared shared = {.id = must(run, "share %u %u %d", count, domid, writable)};
	const char *text = run->text;
	int at;

	for (unsigned i = 0; i < count; i++, text += at)
		if (sscanf(text, "%u%n", &shared.gref[i], &at) != 1)
			fail_rule(run, "the guest named its grefs \"%s\"", run->text);
	return shared;
}

/* ---- pages ---- */

void *keep_mapping(struct run *run, void *addr, size_t pages)
{
	if (addr && run->nr_mappings < sizeof(run->mappings) / sizeof(run->mappings[0]))
		run->mappings[run->nr_mappings++] =
			(struct run_mapping){.addr = addr, .pages = pages};
	return addr;
}

uint8_t *map_page(struct run *run, uint32_t gref, int prot)
{
	void *page = xengnttab_map_grant_ref(run->xgt, run->domid, gref, prot);

	check_done(run, page, "map");
	return keep_mapping(run, page, 1);
}

void unmap_page(struct run *run, void *addr)
{
	for (unsigned i = 0; i < run->nr_mappings; i++)
		if (run->mappings[i].addr == addr)
			run->mappings[i] = run->mappings[--run->nr_mappings];
	check_done(run, !xengnttab_unmap(run->xgt, addr, 1), "unmap");
}

void check_unmappable(struct run *run, uint32_t gref, int prot, const char *what)
{
	void *page =
		keep_mapping(run, xengnttab_map_grant_ref(run->xgt, run->domid, gref, prot), 1);

	check_refused(run, page, EINVAL, what);
}

/* ---- events ---- */

uint32_t next_event(xenevtchn_handle *xce, int ms)
{
	if (!readable_within(xenevtchn_fd(xce), ms))
		return 0;
	int port = xenevtchn_pending(xce);
	return port > 0 ? (uint32_t)port : 0;
}

void check_event(struct run *run, uint32_t port, const char *what)
{
	uint32_t seen = next_event(run->xce, EVENT_WAIT_MS);

	if (seen != port)
		fail_rule(run, "waited for %s on port %u, saw %u (0: nothing within %d s)", what,
			  port, seen, EVENT_WAIT_MS / 1000);
}

void check_no_event(struct run *run, const char *what)
{
	uint32_t seen = next_event(run->xce, QUIET_MS);

	if (seen)
		fail_rule(run, "%s: an event on port %u", what, seen);
}

void check_guest_event(struct run *run, uint32_t port, const char *what)
{
	long seen = must(run, "event %d", EVENT_WAIT_MS);

	if (seen != (long)port)
		fail_rule(run,
			  "the guest waited for %s on port %u, saw %ld (0: nothing within %d s)",
			  what, port, seen, EVENT_WAIT_MS / 1000);
}

struct channel open_channel(struct run *run)
{
	struct channel channel = {.guest_port = must(run, "unbound 0")};
	int port = xenevtchn_bind_interdomain(run->xce, run->domid, channel.guest_port);

	check_done(run, port > 0, "bind_interdomain");
	channel.own_port = port;
	check_event(run, channel.own_port, "the event that binding raises");
	check_done(run, !xenevtchn_unmask(run->xce, channel.own_port), "unmask");
	return channel;
}

/* ---- child processes ---- */

/* A fault that a rule waits for is nothing for the kernel's log. */
static void exit_on_fault(int signal)
{
	(void)signal;
	_exit(CHILD_FAULTED);
}

static _Noreturn void be_child(struct run *run, int sock, child_fn *fn, const void *arg)
{
	signal(SIGSEGV, exit_on_fault);
	signal(SIGBUS, exit_on_fault);
	run->xgt = xengnttab_open(NULL, 0);
	run->xce = xenevtchn_open(NULL, 0);
	int status = run->xgt && run->xce && !setjmp(run->out) ? fn(run, arg) : CHILD_FAILED;
	char word = (char)status;
	if (send(sock, &word, 1, MSG_NOSIGNAL) == 1 && !status)
		status = recv(sock, &word, 1, 0) < 0;
	_exit(status);
}

/* Wait for the end of the child, which closes its end of the socket. False: it was killed. */
static bool reap(struct run *run, int *status)
{
	shutdown(run->child_sock, SHUT_WR);
	bool ended = readable_within(run->child_sock, EVENT_WAIT_MS);
	if (!ended)
		kill(run->child, SIGKILL);
	waitpid(run->child, status, 0);
	close(run->child_sock);
	run->child = 0;
	return ended;
}

/* The child, once fn has returned or died: its status as in_child says. */
static int launch(struct run *run, child_fn *fn, const void *arg, bool stay)
{
	int ends[2], status;
	char word;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		fail_rule(run, "socketpair: %s", errno_name(errno));
	run->child = fork();
	if (!run->child) {
		close(ends[0]);
		be_child(run, ends[1], fn, arg);
	}
	close(ends[1]);
	run->child_sock = ends[0];
	if (run->child < 0) {
		run->child = 0;
		close(ends[0]);
		fail_rule(run, "fork: %s", errno_name(errno));
	}
	if (!readable_within(ends[0], EVENT_WAIT_MS))
		fail_rule(run, "the child was not done within %d s", EVENT_WAIT_MS / 1000);
	if (recv(ends[0], &word, 1, 0) == 1 && !word && stay)
		return 0;
	if (!reap(run, &status))
		fail_rule(run, "the child did not end within %d s", EVENT_WAIT_MS / 1000);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(struct run *run, child_fn *fn, const void *arg)
{
	return launch(run, fn, arg, false);
}

void start_child(struct run *run, child_fn *fn, const void *arg)
{
	int status = launch(run, fn, arg, true);

	if (status)
		fail_rule(run, "the child ended with %d", status);
}

void end_child(struct run *run, int signal)
{
	int status;

	if (!run->child)
		return;
	if (signal)
		kill(run->child, signal);
	reap(run, &status);
}
