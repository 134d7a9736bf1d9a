// SPDX-License-Identifier: MIT
/*
 * ringway: the admin's command. Finds the subcommand and runs it.
 */
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "common/log.h"

static const struct cli_command *const commands[] = {
	&cmd_attach, &cmd_detach, &cmd_list, &cmd_show, &cmd_verdict, &cmd_policy, &cmd_hotplug,
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void print_overview(void)
{
	printf("Usage: ringway COMMAND [ARGUMENT]...\n"
	       "Give Xen guests disks served by ringwayd, and see how they do.\n\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		printf("  ringway %s %s\n      %s\n", commands[i]->name, commands[i]->arguments,
		       commands[i]->summary);
	printf("  ringway help [COMMAND]\n      This, or more about a command\n"
	       "  ringway --version\n      Print the version\n\n"
	       "Exit status: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.\n");
}

static int no_such_command(const char *name)
{
	rwy_error("%s: no such %s; see ringway --help", name, *name == '-' ? "option" : "command");
	return CLI_USAGE;
}

static int help(int argc, char **argv)
{
	if (argc < 2) {
		print_overview();
		return CLI_OK;
	}
	const struct cli_command *command = find_command(argv[1]);
	if (!command)
		return no_such_command(argv[1]);
	cli_options_print_help(command);
	return CLI_OK;
}

static int dispatch(int argc, char **argv)
{
	const char *name = argv[0];

	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
		return help(argc, argv);
	if (!strcmp(name, "--version")) {
		puts("ringway " RINGWAY_VERSION);
		return CLI_OK;
	}
	const struct cli_command *command = find_command(name);
	if (!command)
		return no_such_command(name);
	optind = 0; /* getopt starts anew on this argv */
	return command->run(argc, argv);
}

int main(int argc, char **argv)
{
	rwy_log_init("ringway", RWY_LOG_INFO);
	if (argc < 2) {
		rwy_error("no command given; see ringway --help");
		return CLI_USAGE;
	}
	int rc = dispatch(argc - 1, argv + 1);

	/* A list that did not arrive (full disk, closed pipe) is a failure too. */
	if (fflush(stdout) || ferror(stdout)) {
		rwy_error("standard output: %m; nothing else failed");
		return rc ? rc : CLI_FAILED;
	}
	return rc;
}
