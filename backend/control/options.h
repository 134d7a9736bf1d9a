/* SPDX-License-Identifier: MIT */
/*
 * The command line of ringwayd. Trusts the admin. Called by main.c.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>

#define OPTIONS_MAX_PROCESSES 256u

struct options {
	const char *rundir;	    /* borrowed from argv, the environment, or static */
	char data_binary[PATH_MAX]; /* path of ringwayd-data */
	unsigned int nr_processes;
	bool no_sandbox;
	bool verbose;
};

/* -1: go on; otherwise the exit status, with everything said: 0 for --help and --version, 2 for a
 * command line that makes no sense, 1 when there is no data binary. */
int options_parse(struct options *options, int argc, char **argv);
