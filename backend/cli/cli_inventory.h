/* SPDX-License-Identifier: MIT */
/*
 * What there is: ringwayd's disks as xenstore has them, joined with what ringwayd says of each. One
 * JSON object per disk, which is also what --json prints; the keys are documented in ringway(1).
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/xenbus.h"

#define CLI_INVENTORY_ALL UINT32_MAX /* any domain, any device */

/*
 * The disks of a domain, or the one disk of it, or all: ordered by domid, then devid. *devices: a JSON
 * array, the caller's reference. *asked: ringwayd answered; otherwise its keys are null, and a line on
 * stderr has said why (but for one disk that is not there: nobody is asked then). 0 or -errno of the
 * store, -ENOMEM.
 */
int cli_inventory_load(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid, json_t **devices,
		       bool *asked);
/* The feature nodes of a disk's backend directory: name -> value. NULL when out of memory. */
json_t *cli_inventory_features(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid);
