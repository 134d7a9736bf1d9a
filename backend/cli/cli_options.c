// SPDX-License-Identifier: MIT
/*
 * What every subcommand does with its words: options, how many words may stand beside them, bounded
 * numbers, and the errors about these. The words are the admin's own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "common/log.h"
#include "common/vdev.h"
#include "common/xs_parse.h"

#define MAX_TIMEOUT_S 3600u
#define NS_PER_S      1000000000ull

/* A bad option as it was typed: getopt tells a letter in optopt, but a long option only by its
 * place. */
static void say_bad(char **argv, const struct option *options)
{
	const struct option *known = options;

	while (known->name && known->val != optopt)
		known++;
	if (optopt == 0 || known->name)
		rwy_error("%s: bad option %s; see ringway %s --help", argv[0], argv[optind - 1],
			  argv[0]);
	else
		rwy_error("%s: bad option -%c; see ringway %s --help", argv[0], optopt, argv[0]);
}

int cli_options_next(int argc, char **argv, const struct option *options)
{
	opterr = 0;
	int option = getopt_long(argc, argv, ":h", options, NULL);

	if (option == ':')
		rwy_error("%s: option %s needs a value; see ringway %s --help", argv[0],
			  argv[optind - 1], argv[0]);
	else if (option == '?')
		say_bad(argv, options);
	return option == ':' ? CLI_OPTION_BAD : option;
}

int cli_options_count(int argc, char **argv, int min, int max)
{
	int words = argc - optind;

	if (words >= min && words <= max)
		return 0;
	if (words < min)
		rwy_error("%s: too few arguments; see ringway %s --help", argv[0], argv[0]);
	else
		rwy_error("%s: unexpected argument %s; see ringway %s --help", argv[0],
			  argv[optind + max], argv[0]);
	return -EINVAL;
}

int cli_options_json(int argc, char **argv, const struct cli_command *command, int min, int max,
		     bool *as_json)
{
	static const struct option known[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*as_json = false;
	while ((option = cli_options_next(argc, argv, known)) != -1) {
		if (option == CLI_OPTION_HELP) {
			cli_options_print_help(command);
			return 1;
		}
		if (option != 'j')
			return -EINVAL;
		*as_json = true;
	}
	return cli_options_count(argc, argv, min, max);
}

int cli_options_seconds(const char *text, uint64_t *ns)
{
	uint32_t seconds;

	if (rwy_xs_parse_u32(text, strlen(text), 1, MAX_TIMEOUT_S, &seconds)) {
		rwy_error("--timeout %s: not a number of seconds from 1 to %u; see ringway --help",
			  text, MAX_TIMEOUT_S);
		return -EINVAL;
	}
	*ns = seconds * NS_PER_S;
	return 0;
}

int cli_options_vdev(const char *text, uint32_t *devid)
{
	int err = rwy_vdev_parse(text, devid);

	if (err == -ERANGE)
		rwy_error("%s: no such virtual disk; xvd goes to disk %u, partition %u", text,
			  RWY_VDEV_MAX_DISK, RWY_VDEV_MAX_PARTITION);
	else if (err)
		rwy_error(
			"%s: not a virtual device name; use xvda, xvdb1, ... (see ringway --help)",
			text);
	return err;
}

void cli_options_print_help(const struct cli_command *command)
{
	printf("Usage: ringway %s %s\n%s.\n\n%s", command->name, command->arguments,
	       command->summary, command->help);
}
