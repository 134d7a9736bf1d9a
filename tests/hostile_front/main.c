// SPDX-License-Identifier: MIT
/*
 * hostile_front: one attack on the backend of a disk of this domain, by name, and the judgement.
 * Exit 0: the backend behaved; 1: it did not; 2: usage. Started by tests/e2e/hostile.sh.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/hostile_front/attack.h"

static const struct attack *const tables[] = {
	ring_attacks, request_attacks, grant_attacks, event_attacks, store_attacks, state_attacks,
};
#define NR_TABLES (sizeof(tables) / sizeof(tables[0]))

static const char *const answers[] = {
	[ANSWER_STATUS] = "status",
	[ANSWER_BROKEN] = "broken",
	[ANSWER_ANY] = "any",
	[ANSWER_GONE] = "gone",
};

/* Name, answer, mode the disk has to be attached with, behaviour; between tabs. */
static void list(void)
{
	for (size_t t = 0; t < NR_TABLES; t++) {
		for (const struct attack *a = tables[t]; a->name; a++)
			printf("%s\t%s\t%s\t%s\n", a->name, answers[a->answer],
			       a->read_only ? "r" : "w", a->behaviour);
	}
}

static const struct attack *find(const char *name)
{
	for (size_t t = 0; t < NR_TABLES; t++) {
		for (const struct attack *a = tables[t]; a->name; a++) {
			if (!strcmp(a->name, name))
				return a;
		}
	}
	return NULL;
}

/* The same device, in the hands of a frontend that behaves. */
static int expect_serves_again(struct front *f)
{
	int err = front_reset(f);

	if (!err)
		err = front_connect(f, &(struct front_how){0});
	if (!err)
		err = front_expect_service(f);
	return err ? err : front_reset(f);
}

static int judge(struct front *f, const struct attack *a)
{
	int err = 0;

	if (a->answer == ANSWER_GONE)
		return 0;
	if (a->answer == ANSWER_STATUS && f->ring)
		err = front_expect_service(f);
	else if (a->answer == ANSWER_BROKEN)
		err = front_expect_broken(f);
	return err ? err : expect_serves_again(f);
}

static int attack(struct front *f, const struct attack *a, const char *vdev, double seconds)
{
	int err = front_open(f, vdev);

	if (!err && a->read_only && !f->read_only)
		err = complain("%s needs a disk attached read-only", a->name);
	if (!err && a->start == START_CONNECTED)
		err = front_connect(f, &(struct front_how){0});
	f->end_ns = front_now_ns() + (uint64_t)(seconds * 1e9);
	if (!err)
		err = a->run(f);
	if (!err)
		err = judge(f, a);
	front_close(f);
	return err;
}

static int usage(FILE *to, int rc)
{
	fputs("Usage: hostile_front --list | hostile_front ATTACK --vdev VDEV [--seed N] "
	      "[--seconds S | --rounds N]\n",
	      to);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"list", no_argument, NULL, 'l'},
		{"vdev", required_argument, NULL, 'v'},
		{"seed", required_argument, NULL, 's'},
		{"seconds", required_argument, NULL, 't'},
		{"rounds", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct front f = {.max_rounds = UINT32_MAX, .random = 1};
	const char *vdev = NULL;
	double seconds = 1;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'l') {
			list();
			return 0;
		}
		if (option == 'h')
			return usage(stdout, 0);
		if (option == 'v')
			vdev = optarg;
		else if (option == 's')
			f.random = strtoull(optarg, NULL, 0);
		else if (option == 't')
			seconds = strtod(optarg, NULL);
		else if (option == 'n')
			f.max_rounds = (uint32_t)strtoul(optarg, NULL, 0), seconds = 1e6;
		else
			return usage(stderr, 2);
	}
	const struct attack *a = optind == argc - 1 ? find(argv[optind]) : NULL;

	if (!a || !vdev)
		return usage(stderr, 2);
	signal(SIGPIPE, SIG_IGN);
	int err = attack(&f, a, vdev, seconds);

	if (err)
		fprintf(stderr,
			"hostile_front: %s: the backend misbehaved, or the attack failed "
			"(%s)\n",
			a->name, strerror(-err));
	else
		printf("%s: the backend behaved; %u rounds\n", a->name, f.rounds);
	return err ? 1 : 0;
}
