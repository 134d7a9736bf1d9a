// SPDX-License-Identifier: MIT
/*
 * load: a guest that works with its disks and knows what they must hold. Says "connected" when all
 * of them have been written once; then goes on until SIGTERM, SIGINT or its time is over, drains,
 * flushes, and reads all of every disk. On SIGUSR1, and at the end, one line of JSON: what was
 * counted, and how long requests had to wait. Exit 0: all was right; 1: it was not, and one line on
 * stderr says why; 2: usage. Started by tests/e2e and tests/soak.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/load/load.h"

#define NS_PER_S  1000000000ull
#define MAX_DISKS 64

struct load {
	struct disk disks[MAX_DISKS];
	int nr_disks; /* opened, or tried */
	sigset_t signals;
	uint64_t end_ns; /* 0: a signal says */
};

static void on_alarm(int signo)
{
	static const char text[] = "load: a request of the first or last pass is lost\n";

	(void)signo;
	_exit(write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ? 2 : EXIT_FAILURE);
}

static void report(struct load *load)
{
	struct tally sum = {0};

	for (int i = 0; i < load->nr_disks; i++)
		disk_count(&load->disks[i], &sum);
	printf("{\"requests\": %llu, \"errors\": %llu, \"mismatches\": %llu, \"longest_ms\": %.1f, "
	       "\"pauses_ms\": [",
	       (unsigned long long)sum.requests, (unsigned long long)sum.errors,
	       (unsigned long long)sum.mismatches, (double)sum.longest_ns / 1e6);
	for (size_t i = 0; i < sum.nr_pauses; i++)
		printf("%s%.1f", i ? ", " : "", (double)sum.pauses_ns[i] / 1e6);
	printf("]}\n");
	fflush(stdout);
	free(sum.pauses_ns);
}

/* Whom to answer at the latest in a second: then requests that take too long are looked for. */
static int next_signal(struct load *load)
{
	uint64_t now_ns = disk_now_ns(), wait_ns = NS_PER_S;

	if (load->end_ns && now_ns >= load->end_ns)
		return SIGTERM;
	if (load->end_ns && load->end_ns - now_ns < wait_ns)
		wait_ns = load->end_ns - now_ns;
	struct timespec wait = {
		.tv_sec = (time_t)(wait_ns / NS_PER_S),
		.tv_nsec = (long)(wait_ns % NS_PER_S),
	};
	return sigtimedwait(&load->signals, NULL, &wait);
}

/* Until it is to end: 0, or -1 when a disk has failed. */
static int go_on(struct load *load)
{
	for (;;) {
		int signo = next_signal(load);

		if (signo == SIGUSR2)
			return -1;
		if (signo == SIGUSR1)
			report(load);
		else if (signo > 0)
			return 0;
		for (int i = 0; i < load->nr_disks; i++)
			if (disk_check_lost(&load->disks[i]))
				return -1;
	}
}

static int run(struct load *load, char **names, const struct disk_options *options)
{
	int rc = 0;

	for (; !rc && names[load->nr_disks]; load->nr_disks++) {
		struct disk_options own = *options;

		own.seed += (uint64_t)load->nr_disks << 32;
		rc = disk_open(&load->disks[load->nr_disks], names[load->nr_disks], &own);
	}
	if (rc)
		return rc;
	puts("connected");
	fflush(stdout);
	for (int i = 0; i < load->nr_disks; i++)
		disk_start(&load->disks[i]);
	rc = go_on(load);
	for (int i = 0; i < load->nr_disks; i++)
		disk_stop(&load->disks[i]);
	for (int i = 0; !rc && i < load->nr_disks; i++)
		rc = disk_finish(&load->disks[i]);
	return rc;
}

static int usage(FILE *to, int rc)
{
	fputs("Usage: load [--seconds N] [--in-flight N] [--max-bytes N] [--ring-pages N] "
	      "[--data-pages N]\n            [--limit SECONDS] [--seed N] DEVICE...\n",
	      to);
	return rc;
}

/* 0 and go on, or -1 and the exit status. */
static int parse(int argc, char **argv, struct disk_options *o, double *seconds, int *status)
{
	static const struct option known[] = {
		{"seconds", required_argument, NULL, 't'},
		{"in-flight", required_argument, NULL, 'n'},
		{"max-bytes", required_argument, NULL, 'b'},
		{"ring-pages", required_argument, NULL, 'r'},
		{"data-pages", required_argument, NULL, 'd'},
		{"limit", required_argument, NULL, 'l'},
		{"seed", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*status = 2;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 0) : 0;

		switch (option) {
		case 't':
			*seconds = strtod(optarg, NULL);
			break;
		case 'n':
			o->nr_in_flight = (uint32_t)number;
			break;
		case 'b':
			o->max_bytes = (uint32_t)number / SECTOR_BYTES * SECTOR_BYTES;
			break;
		case 'r':
			o->ring_pages = (uint32_t)number;
			break;
		case 'd':
			o->data_pages = (uint32_t)number;
			break;
		case 'l':
			o->limit_ns = number * NS_PER_S;
			break;
		case 's':
			o->seed = number;
			break;
		case 'h':
			*status = 0;
			return -1;
		default:
			return -1;
		}
	}
	return o->nr_in_flight && o->max_bytes && optind < argc && argc - optind <= MAX_DISKS ? 0
											      : -1;
}

int main(int argc, char **argv)
{
	static struct load load;
	struct disk_options options = {
		.nr_in_flight = 16,
		.max_bytes = 64 << 10,
		.limit_ns = 60 * NS_PER_S,
		.seed = 1,
	};
	double seconds = 0;
	int status;

	if (parse(argc, argv, &options, &seconds, &status))
		return usage(status ? stderr : stdout, status);
	if (seconds > 0)
		load.end_ns = disk_now_ns() + (uint64_t)(seconds * 1e9);
	signal(SIGALRM, on_alarm);
	sigemptyset(&load.signals);
	sigaddset(&load.signals, SIGTERM);
	sigaddset(&load.signals, SIGINT);
	sigaddset(&load.signals, SIGUSR1);
	sigaddset(&load.signals, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &load.signals, NULL);
	int rc = run(&load, argv + optind, &options);

	report(&load);
	for (int i = 0; i < load.nr_disks; i++)
		disk_close(&load.disks[i]);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
