/* SPDX-License-Identifier: MIT */
/*
 * What a watch event under backend/vbd is about. Pure. Called by watcher.c.
 */
#pragma once
#include <stdint.h>

enum watcher_path_kind {
	WATCHER_PATH_COARSE, /* a domain's directory or above, or nothing we know: look at all */
	WATCHER_PATH_DEVICE, /* the device's directory itself */
	WATCHER_PATH_NODE,   /* a node in it, or below one */
};

struct watcher_path {
	enum watcher_path_kind kind;
	uint32_t domid; /* these unless COARSE */
	uint32_t devid;
	char node[32]; /* the first component in the directory; "" unless NODE, and when too long */
};

struct watcher_path watcher_path_parse(const char *path);
