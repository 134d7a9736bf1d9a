// SPDX-License-Identifier: MIT
/*
 * Parses the command line and finds the data binary. Trusts the admin, and says so when that did
 * not work out. Called by main.c.
 */
#include "backend/control/options.h"
#include "common/paths.h"
#include "common/xs_parse.h"
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_BINARY    "ringwayd-data"
#define LIBEXEC_BINARY RINGWAY_PREFIX "/libexec/ringway/" DATA_BINARY
#define EXIT_USAGE     2
#define OPTION_RUNDIR  256
#define OPTION_BINARY  257
#define OPTION_NR      258
#define OPTION_SANDBOX 259
#define OPTION_VERSION 260

static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"verbose", no_argument, NULL, 'v'},
	{"foreground", no_argument, NULL, 'f'},
	{"rundir", required_argument, NULL, OPTION_RUNDIR},
	{"data-binary", required_argument, NULL, OPTION_BINARY},
	{"processes", required_argument, NULL, OPTION_NR},
	{"no-sandbox", no_argument, NULL, OPTION_SANDBOX},
	{NULL, 0, NULL, 0},
};

static void print_help(void)
{
	printf("Usage: ringwayd [OPTION]...\n"
	       "Serve the disks of this Xen host's guests that have block-ringway as their "
	       "script.\n"
	       "\n"
	       "  -f, --foreground      stay in the foreground (always so; systemd does the rest)\n"
	       "  -v, --verbose         log every step\n"
	       "      --processes N     data processes, 1 to %u (default 1)\n"
	       "      --rundir DIR      run directory (default $%s or %s)\n"
	       "      --data-binary PATH\n"
	       "                        the data process (default: %s beside this program,\n"
	       "                        or else %s)\n"
	       "      --no-sandbox      data processes keep their rights; for debugging only\n"
	       "  -h, --help            print this\n"
	       "      --version         print the version\n",
	       OPTIONS_MAX_PROCESSES, RWY_RUNDIR_ENV, RWY_RUNDIR, DATA_BINARY, LIBEXEC_BINARY);
}

static int complain(const char *what, const char *which)
{
	fprintf(stderr, "ringwayd: %s%s; try --help\n", what, which);
	return EXIT_USAGE;
}

static int set_processes(struct options *o, const char *value)
{
	uint32_t n;

	if (rwy_xs_parse_u32(value, strlen(value), 1, OPTIONS_MAX_PROCESSES, &n))
		return complain("--processes takes a number from 1 to 256, not ", value);
	o->nr_processes = n;
	return -1;
}

static int set_binary(struct options *o, const char *path)
{
	if (strlen(path) >= sizeof(o->data_binary))
		return complain("too long a path: --data-binary ", path);
	strcpy(o->data_binary, path);
	return -1;
}

static int apply(struct options *o, int option, char **argv)
{
	switch (option) {
	case 'h':
		print_help();
		return EXIT_SUCCESS;
	case OPTION_VERSION:
		printf("ringwayd %s\n", RINGWAY_VERSION);
		return EXIT_SUCCESS;
	case 'v':
		o->verbose = true;
		return -1;
	case 'f':
		return -1;
	case OPTION_RUNDIR:
		o->rundir = optarg;
		return -1;
	case OPTION_BINARY:
		return set_binary(o, optarg);
	case OPTION_NR:
		return set_processes(o, optarg);
	case OPTION_SANDBOX:
		o->no_sandbox = true;
		return -1;
	case ':':
		return complain("value missing: ", argv[optind - 1]);
	default:
		return complain("unknown option: ", argv[optind - 1]);
	}
}

/* Beside us in a build tree or a private installation; in libexec when installed. */
static void find_binary(struct options *o)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	strcpy(o->data_binary, LIBEXEC_BINARY);
	if (len < 0)
		return;
	self[len] = '\0';

	char *name = strrchr(self, '/') + 1;
	if ((size_t)(name - self) + sizeof(DATA_BINARY) > sizeof(self))
		return;
	strcpy(name, DATA_BINARY);
	if (!access(self, X_OK))
		strcpy(o->data_binary, self);
}

int options_parse(struct options *options, int argc, char **argv)
{
	const char *env = getenv(RWY_RUNDIR_ENV);
	int option, status = -1;

	memset(options, 0, sizeof(*options));
	options->rundir = env && *env ? env : RWY_RUNDIR;
	options->nr_processes = 1;
	opterr = 0;
	while (status < 0 && (option = getopt_long(argc, argv, ":hvf", long_options, NULL)) != -1)
		status = apply(options, option, argv);
	if (status >= 0)
		return status;
	if (optind < argc)
		return complain("unexpected argument: ", argv[optind]);
	if (!options->data_binary[0])
		find_binary(options);
	if (access(options->data_binary, X_OK)) {
		fprintf(stderr,
			"ringwayd: can't execute the data process %s; install it or give "
			"--data-binary\n",
			options->data_binary);
		return EXIT_FAILURE;
	}
	return -1;
}
