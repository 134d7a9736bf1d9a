/* SPDX-License-Identifier: MIT */
/*
 * The map of ringway, the admin's command: what a subcommand is, exit codes, and the habits all of
 * them share: one line per error ("ringway: <thing>: <why>; <remedy>"), options by getopt_long, an
 * open store. Runs in dom0 as root, reads nodes that toolstack and daemon wrote, and prints text
 * that may quote a guest: that goes through cli_text. Single-threaded.
 */
#pragma once
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/xenbus.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* one line on stderr has said why */
	CLI_USAGE = 2,	/* the same, and that --help knows */
};

struct cli_command {
	const char *name;
	const char *arguments; /* "DOM VDEV [--force]" */
	const char *summary;   /* one line */
	const char *help;      /* what `ringway help <name>` says below usage and summary */
	/* argv[0] is the command's name. Returns an enum cli_exit. */
	int (*run)(int argc, char **argv);
};

extern const struct cli_command cmd_attach;
extern const struct cli_command cmd_detach;
extern const struct cli_command cmd_hotplug;
extern const struct cli_command cmd_list;
extern const struct cli_command cmd_policy;
extern const struct cli_command cmd_show;
extern const struct cli_command cmd_verdict;

/*
 * cli_options.c. The next option as getopt_long gives it, -1 at the end, CLI_OPTION_HELP for
 * --help, or CLI_OPTION_BAD after saying what is wrong. Words that are no options end up behind
 * optind. Set optind to 0 before the first call on a new argv.
 */
#define CLI_OPTION_HELP 'h'
#define CLI_OPTION_BAD	'?'
int cli_options_next(int argc, char **argv, const struct option *options);
/* After the last option: between min and max words are left, or says so and returns -EINVAL. */
int cli_options_count(int argc, char **argv, int min, int max);
/*
 * All of it for a command with no option of its own but --json. 0: *as_json is set, and between min
 * and max words are behind optind. Otherwise run() ends: 1 after --help was printed, -EINVAL after
 * saying what is wrong.
 */
int cli_options_json(int argc, char **argv, const struct cli_command *command, int min, int max,
		     bool *as_json);
/* "--timeout S": whole seconds, 1 to 3600, as nanoseconds; -EINVAL after saying so. */
int cli_options_seconds(const char *text, uint64_t *ns);
/* "xvda", ... -> device id; -errno after saying so. */
int cli_options_vdev(const char *text, uint32_t *devid);
void cli_options_print_help(const struct cli_command *command);

/* cli_store.c. -errno after saying why; *xb is NULL then. */
int cli_store_open(struct rwy_xenbus **xb);
/* DOM on the command line: a name or an id; -errno after saying why. */
int cli_store_find_domain(struct rwy_xenbus *xb, const char *dom, uint32_t *domid);
/* The same for what may outlive its domain: an id also counts when it has a backend directory. */
int cli_store_find_backend(struct rwy_xenbus *xb, const char *dom, uint32_t *domid);

static inline void cli_store_cleanup(struct rwy_xenbus **xb)
{
	rwy_xenbus_close(*xb);
}
#define _cli_store __attribute__((cleanup(cli_store_cleanup))) /* initialise to NULL */
