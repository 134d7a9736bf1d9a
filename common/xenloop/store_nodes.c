// SPDX-License-Identifier: MIT
/*
 * The store nodes that a toolstack writes for a domain, with the permissions that libxl 4.17 gives
 * them: the domain reads its own directory and owns a few places in it. Called by the commands
 * create and destroy, as dom0.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <xen/xen.h>

#include "common/xenloop/hypervisor.h"
#include "common/xenloop/runner.h"

void uuid_print(const uint8_t uuid[16], char text[UUID_TEXT_BYTES])
{
	for (int i = 0; i < 16; i++)
		text += sprintf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
				uuid[i]);
}

bool uuid_parse(const char *text, uint8_t uuid[16])
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	for (int i = 0; i < 16; i++, text += 2) {
		text += *text == '-';
		sscanf(text, "%2hhx", &uuid[i]);
	}
	return true;
}

enum access {
	DOM0_ONLY,
	GUEST_READS,
	GUEST_OWNS
};

/* A path is below dom_path unless it is absolute. value NULL: an empty node with permissions; else
 * the node takes those of its directory. */
struct node {
	const char *path;
	const char *value;
	enum access access;
};

static bool set_access(struct xs_handle *xsh, xs_transaction_t t, const char *path, uint32_t domid,
		       enum access access)
{
	struct xs_permissions perms[2] = {
		{.id = access == GUEST_OWNS ? domid : 0, .perms = XS_PERM_NONE},
		{.id = domid, .perms = XS_PERM_READ},
	};

	return xs_set_permissions(xsh, t, path, perms, access == GUEST_READS ? 2 : 1);
}

static bool write_nodes(struct xs_handle *xsh, xs_transaction_t t, uint32_t domid,
			const struct node *nodes, size_t nr_nodes)
{
	char path[128];

	for (size_t i = 0; i < nr_nodes; i++) {
		const struct node *node = &nodes[i];
		if (node->path[0] == '/')
			snprintf(path, sizeof(path), "%s", node->path);
		else
			snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, node->path);
		if (node->value) {
			if (!xs_write(xsh, t, path, node->value, strlen(node->value)))
				return false;
		} else if (!xs_mkdir(xsh, t, path) ||
			   !set_access(xsh, t, path, domid, node->access)) {
			return false;
		}
	}
	return true;
}

/* In a transaction, as often as xenstored wants it. */
static int write_all(struct xs_handle *xsh, uint32_t domid, const struct node *nodes,
		     size_t nr_nodes)
{
	for (;;) {
		xs_transaction_t t = xs_transaction_start(xsh);
		if (!t)
			return -errno;
		if (!write_nodes(xsh, t, domid, nodes, nr_nodes)) {
			int err = errno;
			xs_transaction_end(xsh, t, true);
			return -err;
		}
		if (xs_transaction_end(xsh, t, false))
			return 0;
		if (errno != EAGAIN)
			return -errno;
	}
}

int nodes_write_dom0(struct xs_handle *xsh)
{
	static const struct node nodes[] = {
		{.path = "domid", .value = "0"},
		{.path = "name", .value = "Domain-0"},
	};

	return write_all(xsh, 0, nodes, sizeof(nodes) / sizeof(nodes[0]));
}

int nodes_write_domain(struct xs_handle *xsh, uint32_t domid, const struct xenloop_new *new,
		       uint32_t store_port)
{
	char uuid[UUID_TEXT_BYTES], port[16], number[16];
	char dom[32], vm[64], vm_uuid[72], vm_name[72], libxl[32], libxl_device[40], libxl_type[40];

	uuid_print(new->uuid, uuid);
	snprintf(port, sizeof(port), "%u", store_port);
	snprintf(number, sizeof(number), "%u", domid);
	snprintf(dom, sizeof(dom), "/local/domain/%u", domid);
	snprintf(vm, sizeof(vm), "/vm/%s", uuid);
	snprintf(vm_uuid, sizeof(vm_uuid), "/vm/%s/uuid", uuid);
	snprintf(vm_name, sizeof(vm_name), "/vm/%s/name", uuid);
	snprintf(libxl, sizeof(libxl), "/libxl/%u", domid);
	snprintf(libxl_device, sizeof(libxl_device), "/libxl/%u/device", domid);
	snprintf(libxl_type, sizeof(libxl_type), "/libxl/%u/type", domid);

	const struct node nodes[] = {
		{dom, NULL, GUEST_READS},
		{vm, NULL, GUEST_READS},
		{libxl, NULL, DOM0_ONLY},
		{libxl_device, NULL, DOM0_ONLY},
		{"vm", vm, 0},
		{"name", new->name, 0},
		{"cpu", NULL, GUEST_READS},
		{"memory", NULL, GUEST_READS},
		{"device", NULL, GUEST_READS},
		{"device/suspend/event-channel", NULL, GUEST_OWNS},
		{"control", NULL, GUEST_READS},
		{"control/shutdown", NULL, GUEST_OWNS},
		{"control/feature-poweroff", NULL, GUEST_OWNS},
		{"control/feature-reboot", NULL, GUEST_OWNS},
		{"control/feature-suspend", NULL, GUEST_OWNS},
		{"control/sysrq", NULL, GUEST_OWNS},
		{"data", NULL, GUEST_OWNS},
		{"drivers", NULL, GUEST_OWNS},
		{"feature", NULL, GUEST_OWNS},
		{"attr", NULL, GUEST_OWNS},
		{"error", NULL, GUEST_OWNS},
		{vm_uuid, uuid, 0},
		{vm_name, new->name, 0},
		{"control/platform-feature-multiprocessor-suspend", "1", 0},
		{"control/platform-feature-xs_reset_watches", "1", 0},
		{libxl_type, "pv", 0},
		{"domid", number, 0},
		{"store/port", port, 0},
		{"store/ring-ref", "1", 0},
	};
	int rc = write_all(xsh, domid, nodes, sizeof(nodes) / sizeof(nodes[0]));
	if (rc)
		return rc;
	return xs_introduce_domain(xsh, domid, XENLOOP_STORE_GREF, store_port) ? 0 : -errno;
}

/* What is not there needs no removal. */
void nodes_remove_domain(struct xs_handle *xsh, uint32_t domid, const uint8_t uuid[16])
{
	char text[UUID_TEXT_BYTES], path[64];

	uuid_print(uuid, text);
	snprintf(path, sizeof(path), "/vm/%s", text);
	xs_rm(xsh, XBT_NULL, path);
	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	xs_rm(xsh, XBT_NULL, path);
	snprintf(path, sizeof(path), "/libxl/%u", domid);
	xs_rm(xsh, XBT_NULL, path);
}
