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
	{"xenloop", "mapping_outlives_its_closed_handle",
	 "xengnttab_close unmaps the handle's pages, as the library's header says and Linux does "
	 "not"},
	{"xenloop", "grant_outlives_the_closed_gntshr_handle",
	 "xengntshr_close ends the handle's grants; with Linux their mapping keeps them"},
	{"xenloop", "unshare_of_some_pages_is_accepted",
	 "xengntshr_unshare must name all pages of one share"},
	{"xenloop", "copy_of_no_bytes_is_okay_whatever_the_gref",
	 "the grant of an empty segment is checked"},
	{"xenloop", "segments_before_an_unsound_one_are_not_copied",
	 "a grant copy checks and copies one segment after the other"},
	{"xenloop", "copy_to_bad_local_address_is_EFAULT",
	 "the library copies in the caller's process: a fault is the caller's"},
	{"xenloop", "write_of_a_port_to_the_fd_unmasks_it",
	 "the fd of an event handle is a pipe: only xenevtchn_unmask unmasks"},
	{"xenloop", "restricted_handle_gets_no_unbound_port",
	 "a restricted event handle gets unbound ports for its domain"},
	{"xenloop", "second_equal_watch_is_accepted_in_a_guest",
	 "xenstored sees a guest's watches as they were set, not the kernel's own tokens"},
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
