// SPDX-License-Identifier: MIT
/*
 * What is known to differ from real Xen, rule by rule: the remaining infidelities of loopback Xen
 * that a program can see; main.c's header has them in short. Read by main.c. It is to be kept as
 * short as can be: an entry whose rule passes fails the run.
 */
#include <stdio.h>
#include <string.h>

#include "tests/conformance/conformance.h"

static const struct {
	const char *world;
	const char *rule;
	const char *reason;
} known[] = {
	{"xenloop", "copy_to_bad_local_address_is_EFAULT",
	 "the library copies in the caller's process: a fault is the caller's"},
	{"xenloop", "write_of_a_port_to_the_fd_unmasks_it",
	 "the fd of an event handle is a pipe: only xenevtchn_unmask unmasks"},
};
#define NR_KNOWN (sizeof(known) / sizeof(known[0]))

const char *known_reason(const char *world, const char *rule_name)
{
	for (size_t i = 0; i < NR_KNOWN; i++)
		if (!strcmp(known[i].world, world) && !strcmp(known[i].rule, rule_name))
			return known[i].reason;
	return NULL;
}

bool known_world(const char *world)
{
	for (size_t i = 0; i < NR_KNOWN; i++)
		if (!strcmp(known[i].world, world))
			return true;
	return false;
}

void print_known(void)
{
	for (size_t i = 0; i < NR_KNOWN; i++)
		printf("known on %s: %s: %s\n", known[i].world, known[i].rule, known[i].reason);
}
