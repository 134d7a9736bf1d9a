// SPDX-License-Identifier: MIT
/*
 * What QEMU's xen machine calls of libxenctrl for an HVM domain and for passed-through devices, on
 * loopback Xen: refused with EOPNOTSUPP, and here at all because the real functions would take our
 * xc_interface for their own. xentoolcore_restrict_all belongs to them: the real one knows no
 * handle of ours and would report success without restricting any.
 */
#include "common/xenloop/lib.h"

#pragma GCC visibility push(default)
#include <xentoolcore.h>
#pragma GCC visibility pop

/* To refuse is to look at no argument. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

int xentoolcore_restrict_all(domid_t domid)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_shutdown(xc_interface *xch, uint32_t domid, int reason)
{
	return fail(EOPNOTSUPP);
}

int xc_get_hvm_param(xc_interface *handle, uint32_t dom, int param, unsigned long *value)
{
	return fail(EOPNOTSUPP);
}

int xc_set_hvm_param(xc_interface *handle, uint32_t dom, int param, unsigned long value)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_populate_physmap_exact(xc_interface *xch, uint32_t domid, unsigned long nr_extents,
				     unsigned int extent_order, unsigned int mem_flags,
				     xen_pfn_t *extent_start)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_iomem_permission(xc_interface *xch, uint32_t domid, unsigned long first_mfn,
			       unsigned long nr_mfns, uint8_t allow_access)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_memory_mapping(xc_interface *xch, uint32_t domid, unsigned long first_gfn,
			     unsigned long first_mfn, unsigned long nr_mfns, uint32_t add_mapping)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_ioport_mapping(xc_interface *xch, uint32_t domid, uint32_t first_gport,
			     uint32_t first_mport, uint32_t nr_ports, uint32_t add_mapping)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_update_msi_irq(xc_interface *xch, uint32_t domid, uint32_t gvec, uint32_t pirq,
			     uint32_t gflags, uint64_t gtable)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_unbind_msi_irq(xc_interface *xch, uint32_t domid, uint32_t gvec, uint32_t pirq,
			     uint32_t gflags)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_bind_pt_pci_irq(xc_interface *xch, uint32_t domid, uint8_t machine_irq, uint8_t bus,
			      uint8_t device, uint8_t intx)
{
	return fail(EOPNOTSUPP);
}

int xc_domain_unbind_pt_irq(xc_interface *xch, uint32_t domid, uint8_t machine_irq,
			    uint8_t irq_type, uint8_t bus, uint8_t device, uint8_t intx,
			    uint8_t isa_irq)
{
	return fail(EOPNOTSUPP);
}

int xc_physdev_map_pirq(xc_interface *xch, uint32_t domid, int index, int *pirq)
{
	return fail(EOPNOTSUPP);
}

int xc_physdev_map_pirq_msi(xc_interface *xch, uint32_t domid, int index, int *pirq, int devfn,
			    int bus, int entry_nr, uint64_t table_base)
{
	return fail(EOPNOTSUPP);
}

int xc_physdev_unmap_pirq(xc_interface *xch, uint32_t domid, int pirq)
{
	return fail(EOPNOTSUPP);
}
