/* SPDX-License-Identifier: MIT */
/*
 * How ringwayd is to run: the configuration file, and over it the command line. Trusts the admin.
 * Called by main.c.
 */
#pragma once
#include "backend/control/conf.h"
#include <stdbool.h>

/* Exit statuses but for success. A restart can mend a fault, and nothing else. */
#define EXIT_REFUSED 1 /* this installation, machine or configuration can't be run */
#define EXIT_USAGE   2 /* the command line makes no sense */
#define EXIT_FAULT   3 /* what ringwayd needs has failed or gone, such as xenstore */

struct options {
	const char *rundir; /* borrowed from argv, the environment, or static */
	struct conf conf;   /* data_binary is one that can be executed */
	bool no_sandbox;
};

/* -1: go on; otherwise the exit status, with everything said: 0 for --help, --version and a
 * --check-config that found nothing, or one of the above. */
int options_parse(struct options *options, int argc, char **argv);
