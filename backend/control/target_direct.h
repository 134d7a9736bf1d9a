/* SPDX-License-Identifier: MIT */
/*
 * Does O_DIRECT take what guests send: offsets, lengths and buffers in units of 512 bytes? Called
 * by target.c.
 */
#pragma once
#include <stdbool.h>

/* fd: a regular file or block device opened with O_DIRECT and readable. */
bool target_direct_works(int fd);
