/* SPDX-License-Identifier: MIT */
/*
 * Bounded parsing of xenstore values. Values come from guests: any bytes, any length up to
 * XENSTORE_PAYLOAD_MAX, not NUL-terminated. Strict: decimal digits only, no sign, no blanks, no
 * leading '+', no trailing bytes; range-checked before any arithmetic. Pure functions, no
 * allocation.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal in [min, max]. -EINVAL: not a decimal number; -ERANGE: out of range (or over 64 bits). */
int rwy_xs_parse_u64(const char *value, size_t len, uint64_t min, uint64_t max, uint64_t *out);
int rwy_xs_parse_u32(const char *value, size_t len, uint32_t min, uint32_t max, uint32_t *out);
/* "0" or "1". */
int rwy_xs_parse_bool(const char *value, size_t len, bool *out);
/* A node name that is one path component of decimal digits, as in backend/vbd/<domid>/<devid>. No
 * leading zeros (-EINVAL): two nodes must not name one device. */
int rwy_xs_parse_component(const char *component, uint32_t max, uint32_t *out);
/* Copy a value as a NUL-terminated string. -ENAMETOOLONG: does not fit size; -EINVAL: NUL or
 * control bytes inside. */
int rwy_xs_parse_string(const char *value, size_t len, char *out, size_t size);
