/* SPDX-License-Identifier: MIT */
/*
 * libringway: a Xen paravirtual disk (vbd) from a program in the guest, without a kernel driver.
 * Link with -lringway. It speaks blkif to any backend: ringwayd, xen-blkback, QEMU, tapdisk.
 *
 *	struct rwy_vbd *vbd;
 *	char why[RWY_VBD_WHY_BYTES];
 *	int err = rwy_vbd_open("xvda", NULL, &vbd, why, sizeof(why));
 *	if (err)
 *		errx(1, "xvda: %s", why);
 *	err = rwy_vbd_pread(vbd, buf, sizeof(buf), 0);
 *	rwy_vbd_close(vbd);
 *
 * Needs access to /dev/xen/evtchn, /dev/xen/gntalloc and xenstore (root, as a rule), and that no
 * kernel driver has taken the disk. A disk has one frontend: a second open of the same disk, in any
 * process, takes it away from the first.
 *
 * Trust: the backend is not trusted with more than the disk's contents. Data goes through pages of
 * the library's own, granted for the life of the connection: your buffers are never shared. What
 * the backend writes into xenstore or the ring is bounded and checked; a backend that breaks the
 * protocol is left for good (-EPROTO).
 *
 * Threads: every function may be called from any thread, many at a time, on the same disk; close
 * excepted, which must be the last. The library runs one thread per open disk. After fork() only
 * the parent may use an open disk.
 *
 * Errors: 0 or -errno. Offsets and lengths are in bytes, in multiples of the sector size (512 as a
 * rule).
 */
#ifndef LIBRINGWAY_H
#define LIBRINGWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define RWY_VBD_WHY_BYTES 512u

struct rwy_vbd;

/* Zero is the default of each. */
struct rwy_vbd_options {
	/* Until the backend has connected at open; also bounds each step of close. Default
	 * 10,000. */
	uint32_t connect_timeout_ms;
	/* When the backend goes away while the disk is open (it was restarted): for so long
	 * requests wait for it to come back, and are sent again. Default 30,000. It goes by saying
	 * so in xenstore (Closing, Closed), or by the toolstack's setting it back to Initialising.
	 * One that dies and leaves its state at Connected looks like a slow one: requests wait
	 * without limit until the toolstack does one or the other, or the disk is closed. */
	uint32_t reconnect_timeout_ms;
	/* Ring pages, if the backend allows so many: at most 16, rounded down to a power of two.
	 * Default 4 (128 requests in flight). */
	uint32_t max_ring_pages;
	/* Pages granted for data: 11 to 4096; fewer when the system grants no more. Default 352 (32
	 * requests of 44 KiB; gntalloc's own limit is 1024 for all programs). */
	uint32_t max_data_pages;
	uint32_t reserved[4]; /* must be 0 */
};

/*
 * Open a disk and wait until it can be used. name: "xvda", "51712" (its id in xenstore), or NULL
 * for the only disk there is. options: NULL for the defaults. On failure *vbd is NULL and why (may
 * be NULL; why_bytes bounds it) says what happened in one line, with the backend's own words when
 * it refused.
 *   -ENOENT     there is no such disk, or no disk at all
 *   -ENOTUNIQ   name is NULL and there are several
 *   -EACCES     the backend refused: "backend refused: ..."
 *   -ETIMEDOUT  the backend did not connect in time
 *   -EPROTO     the backend's nodes make no sense
 *   -EINVAL     a bad name or option
 *   others      from opening xenstore, event channels or grants
 */
int rwy_vbd_open(const char *name, const struct rwy_vbd_options *options, struct rwy_vbd **vbd,
		 char *why, size_t why_bytes);

/*
 * Wait for the requests under way, then close the device towards the backend so that it can be
 * opened again. Bounded in time; requests still open then end with -ESHUTDOWN. Not from a callback.
 * NULL is fine.
 */
void rwy_vbd_close(struct rwy_vbd *vbd);

struct rwy_vbd_info {
	uint64_t capacity_bytes;	/* may change while the disk is open */
	uint32_t sector_bytes;		/* what offsets and lengths are multiples of */
	uint32_t physical_sector_bytes; /* writes of less may be slower */
	uint32_t devid;			/* 51712 for xvda */
	uint32_t backend_domid;
	bool read_only;
	bool removable;
	bool cdrom;
	bool write_cache; /* written data is safe only after rwy_vbd_flush */
};

void rwy_vbd_get_info(struct rwy_vbd *vbd, struct rwy_vbd_info *info);

/*
 * 0: connected. -EAGAIN: waiting for the backend to come back. Otherwise what ended the device for
 * good, the error that all requests get from now on: -ESHUTDOWN, the toolstack took it away or
 * close has begun; -ETIMEDOUT, the backend went away and did not come back; -EPROTO, it broke the
 * protocol. why as in open.
 */
int rwy_vbd_status(struct rwy_vbd *vbd, char *why, size_t why_bytes);

/*
 * Read, write, and wait. All of it was done, or an error is returned and the buffer (reading) or
 * the disk (writing) may be partly changed. len may be any size; large ones are split. Requests of
 * different threads are not ordered among each other.
 *   -EINVAL    offset or len is no multiple of sector_bytes, or they pass the end
 *   -EROFS     the disk is read-only
 *   -EIO       the backend failed the request
 *   -EDEADLK   called from a callback
 */
int rwy_vbd_pread(struct rwy_vbd *vbd, void *buf, size_t len, uint64_t offset);
int rwy_vbd_pwrite(struct rwy_vbd *vbd, const void *buf, size_t len, uint64_t offset);
/* What had been written (returned, or called back) before is on stable storage afterwards. */
int rwy_vbd_flush(struct rwy_vbd *vbd);

enum rwy_vbd_op {
	RWY_VBD_READ,
	RWY_VBD_WRITE,
	RWY_VBD_FLUSH,
};

/* One asynchronous request. The struct and the buffer are the caller's and must stay as they are
 * until `done` has been called. */
struct rwy_vbd_io {
	enum rwy_vbd_op op;
	void *buf; /* not written to when op is WRITE; unused by FLUSH */
	size_t len;
	uint64_t offset;
	/* Called once, on the library's thread, with 0 or -errno. May free io, and may submit; must
	 * not block. */
	void (*done)(struct rwy_vbd_io *io, int result);
	void *user; /* the caller's */
	/* The library's own from submit to done. */
	struct {
		struct rwy_vbd_io *next;
		size_t issued_bytes;
		uint32_t parts;
		int result;
		uint64_t reserved[4];
	} own;
};

/* Begin. When this fails (as the blocking calls do), `done` is not called. While the backend is
 * away requests are taken and wait. */
int rwy_vbd_submit(struct rwy_vbd *vbd, struct rwy_vbd_io *io);

/* "0.1.0" */
const char *rwy_vbd_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
