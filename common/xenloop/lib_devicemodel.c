// SPDX-License-Identifier: MIT
/*
 * libxendevicemodel on loopback Xen: a handle, and a refusal of everything that is done with one.
 * QEMU's xen machine opens one whatever it is going to do, and as the backend of a PV disk does
 * nothing with it. There are no virtual CPUs here whose devices could be modelled: no I/O request
 * servers, no interrupts to inject, no memory types. So each call fails with EOPNOTSUPP, which is
 * what QEMU takes from a Xen that lacks an operation; a PV machine runs, an HVM one says that it
 * can't. All of the library is here, since a call that reached the real one would find a handle
 * that is not its own.
 */
#include <stdlib.h>

#include "common/xenloop/lib.h"

#pragma GCC visibility push(default)
#include <xendevicemodel.h>
#pragma GCC visibility pop

struct xendevicemodel_handle {
	struct conn conn; /* only domains of a running instance have a handle */
};

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned int open_flags)
{
	int fd;

	(void)logger;
	(void)open_flags;
	xendevicemodel_handle *dmod = calloc(1, sizeof(*dmod));
	if (!dmod)
		return NULL;
	int rc = conn_open(&dmod->conn, XENLOOP_ROLE_CTRL, &fd);
	if (rc) {
		free(dmod);
		errno = -rc;
		return NULL;
	}
	return dmod;
}

int xendevicemodel_close(xendevicemodel_handle *dmod)
{
	if (!dmod)
		return 0;
	conn_close(&dmod->conn);
	free(dmod);
	return 0;
}

/* To refuse is to look at no argument. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
				       int handle_bufioreq, ioservid_t *id)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
					 xen_pfn_t *ioreq_gfn, xen_pfn_t *bufioreq_gfn,
					 evtchn_port_t *bufioreq_port)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						ioservid_t id, int is_mmio, uint64_t start,
						uint64_t end)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						    ioservid_t id, int is_mmio, uint64_t start,
						    uint64_t end)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_map_mem_type_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						ioservid_t id, uint16_t type, uint32_t flags)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
					      ioservid_t id, uint16_t segment, uint8_t bus,
					      uint8_t device, uint8_t function)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_unmap_pcidev_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						  ioservid_t id, uint16_t segment, uint8_t bus,
						  uint8_t device, uint8_t function)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
					  int enabled)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *dmod, domid_t domid, uint16_t segment,
				      uint8_t bus, uint8_t device, uint8_t intx, unsigned int level)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_set_isa_irq_level(xendevicemodel_handle *dmod, domid_t domid, uint8_t irq,
				     unsigned int level)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_set_irq_level(xendevicemodel_handle *dmod, domid_t domid, unsigned int irq,
				 unsigned int level)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_set_pci_link_route(xendevicemodel_handle *dmod, domid_t domid, uint8_t link,
				      uint8_t irq)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_inject_msi(xendevicemodel_handle *dmod, domid_t domid, uint64_t msi_addr,
			      uint32_t msi_data)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_track_dirty_vram(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn,
				    uint32_t nr, unsigned long *dirty_bitmap)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_modified_memory(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn,
				   uint32_t nr)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_modified_memory_bulk(xendevicemodel_handle *dmod, domid_t domid,
					struct xen_dm_op_modified_memory_extent extents[],
					uint32_t nr)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_set_mem_type(xendevicemodel_handle *dmod, domid_t domid, hvmmem_type_t mem_type,
				uint64_t first_pfn, uint32_t nr)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_inject_event(xendevicemodel_handle *dmod, domid_t domid, int vcpu,
				uint8_t vector, uint8_t type, uint32_t error_code, uint8_t insn_len,
				uint64_t extra)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_shutdown(xendevicemodel_handle *dmod, domid_t domid, unsigned int reason)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_relocate_memory(xendevicemodel_handle *dmod, domid_t domid, uint32_t size,
				   uint64_t src_gfn, uint64_t dst_gfn)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_pin_memory_cacheattr(xendevicemodel_handle *dmod, domid_t domid, uint64_t start,
					uint64_t end, uint32_t type)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *dmod, domid_t domid, unsigned int *vcpus)
{
	return fail(EOPNOTSUPP);
}

int xendevicemodel_restrict(xendevicemodel_handle *dmod, domid_t domid)
{
	return fail(EOPNOTSUPP);
}
