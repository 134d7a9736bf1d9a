/* SPDX-License-Identifier: MIT */
/*
 * What is said between a library handle (or the `xenloop` program) and the hypervisor process of
 * loopback Xen: one SOCK_SEQPACKET connection per handle, one message per request and per reply,
 * never more than one request under way. The end of a connection is the release of the handle's
 * file: whatever it held is given up. Both ends come from the same build; the hypervisor checks
 * lengths, counts and ranges, but the peer's word for its domid is taken.
 */
#pragma once
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <errno.h>
#include <string.h>

#define XENLOOP_PROTO_VERSION 1u
#define XENLOOP_CALL_PAGES    16384u /* pages that one map or share call may ask for */
#define XENLOOP_NONE	      UINT32_MAX
#define XENLOOP_NAME_MAX      63
#define XENLOOP_TOKEN_MAX     63

/* The environment of a program that runs on loopback Xen. */
#define XENLOOP_ENV_DIR	  "XENLOOP_DIR"	  /* the instance's directory */
#define XENLOOP_ENV_DOMID "XENLOOP_DOMID" /* the domain that the program belongs to */
#define XENLOOP_ENV_TOKEN "XENLOOP_TOKEN" /* set by exec: <instance>.<domid>.<incarnation>. */

/* What tests ask of the library in that program: see lib_fault.c, lib_seed.c and xenloop.1. */
#define XENLOOP_ENV_FAULT "XENLOOP_FAULT"
#define XENLOOP_ENV_SEED  "XENLOOP_SEED"

/* Names below the instance's directory. */
#define XENLOOP_SOCKET	 "hypervisor"
#define XENLOOP_XSD_PORT "xsd_port" /* what /proc/xen/xsd_port says */

enum xenloop_role {
	XENLOOP_ROLE_EVTCHN = 1,
	XENLOOP_ROLE_GNTTAB,
	XENLOOP_ROLE_GNTSHR,
	XENLOOP_ROLE_CTRL,
	XENLOOP_ROLE_RUNNER, /* the `xenloop` program, not a domain's handle */
};

/*
 * The requests. In each line: fields of the request that count, "+" what follows the header; "->"
 * the reply's value, "+" what follows it, "fd" what comes along by SCM_RIGHTS.
 */
enum xenloop_op {
	/* Any role, first: role, domid, count (the protocol's version), + token string. -> handle
	 * id, slot in count; fd tables; EVTCHN: fd pipe; GNTSHR: fd RAM. */
	XENLOOP_HELLO = 1,
	/* EVTCHN */
	XENLOOP_BIND_UNBOUND,	  /* domid -> port */
	XENLOOP_BIND_INTERDOMAIN, /* domid, port -> port */
	XENLOOP_BIND_VIRQ,	  /* port (the VIRQ) -> port */
	XENLOOP_UNBIND,		  /* port */
	XENLOOP_RESTRICT,	  /* domid */
	XENLOOP_PEER_PIPE,	  /* port -> handle that owns the remote end; fd its pipe */
	XENLOOP_ADOPT,		  /* fd a pipe: take over the handle that it belongs to */
	/* GNTTAB (RAM: CTRL of dom0 as well) */
	XENLOOP_RAM,   /* domid -> slot, incarnation in count; fd RAM */
	XENLOOP_MAP,   /* count, flags, notify_*, + struct xenloop_gref[] -> map id */
	XENLOOP_UNMAP, /* id */
	/* GNTSHR */
	XENLOOP_SHARE,	 /* domid, count, flags, notify_* -> share id, + uint32_t gref[] */
	XENLOOP_UNSHARE, /* id, count: so many of its pages; when all were named, it ends */
	/* CTRL of dom0, RUNNER */
	XENLOOP_DOMAINS, /* domid (first), count (at most) -> how many, + xenloop_domain_info[] */
	XENLOOP_PORT_STATUS, /* domid, port -> 0, + struct xenloop_port_status */
	/* RUNNER */
	XENLOOP_CREATE,	 /* domid or NONE, + struct xenloop_new -> domid; fd: see child_start_mux */
	XENLOOP_JOIN,	 /* domid: the caller's process belongs to it. -> 0, + token string */
	XENLOOP_STOP,	 /* domid: end its processes */
	XENLOOP_DESTROY, /* domid, stopped before */
	XENLOOP_DOWN,	 /* end everything */
};

/* flags */
#define XENLOOP_READONLY 1u

struct xenloop_request {
	uint32_t op;
	uint32_t role;
	uint32_t domid;
	uint32_t port;
	uint32_t count;
	uint32_t flags;
	uint32_t id;
	uint32_t notify_offset; /* in the one page mapped or shared; NONE: clear no byte */
	uint32_t notify_port;	/* of the caller's domain; NONE: send no event */
};

struct xenloop_reply {
	int32_t err; /* 0 or -errno */
	uint32_t value;
	uint32_t count;
};

struct xenloop_gref {
	uint32_t incarnation; /* of the granting domain */
	uint32_t gref;
};

#define XENLOOP_DOMAIN_STOPPED 1u /* its processes were ended */
#define XENLOOP_DOMAIN_CRASHED 2u /* its store mux died */
#define XENLOOP_DOMAIN_DYING   4u /* destroyed, but somebody still maps its pages */

struct xenloop_domain_info {
	uint32_t domid;
	uint32_t flags;
	uint32_t nr_grants;    /* pages granted, or still mapped */
	uint32_t nr_maps;      /* pages that its handles map; one mapped twice counts twice */
	uint32_t nr_ports;     /* in use, bound or not */
	uint32_t nr_handles;   /* open, those of its xenstored or store mux included */
	uint32_t nr_processes; /* that exec started, or that opened a handle with its token */
	uint8_t uuid[16];
	char name[XENLOOP_NAME_MAX + 1];
};

struct xenloop_port_status {
	uint32_t status; /* EVTCHNSTAT_* */
	uint32_t remote_domid;
	uint32_t remote_port;
	uint32_t virq;
};

/* What is made of a domain. The limits are inclusive; the ranges are the tables'. */
struct xenloop_new {
	uint8_t uuid[16];
	char name[XENLOOP_NAME_MAX + 1];
	uint32_t max_port;	   /* 1 to XENLOOP_PORTS - 1: no port above it, as in Xen */
	uint32_t max_grant_frames; /* 1 to XENLOOP_GRANT_FRAMES: of 512 grants each */
	uint32_t max_shared;	   /* 0 to XENLOOP_GRANTS: pages shared at a time (gntalloc) */
};

#define XENLOOP_FDS_MAX 2

/*
 * The one way to send and to receive a message, inline because the library and the program are
 * linked from different objects. fds: borrowed when sent; when received, the caller's to close, -1
 * where none came. Both return a byte count or -errno; 0 from the receiver is the peer's end.
 */
static inline ssize_t xenloop_send(int sock, const void *head, size_t head_bytes, const void *body,
				   size_t body_bytes, const int *fds, int nr_fds)
{
	struct iovec iov[2] = {{(void *)head, head_bytes}, {(void *)body, body_bytes}};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(XENLOOP_FDS_MAX * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t sent;

	if (nr_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}
	do
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static inline ssize_t xenloop_recv(int sock, void *head, size_t head_bytes, void *body,
				   size_t body_bytes, int fds[XENLOOP_FDS_MAX])
{
	struct iovec iov[2] = {{head, head_bytes}, {body, body_bytes}};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(XENLOOP_FDS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t got;

	for (int i = 0; i < XENLOOP_FDS_MAX; i++)
		fds[i] = -1;
	do
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(cmsg), cmsg->cmsg_len - CMSG_LEN(0));
	if (msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	return got;
}
