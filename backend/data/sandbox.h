/* SPDX-License-Identifier: MIT */
/*
 * What the data process gives up before it reads the first word of a guest: user, groups,
 * capabilities, new privileges, core dumps, the file system, network and IPC, and all system calls
 * but those it lives on (sandbox_calls.c lists them). The io_uring has its own fence (uring.c).
 * Called by main, once, when every handle is open.
 *
 * Honest limits: the targets it was handed and, since a grant handle cannot be tied to a domain,
 * the pages that any guest grants to this domain stay within reach.
 */
#pragma once

/* Lift the limits on open files and locked memory as far as we may; what fails is left as it is. */
void sandbox_raise_limits(void);

/*
 * Enter the sandbox. As root every step has to succeed; otherwise there is no user to change, the
 * file system and the network stay visible (one log line says so), and the rest is done alike.
 * grant_fd and evtchn_fd are the devices that may still be sent ioctls. 0, or -errno with one log
 * line: then the caller must not go on.
 */
int sandbox_enter(int grant_fd, int evtchn_fd);

/* For sandbox_enter: the system-call filter, for all threads. 0 or -errno. */
int sandbox_filter_calls(int grant_fd, int evtchn_fd);
