/* SPDX-License-Identifier: MIT */
/*
 * ringwayd's verdict on a disk, as the query socket gives it (common/paths.h). The daemon is
 * trusted to be root's; a reason may quote a guest.
 */
#pragma once
#include <stdint.h>

#include "common/xenbus.h"

enum cli_verdict_word {
	CLI_VERDICT_NONE, /* not in time, or ringwayd does not know the disk */
	CLI_VERDICT_GRANTED,
	CLI_VERDICT_REFUSED,
};

/* Texts are cut to size. */
struct cli_verdict {
	enum cli_verdict_word word;
	char reason[RWY_XENBUS_VALUE_BYTES];  /* of all but a grant */
	char trouble[RWY_XENBUS_VALUE_BYTES]; /* why no data process runs; "": one does */
	char path[RWY_XENBUS_VALUE_BYTES];    /* what was granted: its real path; "": has none */
	char device[24]; /* "MAJOR:MINOR" in hexadecimal; "": no block device */
};

/*
 * Asks and waits, at most until deadline_ns (CLOCK_MONOTONIC). 0: *v is what ringwayd said; -errno,
 * with the reason in v as a line for people: it is not running, went away, or answered wrongly.
 */
int cli_verdict_ask(uint32_t domid, uint32_t devid, uint64_t deadline_ns, struct cli_verdict *v);

/* "granted", "refused", "unknown". */
const char *cli_verdict_name(enum cli_verdict_word word);
