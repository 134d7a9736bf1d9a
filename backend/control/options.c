// SPDX-License-Identifier: MIT
/*
 * Puts together defaults, configuration file and command line, the later over the earlier, and
 * finds the data binary. Trusts the admin, and says so when that did not work out. Called by
 * main.c.
 */
#include "backend/control/options.h"
#include "common/paths.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_BINARY "ringwayd-data"

/* Below them are the letters, from OPTION_KEY on the keys of the configuration. */
enum {
	OPTION_RUNDIR = 256,
	OPTION_CONFIG,
	OPTION_CHECK,
	OPTION_SANDBOX,
	OPTION_VERSION,
	OPTION_KEY,
};

static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"verbose", no_argument, NULL, 'v'},
	{"foreground", no_argument, NULL, 'f'},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"check-config", no_argument, NULL, OPTION_CHECK},
	{"rundir", required_argument, NULL, OPTION_RUNDIR},
	{"no-sandbox", no_argument, NULL, OPTION_SANDBOX},
	{"processes", required_argument, NULL, OPTION_KEY + CONF_PROCESSES},
	{"log-level", required_argument, NULL, OPTION_KEY + CONF_LOG_LEVEL},
	{"data-binary", required_argument, NULL, OPTION_KEY + CONF_DATA_BINARY},
	{NULL, 0, NULL, 0},
};

/* What the command line said, before the file is known that it goes over. */
struct said {
	const char *config; /* NULL: nothing, the default file may be missing */
	const char *keys[CONF_NR_KEYS];
	bool check;
};

static void print_help(void)
{
	printf("Usage: ringwayd [OPTION]...\n"
	       "Serve the disks of this Xen host's guests that have block-ringway as their "
	       "script.\n"
	       "\n"
	       "  -f, --foreground      stay in the foreground (always so; systemd does the rest)\n"
	       "      --config FILE     read FILE (default $%s or %s)\n"
	       "      --check-config    say what is wrong with the configuration, and exit\n"
	       "      --processes N     data processes, 1 to %u (default 1)\n"
	       "      --log-level LEVEL info (default), or debug: every step\n"
	       "  -v, --verbose         the same as --log-level debug\n"
	       "      --rundir DIR      run directory (default $%s or %s)\n"
	       "      --data-binary PATH\n"
	       "                        the data process (default: %s beside this program,\n"
	       "                        or else in ../libexec/ringway from there)\n"
	       "      --no-sandbox      data processes keep their rights; for debugging only\n"
	       "  -h, --help            print this\n"
	       "      --version         print the version\n",
	       CONF_PATH_ENV, CONF_DEFAULT_PATH, CONF_MAX_PROCESSES, RWY_RUNDIR_ENV, RWY_RUNDIR,
	       DATA_BINARY);
}

static int complain(const char *what, const char *which)
{
	rwy_error("%s%s; try --help", what, which);
	return EXIT_USAGE;
}

static int note(struct options *o, struct said *said, int option, char **argv)
{
	if (option >= OPTION_KEY) {
		said->keys[option - OPTION_KEY] = optarg;
		return -1;
	}
	switch (option) {
	case 'h':
		print_help();
		return EXIT_SUCCESS;
	case OPTION_VERSION:
		printf("ringwayd %s\n", RINGWAY_VERSION);
		return EXIT_SUCCESS;
	case 'v':
		said->keys[CONF_LOG_LEVEL] = "debug";
		return -1;
	case 'f':
		return -1;
	case OPTION_CONFIG:
		said->config = optarg;
		return -1;
	case OPTION_CHECK:
		said->check = true;
		return -1;
	case OPTION_RUNDIR:
		o->rundir = optarg;
		return -1;
	case OPTION_SANDBOX:
		o->no_sandbox = true;
		return -1;
	case ':':
		return complain("value missing: ", argv[optind - 1]);
	default:
		return complain("unknown option: ", argv[optind - 1]);
	}
}

static int read_command_line(struct options *o, struct said *said, int argc, char **argv)
{
	int option, status = -1;

	opterr = 0;
	optind = 0; /* from the start, also of a second command line */
	while (status < 0 && (option = getopt_long(argc, argv, ":hvf", long_options, NULL)) != -1)
		status = note(o, said, option, argv);
	if (status < 0 && optind < argc)
		status = complain("unexpected argument: ", argv[optind]);
	return status;
}

/* A file that somebody named has to be there. */
static int read_file(struct options *o, const struct said *said)
{
	const char *named = said->config ? said->config : getenv(CONF_PATH_ENV);
	bool is_default = !named || !*named;
	struct reason why;
	int err = conf_load(&o->conf, is_default ? CONF_DEFAULT_PATH : named, &why);

	if (!err || (err == -ENOENT && is_default))
		return -1;
	rwy_error("%s", why.text);
	return EXIT_REFUSED;
}

static int apply(struct options *o, const struct said *said)
{
	struct reason why;

	for (enum conf_key key = 0; key < CONF_NR_KEYS; key++) {
		if (said->keys[key] && conf_set(&o->conf, key, said->keys[key], &why))
			return complain("--", why.text);
	}
	return -1;
}

/* This program's folder with its slash. */
static bool own_folder(char path[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (len < 0)
		return false;
	path[len] = '\0';
	strrchr(path, '/')[1] = '\0';
	return true;
}

/* Beside us in a build tree; in libexec when installed, under whatever prefix that was. */
static bool find_binary(struct conf *conf)
{
	static const char *const places[] = {DATA_BINARY, "../libexec/ringway/" DATA_BINARY};
	char folder[PATH_MAX], path[PATH_MAX + 64];

	if (!own_folder(folder))
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, places[i]);
		if (!access(path, X_OK) && realpath(path, conf->data_binary))
			return true;
	}
	return false;
}

static int check_binary(struct conf *conf)
{
	if (conf->data_binary[0]) {
		if (!access(conf->data_binary, X_OK))
			return -1;
		rwy_error("can't execute data-binary %s: %s", conf->data_binary, strerror(errno));
		return EXIT_REFUSED;
	}
	if (find_binary(conf))
		return -1;
	rwy_error("can't execute %s, neither beside this program nor in ../libexec/ringway from "
		  "there; reinstall Ringway or set data-binary",
		  DATA_BINARY);
	return EXIT_REFUSED;
}

int options_parse(struct options *options, int argc, char **argv)
{
	const char *env = getenv(RWY_RUNDIR_ENV);
	struct said said = {.config = NULL};
	int status;

	memset(options, 0, sizeof(*options));
	options->rundir = env && *env ? env : RWY_RUNDIR;
	conf_init(&options->conf);
	status = read_command_line(options, &said, argc, argv);
	if (status < 0)
		status = read_file(options, &said);
	if (status < 0)
		status = apply(options, &said);
	if (status < 0)
		status = check_binary(&options->conf);
	if (status < 0 && said.check)
		return EXIT_SUCCESS;
	return status;
}
