/* SPDX-License-Identifier: MIT */
/*
 * What `ringway attach` was asked to do.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct cmd_attach_options {
	const char *domain; /* as typed; borrowed from argv, like target */
	const char *target;
	bool vdev_given;
	uint32_t devid; /* when vdev_given */
	bool writable;
	bool wait;
	uint64_t timeout_ns;
};

/* 0; 1 when help is asked for; -EINVAL or -ERANGE after saying what is wrong. */
int cmd_attach_parse(int argc, char **argv, struct cmd_attach_options *options);
