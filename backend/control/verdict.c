// SPDX-License-Identifier: MIT
/*
 * Judges devices. Trusts dom0 for `params` and `mode`, the kernel for what these lead to, and
 * policy.c for the rest. Called by device.c.
 */
#include "backend/control/verdict.h"
#include "backend/control/policy.h"
#include "backend/control/rivals.h"
#include <errno.h>

#define RETRY_EVERY_NS 100000000ull
#define LEAVING_FOR_NS 5000000000ull /* how long one that is closing may take */
#define IN_USE_FOR_NS  600000000ull  /* udev looks at disks for less */
#define DOM0_ID	       0u	     /* pygrub's disk: libxl attaches it to dom0 for a moment */

/* What was found out about a target in use. */
struct use {
	struct device *sibling; /* of the same VM: its open target is to be shared; NULL: none */
	uint64_t patience_ns;	/* with -EAGAIN: how long it is worth trying */
};

static bool is_leaving(const struct device *dev)
{
	return dev->phase == RWY_PHASE_CLOSING || dev->phase == RWY_PHASE_CLOSED ||
	       dev->phase == RWY_PHASE_REMOVING || !dev->online || dev->domain_gone;
}

bool verdict_is_sibling(const struct device *dev, const struct device *other)
{
	return other != dev && other->target.open && other->dir.domid != dev->dir.domid &&
	       other->target.writable == dev->config.writable &&
	       target_clashes(&dev->target, true, &other->target, true) &&
	       rivals_same_vm(dev->dir.xb, dev->dir.domid, other->dir.domid);
}

/* Somebody of ours who holds the same target. -EBUSY: for good; -EAGAIN: not for long. */
static int find_clash(const struct device *dev, struct use *use, struct reason *why)
{
	struct device *other;

	TAILQ_FOREACH(other, &dev->control->devices, all_link)
	{
		if (other == dev || !other->target.open ||
		    !target_clashes(&dev->target, dev->config.writable, &other->target,
				    other->target.writable))
			continue;
		if (verdict_is_sibling(dev, other)) {
			use->sibling = other;
			continue;
		}
		use->patience_ns = LEAVING_FOR_NS;
		return reason_set(why, is_leaving(other) ? -EAGAIN : -EBUSY,
				  "target %s is in use by %s%s; detach that one, or attach both "
				  "with mode r",
				  dev->target.name, other->name,
				  other->target.writable ? ", which may write to it" : "");
	}
	return 0;
}

static bool is_ours(void *ctx, uint32_t domid, uint32_t devid)
{
	const struct device *dev = device_find(ctx, domid, devid);

	return dev && dev->ours;
}

/* One that was in use before we started has been through this, and there may be thousands. */
static int find_rival(struct device *dev, struct use *use, struct reason *why)
{
	const struct rivals_search search = {
		.xb = dev->dir.xb,
		.backing = &dev->target.backing,
		.writable = dev->config.writable,
		.domid = dev->dir.domid,
		.is_ours = is_ours,
		.ctx = dev->control,
	};
	struct reason who = {""};

	if (dev->found || dev->target.kind != TARGET_FILE)
		return 0;
	int err = rivals_find(&search, &who);
	if (!err)
		return 0;
	use->patience_ns = LEAVING_FOR_NS;
	return reason_set(why, err, "target %s %s", dev->target.name, who.text);
}

static int open_target(struct device *dev, struct use *use, struct reason *why)
{
	if (use->sibling)
		return target_share(&dev->target, &use->sibling->target, why);
	use->patience_ns = IN_USE_FOR_NS;
	return target_open(&dev->target, dev->config.writable, why);
}

/* 0, -EAGAIN: worth another try, or another -errno; `why` is set. */
static int judge(struct device *dev, struct use *use, struct reason *why)
{
	int err = target_resolve(&dev->target, dev->config.params, why);

	if (!err && dev->dir.domid != DOM0_ID)
		err = policy_judge(dev->control->policy, dev->dir.domid, dev->target.name,
				   dev->config.writable, why);
	if (!err)
		err = find_clash(dev, use, why);
	if (!err)
		err = find_rival(dev, use, why);
	if (!err)
		err = open_target(dev, use, why);
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

static bool can_wait(struct device *dev, uint64_t now_ns, uint64_t patience_ns)
{
	if (!dev->retry && rwy_loop_add_timer(dev->control->loop, try_again, dev, &dev->retry))
		return false;
	if (!dev->retry_since_ns)
		dev->retry_since_ns = now_ns;
	return dev->found || now_ns < dev->retry_since_ns + patience_ns;
}

void verdict_reach(struct device *dev)
{
	uint64_t now_ns = rwy_loop_now_ns(dev->control->loop);
	struct reason why = {""};
	struct use use = {0};
	int err = judge(dev, &use, &why);

	if (err == -EAGAIN && can_wait(dev, now_ns, use.patience_ns)) {
		dev->why = why;
		rwy_loop_arm_timer(dev->retry, now_ns + RETRY_EVERY_NS);
		return;
	}
	dev->retry_since_ns = 0;
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
	dev->retry_since_ns = 0;
	if (dev->verdict == VERDICT_GRANTED)
		dev->verdict = VERDICT_UNKNOWN;
}
