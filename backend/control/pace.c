// SPDX-License-Identifier: MIT
/* Implementation of pace.h: a leaky bucket kept as one time. Called by device.c. */
#include "backend/control/pace.h"

#define BURST_NS ((PACE_BURST - 1) * PACE_INTERVAL_NS)

uint64_t pace_ask(struct pace *pace, uint64_t now_ns)
{
	if (pace->paid_until_ns < now_ns)
		pace->paid_until_ns = now_ns;

	uint64_t debt_ns = pace->paid_until_ns - now_ns;

	if (debt_ns > BURST_NS)
		return debt_ns - BURST_NS;
	pace->paid_until_ns += PACE_INTERVAL_NS;
	return 0;
}
