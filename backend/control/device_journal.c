// SPDX-License-Identifier: MIT
/*
 * Says whose ring a journal is about. Trusts dom0's nodes, and the kernel for what a target is.
 * Called by device_link.c, device_attach.c and device.c.
 */
#include "backend/control/device_journal.h"
#include "backend/control/journal_file.h"
#include "common/paths.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* "/vm/01234567-89ab-...", hyphens anywhere; all zero: the domain has none. */
static void read_vm_uuid(const struct device *dev, uint8_t uuid[16])
{
	char vm[RWY_XENBUS_VALUE_BYTES];
	unsigned int byte;
	const char *c = vm;

	memset(uuid, 0, 16);
	if (rwy_xenbus_read(dev->dir.xb, RWY_XENBUS_NO_TX, vm, sizeof(vm), RWY_XS_DOMAIN "/vm",
			    dev->dir.domid) < 0 ||
	    strncmp(vm, "/vm/", 4))
		return;
	c += 4;
	for (int i = 0; i < 16 && sscanf(c, "%2x", &byte) == 1; i++) {
		uuid[i] = (uint8_t)byte;
		c += 2;
		c += *c == '-';
	}
}

static void describe_target(const struct target *t, struct journal_identity *id)
{
	struct stat st;

	id->read_only = !t->writable;
	id->capacity_sect = t->capacity_sect;
	if (t->is_block) {
		id->target_dev = t->dev;
	} else if (t->kind == TARGET_FILE && !fstat(t->fd, &st)) {
		id->target_dev = st.st_dev;
		id->target_ino = st.st_ino;
	}
}

static struct journal_identity identify(const struct device *dev, uint32_t queue)
{
	const struct frontend_queue *q = &dev->frontend.queues[queue];
	struct journal_identity id = {
		.domid = dev->dir.domid,
		.devid = dev->dir.devid,
		.queue = queue,
		.nr_queues = dev->frontend.nr_queues,
		.abi = dev->frontend.abi,
		.evtchn = q->evtchn,
		.nr_ring_pages = dev->frontend.nr_ring_pages,
	};

	_Static_assert(sizeof(id.ring_gref) == sizeof(q->ring_gref), "one limit, said twice");
	memcpy(id.ring_gref, q->ring_gref, sizeof(id.ring_gref));
	read_vm_uuid(dev, id.vm_uuid);
	describe_target(&dev->target, &id);
	return id;
}

int device_journal_open(struct device *dev, uint32_t queue, struct reason *why)
{
	struct journal_identity id = identify(dev, queue);
	int dir_fd = dev->control->journal_fd;

	return dev->journaled ? journal_file_find(dir_fd, &id, why)
			      : journal_file_create(dir_fd, &id, why);
}

bool device_journal_is_busy(const struct device *dev)
{
	struct journal_header h;

	for (uint32_t queue = 0; queue < dev->frontend.nr_queues; queue++) {
		if (!journal_file_read(dev->control->journal_fd, dev->dir.domid, dev->dir.devid,
				       queue, &h) &&
		    h.busy)
			return true;
	}
	return false;
}

void device_journal_remove(struct device *dev)
{
	dev->journaled = false;
	journal_file_remove(dev->control->journal_fd, dev->dir.domid, dev->dir.devid);
}
