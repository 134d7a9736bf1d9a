/* SPDX-License-Identifier: MIT */
/*
 * The map of loopback Xen's hypervisor process. It plays the hypervisor and the kernels' event and
 * grant drivers: it alone allocates, binds, grants and revokes, and it is told of every death by
 * the end of a connection. It is single-threaded, starts xenstored and the domUs' store muxes as
 * children, and ends everything when it ends.
 *
 * Errors are 0 or -errno as Xen and Linux's drivers give them to a program; int64_t results are a
 * value when not negative.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/xenloop/proto.h"
#include "common/xenloop/tables.h"

#define XENLOOP_STORE_GREF 1u /* GNTTAB_RESERVED_XENSTORE: the page of a domU's store ring */
#define XENLOOP_FIRST_GREF 8u /* Xen keeps 0..7 to itself */

/* How often a page can be mapped at a time by a PV dom0: Xen's counter has 7 bits, and gntdev takes
 * two pins for a mapping. */
#define XENLOOP_PINS_MAX 64u

struct domain;
struct holding;

enum watch_kind {
	WATCH_LISTENER,
	WATCH_SIGNALS,
	WATCH_STARTER, /* the `xenloop up` that waits for us */
	WATCH_DIR,     /* inotify on the instance's directory */
	WATCH_CONN,
	WATCH_PROCESS,
};

/* What the main loop watches; first member of its owner. */
struct watch {
	enum watch_kind kind;
	int fd;
};

/* A process of a domain that exec started, or a descendant that opened a handle. */
struct process {
	struct watch watch; /* pidfd: readable when it has ended */
	struct process *next;
	struct domain *dom;
	pid_t pid;
};

/* A library handle, or the runner. */
struct conn {
	struct watch watch; /* the socket */
	struct conn *next;
	struct domain *dom; /* NULL before HELLO, and for the runner */
	enum xenloop_role role;
	uint32_t id;
	pid_t pid;
	bool dead;		   /* closed; freed at the end of the loop's round */
	int pipe;		   /* EVTCHN: both ends, non-blocking; -1 otherwise */
	uint32_t restricted_to;	   /* EVTCHN: the only remote domid allowed, or NONE */
	struct holding **holdings; /* GNTTAB, GNTSHR: what it maps or shares, by id */
	uint32_t nr_holdings;
	uint32_t free_holding; /* no id below this one is free */
};

enum port_state {
	PORT_FREE,
	PORT_UNBOUND,
	PORT_INTERDOMAIN,
	PORT_VIRQ
};

struct port {
	enum port_state state;
	struct conn *owner; /* NULL: dom0's kernel, or a closed handle whose port is still held */
	uint32_t remote_domid; /* UNBOUND: who may bind; INTERDOMAIN: who did */
	struct domain *remote; /* INTERDOMAIN */
	uint32_t remote_port;
	uint32_t virq;
	uint32_t holds; /* pending unmap notifications that will need it */
};

/* Linux cannot revoke a grant that is in use: given up by its owner, it stays valid until it is
 * unmapped. With its domain a grant ends at once, and the page when it is unmapped. */
enum grant_state {
	GRANT_FREE,
	GRANT_GIVEN,
	GRANT_ENDING, /* given up by its owner, mapped, still valid */
	GRANT_ENDED   /* its domain has ended; mapped, no longer valid */
};

struct grant {
	enum grant_state state;
	uint32_t pins;	    /* how often it is mapped */
	uint32_t next_free; /* FREE, and used before: the one to be given after it; 0: none */
};

enum domain_state {
	DOMAIN_RUNNING,
	DOMAIN_STOPPED,
	DOMAIN_CRASHED,
	DOMAIN_DYING
};

struct domain {
	struct domain *next;
	enum domain_state state;
	uint32_t domid;
	uint32_t incarnation;
	uint32_t slot;
	uint8_t uuid[16];
	char name[XENLOOP_NAME_MAX + 1];
	struct xenloop_slot *shared;
	int ram_fd;
	pid_t mux;	     /* 0: none */
	uint32_t pins;	     /* mappings of its pages, in any domain */
	uint32_t free_gref;  /* the one freed last; 0: none */
	uint32_t fresh_gref; /* it and those above it were never given */
	uint32_t max_port;   /* the highest that it may have */
	uint32_t nr_grefs;   /* the size of its grant table */
	uint32_t max_shared; /* pages that its handles may share at a time, as with gntalloc */
	uint32_t nr_shared;
	struct port port[XENLOOP_PORTS];
	struct grant grant[XENLOOP_GRANTS];
};

struct hypervisor {
	int epoll_fd;
	struct watch listener, signals, starter, removal;
	const char *dir;      /* the instance's, absolute */
	const char *store;    /* path of xenstored */
	const char *library;  /* path of libxenloop.so */
	const char *instance; /* a random word: marks the processes of this instance */
	bool stopping;
	bool failed; /* stopping, but not because somebody asked for it */
	bool let_go; /* the starter is content */
	pid_t store_pid;
	uint32_t store_port; /* dom0's kernel's, for xenstored to bind */
	int tables_fd;
	struct xenloop_tables *tables;
	uint32_t next_incarnation, next_handle, next_domid;
	struct domain *domains;
	struct conn *conns;
	struct process *processes;
	struct process *forgotten; /* freed at the end of the loop's round */
};

/* hypervisor.c */

struct hypervisor_config {
	const char *dir, *store, *library, *instance; /* as in struct hypervisor */
	int starter; /* a socket: 'r' is sent when ready; its end before 'k' is received ends all */
};
/* Runs until told to end. Returns an exit code: a failure only after the starter has let go. The
 * files of the directory stay. */
int hypervisor_run(const struct hypervisor_config *config);
/* Watch for input, hang-up and error. */
int hypervisor_watch(struct hypervisor *hv, struct watch *watch);
/* Stop watching, and close the fd. */
void hypervisor_unwatch(struct hypervisor *hv, struct watch *watch);
/* End a handle's file: what it holds is given up. The conn is dead afterwards. */
void hypervisor_close_conn(struct hypervisor *hv, struct conn *conn);
/* xenstored has bound dom0's store port: it listens, and the starter may go on. */
void hypervisor_store_bound(struct hypervisor *hv);

/* domain.c */

/* domid NONE: the next free one. -EINVAL: a limit out of its range. */
int domain_create(struct hypervisor *hv, uint32_t domid, const struct xenloop_new *new,
		  struct domain **out);
/* Any state but DYING; DOMID_SELF is self, if given. NULL: none. */
struct domain *domain_find(struct hypervisor *hv, uint32_t domid, struct domain *self);
struct domain *domain_by_incarnation(struct hypervisor *hv, uint32_t incarnation);
/* Kill its processes and its mux, close its handles; its nodes in the store are still there. */
void domain_stop(struct hypervisor *hv, struct domain *dom, enum domain_state state);
/* Stop it, revoke its grants, tell xenstored. It is freed when nobody maps its pages any more. */
void domain_destroy(struct hypervisor *hv, struct domain *dom);
/* A mapping of one of its pages has ended. */
void domain_unpin(struct hypervisor *hv, struct domain *dom);
/* From domid first upwards. */
uint32_t domain_list(struct hypervisor *hv, uint32_t first, uint32_t max,
		     struct xenloop_domain_info *infos);

/* port.c */

int64_t port_bind_unbound(struct conn *conn, uint32_t domid);
int64_t port_bind_interdomain(struct hypervisor *hv, struct conn *conn, uint32_t domid,
			      uint32_t port);
int64_t port_bind_virq(struct conn *conn, uint32_t virq);
int64_t port_unbind(struct conn *conn, uint32_t port);
int64_t port_restrict(struct conn *conn, uint32_t domid);
/* The handle that owns the remote end of the conn's port, or NULL. */
struct conn *port_peer_owner(struct conn *conn, uint32_t port);
int64_t port_status(struct hypervisor *hv, uint32_t domid, uint32_t port,
		    struct xenloop_port_status *status);
/* dom0's kernel keeps a port for xenstored to bind. */
int64_t port_bind_kernel(struct domain *dom, uint32_t remote_domid);
/* Keep the port open for an unmap notification: -EINVAL unless a handle of the domain owns it. */
int port_hold(struct domain *dom, uint32_t port);
void port_release(struct domain *dom, uint32_t port);
/* Send the event of a held port. */
void port_notify(struct domain *dom, uint32_t port);
void port_raise_virq(struct domain *dom, uint32_t virq);
/* A handle has ended; a domain has. */
void port_close_of_conn(struct conn *conn);
void port_close_of_domain(struct domain *dom);
uint32_t port_count(const struct domain *dom);
/* A conn takes over another one's ports (both of one domain). */
void port_move(struct conn *from, struct conn *to);

/* grant.c */

/* Grant a page outside the calls below (the store ring). */
void grant_reserve(struct domain *dom, uint32_t gref, uint32_t to_domid);
int64_t grant_map(struct hypervisor *hv, struct conn *conn, const struct xenloop_request *request,
		  const struct xenloop_gref *grefs);
/* grefs: at least request->count. */
int64_t grant_share(struct hypervisor *hv, struct conn *conn, const struct xenloop_request *request,
		    uint32_t *grefs);
/* Ends a map. */
int64_t grant_unmap(struct hypervisor *hv, struct conn *conn, uint32_t id);
/* So many of a share's pages are let go of; nothing is revoked before all are. */
int64_t grant_unshare(struct hypervisor *hv, struct conn *conn, uint32_t id, uint32_t count);
void grant_release_of_conn(struct hypervisor *hv, struct conn *conn);
/* Revoke all; give back all memory that nobody maps. */
void grant_end_of_domain(struct domain *dom);
uint32_t grant_count(const struct domain *dom);
/* How many pages a handle maps. */
uint32_t grant_maps_of_conn(const struct conn *conn);

/* process.c */

/* Remember that a process belongs to the domain. */
int process_track(struct hypervisor *hv, struct domain *dom, pid_t pid);
void process_forget(struct hypervisor *hv, struct process *process);
uint32_t process_count(const struct hypervisor *hv, const struct domain *dom);
/* Kill the domain's processes (NULL: all domains') and wait for their end. */
void process_kill(struct hypervisor *hv, struct domain *dom);
/* Kill every process whose token begins with prefix, and wait for their end. */
void process_kill_marked(const char *prefix);
/* What exec puts into XENLOOP_TOKEN. */
void process_token(const struct hypervisor *hv, const struct domain *dom,
		   char token[XENLOOP_TOKEN_MAX + 1]);

/* dispatch.c */

/* What a connection asked for. reply, out_*: to be filled in; out_fds are borrowed, own_fd is closed
 * after the reply was sent. */
struct call {
	struct xenloop_request request;
	const void *body;
	size_t body_bytes;
	int fd; /* came with the request, or -1 */
	struct xenloop_reply reply;
	const void *out_body;
	size_t out_body_bytes;
	int out_fds[XENLOOP_FDS_MAX];
	int nr_out_fds;
	int own_fd;
};
void dispatch(struct hypervisor *hv, struct conn *conn, struct call *call);

/* child.c */

/* The pid or -errno. */
pid_t child_start_store(struct hypervisor *hv);
/* Start the store mux of a new domain: sets dom->mux, and *creator_fd to a socket (the caller's to
 * close) on which it says its port, a u32, and then waits for a byte: xenstored knows the domain. */
int child_start_mux(struct hypervisor *hv, struct domain *dom, int *creator_fd);
/* Remove the mux's socket and directory. */
void child_remove_dir(struct hypervisor *hv, struct domain *dom);
/* Kill and reap. */
void child_end(pid_t pid);
/* `xenloop storemux RAM-FD LISTEN-FD CREATOR-FD`: the mux process. Returns an exit code. */
int child_mux_main(int argc, char **argv);
