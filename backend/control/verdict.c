// SPDX-License-Identifier: MIT
/*
 * Judges devices. Trusts dom0 for `params` and `mode`, the kernel for what these lead to, and
 * policy.c for the rest. Called by device.c.
 */
#include "backend/control/verdict.h"
#include "backend/control/policy.h"
#include <errno.h>

#define RETRY_EVERY_NS 100000000ull
#define RETRY_FOR_NS   5000000000ull /* with a new device; less than anybody waits for a verdict */

/* Somebody of ours who holds the same target. -EBUSY: for good; -EAGAIN: not for long. */
static int find_clash(const struct device *dev, struct reason *why)
{
	const struct device *other;

	TAILQ_FOREACH(other, &dev->control->devices, all_link)
	{
		if (other == dev || !other->target.open ||
		    !target_clashes(&dev->target, dev->config.writable, &other->target,
				    other->target.writable))
			continue;

		bool leaving = other->phase == RWY_PHASE_CLOSING ||
			       other->phase == RWY_PHASE_CLOSED ||
			       other->phase == RWY_PHASE_REMOVING || !other->online;

		return reason_set(why, leaving ? -EAGAIN : -EBUSY,
				  "target %s is in use by %s%s; detach that one, or attach both "
				  "with mode r",
				  dev->target.name, other->name,
				  other->target.writable ? ", which may write to it" : "");
	}
	return 0;
}

/* 0, -EAGAIN: worth another try, or another -errno; `why` is set. */
static int judge(struct device *dev, struct reason *why)
{
	bool writable = dev->config.writable;
	int err = target_resolve(&dev->target, dev->config.params, why);

	if (!err)
		err = policy_judge(dev->control->policy, dev->dir.domid, dev->target.name, writable,
				   why);
	if (!err)
		err = find_clash(dev, why);
	if (!err)
		err = target_open(&dev->target, writable, why);
	if (err)
		target_fini(&dev->target);
	return err;
}

static void try_again(void *ctx)
{
	struct device *dev = ctx;

	if (dev->verdict != VERDICT_UNKNOWN)
		return;
	verdict_reach(dev);
	device_go_on(dev);
}

static bool can_wait(struct device *dev, uint64_t now_ns)
{
	if (!dev->retry && rwy_loop_add_timer(dev->control->loop, try_again, dev, &dev->retry))
		return false;
	if (!dev->retry_until_ns)
		dev->retry_until_ns = now_ns + RETRY_FOR_NS;
	return dev->found || now_ns < dev->retry_until_ns;
}

void verdict_reach(struct device *dev)
{
	uint64_t now_ns = rwy_loop_now_ns(dev->control->loop);
	struct reason why = {""};
	int err = judge(dev, &why);

	if (err == -EAGAIN && can_wait(dev, now_ns)) {
		dev->why = why;
		rwy_loop_arm_timer(dev->retry, now_ns + RETRY_EVERY_NS);
		return;
	}
	dev->retry_until_ns = 0;
	if (err) {
		dev->verdict = VERDICT_REFUSED;
		device_complain(dev, &why);
	} else {
		dev->verdict = VERDICT_GRANTED;
		device_forgive(dev);
	}
}

void verdict_drop(struct device *dev)
{
	target_fini(&dev->target);
	if (dev->retry)
		rwy_loop_disarm_timer(dev->retry);
	dev->retry_until_ns = 0;
	if (dev->verdict == VERDICT_GRANTED)
		dev->verdict = VERDICT_UNKNOWN;
}
