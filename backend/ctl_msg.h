/* SPDX-License-Identifier: MIT */
/*
 * What control (ringwayd) and a data process (ringwayd-data) say to each other, over a
 * SOCK_SEQPACKET socketpair that the data process inherits as fd 3: one message per packet, fixed
 * layout, same machine and same build. The two trust each other unequally: data believes control;
 * control treats data as possibly taken over by a guest and bounds every value it gets (device must
 * exist and belong to that process, text is cut and escaped).
 *
 * Life: data sends HELLO once its handles are open and its sandbox is up. Then per device: control
 * ATTACH -> data ATTACHED, later control DETACH -> data DETACHED; data may say BROKEN at any time
 * between, and control then sends DETACH. ATTACH failing (err != 0) leaves nothing behind. STATS is
 * answered by STATS. EOF from control: data answers what is in flight, publishes, and exits 0. EOF
 * from data: it died; its devices are attached to another. Device ids are chosen by control, unique
 * over its lifetime.
 *
 * The fence: I/O that a process has handed to the kernel goes on when the process is killed. fd 4 is
 * the write end of a FIFO; the process puts it into the file table of each of its io_urings and
 * closes it. The kernel lets go of a table when the last I/O of its io_uring has ended: until
 * control sees POLLHUP at the read end, nothing of that process's devices is done again or answered.
 */
#pragma once
#include <stdint.h>

#define CTL_FD		   3
#define CTL_FENCE_FD	   4
#define CTL_VERSION	   2u
#define CTL_MAX_RING_PAGES 16u
#define CTL_REASON_BYTES   192u

enum ctl_type {
	/* control -> data */
	CTL_ATTACH =
		1,  /* struct ctl_attach, with two fds: the journal (journal.h), the open target;
		       CTL_ENGINE_NULL: the journal alone */
	CTL_DETACH, /* struct ctl_device: answer what was taken, refuse what is left in the ring,
		       unmap, unbind */
	CTL_STATS,  /* struct ctl_device */
	/* data -> control */
	CTL_HELLO,	 /* struct ctl_hello */
	CTL_ATTACHED,	 /* struct ctl_result */
	CTL_DETACHED,	 /* struct ctl_result */
	CTL_BROKEN,	 /* struct ctl_result: the peer broke the protocol, or a grant or the target
			    failed for good */
	CTL_STATS_REPLY, /* struct ctl_stats_reply */
};

struct ctl_header {
	uint32_t type;	    /* enum ctl_type */
	uint32_t device_id; /* 0 in HELLO */
};

enum ctl_engine {
	CTL_ENGINE_FILE, /* regular file or block device, by fd */
	CTL_ENGINE_NULL, /* reads give zeroes, writes vanish */
};

/* What the frontend's requests are laid out as; the values of enum rwy_blk_abi (ring/blk_wire.h). */
enum ctl_abi {
	CTL_ABI_NATIVE,
	CTL_ABI_X86_32,
	CTL_ABI_X86_64,
};

enum ctl_attach_flags {
	CTL_READ_ONLY = 1u << 0,
	CTL_DIRECT =
		1u << 1, /* the fd is O_DIRECT; offsets and lengths of 512 bytes are fine with it */
	CTL_FLUSH = 1u << 2, /* feature-flush-cache was offered */
};

struct ctl_attach {
	struct ctl_header header;
	uint32_t domid;
	uint32_t devid;		/* for log lines */
	uint32_t abi;		/* enum ctl_abi, validated by control */
	uint32_t engine;	/* enum ctl_engine */
	uint32_t flags;		/* enum ctl_attach_flags */
	uint32_t evtchn;	/* the frontend's port */
	uint32_t nr_ring_pages; /* 1 to CTL_MAX_RING_PAGES */
	uint32_t ring_gref[CTL_MAX_RING_PAGES];
	uint64_t capacity_sect;
};

struct ctl_device {
	struct ctl_header header;
};

struct ctl_hello {
	struct ctl_header header;
	uint32_t version; /* CTL_VERSION */
	uint32_t pid;
};

struct ctl_result {
	struct ctl_header header;
	int32_t err;		       /* 0 or -errno */
	char reason[CTL_REASON_BYTES]; /* NUL-terminated; "" when err is 0 */
};

/* Counters since attach. Sectors of 512 bytes. */
struct ctl_stats {
	uint64_t read_requests;
	uint64_t write_requests;
	uint64_t flush_requests;
	uint64_t read_sect;
	uint64_t write_sect;
	uint64_t bad_requests; /* refused by validation */
	uint64_t io_errors;    /* failed in the engine or by a bad grant */
	uint64_t events;       /* times the guest's event woke the lane for this device */
	uint64_t notifies;     /* events sent to the guest */
	uint64_t in_flight;    /* now */
};

struct ctl_stats_reply {
	struct ctl_header header;
	int32_t err; /* 0, or -ENOENT: no such device (any more) */
	struct ctl_stats stats;
};
