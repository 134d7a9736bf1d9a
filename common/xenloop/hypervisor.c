// SPDX-License-Identifier: MIT
/*
 * The hypervisor process: its loop, its connections and its own life. Connections come from library
 * handles of any domain and from the `xenloop` program. Called by `xenloop up`, in a process of its
 * own.
 *
 * The order of one round matters: all ends first, then one request of each connection. A program
 * that closed a handle, or saw another process die, before it sent a request must find that handle's
 * ports and grants given up, as it would with the kernel.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xenloop/hypervisor.h"

#define EVENTS_PER_ROUND 1024

int hypervisor_watch(struct hypervisor *hv, struct watch *watch)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};

	return epoll_ctl(hv->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

void hypervisor_unwatch(struct hypervisor *hv, struct watch *watch)
{
	/* Closing is not enough: a child that has not yet exec'd has the file open as well. */
	epoll_ctl(hv->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	close(watch->fd);
	watch->fd = -1;
}

static void accept_conns(struct hypervisor *hv)
{
	int sock;

	while ((sock = accept4(hv->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct ucred peer = {0};
		socklen_t len = sizeof(peer);
		struct conn *conn = calloc(1, sizeof(*conn));
		if (conn)
			*conn = (struct conn){.watch = {WATCH_CONN, sock},
					      .pipe = -1,
					      .restricted_to = XENLOOP_NONE};
		if (!conn || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
		    hypervisor_watch(hv, &conn->watch)) {
			rwy_error("out of memory or files: a connection is refused");
			close(sock);
			free(conn);
			continue;
		}
		conn->pid = peer.pid;
		conn->next = hv->conns;
		hv->conns = conn;
	}
}

void hypervisor_close_conn(struct hypervisor *hv, struct conn *conn)
{
	conn->dead = true;
	hypervisor_unwatch(hv, &conn->watch);
	if (conn->role == XENLOOP_ROLE_EVTCHN)
		port_close_of_conn(conn);
	grant_release_of_conn(hv, conn);
	if (conn->pipe >= 0)
		close(conn->pipe);
}

/* Free what this round closed: no event points to it any more. */
static void bury(struct hypervisor *hv)
{
	for (struct conn **link = &hv->conns; *link;) {
		struct conn *conn = *link;
		if (conn->dead) {
			*link = conn->next;
			free(conn);
		} else {
			link = &conn->next;
		}
	}
	while (hv->forgotten) {
		struct process *process = hv->forgotten;
		hv->forgotten = process->next;
		free(process);
	}
}

static void serve(struct hypervisor *hv, struct conn *conn)
{
	static struct xenloop_gref body[XENLOOP_CALL_PAGES]; /* the largest that there is */
	struct call call = {.body = body, .fd = -1, .own_fd = -1};
	int fds[XENLOOP_FDS_MAX];

	if (conn->dead)
		return;
	ssize_t n = xenloop_recv(conn->watch.fd, &call.request, sizeof(call.request), body,
				 sizeof(body), fds);
	if (n == -EAGAIN)
		return;
	call.fd = fds[0];
	if (n >= (ssize_t)sizeof(call.request)) {
		call.body_bytes = n - sizeof(call.request);
		dispatch(hv, conn, &call);
		if (!conn->dead)
			n = xenloop_send(conn->watch.fd, &call.reply, sizeof(call.reply),
					 call.out_body, call.out_body_bytes, call.out_fds,
					 call.nr_out_fds);
	}
	if (n < (ssize_t)sizeof(call.reply) && !conn->dead)
		hypervisor_close_conn(hv, conn);
	for (int i = 0; i < XENLOOP_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (call.own_fd >= 0)
		close(call.own_fd);
}

static void child_ended(struct hypervisor *hv, pid_t pid)
{
	if (pid == hv->store_pid) {
		rwy_error("xenstored has ended, and so do we");
		hv->store_pid = 0;
		hv->failed = hv->stopping = true;
		return;
	}
	for (struct domain *dom = hv->domains; dom; dom = dom->next) {
		if (dom->mux != pid)
			continue;
		rwy_error("domain %u: its store mux has ended; the domain is stopped", dom->domid);
		dom->mux = 0;
		domain_stop(hv, dom, DOMAIN_CRASHED);
		return;
	}
}

static void take_signals(struct hypervisor *hv)
{
	struct signalfd_siginfo info;
	pid_t pid;

	while (read(hv->signals.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD)
			hv->stopping = true;
	}
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		child_ended(hv, pid);
}

/* The starter has taken over ('k'), or has gone without doing so. */
static void hear_starter(struct hypervisor *hv)
{
	char word;

	if (read(hv->starter.fd, &word, 1) == 1)
		hv->let_go = true;
	else
		hv->stopping = true;
	hypervisor_unwatch(hv, &hv->starter);
}

/* Without our socket nobody could end us, or use us, any more. */
static void see_removal(struct hypervisor *hv)
{
	char events[4096], path[PATH_MAX + sizeof("/" XENLOOP_SOCKET)];

	while (read(hv->removal.fd, events, sizeof(events)) > 0)
		continue;
	snprintf(path, sizeof(path), "%s/" XENLOOP_SOCKET, hv->dir);
	if (hv->stopping || !access(path, F_OK) || (errno != ENOENT && errno != ENOTDIR))
		return;
	rwy_error("%s has been removed, and so do we end", path);
	hv->stopping = true;
}

static void watch_fired(struct hypervisor *hv, struct watch *watch)
{
	switch (watch->kind) {
	case WATCH_LISTENER:
		accept_conns(hv);
		break;
	case WATCH_SIGNALS:
		take_signals(hv);
		break;
	case WATCH_STARTER:
		if (watch->fd >= 0)
			hear_starter(hv);
		break;
	case WATCH_DIR:
		see_removal(hv);
		break;
	case WATCH_CONN:
		serve(hv, (struct conn *)watch);
		break;
	case WATCH_PROCESS:
		break; /* an end, dealt with before */
	}
}

/* True if the event was the end of what is watched, and is dealt with. */
static bool watch_ended(struct hypervisor *hv, struct watch *watch, uint32_t events)
{
	if (watch->kind == WATCH_PROCESS) {
		if (watch->fd >= 0)
			process_forget(hv, (struct process *)watch);
		return true;
	}
	if (watch->kind != WATCH_CONN || !(events & (EPOLLHUP | EPOLLERR)))
		return false;
	struct conn *conn = (struct conn *)watch;
	if (!conn->dead)
		hypervisor_close_conn(hv, conn);
	return true;
}

static int round_of_events(struct hypervisor *hv)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = epoll_wait(hv->epoll_fd, events, EVENTS_PER_ROUND, -1);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		if (watch_ended(hv, events[i].data.ptr, events[i].events))
			events[i].data.ptr = NULL;
	for (int i = 0; i < n; i++)
		if (events[i].data.ptr)
			watch_fired(hv, events[i].data.ptr);
	bury(hv);
	return 0;
}

void hypervisor_store_bound(struct hypervisor *hv)
{
	if (hv->starter.fd >= 0 && write(hv->starter.fd, "r", 1) != 1)
		hv->stopping = true;
}

static int open_listener(struct hypervisor *hv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" XENLOOP_SOCKET, hv->dir);

	if (len < 0 || (size_t)len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	hv->listener = (struct watch){
		WATCH_LISTENER, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	unlink(addr.sun_path);
	if (hv->listener.fd < 0 ||
	    bind(hv->listener.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(hv->listener.fd, 512) < 0)
		return -errno;
	return hypervisor_watch(hv, &hv->listener);
}

/* A convenience: where the system has no inotify handle left, `xenloop down` still works. */
static int watch_for_removal(struct hypervisor *hv)
{
	hv->removal = (struct watch){WATCH_DIR, inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
	if (hv->removal.fd < 0 || inotify_add_watch(hv->removal.fd, hv->dir,
						    IN_DELETE | IN_MOVED_FROM | IN_MOVE_SELF) < 0) {
		rwy_warn("cannot watch %s: %s", hv->dir, strerror(errno));
		return 0;
	}
	return hypervisor_watch(hv, &hv->removal);
}

static int open_signals(struct hypervisor *hv)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	hv->signals = (struct watch){WATCH_SIGNALS, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
	return hv->signals.fd < 0 ? -errno : hypervisor_watch(hv, &hv->signals);
}

static int make_tables(struct hypervisor *hv)
{
	hv->tables_fd = memfd_create("xenloop-tables", MFD_CLOEXEC);
	if (hv->tables_fd < 0 || ftruncate(hv->tables_fd, sizeof(*hv->tables)) < 0)
		return -errno;
	hv->tables = mmap(NULL, sizeof(*hv->tables), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, hv->tables_fd, 0);
	return hv->tables == MAP_FAILED ? -errno : 0;
}

static int make_dom0(struct hypervisor *hv)
{
	static const struct xenloop_new new = {.name = "Domain-0",
					       .max_port = XENLOOP_PORTS - 1,
					       .max_grant_frames = XENLOOP_GRANT_FRAMES,
					       .max_shared = XENLOOP_DEFAULT_MAX_SHARED};
	char path[PATH_MAX];
	struct domain *dom0;

	int rc = domain_create(hv, 0, &new, &dom0);
	if (rc)
		return rc;
	int64_t port = port_bind_kernel(dom0, 0);
	if (port < 0)
		return port;
	hv->store_port = port;
	snprintf(path, sizeof(path), "%s/" XENLOOP_XSD_PORT, hv->dir);
	FILE *file = fopen(path, "we");
	if (!file)
		return -errno;
	fprintf(file, "%u", hv->store_port);
	return fclose(file) ? -errno : 0;
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int start(struct hypervisor *hv)
{
	raise_file_limit();
	hv->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (hv->epoll_fd < 0)
		return -errno;
	int rc = open_signals(hv);
	if (!rc)
		rc = hypervisor_watch(hv, &hv->starter);
	if (!rc)
		rc = make_tables(hv);
	if (!rc)
		rc = make_dom0(hv);
	if (!rc)
		rc = open_listener(hv);
	if (!rc)
		rc = watch_for_removal(hv);
	if (rc)
		return rc;
	hv->store_pid = child_start_store(hv);
	return hv->store_pid < 0 ? hv->store_pid : 0;
}

static void end_everything(struct hypervisor *hv)
{
	process_kill(hv, NULL);
	for (struct domain *dom = hv->domains; dom; dom = dom->next)
		if (dom->mux)
			child_end(dom->mux);
	if (hv->store_pid > 0)
		child_end(hv->store_pid);
}

int hypervisor_run(const struct hypervisor_config *config)
{
	struct hypervisor hv = {.dir = config->dir,
				.store = config->store,
				.library = config->library,
				.instance = config->instance,
				.starter = {WATCH_STARTER, config->starter},
				.next_incarnation = 1,
				.next_handle = 1,
				.next_domid = 1};
	int rc = start(&hv);

	while (!rc && !hv.stopping)
		rc = round_of_events(&hv);
	if (rc)
		rwy_error("hypervisor: %s", strerror(-rc));
	end_everything(&hv);
	return (rc || hv.failed) && hv.let_go ? EXIT_FAILURE : EXIT_SUCCESS;
}
