/* SPDX-License-Identifier: MIT */
/*
 * Why something was refused or failed, in plain words: what is wrong, with which thing, and what to
 * do about it. Ends up in xenstore's `error` node, the log and `ringway show`. May quote what a
 * guest or a data process said, so all but printable ASCII is replaced here, once. Used by all of
 * control.
 */
#pragma once

#define REASON_BYTES 768

struct reason {
	char text[REASON_BYTES]; /* NUL-terminated, printable ASCII, cut when too long; "": none */
};

/*
 * Sets the text and returns err, so that a caller can write `return reason_set(why, -EINVAL, ...)`.
 */
int reason_set(struct reason *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same from a buffer that need not be NUL-terminated; at most len bytes. */
void reason_copy(struct reason *why, const char *text, unsigned long len);
