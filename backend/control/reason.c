// SPDX-License-Identifier: MIT
/*
 * Texts of refusals and faults. Trusts nothing about the bytes it is given: they may be a guest's
 * or a data process's.
 */
#include "backend/control/reason.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* xenstore readers and terminals take bytes as they come; over 127 are control bytes, too. */
static void replace_unprintable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	}
}

int reason_set(struct reason *why, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
	replace_unprintable(why->text);
	return err;
}

void reason_copy(struct reason *why, const char *text, unsigned long len)
{
	size_t n = strnlen(text, len);

	if (n >= sizeof(why->text))
		n = sizeof(why->text) - 1;
	memcpy(why->text, text, n);
	why->text[n] = '\0';
	replace_unprintable(why->text);
}
