// SPDX-License-Identifier: MIT
/*
 * The `xenloop` program: options and the table of commands.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenloop/hypervisor.h"
#include "common/xenloop/runner.h"

static const struct {
	const char *name;
	int (*run)(const char *dir, int argc, char **argv);
	const char *arguments, *what;
} commands[] = {
	{"up", cmd_up, "[--xenstored PATH]", "start an instance: hypervisor and xenstored"},
	{"down", cmd_down, "", "end it and everything in it"},
	{"create", cmd_create, "[OPTION]... NAME", "make a domain, print its domid"},
	{"destroy", cmd_destroy, "DOMAIN", "kill a domain and remove its store nodes"},
	{"exec", cmd_exec, "DOMAIN [--] COMMAND...", "run a command in a domain (0: dom0)"},
	{"list", cmd_list, "[--json]", "show the domains"},
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int complain(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "xenloop: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	return EXIT_FAILED;
}

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: xenloop [-d DIR] COMMAND\n\n"
		     "Loopback Xen: run programs written for Xen on a machine without it.\n\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s %-26s %s\n", commands[i].name, commands[i].arguments,
			commands[i].what);
	fprintf(out, "\n  -d DIR     the instance's directory; default $XENLOOP_DIR, else\n"
		     "             ${XDG_RUNTIME_DIR:-/tmp}/xenloop-<uid>\n"
		     "  --help     this text\n"
		     "  --version\n\n"
		     "DOMAIN is a domid or a name. Exit status: 0, 1 for a failure, 2 for a wrong\n"
		     "call; exec: the command's own.\n");
}

/* After getopt_long has answered '?'. optopt is 0 for a long option that it does not know. */
static int bad_option(char **argv)
{
	if (optopt == 'd')
		complain("-d wants a directory; try `xenloop --help`");
	else if (optopt && strncmp(argv[optind - 1], "--", 2) != 0)
		complain("no option \"-%c\"; try `xenloop --help`", optopt);
	else
		complain("no option \"%s\"; try `xenloop --help`", argv[optind - 1]);
	return EXIT_USAGE;
}

static int run_command(const char *dir, int argc, char **argv)
{
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		optind = 1;
		int code = commands[i].run(dir, argc, argv);
		if (code == EXIT_USAGE)
			fprintf(stderr, "Usage: xenloop [-d DIR] %s %s\n", commands[i].name,
				commands[i].arguments);
		return code;
	}
	complain("no command \"%s\"; `xenloop --help` lists them", argv[0]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'V'},
						{"dir", required_argument, NULL, 'd'},
						{0}};
	char dir[PATH_MAX];
	int option;

	if (argc > 1 && !strcmp(argv[1], "storemux")) /* how the hypervisor starts a store mux */
		return child_mux_main(argc - 1, argv + 1);
	instance_default_dir(dir);
	opterr = 0; /* bad_option says it better */
	while ((option = getopt_long(argc, argv, "+d:hV", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			snprintf(dir, sizeof(dir), "%s", optarg);
			break;
		case 'h':
			print_usage(stdout);
			return EXIT_OK;
		case 'V':
			printf("xenloop %s\n", RINGWAY_VERSION);
			return EXIT_OK;
		default:
			return bad_option(argv);
		}
	}
	if (optind == argc) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	return run_command(dir, argc - optind, argv + optind);
}
