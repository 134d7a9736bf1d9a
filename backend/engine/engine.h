/* SPDX-License-Identifier: MIT */
/*
 * What an engine is: the place where the blocks of one device are. The data process opens one
 * engine per attached device, hands it I/Os and gets each back once, through its done function. An
 * engine sees offsets and buffers that were validated against the device's capacity, never a
 * guest's memory or a ring.
 *
 * Threads: an engine lives on one lane; every call below, and every done, is on that lane's thread.
 * Nothing here blocks, allocates or locks between open and close.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

struct io_uring_sqe;
struct engine;

/*
 * Something to be called by the lane: from a completion of its io_uring, whose user_data is the
 * event's address (res and flags are the completion's), or from call_later (both 0). The owner
 * keeps it in place until it was called.
 */
struct engine_event {
	void (*fn)(struct engine_event *event, int32_t res, uint32_t flags);
	STAILQ_ENTRY(engine_event) link;
};

/* What a lane offers its engines. */
struct engine_host {
	/* A submission entry, to be filled at once and flagged IOSQE_FIXED_FILE; the lane submits
	 * it at the end of its round. NULL when the kernel takes no more at this moment:
	 * call_later, and try again then. */
	struct io_uring_sqe *(*get_sqe)(struct engine_host *host);
	/* Call event->fn in the lane's next round: never from inside this call, so that an engine
	 * that is done at once does not recurse. */
	void (*call_later)(struct engine_host *host, struct engine_event *event);
	/* Put a file into the registered table; the slot, or -errno. The fd stays the caller's and
	 * may be closed: the table holds its own reference. */
	int (*add_file)(struct engine_host *host, int fd);
	void (*remove_file)(struct engine_host *host, int slot);
};

enum engine_op {
	ENGINE_READ,
	ENGINE_WRITE,
	/* Everything completed before this is on stable storage when it is done. Once one has
	 * failed, all others fail too, unless the engine knows that nothing was lost. */
	ENGINE_FLUSH,
};

/*
 * One I/O. The caller fills all down to `done` and keeps it, the iov and the buffers in place
 * until done is called; done is called exactly once, never from inside submit. result is 0 when
 * the whole was done, else -errno, and then a read's buffers hold nothing that may be shown.
 */
struct engine_io {
	struct engine_event event; /* the engine's; first, so that the event is the I/O */
	enum engine_op op;
	uint64_t offset_bytes;
	struct iovec *iov; /* the engine may change it; 1 entry or more, 0 for a flush */
	uint32_t nr_iov;
	void (*done)(struct engine_io *io);
	void *owner; /* the caller's */
	int32_t result;
	struct engine *engine; /* the engine's, as what follows */
	uint32_t tries;
};

struct engine_params {
	int fd;	     /* the open target, or -1 */
	bool direct; /* the fd is O_DIRECT: what was written is not in the page cache */
	/* Where the engine keeps the -errno of the first flush that lost something, 0 until then,
	 * and finds what one before it has left: memory that outlives both, written at once. */
	int32_t *lost;
};

/* What every engine begins with. */
struct engine {
	const struct engine_ops *ops;
	struct engine_host *host;
};

struct engine_ops {
	const char *name;
	/* 0 and a new engine, or -errno and nothing changed. The fd stays the caller's, who may
	 * close it afterwards. */
	int (*open)(struct engine_host *host, const struct engine_params *params,
		    struct engine **engine);
	void (*submit)(struct engine *engine, struct engine_io *io);
	/* Only when no I/O is in flight. */
	void (*close)(struct engine *engine);
};

extern const struct engine_ops engine_file;
extern const struct engine_ops engine_null;
