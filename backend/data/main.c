// SPDX-License-Identifier: MIT
/*
 * ringwayd-data: serves the rings of one or more guests. Started by ringwayd with the control
 * socket as fd 3 and the fence as fd 4; opens its Xen handles and io_uring, enters the sandbox, says
 * hello, and serves until control closes the socket. Trusts control; no guest. See internal.h for
 * the map.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "backend/data/ctl.h"
#include "backend/data/lane.h"
#include "backend/data/sandbox.h"

#define PROGRAM	   "ringwayd-data"
#define EXIT_USAGE 2

struct options {
	bool sandbox;
	bool verbose;
};

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void print_help(FILE *to)
{
	fprintf(to, "Usage: " PROGRAM " [--no-sandbox] [--verbose]\n"
		    "Serves the rings of guests. ringwayd starts it; there is no use in running it "
		    "by hand.\n\n"
		    "  --no-sandbox  keep all rights, for debugging under sanitizers or valgrind\n"
		    "  --verbose     log for debugging too\n"
		    "  --version     print the version\n"
		    "  --help        print this\n");
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"no-sandbox", no_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	*options = (struct options){.sandbox = true};
	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (opt) {
		case 's':
			options->sandbox = false;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'V':
			printf(PROGRAM " (Ringway) " RINGWAY_VERSION "\n");
			return EXIT_SUCCESS;
		case 'h':
			print_help(stdout);
			return EXIT_SUCCESS;
		default:
			print_help(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	print_help(stderr);
	return EXIT_USAGE;
}

static bool is_control_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static bool is_fence(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* We leave when control closes the socket, after the guests were answered: not earlier because a
 * terminal or a service manager signals the whole group. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static int serve(struct lane *lane, const struct options *options)
{
	struct ctl ctl;
	int err = 0;

	if (options->sandbox)
		err = sandbox_enter(xengnttab_fd(lane->gnttab), xenevtchn_fd(lane->evtchn));
	else
		rwy_warn("running without a sandbox");
	if (err)
		return err;
	err = ctl_init(&ctl, lane, CTL_FD);
	if (err) {
		rwy_error("cannot talk to the control process: %s", strerror(-err));
		return err;
	}
	err = lane_run(lane);
	ctl_fini(&ctl);
	return err;
}

int main(int argc, char **argv)
{
	struct options options;
	struct lane *lane;
	int status = parse(argc, argv, &options);

	if (status >= 0)
		return status;
	rwy_log_init(PROGRAM, options.verbose ? RWY_LOG_DEBUG : RWY_LOG_INFO);
	if (!is_control_socket(CTL_FD)) {
		rwy_error("fd %d is no control socket: ringwayd starts this program", CTL_FD);
		return EXIT_USAGE;
	}
	if (!is_fence(CTL_FENCE_FD)) {
		rwy_error("fd %d is no fence: ringwayd starts this program", CTL_FENCE_FD);
		return EXIT_USAGE;
	}
	ignore_signals();
	sandbox_raise_limits();
	if (lane_create(&lane, &(struct lane_params){.nr_bufs = DATA_LANE_BUFFERS,
						     .now_ns = monotonic_ns,
						     .fence_fd = CTL_FENCE_FD}))
		return EXIT_FAILURE;
	close(CTL_FENCE_FD);
	int err = serve(lane, &options);

	/* A lane that failed may have I/O in flight that writes into its buffers: the kernel takes
	 * everything back in the right order when the process ends. */
	if (err)
		return EXIT_FAILURE;
	lane_destroy(lane);
	return EXIT_SUCCESS;
}
