/* SPDX-License-Identifier: MIT */
/*
 * The places that Ringway's programs share: run directory, xenstore paths, node names. Public: an
 * admin's scripts may rely on them. Paths of xenstore are printf formats, with what fills them said
 * at each.
 */
#pragma once

/*
 * $RINGWAY_RUNDIR, or else this. Made by ringwayd, mode 0755; holds the query socket (mode 0600).
 */
#define RWY_RUNDIR     "/run/ringway"
#define RWY_RUNDIR_ENV "RINGWAY_RUNDIR"

/*
 * The query socket, <rundir>/ringwayd.sock: a stream socket. A client sends one line and reads one
 * JSON document to EOF.
 *
 * "show\n" gives {"version", "pid", "enforce", "processes": [...], "devices": [...]}.
 *
 * "show <domid> <devid>\n" gives the same with the one device; devices is empty when there is none.
 *
 * "verdict <domid> <devid>\n" waits while ringwayd has not judged the device yet, at most 10 s, and
 * gives {"verdict": "granted"|"refused"|"unknown", "reason": string|null, "trouble": string|null
 * (why no data process runs), "path": string|null (what was granted: its real path), "device":
 * string|null (a block device's "MAJOR:MINOR" in hexadecimal)}.
 *
 * Anything else gives {"error": "..."}.
 *
 * A device: {"domid", "devid", "target", "mode": "r"|"w", "phase", "state", "reason": string|null,
 * "capacity_sect", "queues", "ring_pages", "protocol", "engine", "direct": bool, "process":
 * pid|null, "stats": {...}|null}; the members of stats are those of struct ctl_stats
 * (backend/ctl_msg.h), by name.
 */
#define RWY_QUERY_SOCKET "ringwayd.sock"

/* Ownership: a backend directory whose `script` node's last path component is this is ours; all
 * others are not. */
#define RWY_BLOCK_SCRIPT "block-ringway"

#define RWY_XS_BACKEND_VBD	   "/local/domain/0/backend/vbd"       /* / domid / devid */
#define RWY_XS_BACKEND_VBD_DEVICE  "/local/domain/0/backend/vbd/%u/%u" /* domid, devid */
#define RWY_XS_FRONTEND_VBD_DEVICE "/local/domain/%u/device/vbd/%u"    /* domid, devid */
#define RWY_XS_DOMAIN		   "/local/domain/%u"		       /* domid */
#define RWY_XS_POLICY		   "/local/domain/0/ringway/policy"

/* Where a refused or failed device says why, in its backend directory; hotplug-error is what xl
 * shows. */
#define RWY_XS_ERROR_NODE	   "error"
#define RWY_XS_HOTPLUG_STATUS_NODE "hotplug-status"
#define RWY_XS_HOTPLUG_ERROR_NODE  "hotplug-error"
