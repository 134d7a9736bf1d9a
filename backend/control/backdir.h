/* SPDX-License-Identifier: MIT */
/*
 * A vbd's backend directory in xenstore: what the toolstack says in it, and what we publish there.
 * A state is only ever written over the state we know: if the toolstack wrote its own in between,
 * ours is not written. Nothing is written into a directory that is gone, which would bring it back.
 * Trusts dom0. Called by device.c, verdict.c and device_link.c.
 */
#pragma once
#include "backend/control/reason.h"
#include "common/xenbus.h"
#include <stdbool.h>
#include <stdint.h>

struct backdir {
	struct rwy_xenbus *xb;
	uint32_t domid;
	uint32_t devid;
	char path[64];
	char frontend[64]; /* the frontend's directory, made from domid and devid, never read */
};

enum backdir_owner {
	BACKDIR_ABSENT,
	BACKDIR_FOREIGN, /* of another backend, or not known to be ours yet */
	BACKDIR_OURS,
};

/* What does not change while a device lives. */
struct backdir_config {
	char params[RWY_XENBUS_VALUE_BYTES];
	bool writable; /* mode begins with w */
	bool cdrom;    /* device-type */
	bool removable;
};

/* What a frontend is told about the disk. */
struct backdir_disk {
	uint64_t capacity_sect;
	uint32_t physical_sector_bytes;
	uint32_t info; /* VDISK_* */
};

struct backdir_switch {
	enum xenbus_state from; /* what our node says, as far as we know */
	enum xenbus_state to;
	bool offer;			 /* write the feature nodes first */
	const struct backdir_disk *disk; /* write the disk's nodes first; NULL: don't */
};

void backdir_init(struct backdir *b, struct rwy_xenbus *xb, uint32_t domid, uint32_t devid);
enum backdir_owner backdir_owner(const struct backdir *b);

/*
 * 0; -ENOENT with the missing node in `why`: the toolstack is not done yet; -EINVAL: a node says
 * what it must not, and c is incomplete.
 */
int backdir_read_config(const struct backdir *b, struct backdir_config *c, struct reason *why);

enum xenbus_state backdir_own_state(const struct backdir *b);
enum xenbus_state backdir_peer_state(const struct backdir *b);
bool backdir_is_online(const struct backdir *b);
bool backdir_is_plugged(const struct backdir *b); /* hotplug-status = connected */
/* What a switch with `offer` wrote is there, or can't be read: not knowing is no reason to let go. */
bool backdir_is_offered(const struct backdir *b);
/* It still is about the same target in the same mode, or can't be read. */
bool backdir_says(const struct backdir *b, const struct backdir_config *c);

/* All in one transaction. -ESTALE: our node does not say `from` any more; -ENOENT: no directory. */
int backdir_switch(const struct backdir *b, const struct backdir_switch *s);

/* The `error` node; text "": removes it. */
int backdir_write_error(const struct backdir *b, const char *text);
