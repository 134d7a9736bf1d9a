/* SPDX-License-Identifier: MIT */
/*
 * Journals (backend/journal.h) as files: made, found again, removed. Each is called
 * <domid>-<devid>-<queue>, in a directory of the run directory that is root's alone; so it outlives
 * ringwayd, and nothing survives a reboot of dom0, which no guest does either. What a data process
 * has written into one is only compared with what it should be. Called by device_journal.c and
 * main.c.
 */
#pragma once
#include "backend/control/reason.h"
#include "backend/journal.h"
#include <stdbool.h>

/* The directory's fd, the caller's; it is made when absent. */
int journal_file_open_dir(const char *rundir);

/* Requests in flight on a ring of so many pages, a power of two. */
uint32_t journal_file_entries(uint32_t nr_ring_pages);

/* A new one in place of any other; its fd, the caller's, or -errno with `why`. */
int journal_file_create(int dir_fd, const struct journal_identity *identity, struct reason *why);
/*
 * The one that is there, if it is this ring's: its fd, the caller's. -ENOENT: there is none; -ESTALE:
 * it is of another, and `why` says what differs; another -errno.
 */
int journal_file_find(int dir_fd, const struct journal_identity *identity, struct reason *why);

/* The header of one that is there, whosever ring's it is; to be believed in nothing. -errno. */
int journal_file_read(int dir_fd, uint32_t domid, uint32_t devid, uint32_t queue,
		      struct journal_header *h);
/* All queues' of a disk. */
void journal_file_remove(int dir_fd, uint32_t domid, uint32_t devid);

/* Removes those of disks that are not `wanted`. */
void journal_file_sweep(int dir_fd, bool (*wanted)(void *ctx, uint32_t domid, uint32_t devid),
			void *ctx);
