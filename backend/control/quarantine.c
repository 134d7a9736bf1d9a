// SPDX-License-Identifier: MIT
/* Implementation of quarantine.h: the oldest of the last deaths decides. Called by device_link.c. */
#include "backend/control/quarantine.h"

bool quarantine_charge(struct quarantine *q, uint64_t now_ns)
{
	q->death_ns[q->nr++ % QUARANTINE_DEATHS] = now_ns;
	return q->nr >= QUARANTINE_DEATHS &&
	       now_ns - q->death_ns[q->nr % QUARANTINE_DEATHS] <= QUARANTINE_WITHIN_NS;
}
